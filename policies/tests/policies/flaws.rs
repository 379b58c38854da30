//! What is wrong with policies. mistakes.rs has the same in files.

use epione_policies::{
    conditions::Obstacle,
    flaws::{Flaw, Flawed, Location, Part, check},
};
use epione_primitives::{
    credential::{AttributeId, Requirement},
    limits::{MAX_NAMED_CREDENTIALS, MAX_NAMED_HOSPITALS},
};

use super::*;

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

fn required(attribute: u16, issuers: &[HospitalId], at_least: u8) -> Requirement {
    Requirement { attribute: AttributeId(attribute), issuers: list(issuers), at_least }
}

fn has(requirements: &[Requirement]) -> Condition {
    Condition::RequesterHas(list(requirements))
}

fn at(policy: usize, part: Part, entry: Option<usize>) -> Option<Location> {
    Some(Location { policy, part, entry })
}

/// Checks that a policy, last in a set, has a flaw in this part.
#[track_caller]
fn flawed(policy: Policy, part: Part, flaw: Flaw) {
    flawed_entry(policy, part, None, flaw);
}

#[track_caller]
fn flawed_entry(policy: Policy, part: Part, entry: Option<usize>, flaw: Flaw) {
    assert_eq!(check(&[treats(), policy], NOW), Err(Flawed { flaw, location: at(1, part, entry) }));
}

#[track_caller]
fn sound(policy: Policy) {
    assert_eq!(check(&[treats(), policy], NOW), Ok(()));
}

#[test]
fn a_set_needs_a_policy() {
    assert_eq!(check(&[], NOW), Err(Flawed { flaw: Flaw::NoPolicies, location: None }));
}

#[test]
fn names_and_summaries_are_text_on_one_line() {
    for (bytes, flaw) in [
        (&b""[..], Flaw::BlankText),
        (b" \t ", Flaw::BlankText),
        (b"\xff", Flaw::NotUtf8),
        (b"a\x1b[2J", Flaw::ControlCharacter),
        (b"two\nlines", Flaw::ControlCharacter),
    ] {
        flawed(Policy { name: list(bytes), ..reads() }, Part::Name, flaw);
        flawed(Policy { summary: list(bytes), ..reads() }, Part::Summary, flaw);
    }
    sound(Policy { summary: list("Ärzte lesen.".as_bytes()), ..reads() });
}

#[test]
fn names_differ() {
    let same = Policy { name: treats().name, ..reads() };
    flawed(same, Part::Name, Flaw::DuplicateName(0));
}

#[test]
fn lists_are_not_empty() {
    flawed(Policy { roles: list(&[]), ..reads() }, Part::Roles, Flaw::EmptyList);
    flawed(Policy { conclusion: allows(&[]), ..reads() }, Part::Conclusion, Flaw::EmptyList);
    flawed(Policy { conclusion: recognises(&[]), ..reads() }, Part::Conclusion, Flaw::EmptyList);
    for empty in [related(&[]), purposes(&[]), has(&[])] {
        let policy = with(&[registered_here(), empty], reads());
        flawed(policy, Part::Condition(1), Flaw::EmptyList);
    }
    flawed(with(&[place(&[])], reads()), Part::Condition(0), Flaw::EmptyList);
}

#[test]
fn lists_name_nothing_twice() {
    let (doctor, text) = (Role::Doctor, Action::ReadText);
    let twice = Policy { hospitals: list(&[HOME, AWAY, HOME]), ..reads() };
    flawed_entry(twice, Part::Hospitals, Some(2), Flaw::Repeated);
    let twice = Policy { roles: list(&[doctor, doctor]), ..reads() };
    flawed_entry(twice, Part::Roles, Some(1), Flaw::Repeated);
    let twice = Policy { conclusion: allows(&[text, text]), ..reads() };
    flawed_entry(twice, Part::Conclusion, Some(1), Flaw::Repeated);
    let twice = Policy { conclusion: recognises(&[Treating, Treating]), ..reads() };
    flawed_entry(twice, Part::Conclusion, Some(1), Flaw::Repeated);
    for twice in [
        related(&[Treating, Treating]),
        purposes(&[Purpose::Audit, Purpose::Audit]),
        place(&[HOME, HOME]),
        has(&[required(0, &[HOME], 1), required(0, &[HOME], 1)]),
    ] {
        flawed_entry(with(&[twice], reads()), Part::Condition(0), Some(1), Flaw::Repeated);
    }
}

#[test]
fn a_policy_has_each_kind_of_condition_once() {
    let twice = [registered_here(), Condition::PatientRegistered, place(&[AWAY])];
    flawed(with(&twice, reads()), Part::Condition(2), Flaw::RepeatedCondition);
}

