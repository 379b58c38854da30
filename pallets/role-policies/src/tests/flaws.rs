//! What keeps a policy set from being set.

use epione_primitives::{HospitalId, limits::MAX_NAMED_HOSPITALS};

use super::*;
use crate::{
    Error,
    flaws::{Flaw, Flawed, check},
};

/// A policy without flaw, by which doctors read.
fn reads() -> Policy {
    policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]))
}

/// A policy without flaw, by which doctors are related.
fn treats() -> Policy {
    policy("doctors treat", &[Role::Doctor], recognises(&[Treating]))
}

fn with(conditions: &[Condition], policy: Policy) -> Policy {
    Policy { conditions: list(conditions), ..policy }
}

fn place(hospitals: &[HospitalId]) -> Condition {
    Condition::RequesterRegistered(Place::OneOf(list(hospitals)))
}

fn purposes(purposes: &[Purpose]) -> Condition {
    Condition::Purpose(list(purposes))
}

/// That a policy, last in a set, has a flaw: by itself, or in this condition.
#[track_caller]
fn flawed(policy: Policy, condition: Option<usize>, flaw: Flaw) {
    let set = [treats(), policy];
    assert_eq!(check(&set, START), Err(Flawed { flaw, policy: Some(1), condition }));
    run(|| {
        let refused = RolePolicies::set_policies(governance(HOME), policies(&set));
        assert_eq!(refused, Err(Error::<Test>::from(flaw).into()));
    });
}

#[track_caller]
fn sound(policy: Policy) {
    assert_eq!(check(&[treats(), policy], START), Ok(()));
}

#[test]
fn a_set_needs_a_policy() {
    assert_eq!(
        check(&[], START),
        Err(Flawed { flaw: Flaw::NoPolicies, policy: None, condition: None })
    );
}

#[test]
fn texts_are_utf8_and_a_name_is_not_empty() {
    flawed(Policy { name: list(&[]), ..reads() }, None, Flaw::InvalidName);
    flawed(Policy { name: list(&[0xff]), ..reads() }, None, Flaw::InvalidName);
    flawed(Policy { summary: list(&[0xff]), ..reads() }, None, Flaw::InvalidSummary);
    sound(Policy { summary: list("Ärzte lesen.".as_bytes()), ..reads() });
}

#[test]
fn names_differ() {
    flawed(Policy { name: treats().name, ..reads() }, None, Flaw::DuplicateName);
}

#[test]
fn lists_are_not_empty() {
    flawed(Policy { roles: list(&[]), ..reads() }, None, Flaw::NoRoles);
    flawed(Policy { conclusion: allows(&[]), ..reads() }, None, Flaw::NoActions);
    flawed(Policy { conclusion: recognises(&[]), ..reads() }, None, Flaw::NoKinds);
    for empty in [related(&[]), purposes(&[]), place(&[])] {
        flawed(with(&[registered_here(), empty], reads()), Some(1), Flaw::EmptyCondition);
    }
}

#[test]
fn lists_say_nothing_twice() {
    let (doctor, text) = (Role::Doctor, Action::ReadText);
    flawed(Policy { hospitals: list(&[HOME, AWAY, HOME]), ..reads() }, None, Flaw::Repeated);
    flawed(Policy { roles: list(&[doctor, doctor]), ..reads() }, None, Flaw::Repeated);
    flawed(Policy { conclusion: allows(&[text, text]), ..reads() }, None, Flaw::Repeated);
    let twice = recognises(&[Treating, Treating]);
    flawed(Policy { conclusion: twice, ..reads() }, None, Flaw::Repeated);
    let lists = [
        related(&[Treating, Treating]),
        purposes(&[Purpose::Audit, Purpose::Audit]),
        place(&[HOME, HOME]),
    ];
    for twice in lists {
        flawed(with(&[twice], reads()), Some(0), Flaw::Repeated);
    }
    let twice = [registered_here(), Condition::PatientRegistered, registered_here()];
    flawed(with(&twice, reads()), Some(2), Flaw::Repeated);
}

#[test]
fn what_has_ended_cannot_begin() {
    for end in [0, START] {
        flawed(Policy { expires: Some(end), ..reads() }, None, Flaw::Expired);
        let before = Condition::Before(end);
        flawed(with(&[before], reads()), Some(0), Flaw::ConditionNeverHolds);
    }
    let end = START + 1;
    sound(Policy { expires: Some(end), ..with(&[Condition::Before(end)], reads()) });
}

#[test]
fn relationship_policies_ask_for_registrations_and_time_only() {
    let relates = policy("relates", &[Role::Nurse], recognises(&[CareTeam]));
    let misplaced = [
        Condition::RequesterIsPatient,
        related(&[Treating]),
        Condition::SectionShared,
        purposes(&[Purpose::Treatment]),
        Condition::PatientCosigned,
    ];
    for condition in misplaced {
        flawed(with(&[condition], relates.clone()), Some(0), Flaw::NotOfRelationship);
    }
    let asked = [
        registered_here(),
        place(&[AWAY]),
        Condition::PatientRegistered,
        Condition::Before(START + 1),
    ];
    sound(with(&asked, relates));
}

