//! From the chain's form to the language and back, and the same flaws on both sides.

use epione_policies::{
    default_policies, flaws,
    language::{commented, to_toml},
};
use epione_primitives::{
    Word,
    access::PolicyList,
    credential::{AttributeId, Requirement},
    limits::{MAX_NAMED_CREDENTIALS, MAX_NAMED_HOSPITALS},
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};
use sp_core::ConstU32;

use super::*;

#[test]
fn samples_and_the_default_set_come_back_as_they_were() {
    let mut sets: Vec<_> = SAMPLES.iter().map(|name| sample(name)).collect();
    sets.push(default_policies().policies);
    for set in sets {
        assert_eq!(flaws::check(&set, NOW), Ok(()));
        let heading = "hospital 0, version 1";
        for text in [to_toml(&set), commented(heading, &set)] {
            assert_eq!(compile(&text).as_ref(), Ok(&set), "{text}");
        }
    }
}

/// What a name may be, not only what one would call a policy.
fn name() -> impl Strategy<Value = String> {
    "[ -~äé漢😀]{1,14}".prop_filter("says something", |text| !text.trim().is_empty())
}

/// A few of these, at least one, none twice, in any order.
fn some<T: Clone + std::fmt::Debug + 'static, Bound: Get<u32> + 'static>(
    all: &'static [T],
) -> impl Strategy<Value = BoundedVec<T, Bound>> {
    subsequence(all, 1..=all.len()).prop_shuffle().prop_map(BoundedVec::truncate_from)
}

fn hospitals() -> impl Strategy<Value = BoundedVec<HospitalId, ConstU32<8>>> {
    const ALL: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(7), HospitalId(65_535)];
    some(&ALL)
}

fn end() -> impl Strategy<Value = Moment> {
    (NOW + 1)..253_402_300_800_000
}

/// One condition of each sort, in any order.
fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let place = prop_oneof![Just(Place::Here), hospitals().prop_map(Place::OneOf)];
    let all = (place, some(RelationshipKind::ALL), some(Purpose::ALL), end(), requirements())
        .prop_map(|(place, kinds, purposes, end, requirements)| {
            vec![
                Condition::RequesterIsPatient,
                Condition::RequesterRegistered(place),
                Condition::PatientRegistered,
                Condition::Related(kinds),
                Condition::Before(end),
                Condition::SectionShared,
                Condition::Purpose(purposes),
                Condition::PatientCosigned,
                Condition::RequesterHas(requirements),
                Condition::RequesterRepresentsPatient,
            ]
        });
    all.prop_flat_map(|all| subsequence(all, 0..=10)).prop_shuffle()
}

/// One or two credentials of three attributes and four issuers, so that a set names at most twelve.
fn requirements() -> impl Strategy<Value = PolicyList<Requirement>> {
    let attributes = subsequence(vec![AttributeId(0), AttributeId(7), AttributeId(65_535)], 1..=2);
    let required = attributes
        .prop_flat_map(|attributes| attributes.into_iter().map(requirement).collect::<Vec<_>>());
    required.prop_shuffle().prop_map(BoundedVec::truncate_from)
}

fn requirement(attribute: AttributeId) -> impl Strategy<Value = Requirement> {
    hospitals().prop_flat_map(move |issuers| {
        (1..=issuers.len() as u8).prop_map(move |at_least| Requirement {
            attribute,
            issuers: issuers.clone(),
            at_least,
        })
    })
}