#[test]
fn what_has_ended_cannot_begin() {
    for end in [0, NOW] {
        flawed(Policy { expires: Some(end), ..reads() }, Part::Expiry, Flaw::Passed);
        let before = Condition::Before(end);
        flawed(with(&[before], reads()), Part::Condition(0), Flaw::Passed);
    }
    sound(Policy { expires: Some(NOW + 1), ..reads() });
}

#[test]
fn a_condition_ends_before_its_policy() {
    let ends =
        |before| Policy { expires: Some(NOW + 5), ..with(&[Condition::Before(before)], reads()) };
    for late in [NOW + 5, NOW + 6] {
        flawed(ends(late), Part::Condition(0), Flaw::NoEarlierEnd);
    }
    sound(ends(NOW + 4));
}

#[test]
fn relationship_policies_test_registrations_credentials_and_time_only() {
    let relates = policy("relates", &[Role::Nurse], recognises(&[CareTeam]));
    for condition in [
        Condition::RequesterIsPatient,
        related(&[Treating]),
        Condition::SectionShared,
        purposes(&[Purpose::Treatment]),
        Condition::PatientCosigned,
        Condition::RequesterRepresentsPatient,
    ] {
        let policy = with(&[condition], relates.clone());
        flawed(policy, Part::Condition(0), Flaw::NotInRelationships);
    }
    let allowed = [
        place(&[AWAY]),
        Condition::PatientRegistered,
        Condition::Before(NOW + 1),
        has(&[required(0, &[AWAY], 1)]),
    ];
    sound(with(&allowed, relates));
}

#[test]
fn only_health_professionals_are_related() {
    let others =
        [Role::Patient, Role::Researcher, Role::Auditor, Role::Insurer, Role::PublicAuthority];
    let relates = policy("relates", &others, recognises(&[CareTeam]));
    flawed(relates, Part::Roles, Flaw::NeverRelated);
    let needs = Policy { roles: list(&others), ..with(&[related(&[Treating])], reads()) };
    flawed(needs, Part::Condition(0), Flaw::NeverRelated);
    for role in [Role::Doctor, Role::Nurse, Role::Pharmacist, Role::AlliedProfessional] {
        sound(policy("relates", &[role], recognises(&[CareTeam])));
    }
}

#[test]
fn every_kind_of_relationship_that_is_needed_is_recognised() {
    let needs = |kinds| with(&[related(kinds)], reads());
    let never = Flaw::NeverRecognised(Referral);
    let part = Part::Condition(0);
    flawed_entry(needs(&[Treating, Referral]), part, Some(1), never);
    sound(needs(&[Treating]));
    let never = Flaw::NeverRecognised(Treating);
    let nurses = Policy { roles: list(&[Role::Nurse]), ..needs(&[Treating]) };
    flawed_entry(nurses, part, Some(0), never);

    let apart = [
        Policy { hospitals: list(&[HOME]), ..treats() },
        Policy { hospitals: list(&[AWAY]), ..needs(&[Treating]) },
    ];
    let expected = Flawed { flaw: never, location: at(1, part, Some(0)) };
    assert_eq!(check(&apart, NOW), Err(expected));
}

#[test]
fn the_requester_can_only_be_the_patient_if_patients_are_bound() {
    let own = [Condition::RequesterIsPatient];
    flawed(with(&own, reads()), Part::Condition(0), Flaw::PatientNotBound);
    sound(Policy { roles: list(&[Role::Doctor, Role::Patient]), ..with(&own, reads()) });
}

#[test]
fn nobody_is_related_to_themselves() {
    let both = list(&[Role::Doctor, Role::Patient]);
    for (conditions, position) in [
        ([Condition::RequesterIsPatient, related(&[Treating])], 1),
        ([related(&[Treating]), Condition::RequesterIsPatient], 0),
    ] {
        let policy = Policy { roles: both.clone(), ..with(&conditions, reads()) };
        flawed(policy, Part::Condition(position), Flaw::RelatedToThemselves);
    }
}

/// Checks that a condition never holds for an action, and does for the others.
fn never_for(condition: Condition, obstacles: &[(Action, Obstacle)], fitting: &[Action]) {
    for (action, obstacle) in obstacles {
        let actions: Vec<_> = fitting.iter().copied().chain([*action]).collect();
        let policy = Policy {
            conclusion: allows(&actions),
            ..with(std::slice::from_ref(&condition), reads())
        };
        flawed(policy, Part::Condition(0), Flaw::NeverForAction(*action, *obstacle));
    }
    sound(Policy { conclusion: allows(fitting), ..with(&[condition], reads()) });
}

