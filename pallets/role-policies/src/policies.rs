//! Policy sets: the one that every hospital begins with, and what one must be to be set.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    Moment,
    access::{Action, Condition, Policies, Policy, PolicySet, RelationshipKind},
    profile::Role,
};
use sp_runtime::BoundedVec;

/// The policies of a hospital that has set none, which is version 0 of every hospital's: patients
/// read their own records; doctors and nurses read and submit for patients whom they treat.
pub fn default_policies() -> PolicySet {
    PolicySet {
        since: 0,
        policies: BoundedVec::truncate_from(vec![
            policy(
                "patient reads own records",
                vec![Role::Patient],
                vec![Action::ReadText, Action::ReadMedia],
                vec![Condition::RequesterIsPatient, Condition::RequesterRegistered],
            ),
            policy(
                "related professional",
                vec![Role::Doctor, Role::Nurse],
                vec![Action::ReadText, Action::ReadMedia, Action::Submit],
                vec![
                    Condition::RequesterRegistered,
                    Condition::PatientRegistered,
                    Condition::Related(BoundedVec::truncate_from(vec![
                        RelationshipKind::FamilyDoctor,
                        RelationshipKind::Treating,
                    ])),
                ],
            ),
        ]),
    }
}

fn policy(
    name: &str,
    roles: Vec<Role>,
    actions: Vec<Action>,
    conditions: Vec<Condition>,
) -> Policy {
    Policy {
        name: BoundedVec::truncate_from(name.into()),
        roles: BoundedVec::truncate_from(roles),
        actions: BoundedVec::truncate_from(actions),
        conditions: BoundedVec::truncate_from(conditions),
        expires: None,
    }
}

/// Why policies cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    NoPolicies,
    InvalidName,
    NoRoles,
    NoActions,
    /// A policy would have expired already.
    Expired,
    ConditionNeverHolds,
}

/// Checks that each policy can allow somebody something from `now` on.
pub fn check(policies: &Policies, now: Moment) -> Result<(), Flaw> {
    if policies.is_empty() {
        return Err(Flaw::NoPolicies);
    }
    policies.iter().try_for_each(|policy| check_policy(policy, now))
}

fn check_policy(policy: &Policy, now: Moment) -> Result<(), Flaw> {
    if policy.name.is_empty() || core::str::from_utf8(&policy.name).is_err() {
        return Err(Flaw::InvalidName);
    }
    if policy.roles.is_empty() {
        return Err(Flaw::NoRoles);
    }
    if policy.actions.is_empty() {
        return Err(Flaw::NoActions);
    }
    if policy.expires.is_some_and(|expires| expires <= now) {
        return Err(Flaw::Expired);
    }
    if policy.conditions.iter().any(|condition| never_holds(condition, now)) {
        return Err(Flaw::ConditionNeverHolds);
    }
    Ok(())
}

fn never_holds(condition: &Condition, now: Moment) -> bool {
    match condition {
        Condition::Before(end) => *end <= now,
        Condition::Related(kinds) => kinds.is_empty(),
        Condition::Purpose(purposes) => purposes.is_empty(),
        Condition::RequesterIsPatient
        | Condition::RequesterRegistered
        | Condition::PatientRegistered
        | Condition::SectionShared => false,
    }
}
