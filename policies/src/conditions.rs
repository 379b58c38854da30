//! The table of conditions: what each means to the chain and to the policy language.
//!
//! To add one, follow "a condition of policies" in ARCHITECTURE.md.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, Moment,
    access::{Action, Condition, Place, PolicyList, Purpose, RelationshipKind, SectionClass},
    credential::{AttributeId, Requirement},
    profile::Role,
};

use crate::{Facts, is_professional};

/// One condition of each kind, with an empty argument.
pub fn every() -> [Condition; 10] {
    [
        Condition::RequesterIsPatient,
        Condition::RequesterRegistered(Place::Here),
        Condition::PatientRegistered,
        Condition::Related(PolicyList::new()),
        Condition::Before(0),
        Condition::SectionShared,
        Condition::Purpose(PolicyList::new()),
        Condition::PatientCosigned,
        Condition::RequesterHas(PolicyList::new()),
        Condition::RequesterRepresentsPatient,
    ]
}

/// What one condition means.
pub struct Row<'a> {
    /// Its field in a policy file.
    pub word: &'static str,
    /// Its argument, and the test whether it holds.
    pub test: Test<'a>,
    /// The actions for which it can hold.
    pub actions: Actions<'a>,
    /// The requesters for whom it can hold. A policy with this condition must apply to one of these roles.
    pub roles: Roles,
    /// Whether a relationship policy may have it.
    pub in_relationships: bool,
    /// How a sentence goes on after "if". `{}` is the argument.
    pub met: &'static str,
    /// What a refusal says if it does not hold. `{}` is the argument.
    pub unmet: &'static str,
}

/// The row of a condition.
pub fn row(condition: &Condition) -> Row<'_> {
    match condition {
        Condition::RequesterIsPatient => Row {
            word: "requester-is-patient",
            test: Test::Flag(|case| case.facts.requester_is_patient),
            actions: Actions::Any,
            roles: Roles::Patients,
            in_relationships: false,
            met: "the records are their own",
            unmet: "the requester is not the patient",
        },
        Condition::RequesterRegistered(place) => Row {
            word: "requester-registered",
            test: Test::Place(place, Condition::RequesterRegistered, |place, case| match place {
                Place::Here => case.facts.requester_at.contains(&case.facts.hospital),
                Place::OneOf(places) => {
                    places.iter().any(|id| case.facts.requester_at.contains(id))
                }
            }),
            actions: Actions::Any,
            roles: Roles::Any,
            in_relationships: true,
            met: "they are registered {}",
            unmet: "the requester is not registered {}, or is suspended",
        },
        Condition::PatientRegistered => Row {
            word: "patient-registered",
            test: Test::Flag(|case| case.facts.patient_registered),
            actions: Actions::Any,
            roles: Roles::Any,
            in_relationships: true,
            met: "the patient is registered here",
            unmet: "the patient is not registered here, or is suspended",
        },
        Condition::Related(kinds) => Row {
            word: "related",
            test: Test::Kinds(kinds, Condition::Related, |kinds, case| {
                kinds.iter().any(|kind| case.recognised.contains(kind))
            }),
            actions: Actions::Any,
            roles: Roles::Professionals,
            in_relationships: false,
            met: "they are related to the patient ({})",
            unmet: "no relationship with the patient is in force ({})",
        },
        Condition::Before(end) => Row {
            word: "before",
            test: Test::End(*end, Condition::Before, |end, case| case.facts.at < end),
            actions: Actions::Any,
            roles: Roles::Any,
            in_relationships: true,
            met: "it is before {}",
            unmet: "it ended at {}",
        },
        Condition::SectionShared => Row {
            word: "section-shared",
            test: Test::Flag(|case| case.facts.class == SectionClass::Shared),
            actions: Actions::OnSections,
            roles: Roles::Any,
            in_relationships: false,
            met: "the patient shares the section with them",
            unmet: "no consent of the patient shares a section with the requester for this purpose",
        },
        Condition::Purpose(purposes) => Row {
            word: "purpose",
            test: Test::Purposes(purposes, Condition::Purpose, |purposes, case| {
                purposes.contains(&case.facts.purpose)
            }),
            actions: Actions::ForPurpose(purposes),
            roles: Roles::Any,
            in_relationships: false,
            met: "the purpose is {}",
            unmet: "the purpose is not {}",
        },
        Condition::PatientCosigned => Row {
            word: "patient-cosigned",
            test: Test::Flag(|case| case.facts.cosigned),
            actions: Actions::Submission,
            roles: Roles::Any,
            in_relationships: false,
            met: "the patient also signs, or has authorized the hospital",
            unmet: "the patient neither signed the submitted record nor authorized the hospital",
        },
        Condition::RequesterHas(requirements) => Row {
            word: "requester-has",
            test: Test::Requirements(requirements, Condition::RequesterHas, |all, case| {
                all.iter().all(|one| one.is_met(&case.facts.credentials))
            }),
            actions: Actions::Any,
            roles: Roles::Any,
            in_relationships: true,
            met: "they have {}",
            unmet: "the requester does not have {}",
        },
        Condition::RequesterRepresentsPatient => Row {
            word: "requester-represents-patient",
            test: Test::Flag(|case| case.facts.represents_patient),
            actions: Actions::Any,
            roles: Roles::Any,
            in_relationships: false,
            met: "they represent the patient",
            unmet: "the requester does not represent the patient",
        },
    }
}

