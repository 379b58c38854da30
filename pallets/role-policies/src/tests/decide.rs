use epione_mocks::set_active;
use epione_primitives::{HospitalId, limits::MAX_DECISIONS, ports::AccessPolicies};

use super::*;

#[test]
fn patients_read_their_own_records() {
    run(|| {
        for action in [Action::ReadText, Action::ReadMedia] {
            assert_eq!(decide(PATIENT, action), allowed_by(0, "patient reads own records"));
        }
    });
}

#[test]
fn related_professionals_read_and_submit() {
    run(|| {
        relate(DOCTOR, FamilyDoctor, None);
        relate(NURSE, Treating, None);
        for professional in [DOCTOR, NURSE] {
            for action in [Action::ReadText, Action::ReadMedia, Action::Submit] {
                assert_eq!(decide(professional, action), allowed_by(0, "related professional"));
            }
        }
    });
}

#[test]
fn a_doctor_of_a_suspended_or_removed_hospital_loses_referrals() {
    run(|| {
        relate(SPECIALIST, Referral, Some(START + 50));
        let read = || decide(SPECIALIST, Action::ReadText);
        assert_eq!(read(), allowed_by(0, "referred doctor reads"));
        set_active(AWAY, false);
        assert!(!read().is_allowed());
        set_active(AWAY, true);
        assert!(read().is_allowed());

        register(HOME, SPECIALIST, START);
        set_active(AWAY, false);
        assert!(read().is_allowed(), "another hospital vouches for the doctor");
    });
}

#[test]
fn a_relationship_needs_a_registration_in_force_somewhere() {
    run(|| {
        relate(SPECIALIST, Referral, Some(START + 50));
        pass(1);
        end_registration(AWAY, SPECIALIST);
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
    });
}

#[test]
fn a_denial_tells_an_unrelated_doctor_which_relationships_are_missing() {
    run(|| assert_eq!(decide(DOCTOR, Action::ReadText), unrelated_doctor()));
}

#[test]
fn a_relationship_of_another_kind_allows_nothing() {
    run(|| {
        relate(DOCTOR, CareTeam, None);
        assert_eq!(decide(DOCTOR, Action::ReadText), unrelated_doctor());
    });
}

#[test]
fn a_relationship_at_another_hospital_allows_nothing() {
    run(|| {
        register(AWAY, PATIENT, START);
        register(AWAY, DOCTOR, START);
        relate(DOCTOR, Treating, None);
        let elsewhere = AccessRequest { hospital: AWAY, ..request(DOCTOR, Action::ReadText) };
        assert_eq!(RolePolicies::decide(elsewhere, None), unrelated_doctor());
    });
}

#[test]
fn a_denial_names_every_failed_condition() {
    run(|| {
        pass(1);
        end_registration(HOME, PATIENT);
        let lacking = [registered_here(), Condition::PatientRegistered, treated()];
        assert_eq!(
            decide(SPECIALIST, Action::Submit),
            denied(&[("related professional", &lacking)])
        );
    });
}

#[test]
fn a_denial_says_that_no_policy_is_about_the_role_and_action() {
    run(|| {
        let unbound = [
            (RESEARCHER, Role::Researcher, Action::Submit),
            (DOCTOR, Role::Doctor, Action::BreakGlass),
            (DOCTOR, Role::Doctor, Action::Relate),
            (NURSE, Role::Nurse, Action::Refer),
            (PATIENT, Role::Patient, Action::Submit),
        ];
        for (requester, role, action) in unbound {
            let denial = Denial::NoPolicy { role, action };
            assert_eq!(decide(requester, action), Decision::Deny(denial));
        }
    });
}

#[test]
fn a_denial_says_which_party_is_unknown() {
    run(|| {
        let asked = |requester, patient, hospital: HospitalId| {
            let request = request(requester, Action::ReadText);
            RolePolicies::decide(AccessRequest { patient, hospital, ..request }, None)
        };
        let deny = Decision::Deny;
        assert_eq!(asked(DOCTOR, PATIENT, NOWHERE), deny(Denial::UnknownHospital));
        assert_eq!(asked(STRANGER, PATIENT, HOME), deny(Denial::UnknownRequester));
        assert_eq!(asked(DOCTOR, STRANGER, HOME), deny(Denial::UnknownPatient));
        assert_eq!(asked(DOCTOR, NURSE, HOME), deny(Denial::UnknownPatient));
    });
}

