//! What keeps a policy set from being set. Pure, so that whoever writes policies can be told before
//! the chain is asked.
//!
//! A set is refused when a part of it can never have an effect: such a policy does not say what its
//! author meant.

use alloc::collections::BTreeSet;
use epione_primitives::{
    HospitalId, Moment,
    access::{Action, Conclusion, Condition, Place, Policy, Purpose},
    limits::MAX_NAMED_HOSPITALS,
    profile::Role,
};

/// Why policies cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A set needs at least one policy.
    NoPolicies,
    /// More than [`MAX_NAMED_HOSPITALS`].
    TooManyHospitals,
    /// The name is empty or not UTF-8.
    InvalidName,
    /// The summary is not UTF-8.
    InvalidSummary,
    /// An earlier policy of the set has this name.
    DuplicateName,
    NoRoles,
    NoActions,
    /// A relationship policy recognises no kind.
    NoKinds,
    /// A list says something twice.
    Repeated,
    /// The policy would have expired already.
    Expired,
    /// The condition's moment has passed.
    ConditionNeverHolds,
    /// The condition's list is empty.
    EmptyCondition,
    /// A relationship policy asks for more than registrations and time.
    NotOfRelationship,
    /// The requester must be the patient, but patients are not bound.
    PatientNotBound,
    /// The requester must be the patient and related to the patient: nobody is both.
    RelatedToThemselves,
    /// It is about relationships, but binds neither doctors nor nurses.
    NeverRelated,
    /// No relationship policy of the set recognises, for these roles, a kind that is asked for.
    NeverRecognised,
    /// The patient must sign what is submitted, but nothing is.
    NothingSubmitted,
    /// Only sections of class shared may be touched, but relating and referring touch none.
    NothingTouched,
    /// The purpose of reading is asked for, but nothing is read.
    NothingRead,
    /// The glass is broken for the purpose of an emergency only, which the list lacks.
    EmergencyMissing,
    /// Two conditions list purposes that have none in common.
    PurposesDisjoint,
}

/// A flaw, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flawed {
    pub flaw: Flaw,
    /// Index of the policy, unless it is the set as a whole.
    pub policy: Option<usize>,
    /// Index of the policy's condition, if it is one.
    pub condition: Option<usize>,
}

/// Checks that each part of a policy set can have an effect from `now` on.
pub fn check(policies: &[Policy], now: Moment) -> Result<(), Flawed> {
    let of_set = |flaw| Flawed { flaw, policy: None, condition: None };
    if policies.is_empty() {
        return Err(of_set(Flaw::NoPolicies));
    }
    for (index, policy) in policies.iter().enumerate() {
        let of_policy = |flaw| Flawed { flaw, policy: Some(index), condition: None };
        check_policy(policy, now).map_err(of_policy)?;
        if policies.iter().take(index).any(|earlier| earlier.name == policy.name) {
            return Err(of_policy(Flaw::DuplicateName));
        }
        for (position, condition) in policy.conditions.iter().enumerate() {
            check_condition(condition, now)
                .and_then(|()| check_fit(condition, policy))
                .and_then(|()| check_beside(condition, policy, position))
                .and_then(|()| check_recognised(condition, policy, policies))
                .map_err(|flaw| Flawed { condition: Some(position), ..of_policy(flaw) })?;
        }
    }
    if named_hospitals(policies).len() > MAX_NAMED_HOSPITALS as usize {
        return Err(of_set(Flaw::TooManyHospitals));
    }
    Ok(())
}

/// The hospitals that policies name, as those they apply to or as places of registration.
pub fn named_hospitals(policies: &[Policy]) -> BTreeSet<HospitalId> {
    policies
        .iter()
        .flat_map(|policy| policy.hospitals.iter().chain(policy.conditions.iter().flat_map(places)))
        .copied()
        .collect()
}

fn places(condition: &Condition) -> &[HospitalId] {
    match condition {
        Condition::RequesterRegistered(Place::OneOf(places)) => places,
        _ => &[],
    }
}

/// A policy without its conditions.
fn check_policy(policy: &Policy, now: Moment) -> Result<(), Flaw> {
    if policy.name.is_empty() || core::str::from_utf8(&policy.name).is_err() {
        return Err(Flaw::InvalidName);
    }
    if core::str::from_utf8(&policy.summary).is_err() {
        return Err(Flaw::InvalidSummary);
    }
    if repeats(&policy.hospitals) {
        return Err(Flaw::Repeated);
    }
    check_list(&policy.roles, Flaw::NoRoles)?;
    match &policy.conclusion {
        Conclusion::Allows(actions) => check_list(actions, Flaw::NoActions)?,
        Conclusion::Recognises(kinds) => {
            check_list(kinds, Flaw::NoKinds)?;
            if !binds_professionals(policy) {
                return Err(Flaw::NeverRelated);
            }
        }
    }
    if policy.expires.is_some_and(|expires| expires <= now) {
        return Err(Flaw::Expired);
    }
    Ok(())
}

