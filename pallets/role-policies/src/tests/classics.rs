//! Decisions of the four classic policies.

use super::*;

const READ: [Action; 2] = [Action::ReadText, Action::ReadMedia];

/// (1) A patient reads their own records at the hospital.
fn patient_reads_own_records() -> Policy {
    Policy {
        conditions: list(&[Condition::RequesterIsPatient, registered_here()]),
        ..policy("patient reads own records", &[Role::Patient], allows(&READ))
    }
}

/// (2) A doctor reads and submits for a patient if a policy recognizes their relationship.
fn recognised_doctor() -> Policy {
    let conditions = [related(&[FamilyDoctor, Referral])];
    let may = allows(&[Action::ReadText, Action::ReadMedia, Action::Submit]);
    Policy {
        conditions: list(&conditions),
        ..policy("doctor of the patient", &[Role::Doctor], may)
    }
}

/// (3) Recognizes family doctors while doctor and patient are registered at the hospital.
fn family_doctor() -> Policy {
    Policy {
        conditions: list(&[registered_here(), Condition::PatientRegistered]),
        ..policy("family doctor", &[Role::Doctor], recognises(&[FamilyDoctor]))
    }
}

/// (4) Recognizes, until a date, referrals of patients of one hospital to doctors of another.
fn referral_doctor() -> Policy {
    let at_a = Condition::RequesterRegistered(Place::OneOf(list(&[AWAY])));
    Policy {
        hospitals: list(&[HOME]),
        conditions: list(&[at_a, Condition::PatientRegistered]),
        expires: Some(START + 100),
        ..policy("referral doctor", &[Role::Doctor], recognises(&[Referral]))
    }
}

/// Sets the four policies.
fn set_classics() {
    set(&[patient_reads_own_records(), recognised_doctor(), family_doctor(), referral_doctor()]);
}

#[test]
fn patients_read_only_their_own_records() {
    run(|| {
        set_classics();
        for action in READ {
            assert_eq!(decide(PATIENT, action), allowed_by(1, "patient reads own records"));
        }
        let other = AccessRequest { patient: OTHER_PATIENT, ..request(PATIENT, Action::ReadText) };
        assert_eq!(
            RolePolicies::decide(other, None),
            denied(&[("patient reads own records", &[Condition::RequesterIsPatient])])
        );
        assert!(!decide(PATIENT, Action::Submit).is_allowed());
    });
}

#[test]
fn a_patient_who_left_the_hospital_is_no_longer_allowed_to_read() {
    run(|| {
        set_classics();
        pass(1);
        end_registration(HOME, PATIENT);
        assert_eq!(
            decide(PATIENT, Action::ReadText),
            denied(&[("patient reads own records", &[registered_here()])])
        );
    });
}

#[test]
fn a_family_doctor_reads_and_submits() {
    run(|| {
        set_classics();
        assert!(!decide(DOCTOR, Action::Submit).is_allowed());
        relate(DOCTOR, FamilyDoctor, None);
        for action in [Action::ReadText, Action::ReadMedia, Action::Submit] {
            assert_eq!(decide(DOCTOR, action), allowed_by(1, "doctor of the patient"));
        }
        assert!(!decide(DOCTOR, Action::Refer).is_allowed());
    });
}

#[test]
fn a_doctor_whose_relationship_no_policy_recognizes_does_not_read() {
    run(|| {
        set_classics();
        relate(DOCTOR, Treating, None);
        let asked = recognised_doctor().conditions.into_inner();
        let denial = denied(&[("doctor of the patient", &asked)]);
        assert_eq!(decide(DOCTOR, Action::ReadText), denial);
    });
}

#[test]
fn a_family_doctor_reads_while_both_are_registered() {
    for leaving in [DOCTOR, PATIENT] {
        run(|| {
            set_classics();
            relate(DOCTOR, FamilyDoctor, None);
            register(AWAY, DOCTOR, START);
            pass(10);
            end_registration(HOME, leaving);
            let lacking =
                if leaving == DOCTOR { registered_here() } else { Condition::PatientRegistered };
            let asked = recognised_doctor().conditions.into_inner();
            assert_eq!(
                decide(DOCTOR, Action::ReadText),
                denied(&[("doctor of the patient", &asked), ("family doctor", &[lacking])])
            );
            let before = RolePolicies::decide(request(DOCTOR, Action::ReadText), Some(START + 9));
            assert_eq!(before, allowed_by(1, "doctor of the patient"));
        });
    }
}

#[test]
fn a_referred_doctor_reads_until_the_referral_expires() {
    run(|| {
        set_classics();
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
        relate(SPECIALIST, Referral, Some(START + 50));
        pass(49);
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed_by(1, "doctor of the patient"));
        pass(1);
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
    });
}

#[test]
fn a_referred_doctor_reads_until_the_policy_expires() {
    run(|| {
        set_classics();
        relate(SPECIALIST, Referral, Some(START + 500));
        pass(99);
        assert!(decide(SPECIALIST, Action::ReadText).is_allowed());
        pass(1);
        let asked = recognised_doctor().conditions.into_inner();
        let end = Condition::Before(START + 100);
        assert_eq!(
            decide(SPECIALIST, Action::ReadText),
            denied(&[("doctor of the patient", &asked), ("referral doctor", &[end])])
        );
    });
}

#[test]
fn only_a_doctor_of_the_named_hospital_reads_by_referral() {
    run(|| {
        set_classics();
        relate(DOCTOR, Referral, Some(START + 50));
        assert!(!decide(DOCTOR, Action::ReadText).is_allowed());
        pass(1);
        end_registration(AWAY, SPECIALIST);
        relate(SPECIALIST, Referral, Some(START + 50));
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
    });
}

#[test]
fn a_referral_at_one_hospital_allows_nothing_at_another() {
    run(|| {
        set_classics();
        register(AWAY, PATIENT, START);
        relate(SPECIALIST, Referral, Some(START + 50));
        let elsewhere = AccessRequest { hospital: AWAY, ..request(SPECIALIST, Action::ReadText) };
        assert_eq!(RolePolicies::decide(elsewhere, None), unrelated_doctor());
    });
}

#[test]
fn by_default_a_family_doctor_refers_and_the_referred_doctor_reads_until_expiry() {
    run(|| {
        relate(DOCTOR, FamilyDoctor, None);
        assert_eq!(decide(DOCTOR, Action::Refer), allowed_by(0, "doctor refers"));
        let expires = Some(START + 10);
        let refer =
            |origin| RolePolicies::relate(origin, PATIENT, SPECIALIST, HOME, Referral, expires);
        assert_ok!(refer(user(DOCTOR)));
        assert_eq!(decide(SPECIALIST, Action::ReadText), allowed_by(0, "referred doctor reads"));
        assert!(!decide(SPECIALIST, Action::Submit).is_allowed());
        assert!(!decide(SPECIALIST, Action::Refer).is_allowed());
        pass(10);
        assert!(!decide(SPECIALIST, Action::ReadText).is_allowed());
        let before = request(SPECIALIST, Action::ReadText);
        assert!(RolePolicies::decide(before, Some(START + 9)).is_allowed());
    });
}