fn conclusion() -> impl Strategy<Value = Conclusion> {
    prop_oneof![
        some(Action::ALL).prop_map(Conclusion::Allows),
        some(RelationshipKind::ALL).prop_map(Conclusion::Recognises),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let applies = prop_oneof![Just(BoundedVec::default()), hospitals()];
    (name(), name(), applies, some(Role::ALL), conditions(), conclusion(), option::of(end()))
        .prop_map(|(name, summary, hospitals, roles, conditions, conclusion, expires)| Policy {
            name: BoundedVec::truncate_from(name.into()),
            summary: BoundedVec::truncate_from(summary.into()),
            hospitals,
            roles,
            conditions: BoundedVec::truncate_from(conditions),
            conclusion,
            expires,
        })
}

fn policies(number: std::ops::Range<usize>) -> impl Strategy<Value = Policies> {
    vec(any_policy(), number).prop_map(BoundedVec::truncate_from)
}

/// Takes out what contradicts the rest, by a reading of the rules that shares no code with the
/// compiler's.
fn without_contradictions(mut policies: Policies) -> Policies {
    let everything_counts = Policy {
        name: BoundedVec::truncate_from(b"everything counts".to_vec()),
        summary: BoundedVec::truncate_from(b"so that relationships may be asked for".to_vec()),
        hospitals: BoundedVec::default(),
        roles: BoundedVec::truncate_from(vec![Role::Doctor, Role::Nurse]),
        conditions: BoundedVec::default(),
        conclusion: Conclusion::Recognises(BoundedVec::truncate_from(
            RelationshipKind::ALL.to_vec(),
        )),
        expires: None,
    };
    for (number, policy) in policies.iter_mut().enumerate() {
        let name = [number.to_string().as_bytes(), &policy.name].concat();
        policy.name = BoundedVec::truncate_from(name);
        if matches!(policy.conclusion, Conclusion::Recognises(_)) {
            policy.roles = BoundedVec::truncate_from(vec![Role::Nurse]);
        }
        let kept = policy.clone();
        let own = kept.conditions.contains(&Condition::RequesterIsPatient)
            && kept.roles.contains(&Role::Patient);
        policy.conditions.retain(|condition| fits(condition, &kept, own));
    }
    policies.try_push(everything_counts).unwrap();
    policies
}

fn fits(condition: &Condition, policy: &Policy, own: bool) -> bool {
    let ends_first = |end: &Moment| policy.expires.is_none_or(|expires| *end < expires);
    let actions = match &policy.conclusion {
        Conclusion::Allows(actions) => actions,
        Conclusion::Recognises(_) => {
            return match condition {
                Condition::RequesterRegistered(_)
                | Condition::PatientRegistered
                | Condition::RequesterHas(_) => true,
                Condition::Before(end) => ends_first(end),
                _ => false,
            };
        }
    };
    let only = |allowed: &[Action]| actions.iter().all(|action| allowed.contains(action));
    match condition {
        Condition::RequesterIsPatient => own,
        Condition::Related(_) => {
            let counting = [Role::Doctor, Role::Nurse];
            !own && counting.iter().any(|role| policy.roles.contains(role))
        }
        Condition::PatientCosigned => only(&[Action::Submit]),
        Condition::SectionShared => {
            !actions.iter().any(|action| matches!(action, Action::Relate | Action::Refer))
        }
        Condition::Purpose(_) => only(&[Action::ReadText, Action::ReadMedia]),
        Condition::Before(end) => ends_first(end),
        Condition::RequesterRegistered(_)
        | Condition::PatientRegistered
        | Condition::RequesterHas(_)
        | Condition::RequesterRepresentsPatient => true,
    }
}

proptest! {
    #[test]
    fn whatever_holds_together_comes_back_as_it_was(policies in policies(1..6)) {
        let policies = without_contradictions(policies);
        let text = commented("a set", &policies);
        match compile(&text) {
            Ok(compiled) => prop_assert_eq!(&compiled, &policies, "{}", text),
            Err(mistakes) => prop_assert!(false, "{:#?} in {}", mistakes.first, text),
        }
        prop_assert_eq!(flaws::check(&policies, NOW), Ok(()));
    }

    #[test]
    fn the_compiler_accepts_exactly_what_the_chain_accepts(policies in policies(1..3)) {
        let compiled = compile(&to_toml(&policies));
        prop_assert_eq!(compiled.is_ok(), flaws::check(&policies, NOW).is_ok(), "{:?}", compiled);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in r#"([\[\]{}="', \n\\#.a-z0-9é-]|\[\[policy\]\]\n|name|= true\n|\[policy.when\]\n){0,60}"#) {
        let _ = compile(&text);
    }

    #[test]
    fn no_damage_to_a_file_makes_the_compiler_panic(
        name in select(&SAMPLES[..]),
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        instead in "[\\[\\]{}=\"', \n#.a-z0-9-]{0,8}",
    ) {
        let mut text: Vec<char> =
            std::fs::read_to_string(sample_path(name)).unwrap().chars().collect();
        let start = at.index(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, instead.chars());
        let _ = compile(&text.into_iter().collect::<String>());
    }
}

#[test]
fn the_compiler_bounds_hospitals_as_the_chain_does() {
    let text = |hospitals: u32| -> String {
        let policy = |first: u32| {
            let ids: Vec<_> = (first..hospitals.min(first + 8)).map(|id| id.to_string()).collect();
            format!(
                "[[policy]]\nname = \"p{first}\"\nsummary = \"s\"\ntype = \"operation\"\n\
                 roles = [\"auditor\"]\nactions = [\"read-text\"]\n[policy.when]\n\
                 requester-registered = [{}]\n",
                ids.join(", ")
            )
        };
        (0..hospitals).step_by(8).map(policy).collect()
    };
    let most = MAX_NAMED_HOSPITALS;
    assert_eq!(flaws::check(&compile(&text(most)).unwrap(), NOW), Ok(()));
    let mistakes = compile(&text(most + 1)).unwrap_err();
    assert!(mistakes.first[0].problem.contains("too many hospitals"), "{mistakes:?}");
}

#[test]
fn the_compiler_bounds_credentials_as_the_chain_does() {
    let text = |credentials: u32| -> String {
        let policy = |first: u32| {
            let issuers: Vec<_> =
                (first..credentials.min(first + 8)).map(|id| id.to_string()).collect();
            format!(
                "[[policy]]\nname = \"p{first}\"\nsummary = \"s\"\ntype = \"operation\"\n\
                 roles = [\"insurer\"]\nactions = [\"read-text\"]\n[policy.when]\n\
                 requester-has = [{{ attribute = 0, issuers = [{}] }}]\n",
                issuers.join(", ")
            )
        };
        (0..credentials).step_by(8).map(policy).collect()
    };
    let most = MAX_NAMED_CREDENTIALS;
    assert_eq!(flaws::check(&compile(&text(most)).unwrap(), NOW), Ok(()));
    let mistakes = compile(&text(most + 1)).unwrap_err();
    assert!(mistakes.first[0].problem.contains("too many credentials"), "{mistakes:?}");
    assert_eq!(mistakes.first[0].field.as_deref(), Some("when.requester-has"));
}