/// A condition by itself.
fn check_condition(condition: &Condition, now: Moment) -> Result<(), Flaw> {
    match condition {
        Condition::Before(end) if *end <= now => Err(Flaw::ConditionNeverHolds),
        Condition::Related(kinds) => check_list(kinds, Flaw::EmptyCondition),
        Condition::Purpose(purposes) => check_list(purposes, Flaw::EmptyCondition),
        Condition::RequesterRegistered(Place::OneOf(places)) => {
            check_list(places, Flaw::EmptyCondition)
        }
        Condition::Before(_)
        | Condition::RequesterRegistered(Place::Here)
        | Condition::RequesterIsPatient
        | Condition::PatientRegistered
        | Condition::SectionShared
        | Condition::PatientCosigned => Ok(()),
    }
}

/// A condition against the roles that its policy binds, and against what follows from it.
fn check_fit(condition: &Condition, policy: &Policy) -> Result<(), Flaw> {
    let actions = match &policy.conclusion {
        Conclusion::Allows(actions) => actions,
        Conclusion::Recognises(_) => return check_of_relationship(condition),
    };
    let none = |matching: fn(&Action) -> bool| !actions.iter().any(matching);
    match condition {
        Condition::RequesterIsPatient if !policy.roles.contains(&Role::Patient) => {
            Err(Flaw::PatientNotBound)
        }
        Condition::Related(_) if !binds_professionals(policy) => Err(Flaw::NeverRelated),
        Condition::PatientCosigned if none(|action| *action == Action::Submit) => {
            Err(Flaw::NothingSubmitted)
        }
        Condition::SectionShared if none(touches_sections) => Err(Flaw::NothingTouched),
        Condition::Purpose(_) if none(reads) => Err(Flaw::NothingRead),
        Condition::Purpose(purposes)
            if none(reads_otherwise) && !purposes.contains(&Purpose::Emergency) =>
        {
            Err(Flaw::EmergencyMissing)
        }
        _ => Ok(()),
    }
}

fn check_of_relationship(condition: &Condition) -> Result<(), Flaw> {
    match condition {
        Condition::RequesterRegistered(_) | Condition::PatientRegistered | Condition::Before(_) => {
            Ok(())
        }
        Condition::RequesterIsPatient
        | Condition::Related(_)
        | Condition::SectionShared
        | Condition::Purpose(_)
        | Condition::PatientCosigned => Err(Flaw::NotOfRelationship),
    }
}

/// A condition against the others of its policy.
fn check_beside(condition: &Condition, policy: &Policy, position: usize) -> Result<(), Flaw> {
    let mut earlier = policy.conditions.iter().take(position);
    if earlier.clone().any(|other| other == condition) {
        return Err(Flaw::Repeated);
    }
    match condition {
        Condition::RequesterIsPatient => {
            let related = |other: &Condition| matches!(other, Condition::Related(_));
            if policy.conditions.iter().any(related) {
                return Err(Flaw::RelatedToThemselves);
            }
        }
        Condition::Purpose(purposes) => {
            let disjoint = |other: &Condition| matches!(other, Condition::Purpose(others) if !overlap(others, purposes));
            if earlier.any(disjoint) {
                return Err(Flaw::PurposesDisjoint);
            }
        }
        _ => {}
    }
    Ok(())
}

/// That some relationship policy of the set recognises a kind that a condition asks for, for
/// professionals whom the condition's policy binds, at a hospital to which both apply.
fn check_recognised(
    condition: &Condition,
    policy: &Policy,
    policies: &[Policy],
) -> Result<(), Flaw> {
    let Condition::Related(asked) = condition else { return Ok(()) };
    let recognises = |other: &Policy| {
        let everywhere = policy.hospitals.is_empty() || other.hospitals.is_empty();
        matches!(&other.conclusion, Conclusion::Recognises(kinds) if overlap(kinds, asked))
            && (everywhere || overlap(&other.hospitals, &policy.hospitals))
            && policy.roles.iter().any(|role| is_professional(role) && other.roles.contains(role))
    };
    if policies.iter().any(recognises) { Ok(()) } else { Err(Flaw::NeverRecognised) }
}

fn check_list<Item: PartialEq>(list: &[Item], empty: Flaw) -> Result<(), Flaw> {
    if list.is_empty() {
        return Err(empty);
    }
    if repeats(list) { Err(Flaw::Repeated) } else { Ok(()) }
}

fn repeats<Item: PartialEq>(list: &[Item]) -> bool {
    list.iter().enumerate().any(|(index, item)| list.iter().take(index).any(|other| other == item))
}

fn overlap<Item: PartialEq>(one: &[Item], other: &[Item]) -> bool {
    one.iter().any(|item| other.contains(item))
}

/// Whether a policy binds anybody who can be related to a patient.
fn binds_professionals(policy: &Policy) -> bool {
    policy.roles.iter().any(is_professional)
}

/// Whether users of this role can be related to patients.
pub(crate) fn is_professional(role: &Role) -> bool {
    matches!(role, Role::Doctor | Role::Nurse)
}

fn reads(action: &Action) -> bool {
    matches!(action, Action::ReadText | Action::ReadMedia | Action::BreakGlass)
}

/// Whether it is reading, and no emergency.
fn reads_otherwise(action: &Action) -> bool {
    reads(action) && *action != Action::BreakGlass
}

fn touches_sections(action: &Action) -> bool {
    reads(action) || *action == Action::Submit
}
