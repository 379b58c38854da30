//! A walk over all conditions: each has a row that the chain, the file and the sentences agree on.

use std::collections::BTreeSet;

use epione_policies::{
    Facts,
    conditions::{Actions, Roles, Test, every, row},
    evaluate,
    language::{sentence, to_toml},
};
use epione_primitives::{
    Word,
    access::{PolicyList, PolicySet},
    credential::{AttributeId, Requirement},
};
use scale_info::{TypeDef, TypeInfo};

use super::*;

/// An attribute that one hospital of two must confirm.
fn cardiology() -> Requirement {
    Requirement { attribute: AttributeId(3), issuers: list(&[AWAY, HospitalId(2)]), at_least: 1 }
}

/// One of each kind, with an argument.
fn examples() -> Vec<Condition> {
    every()
        .iter()
        .map(|kind| match row(kind).test {
            Test::Flag(_) => kind.clone(),
            Test::Place(_, condition, _) => condition(Place::Here),
            Test::Kinds(_, condition, _) => condition(list(&[Treating])),
            Test::Purposes(_, condition, _) => condition(list(&[Purpose::Treatment])),
            Test::Requirements(_, condition, _) => condition(list(&[cardiology()])),
            Test::End(_, condition, _) => condition(NOW + 1_000),
        })
        .collect()
}

/// A policy without flaw that has this condition.
fn example(condition: &Condition) -> Policy {
    let rule = row(condition);
    let role = match rule.roles {
        Roles::Patients => Role::Patient,
        Roles::Any | Roles::Professionals => Role::Doctor,
    };
    let action = match rule.actions {
        Actions::Submission => Action::Submit,
        Actions::Any | Actions::OnSections | Actions::ForPurpose(_) => Action::ReadText,
    };
    Policy {
        conditions: list(std::slice::from_ref(condition)),
        ..policy("p", &[role], allows(&[action]))
    }
}

/// Facts for which every example holds, for a policy's role and action.
fn favourable(policy: &Policy) -> Facts {
    let Conclusion::Allows(actions) = &policy.conclusion else { panic!("{policy:?}") };
    Facts {
        role: policy.roles[0],
        action: actions[0],
        class: SectionClass::Shared,
        purpose: Purpose::Treatment,
        cosigned: true,
        at: NOW,
        hospital: HOME,
        requester_is_patient: true,
        requester_at: vec![HOME],
        patient_registered: true,
        credentials: vec![(AttributeId(3), AWAY)],
        represents_patient: true,
        related: vec![Treating],
    }
}

/// Facts for which no example holds, for a policy's role and action.
fn adverse(policy: &Policy) -> Facts {
    Facts {
        class: SectionClass::Private,
        purpose: Purpose::Audit,
        cosigned: false,
        at: NOW + 1_000,
        requester_is_patient: false,
        requester_at: vec![],
        patient_registered: false,
        credentials: vec![(AttributeId(3), HOME), (AttributeId(4), AWAY)],
        represents_patient: false,
        related: vec![],
        ..favourable(policy)
    }
}

fn treating_counts() -> Policy {
    policy("treating counts", &[Role::Doctor], recognises(&[Treating]))
}

#[test]
fn every_condition_of_the_chain_has_a_row() {
    let TypeDef::Variant(conditions) = Condition::type_info().type_def else { panic!("an enum") };
    let known: BTreeSet<_> = conditions.variants.iter().map(|variant| variant.name).collect();
    let listed: BTreeSet<_> = every()
        .iter()
        .map(|condition| format!("{condition:?}").split('(').next().unwrap().to_owned())
        .collect();
    assert!(known.iter().copied().eq(listed.iter().map(String::as_str)), "{known:?} {listed:?}");
    let kinds = every();
    let words: BTreeSet<_> = kinds.iter().map(|kind| row(kind).word).collect();
    assert_eq!(words.len(), kinds.len(), "two conditions have one word");
}

#[test]
fn every_condition_is_compiled_printed_and_decided() {
    for condition in examples() {
        let policy = example(&condition);
        let policies: Policies = list(&[policy.clone(), treating_counts()]);
        let file = to_toml(&policies);
        assert!(file.contains(row(&condition).word), "{file}");
        assert_eq!(compile(&file), Ok(policies.clone()), "{file}");

        let set = PolicySet { since: 0, policies };
        assert!(evaluate(&favourable(&policy), 1, &set).is_allowed(), "{condition:?}");
        let Decision::Deny(Denial::Failed(failed)) = evaluate(&adverse(&policy), 1, &set) else {
            panic!("{condition:?} holds");
        };
        let expected = FailedPolicy { policy: b"p".to_vec(), conditions: vec![condition.clone()] };
        assert_eq!(failed, [expected]);
    }
}

#[test]
fn every_condition_has_a_sentence_when_met_and_when_unmet() {
    let mut sentences = BTreeSet::new();
    for condition in examples() {
        for sentence in [sentence::met(&condition), sentence::unmet(&condition)] {
            assert!(!sentence.contains(['{', '}']), "{sentence}");
            assert!(sentences.insert(sentence));
        }
        let said = sentence::policy(&example(&condition));
        assert!(said.ends_with(&sentence::met(&condition)), "{said}");
    }
    let places = Condition::RequesterRegistered(Place::OneOf(list(&[HOME, AWAY])));
    assert_eq!(sentence::met(&places), "they are registered at hospital 0 or 1");
    let kinds: PolicyList<RelationshipKind> = list(RelationshipKind::ALL);
    assert_eq!(
        sentence::unmet(&Condition::Related(kinds)),
        "no relationship with the patient is in force (family doctor, treating, referral or care team)"
    );
    let two = Requirement { at_least: 2, ..cardiology() };
    assert_eq!(
        sentence::unmet(&Condition::RequesterHas(list(&[cardiology(), two]))),
        "the requester does not have attribute 3 from hospital 1 or 2 and attribute 3 from 2 of the hospitals 1 and 2"
    );
}

#[test]
fn words_are_spelled_as_json_spells_them() {
    fn check<W: Word + serde::Serialize>() {
        for word in W::ALL {
            assert_eq!(serde_json::to_value(word).unwrap(), word.spelled());
            assert!(W::read(word.spelled()) == Some(*word));
        }
    }
    check::<Role>();
    check::<Action>();
    check::<RelationshipKind>();
    check::<Purpose>();
    check::<SectionClass>();
    check::<epione_policies::language::PolicyType>();
    assert!(Role::read("Doctor").is_none());
}

#[test]
fn names_in_sentences_cannot_control_a_terminal() {
    let denial = Denial::Failed(vec![FailedPolicy {
        policy: "a\x1b[2Jb\n\u{202e}c".into(),
        conditions: vec![Condition::Before(0)],
    }]);
    let sentences = sentence::denial(&denial);
    assert!(!sentences[0].contains(epione_primitives::text::controls), "{sentences:?}");
    assert!(sentences[0].ends_with("it ended at 1970-01-01T00:00:00Z"), "{sentences:?}");
}
