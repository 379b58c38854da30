//! What a patient lets others do in the patient's name.

use epione_mocks::set_active;

use super::*;

#[test]
fn by_default_a_representative_reads_while_the_mandate_is_in_force() {
    run(|| {
        represent_between(OTHER_PATIENT, PATIENT, START, START + 10);
        for action in [Action::ReadText, Action::ReadMedia] {
            assert_eq!(decide(OTHER_PATIENT, action), allowed_by(0, "representative reads"));
        }
        assert!(!decide(OTHER_PATIENT, Action::Submit).is_allowed());
        // Nobody else does, and the patient does not represent the representative.
        assert!(!decide(DOCTOR, Action::ReadText).is_allowed());
        let other = AccessRequest { patient: OTHER_PATIENT, ..request(PATIENT, Action::ReadText) };
        assert!(!RolePolicies::decide(other, None).is_allowed());
        pass(10);
        assert!(!decide(OTHER_PATIENT, Action::ReadText).is_allowed());
        let before = request(OTHER_PATIENT, Action::ReadText);
        assert!(RolePolicies::decide(before, Some(START + 9)).is_allowed());
    });
}

#[test]
fn by_default_a_representative_reads_where_the_patient_is_registered() {
    run(|| {
        represent_between(RESEARCHER, PATIENT, START, START + 10);
        let elsewhere = AccessRequest { hospital: AWAY, ..request(RESEARCHER, Action::ReadText) };
        assert!(!RolePolicies::decide(elsewhere, None).is_allowed());
        assert!(decide(RESEARCHER, Action::ReadText).is_allowed());
    });
}

/// Somebody whom no hospital vouches for any more reads nothing, whatever the patient had allowed.
#[test]
fn a_representative_who_is_registered_at_no_active_hospital_reads_nothing() {
    run(|| {
        represent_between(SPECIALIST, PATIENT, START, START + 100);
        let allowed = || allowed_by(0, "representative reads");
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed());
        set_active(AWAY, false);
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
        set_active(AWAY, true);
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed());
        pass(10);
        end_registration(AWAY, SPECIALIST);
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
        let before = request(SPECIALIST, Action::ReadText);
        assert_eq!(RolePolicies::decide(before, Some(START + 9)), allowed());
        register(HOME, SPECIALIST, START + 10);
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed());
    });
}

#[test]
fn an_authorized_hospital_submits_without_the_patients_signature() {
    run(|| {
        let both = allows(&[Action::Submit]);
        set(&[Policy {
            conditions: list(&[Condition::PatientCosigned]),
            ..policy("both sign", &[Role::Doctor], both)
        }]);
        assert!(!decide(DOCTOR, Action::Submit).is_allowed());
        authorize_between(PATIENT, AWAY, START, START + 10);
        assert!(!decide(DOCTOR, Action::Submit).is_allowed(), "another hospital is authorized");
        authorize_between(OTHER_PATIENT, HOME, START, START + 10);
        assert!(!decide(DOCTOR, Action::Submit).is_allowed(), "by another patient");
        authorize_between(PATIENT, HOME, START, START + 10);
        assert_eq!(decide(DOCTOR, Action::Submit), allowed_by(1, "both sign"));
        pass(10);
        assert!(!decide(DOCTOR, Action::Submit).is_allowed());
        let before = request(DOCTOR, Action::Submit);
        assert!(RolePolicies::decide(before, Some(START + 9)).is_allowed());
    });
}

/// A consent shares the section with the requester: the caller says so with the class.
#[test]
fn by_default_a_patients_consent_is_enough() {
    run(|| {
        let asked = |class| {
            let request = AccessRequest { class, ..request(RESEARCHER, Action::ReadMedia) };
            RolePolicies::decide(request, None)
        };
        assert_eq!(asked(SectionClass::Shared), allowed_by(0, "shared with requester"));
        assert_eq!(
            asked(SectionClass::Private),
            denied(&[
                ("shared with requester", &[Condition::SectionShared]),
                ("representative reads", &[Condition::RequesterRepresentsPatient]),
            ])
        );
    });
}