/// What a condition is tested against: the facts, and the kinds of relationships in force that the hospital's policies
/// recognise.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub facts: &'a Facts,
    pub recognised: &'a [RelationshipKind],
}

/// The argument of a condition, the condition with another argument, and the test whether it holds.
pub enum Test<'a> {
    /// No argument.
    Flag(fn(&Case<'_>) -> bool),
    Place(&'a Place, fn(Place) -> Condition, fn(&Place, &Case<'_>) -> bool),
    Kinds(
        &'a [RelationshipKind],
        fn(PolicyList<RelationshipKind>) -> Condition,
        fn(&[RelationshipKind], &Case<'_>) -> bool,
    ),
    Purposes(
        &'a [Purpose],
        fn(PolicyList<Purpose>) -> Condition,
        fn(&[Purpose], &Case<'_>) -> bool,
    ),
    Requirements(
        &'a [Requirement],
        fn(PolicyList<Requirement>) -> Condition,
        fn(&[Requirement], &Case<'_>) -> bool,
    ),
    /// Unix time in milliseconds.
    End(Moment, fn(Moment) -> Condition, fn(Moment, &Case<'_>) -> bool),
}

impl Test<'_> {
    pub fn holds(&self, case: &Case<'_>) -> bool {
        match self {
            Self::Flag(test) => test(case),
            Self::Place(place, _, test) => test(place, case),
            Self::Kinds(kinds, _, test) => test(kinds, case),
            Self::Purposes(purposes, _, test) => test(purposes, case),
            Self::Requirements(requirements, _, test) => test(requirements, case),
            Self::End(end, _, test) => test(*end, case),
        }
    }
}

/// The actions for which a condition can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actions<'a> {
    Any,
    /// Only submitting: nothing else is signed by the patient.
    Submission,
    /// Reading and submitting: the other actions touch no section of a record.
    OnSections,
    /// Reading for one of these purposes. A reader in an emergency has the purpose emergency; actions that do not read
    /// have the purpose treatment.
    ForPurpose(&'a [Purpose]),
}

impl Actions<'_> {
    /// Why the condition never holds for an action, if so.
    pub fn obstacle(self, action: Action) -> Option<Obstacle> {
        match self {
            Self::Submission if action != Action::Submit => Some(Obstacle::NotSubmitted),
            Self::OnSections if !reads(action) && action != Action::Submit => {
                Some(Obstacle::NoSection)
            }
            Self::ForPurpose(purposes) if action == Action::BreakGlass => {
                (!purposes.contains(&Purpose::Emergency)).then_some(Obstacle::NotEmergency)
            }
            Self::ForPurpose(purposes) if !reads(action) => {
                (!purposes.contains(&Purpose::Treatment)).then_some(Obstacle::NotTreatment)
            }
            _ => None,
        }
    }
}

/// Why a condition never holds for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Patients sign only what is submitted.
    NotSubmitted,
    /// The action touches no section of a record.
    NoSection,
    /// The glass is broken for the purpose emergency only, which the condition does not list.
    NotEmergency,
    /// The action's purpose is always treatment, which the condition does not list.
    NotTreatment,
}

/// The requesters for whom a condition can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    Any,
    Patients,
    /// Doctors, nurses, pharmacists and allied professionals: only they are related to patients.
    Professionals,
}

impl Roles {
    pub fn include(self, role: Role) -> bool {
        match self {
            Self::Any => true,
            Self::Patients => role == Role::Patient,
            Self::Professionals => is_professional(role),
        }
    }
}

/// Whether an action reads records.
pub fn reads(action: Action) -> bool {
    matches!(action, Action::ReadText | Action::ReadMedia | Action::BreakGlass)
}

/// The hospitals that a condition names.
pub fn places(condition: &Condition) -> &[HospitalId] {
    match row(condition).test {
        Test::Place(Place::OneOf(places), ..) => places,
        _ => &[],
    }
}

/// The credentials that a condition names, each an attribute with its issuer.
pub fn credentials(condition: &Condition) -> impl Iterator<Item = (AttributeId, HospitalId)> + '_ {
    let requirements = match row(condition).test {
        Test::Requirements(requirements, ..) => requirements,
        _ => &[],
    };
    requirements.iter().flat_map(Requirement::counted)
}

/// Adds the hospitals that conditions name to those known, each once.
pub(crate) fn add_places<'a>(
    known: &mut Vec<HospitalId>,
    conditions: impl Iterator<Item = &'a Condition>,
) {
    for place in conditions.flat_map(places) {
        if !known.contains(place) {
            known.push(*place);
        }
    }
}
