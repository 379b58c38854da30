//! Decisions, against a reading of the policies that shares no code with them.

use epione_policies::decision::{Facts, credentials, evaluate, places};
use epione_primitives::{
    HospitalId, Word,
    access::PolicySet,
    credential::{AttributeId, Requirement},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const HOSPITALS: [HospitalId; 3] = [HOME, AWAY, HospitalId(2)];
const ATTRIBUTES: [AttributeId; 2] = [AttributeId(0), AttributeId(7)];

fn moment() -> impl Strategy<Value = Moment> {
    0..20_u64
}

fn some<Item: Clone + core::fmt::Debug + 'static>(
    items: &'static [Item],
    at_most: usize,
) -> impl Strategy<Value = Vec<Item>> {
    vec(select(items), 0..=at_most)
}

fn facts() -> impl Strategy<Value = Facts> {
    let class = select(&[SectionClass::Private, SectionClass::Shared][..]);
    let request = (select(Role::ALL), select(Action::ALL), class, select(Purpose::ALL));
    let held = vec((select(&ATTRIBUTES[..]), select(&HOSPITALS[..])), 0..5);
    let relations = (some(RelationshipKind::ALL, 3), some(&HOSPITALS, 3), held);
    (request, moment(), any::<[bool; 4]>(), relations).prop_map(
        |((role, action, class, purpose), at, flags, relations)| {
            let [patient, patient_in, cosigned, represents_patient] = flags;
            let (related, requester_at, credentials) = relations;
            Facts {
                role,
                action,
                class,
                purpose,
                cosigned,
                at,
                hospital: HOME,
                requester_is_patient: patient,
                requester_at,
                patient_registered: patient_in,
                credentials,
                represents_patient,
                related,
            }
        },
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::RequesterIsPatient),
        Just(registered_here()),
        Just(Condition::PatientRegistered),
        Just(Condition::SectionShared),
        Just(Condition::PatientCosigned),
        moment().prop_map(Condition::Before),
        some(&HOSPITALS, 3)
            .prop_map(|places| Condition::RequesterRegistered(Place::OneOf(list(&places)))),
        some(RelationshipKind::ALL, 3).prop_map(|kinds| related(&kinds)),
        some(Purpose::ALL, 3).prop_map(|purposes| Condition::Purpose(list(&purposes))),
        Just(Condition::RequesterRepresentsPatient),
        vec(requirement(), 0..3).prop_map(|all| Condition::RequesterHas(list(&all))),
    ]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    (select(&ATTRIBUTES[..]), some(&HOSPITALS, 3), 1..4_u8).prop_map(
        |(attribute, issuers, at_least)| Requirement {
            attribute,
            issuers: list(&issuers),
            at_least,
        },
    )
}

fn conclusion() -> impl Strategy<Value = Conclusion> {
    prop_oneof![
        some(Action::ALL, 5).prop_map(|actions| allows(&actions)),
        some(RelationshipKind::ALL, 3).prop_map(|kinds| recognises(&kinds)),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (
        vec(any::<u8>(), 1..8),
        some(&HOSPITALS, 2),
        some(Role::ALL, 4),
        vec(condition(), 0..4),
        conclusion(),
        option::of(moment()),
    )
        .prop_map(|(name, hospitals, roles, conditions, conclusion, expires)| Policy {
            name: list(&name),
            summary: BoundedVec::default(),
            hospitals: list(&hospitals),
            roles: list(&roles),
            conditions: list(&conditions),
            conclusion,
            expires,
        })
}

fn policy_set() -> impl Strategy<Value = PolicySet> {
    vec(any_policy(), 0..8).prop_map(|all| PolicySet { since: 0, policies: list(&all) })
}

/// With relationships that count as far as `counts` says.
fn holds(facts: &Facts, condition: &Condition, counts: &dyn Fn(RelationshipKind) -> bool) -> bool {
    match condition {
        Condition::RequesterIsPatient => facts.requester_is_patient,
        Condition::RequesterRegistered(Place::Here) => facts.requester_at.contains(&HOME),
        Condition::RequesterRegistered(Place::OneOf(places)) => {
            facts.requester_at.iter().any(|registered| places.contains(registered))
        }
        Condition::PatientRegistered => facts.patient_registered,
        Condition::Related(kinds) => {
            RelationshipKind::ALL.iter().any(|kind| kinds.contains(kind) && counts(*kind))
        }
        Condition::Before(end) => facts.at < *end,
        Condition::SectionShared => matches!(facts.class, SectionClass::Shared),
        Condition::Purpose(purposes) => purposes.contains(&facts.purpose),
        Condition::PatientCosigned => facts.cosigned,
        Condition::RequesterRepresentsPatient => facts.represents_patient,
        Condition::RequesterHas(requirements) => requirements.iter().all(|required| {
            let mut confirmed = 0;
            for issuer in &required.issuers {
                let counts = |(attribute, by): &(AttributeId, HospitalId)| {
                    *attribute == required.attribute && by == issuer
                };
                confirmed += u8::from(facts.credentials.iter().any(counts));
            }
            confirmed >= required.at_least
        }),
    }
}

fn failures(
    facts: &Facts,
    policy: &Policy,
    counts: &dyn Fn(RelationshipKind) -> bool,
) -> Vec<Condition> {
    let mut failed: Vec<_> = policy.conditions.to_vec();
    failed.retain(|condition| !holds(facts, condition, counts));
    failed.extend(policy.expires.filter(|end| *end <= facts.at).map(Condition::Before));
    failed
}

fn binding<'a>(facts: &'a Facts, set: &'a PolicySet) -> impl Iterator<Item = &'a Policy> {
    set.policies
        .iter()
        .filter(|policy| policy.roles.contains(&facts.role))
        .filter(|policy| policy.hospitals.is_empty() || policy.hospitals.contains(&HOME))
}

fn asked<'a>(facts: &'a Facts, set: &'a PolicySet) -> impl Iterator<Item = &'a Policy> {
    binding(facts, set).filter(
        |policy| matches!(&policy.conclusion, Conclusion::Allows(may) if may.contains(&facts.action)),
    )
}

fn recognising<'a>(
    facts: &'a Facts,
    set: &'a PolicySet,
    kind: RelationshipKind,
) -> impl Iterator<Item = &'a Policy> {
    binding(facts, set).filter(
        move |policy| matches!(&policy.conclusion, Conclusion::Recognises(all) if all.contains(&kind)),
    )
}