#[test]
fn the_patient_signs_only_what_is_submitted() {
    let obstacle = Obstacle::NotSubmitted;
    let others = [Action::ReadText, Action::ReadMedia, Action::Relate, Action::BreakGlass];
    let obstacles = others.map(|action| (action, obstacle));
    never_for(Condition::PatientCosigned, &obstacles, &[Action::Submit]);
}

#[test]
fn conditions_about_sections_need_sections() {
    let obstacle = Obstacle::NoSection;
    let obstacles = [(Action::Relate, obstacle), (Action::Refer, obstacle)];
    let fitting = [Action::ReadText, Action::ReadMedia, Action::Submit, Action::BreakGlass];
    never_for(Condition::SectionShared, &obstacles, &fitting);
}

#[test]
fn a_purpose_is_one_that_the_action_can_have() {
    let writes = allows(&[Action::Submit, Action::Relate, Action::Refer]);
    let policy = Policy { conclusion: writes, ..with(&[purposes(&[Purpose::Treatment])], reads()) };
    flawed(policy, Part::Condition(0), Flaw::NothingRead);

    let research = purposes(&[Purpose::Research]);
    let obstacles = [
        (Action::BreakGlass, Obstacle::NotEmergency),
        (Action::Submit, Obstacle::NotTreatment),
        (Action::Refer, Obstacle::NotTreatment),
    ];
    never_for(research, &obstacles, &[Action::ReadText, Action::ReadMedia]);
    let both = purposes(&[Purpose::Treatment, Purpose::Emergency]);
    never_for(both, &[], &[Action::ReadText, Action::BreakGlass, Action::Submit]);
}

#[test]
fn a_set_names_a_bounded_number_of_hospitals() {
    let many = |count: u32| -> Vec<Policy> {
        let all: Vec<_> = (0..count as u16).map(HospitalId).collect();
        let named = all.chunks(8).enumerate();
        named
            .map(|(number, some)| {
                let (applies, registered) = some.split_at(some.len() / 2);
                Policy {
                    name: list(number.to_string().as_bytes()),
                    hospitals: list(applies),
                    ..with(&[place(registered)], reads())
                }
            })
            .collect()
    };
    assert_eq!(check(&many(MAX_NAMED_HOSPITALS), NOW), Ok(()));
    let last = (MAX_NAMED_HOSPITALS / 8) as usize;
    assert_eq!(
        check(&many(MAX_NAMED_HOSPITALS + 1), NOW),
        Err(Flawed { flaw: Flaw::TooManyHospitals, location: at(last, Part::Hospitals, None) })
    );
}

#[test]
fn a_required_credential_names_hospitals_of_which_enough_can_confirm_it() {
    for (wrong, flaw) in [
        (required(0, &[], 1), Flaw::NoIssuer),
        (required(0, &[], 0), Flaw::NoIssuer),
        (required(0, &[HOME, AWAY, HOME], 1), Flaw::RepeatedIssuer),
        (required(0, &[HOME], 0), Flaw::ImpossibleNumber),
        (required(0, &[HOME, AWAY], 3), Flaw::ImpossibleNumber),
    ] {
        let policy = with(&[has(&[required(1, &[AWAY], 1), wrong])], reads());
        flawed_entry(policy, Part::Condition(0), Some(1), flaw);
    }
    let different = [
        required(0, &[HOME], 1),
        required(0, &[AWAY], 1),
        required(0, &[HOME, AWAY], 2),
        required(1, &[HOME, AWAY], 1),
    ];
    sound(with(&[has(&different)], reads()));
}

#[test]
fn a_set_requires_a_bounded_number_of_credentials() {
    let many = |count: u32| -> Vec<Policy> {
        let all: Vec<_> = (0..count as u16).map(HospitalId).collect();
        let named = all.chunks(4).enumerate();
        named
            .map(|(number, some)| Policy {
                name: list(number.to_string().as_bytes()),
                ..with(&[registered_here(), has(&[required(0, some, 1)])], reads())
            })
            .collect()
    };
    let most = MAX_NAMED_CREDENTIALS;
    assert_eq!(check(&many(most), NOW), Ok(()));
    let last = (most / 4) as usize;
    let expected =
        Flawed { flaw: Flaw::TooManyCredentials, location: at(last, Part::Condition(1), None) };
    assert_eq!(check(&many(most + 1), NOW), Err(expected));

    // One that two policies require counts once.
    let twice: Vec<_> = many(most)
        .into_iter()
        .chain(many(most).into_iter().map(|policy| Policy {
            name: list(&[&b"again "[..], &policy.name[..]].concat()),
            ..policy
        }))
        .collect();
    assert_eq!(check(&twice, NOW), Ok(()));
}