#[test]
fn a_policy_applies_to_the_hospitals_that_it_names() {
    run(|| {
        let reads = policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]));
        set(&[Policy { hospitals: list(&[AWAY, HOME]), ..reads.clone() }]);
        assert_eq!(decide(DOCTOR, Action::ReadText), allowed_by(1, "doctors read"));
        set(&[Policy { hospitals: list(&[AWAY]), ..reads }]);
        let denial = Denial::NoPolicy { role: Role::Doctor, action: Action::ReadText };
        assert_eq!(decide(DOCTOR, Action::ReadText), Decision::Deny(denial));
    });
}

#[test]
fn registration_at_any_one_of_the_named_hospitals_suffices() {
    run(|| {
        let place = Condition::RequesterRegistered(Place::OneOf(list(&[SUSPENDED, AWAY])));
        set(&[Policy {
            conditions: list(core::slice::from_ref(&place)),
            ..policy("doctors of partners read", &[Role::Doctor], allows(&[Action::ReadText]))
        }]);
        let allowed = allowed_by(1, "doctors of partners read");
        let lacking = denied(&[("doctors of partners read", &[place])]);
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed);
        assert_eq!(decide(DOCTOR, Action::ReadText), lacking);
        pass(1);
        end_registration(AWAY, SPECIALIST);
        assert_eq!(decide(SPECIALIST, Action::ReadText), lacking);
    });
}

#[test]
fn a_policy_can_require_the_patients_cosignature() {
    run(|| {
        let submits = policy("both sign", &[Role::Doctor], allows(&[Action::Submit]));
        set(&[Policy { conditions: list(&[Condition::PatientCosigned]), ..submits }]);
        let asked = |cosigned| {
            let request = AccessRequest { cosigned, ..request(DOCTOR, Action::Submit) };
            RolePolicies::decide(request, None)
        };
        assert_eq!(asked(true), allowed_by(1, "both sign"));
        assert_eq!(asked(false), denied(&[("both sign", &[Condition::PatientCosigned])]));
    });
}

#[test]
fn a_policy_can_let_researchers_read_only_shared_sections() {
    run(|| {
        let purpose = Condition::Purpose(list(&[Purpose::Research, Purpose::Audit]));
        set(&[Policy {
            conditions: list(&[Condition::SectionShared, purpose.clone()]),
            ..policy("research", &[Role::Researcher], allows(&[Action::ReadText]))
        }]);
        let asked = |class, purpose| {
            let request = AccessRequest { class, purpose, ..request(RESEARCHER, Action::ReadText) };
            RolePolicies::decide(request, None)
        };
        let (shared, private) = (SectionClass::Shared, SectionClass::Private);
        assert_eq!(asked(shared, Purpose::Research), allowed_by(1, "research"));
        assert_eq!(
            asked(private, Purpose::Research),
            denied(&[("research", &[Condition::SectionShared])])
        );
        assert_eq!(asked(shared, Purpose::Treatment), denied(&[("research", &[purpose])]));
    });
}

#[test]
fn reading_and_breaking_the_glass_are_allowed_independently() {
    run(|| {
        let reads = allows(&[Action::ReadText, Action::ReadMedia]);
        set(&[
            policy("doctors read", &[Role::Doctor], reads),
            policy("nurses in emergencies", &[Role::Nurse], allows(&[Action::BreakGlass])),
        ]);
        assert!(!decide(DOCTOR, Action::BreakGlass).is_allowed());
        assert!(!decide(NURSE, Action::ReadText).is_allowed());
        assert_eq!(decide(NURSE, Action::BreakGlass), allowed_by(1, "nurses in emergencies"));
    });
}

#[test]
fn several_requests_are_decided_in_their_order() {
    run(|| {
        let requests = vec![request(DOCTOR, Action::ReadText), request(PATIENT, Action::ReadText)];
        assert_eq!(
            RolePolicies::decide_each(requests),
            [unrelated_doctor(), allowed_by(0, "patient reads own records")]
        );
        assert_eq!(RolePolicies::decide_each(vec![]), []);
    });
}

#[test]
fn the_number_of_requests_decided_at_once_is_bounded() {
    run(|| {
        let requests = vec![request(PATIENT, Action::ReadText); MAX_DECISIONS as usize + 1];
        assert_eq!(RolePolicies::decide_each(requests).len(), MAX_DECISIONS as usize);
    });
}

#[test]
fn other_pallets_get_the_same_decisions() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 5));
        for at in [START, START + 5] {
            let request = request(DOCTOR, Action::ReadText);
            assert_eq!(
                <RolePolicies as AccessPolicies>::decide(&request, at),
                RolePolicies::decide(request, Some(at))
            );
        }
    });
}
