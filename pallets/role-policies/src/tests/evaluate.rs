//! The pure half of deciding, against a reading of the policies that shares no code with it.

use epione_primitives::{
    Moment,
    access::{
        Action, Condition, Decision, Denial, Policy, PolicySet, Purpose, RelationshipKind,
        SectionClass,
    },
    profile::Role,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use sp_runtime::BoundedVec;

use crate::decision::{Facts, evaluate};

const ROLES: [Role; 5] =
    [Role::Doctor, Role::Nurse, Role::Patient, Role::Researcher, Role::Auditor];
const ACTIONS: [Action; 6] = [
    Action::ReadText,
    Action::ReadMedia,
    Action::Submit,
    Action::Relate,
    Action::Refer,
    Action::BreakGlass,
];
const KINDS: [RelationshipKind; 4] = [
    RelationshipKind::FamilyDoctor,
    RelationshipKind::Treating,
    RelationshipKind::Referral,
    RelationshipKind::CareTeam,
];
const PURPOSES: [Purpose; 5] = [
    Purpose::Treatment,
    Purpose::PatientRequest,
    Purpose::Research,
    Purpose::Audit,
    Purpose::Emergency,
];

fn moment() -> impl Strategy<Value = Moment> {
    0..20_u64
}

fn facts() -> impl Strategy<Value = Facts> {
    let class = select(&[SectionClass::Private, SectionClass::Shared][..]);
    let request = (select(&ROLES[..]), select(&ACTIONS[..]), class, select(&PURPOSES[..]));
    (request, moment(), any::<[bool; 3]>(), vec(select(&KINDS[..]), 0..3)).prop_map(
        |((role, action, class, purpose), at, [patient, requester_in, patient_in], related)| {
            Facts {
                role,
                action,
                class,
                purpose,
                at,
                requester_is_patient: patient,
                requester_registered: requester_in,
                patient_registered: patient_in,
                related,
            }
        },
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::RequesterIsPatient),
        Just(Condition::RequesterRegistered),
        Just(Condition::PatientRegistered),
        Just(Condition::SectionShared),
        moment().prop_map(Condition::Before),
        vec(select(&KINDS[..]), 0..4)
            .prop_map(|kinds| Condition::Related(BoundedVec::truncate_from(kinds))),
        vec(select(&PURPOSES[..]), 0..4)
            .prop_map(|purposes| Condition::Purpose(BoundedVec::truncate_from(purposes))),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    (
        vec(any::<u8>(), 1..8),
        vec(select(&ROLES[..]), 0..5),
        vec(select(&ACTIONS[..]), 0..6),
        vec(condition(), 0..4),
        option::of(moment()),
    )
        .prop_map(|(name, roles, actions, conditions, expires)| Policy {
            name: BoundedVec::truncate_from(name),
            roles: BoundedVec::truncate_from(roles),
            actions: BoundedVec::truncate_from(actions),
            conditions: BoundedVec::truncate_from(conditions),
            expires,
        })
}

fn policy_set() -> impl Strategy<Value = PolicySet> {
    vec(policy(), 0..8)
        .prop_map(|policies| PolicySet { since: 0, policies: BoundedVec::truncate_from(policies) })
}

fn holds(facts: &Facts, condition: &Condition) -> bool {
    match condition {
        Condition::RequesterIsPatient => facts.requester_is_patient,
        Condition::RequesterRegistered => facts.requester_registered,
        Condition::PatientRegistered => facts.patient_registered,
        Condition::Related(kinds) => {
            KINDS.iter().any(|kind| kinds.contains(kind) && facts.related.contains(kind))
        }
        Condition::Before(end) => facts.at < *end,
        Condition::SectionShared => matches!(facts.class, SectionClass::Shared),
        Condition::Purpose(purposes) => purposes.contains(&facts.purpose),
    }
}

fn expired(facts: &Facts, policy: &Policy) -> bool {
    policy.expires.is_some_and(|end| end <= facts.at)
}

fn binding<'a>(facts: &'a Facts, set: &'a PolicySet) -> impl Iterator<Item = &'a Policy> {
    set.policies
        .iter()
        .filter(|policy| policy.roles.contains(&facts.role))
        .filter(|policy| policy.actions.contains(&facts.action))
}

proptest! {
    #[test]
    fn some_policy_allows_exactly_if_all_its_conditions_hold(
        facts in facts(),
        set in policy_set(),
    ) {
        let allowing = binding(&facts, &set).find(|policy| {
            !expired(&facts, policy)
                && policy.conditions.iter().all(|condition| holds(&facts, condition))
        });
        match evaluate(&facts, 7, &set) {
            Decision::Allow { version, policy } => {
                prop_assert_eq!(version, 7);
                prop_assert_eq!(Some(&policy[..]), allowing.map(|policy| &policy.name[..]));
            }
            Decision::Deny(_) => prop_assert!(allowing.is_none()),
        }
    }

    #[test]
    fn a_denial_names_every_binding_policy_and_only_conditions_that_failed(
        facts in facts(),
        set in policy_set(),
    ) {
        let binding: Vec<_> = binding(&facts, &set).collect();
        match evaluate(&facts, 0, &set) {
            Decision::Allow { .. } => {}
            Decision::Deny(Denial::NoPolicy { role, action }) => {
                prop_assert!(binding.is_empty());
                prop_assert_eq!((role, action), (facts.role, facts.action));
            }
            Decision::Deny(Denial::Failed(failed)) => {
                prop_assert_eq!(failed.len(), binding.len());
                for (failed, policy) in failed.iter().zip(binding) {
                    prop_assert_eq!(&failed.policy[..], &policy.name[..]);
                    let mut expected: Vec<_> = policy
                        .conditions
                        .iter()
                        .filter(|condition| !holds(&facts, condition))
                        .cloned()
                        .collect();
                    if expired(&facts, policy) {
                        expected.extend(policy.expires.map(Condition::Before));
                    }
                    prop_assert!(!expected.is_empty());
                    prop_assert_eq!(&failed.conditions, &expected);
                }
            }
            Decision::Deny(other) => prop_assert!(false, "not for the pure half: {other:?}"),
        }
    }

    #[test]
    fn one_more_fact_never_takes_permission_away(facts in facts(), set in policy_set()) {
        let better = Facts {
            requester_registered: true,
            patient_registered: true,
            related: KINDS.to_vec(),
            class: SectionClass::Shared,
            ..facts.clone()
        };
        prop_assert!(
            !evaluate(&facts, 0, &set).is_allowed() || evaluate(&better, 0, &set).is_allowed()
        );
    }
}