#[test]
fn only_doctors_and_nurses_are_related() {
    let others = [Role::Patient, Role::Researcher, Role::Auditor];
    let relates = policy("relates", &others, recognises(&[CareTeam]));
    flawed(relates, None, Flaw::NeverRelated);
    let asks = Policy { roles: list(&others), ..with(&[related(&[Treating])], reads()) };
    flawed(asks, Some(0), Flaw::NeverRelated);
}

#[test]
fn a_relationship_that_is_asked_for_can_be_recognised() {
    let asks = |kinds| with(&[related(kinds)], reads());
    flawed(asks(&[FamilyDoctor, Referral]), Some(0), Flaw::NeverRecognised);
    sound(asks(&[FamilyDoctor, Treating]));
    let nurses = Policy { roles: list(&[Role::Nurse]), ..asks(&[Treating]) };
    flawed(nurses, Some(0), Flaw::NeverRecognised);

    let apart = [
        Policy { hospitals: list(&[HOME]), ..treats() },
        Policy { hospitals: list(&[AWAY]), ..asks(&[Treating]) },
    ];
    let flaw = Flaw::NeverRecognised;
    let expected = Flawed { flaw, policy: Some(1), condition: Some(0) };
    assert_eq!(check(&apart, START), Err(expected));
}

#[test]
fn the_requester_can_only_be_the_patient_if_patients_are_bound() {
    let own = [Condition::RequesterIsPatient];
    flawed(with(&own, reads()), Some(0), Flaw::PatientNotBound);
    sound(Policy { roles: list(&[Role::Doctor, Role::Patient]), ..with(&own, reads()) });
}

#[test]
fn nobody_is_related_to_themselves() {
    let both = list(&[Role::Doctor, Role::Patient]);
    for (conditions, position) in [
        ([Condition::RequesterIsPatient, related(&[Treating])], 0),
        ([related(&[Treating]), Condition::RequesterIsPatient], 1),
    ] {
        let policy = Policy { roles: both.clone(), ..with(&conditions, reads()) };
        flawed(policy, Some(position), Flaw::RelatedToThemselves);
    }
}

#[test]
fn the_patient_signs_only_what_is_submitted() {
    let signed = with(&[Condition::PatientCosigned], reads());
    flawed(signed.clone(), Some(0), Flaw::NothingSubmitted);
    let submits = allows(&[Action::ReadText, Action::Submit]);
    sound(Policy { conclusion: submits, ..signed });
}

#[test]
fn conditions_about_sections_need_sections() {
    let shared = with(&[Condition::SectionShared], reads());
    let relates = allows(&[Action::Relate, Action::Refer]);
    flawed(Policy { conclusion: relates, ..shared.clone() }, Some(0), Flaw::NothingTouched);
    let submits = allows(&[Action::Submit]);
    sound(Policy { conclusion: submits, ..shared.clone() });
    sound(shared);
}

#[test]
fn a_purpose_needs_reading() {
    let treatment = with(&[purposes(&[Purpose::Treatment])], reads());
    let writes = allows(&[Action::Submit, Action::Relate, Action::Refer]);
    flawed(Policy { conclusion: writes, ..treatment.clone() }, Some(0), Flaw::NothingRead);
    sound(treatment);
}

#[test]
fn the_glass_is_broken_in_emergencies() {
    let breaks = |purpose| {
        let conclusion = allows(&[Action::BreakGlass, Action::Submit]);
        Policy { conclusion, ..with(&[purposes(&[purpose])], reads()) }
    };
    flawed(breaks(Purpose::Treatment), Some(0), Flaw::EmergencyMissing);
    sound(breaks(Purpose::Emergency));
    let either = allows(&[Action::ReadText, Action::BreakGlass]);
    sound(Policy { conclusion: either, ..breaks(Purpose::Treatment) });
}

#[test]
fn two_lists_of_purposes_have_one_in_common() {
    let (research, audit) = (Purpose::Research, Purpose::Audit);
    let apart = [purposes(&[research]), registered_here(), purposes(&[audit])];
    flawed(with(&apart, reads()), Some(2), Flaw::PurposesDisjoint);
    sound(with(&[purposes(&[research, audit]), purposes(&[audit])], reads()));
}

#[test]
fn a_set_names_a_bounded_number_of_hospitals() {
    let many = |count: u32| -> Vec<Policy> {
        let all: Vec<_> = (0..count as u16).map(HospitalId).collect();
        let named = all.chunks(8).enumerate();
        named
            .map(|(number, some)| Policy {
                name: list(number.to_string().as_bytes()),
                hospitals: list(&some[..some.len() / 2]),
                ..with(&[place(&some[some.len() / 2..])], reads())
            })
            .collect()
    };
    assert_eq!(check(&many(MAX_NAMED_HOSPITALS), START), Ok(()));
    assert_eq!(
        check(&many(MAX_NAMED_HOSPITALS + 1), START),
        Err(Flawed { flaw: Flaw::TooManyHospitals, policy: None, condition: None })
    );
}