fn every_credential() -> Vec<(AttributeId, HospitalId)> {
    let from = |attribute: AttributeId| HOSPITALS.map(|issuer| (attribute, issuer));
    ATTRIBUTES.iter().flat_map(|attribute| from(*attribute)).collect()
}

/// Whether a relationship of this kind is in force and recognised.
fn counts(facts: &Facts, set: &PolicySet, kind: RelationshipKind) -> bool {
    let nothing = |_: RelationshipKind| false;
    facts.related.contains(&kind)
        && recognising(facts, set, kind).any(|policy| failures(facts, policy, &nothing).is_empty())
}

proptest! {
    #[test]
    fn some_policy_allows_exactly_if_all_its_conditions_hold(
        facts in facts(),
        set in policy_set(),
    ) {
        let counts = |kind| counts(&facts, &set, kind);
        let allowing = asked(&facts, &set)
            .find(|policy| failures(&facts, policy, &counts).is_empty());
        match evaluate(&facts, 7, &set) {
            Decision::Allow { version, policy } => {
                prop_assert_eq!(version, 7);
                prop_assert_eq!(Some(&policy[..]), allowing.map(|policy| &policy.name[..]));
            }
            Decision::Deny(_) => prop_assert!(allowing.is_none()),
        }
    }

    #[test]
    fn a_denial_names_every_policy_that_was_asked_and_what_it_lacked(
        facts in facts(),
        set in policy_set(),
    ) {
        let counts = |kind| counts(&facts, &set, kind);
        let named = |policy: &Policy, conditions| {
            FailedPolicy { policy: policy.name.to_vec(), conditions }
        };
        match evaluate(&facts, 0, &set) {
            Decision::Allow { .. } => {}
            Decision::Deny(Denial::NoPolicy { role, action }) => {
                prop_assert_eq!(asked(&facts, &set).count(), 0);
                prop_assert_eq!((role, action), (facts.role, facts.action));
            }
            Decision::Deny(Denial::Failed(failed)) => {
                let mut expected: Vec<_> = asked(&facts, &set)
                    .map(|policy| named(policy, failures(&facts, policy, &counts)))
                    .collect();
                for policy in binding(&facts, &set) {
                    let missed = RelationshipKind::ALL.iter().any(|kind| {
                        facts.related.contains(kind)
                            && !counts(*kind)
                            && recognising(&facts, &set, *kind).any(|other| other == policy)
                    });
                    if missed {
                        expected.push(named(policy, failures(&facts, policy, &|_| false)));
                    }
                }
                prop_assert!(expected.iter().all(|failed| !failed.conditions.is_empty()));
                prop_assert_eq!(failed, expected);
            }
            Decision::Deny(other) => prop_assert!(false, "not for the pure half: {other:?}"),
        }
    }

    #[test]
    fn one_more_fact_never_takes_permission_away(facts in facts(), set in policy_set()) {
        let better = Facts {
            cosigned: true,
            requester_at: HOSPITALS.to_vec(),
            patient_registered: true,
            credentials: every_credential(),
            represents_patient: true,
            related: RelationshipKind::ALL.to_vec(),
            class: SectionClass::Shared,
            ..facts.clone()
        };
        prop_assert!(
            !evaluate(&facts, 0, &set).is_allowed() || evaluate(&better, 0, &set).is_allowed()
        );
    }

    /// So a section that its patient shares stays open to everybody who could read it before.
    #[test]
    fn what_is_allowed_with_private_sections_is_allowed_with_shared_ones(
        facts in facts(),
        set in policy_set(),
    ) {
        let private = Facts { class: SectionClass::Private, ..facts.clone() };
        let shared = Facts { class: SectionClass::Shared, ..facts };
        prop_assert!(
            !evaluate(&private, 0, &set).is_allowed() || evaluate(&shared, 0, &set).is_allowed()
        );
    }

    #[test]
    fn registrations_elsewhere_than_asked_about_make_no_difference(
        facts in facts(),
        set in policy_set(),
    ) {
        let asked = places(&set.policies, facts.role, HOME);
        let mut known = facts.clone();
        known.requester_at.retain(|place| asked.contains(place));
        prop_assert_eq!(evaluate(&facts, 0, &set), evaluate(&known, 0, &set));
    }

    #[test]
    fn credentials_that_no_policy_names_make_no_difference(facts in facts(), set in policy_set()) {
        let asked = credentials(&set.policies, facts.role, HOME);
        let mut known = facts.clone();
        known.credentials.retain(|held| asked.contains(held));
        prop_assert_eq!(evaluate(&facts, 0, &set), evaluate(&known, 0, &set));
    }
}
