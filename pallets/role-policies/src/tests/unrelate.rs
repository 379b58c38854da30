use frame_support::assert_noop;
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{Error, Relationships};

/// Relates the doctor to the patient, ten milliseconds before now.
fn relate_doctor() {
    relate(DOCTOR, Treating, None);
    pass(10);
}

#[test]
fn the_agent_the_patient_or_the_professional_closes_a_relationship() {
    for origin in [agent(HOME), user(PATIENT), user(DOCTOR)] {
        run(|| {
            relate_doctor();
            assert_ok!(RolePolicies::unrelate(origin, PATIENT, DOCTOR, HOME, Treating));
            System::assert_last_event(
                Event::Unrelated {
                    patient: PATIENT,
                    professional: DOCTOR,
                    hospital: HOME,
                    kind: Treating,
                }
                .into(),
            );
            let closed = Relationships::<Test>::get((PATIENT, DOCTOR, HOME))[0].closed;
            assert_eq!(closed, Some(START + 10));
        });
    }
}

#[test]
fn only_the_named_kind_is_closed() {
    run(|| {
        relate_doctor();
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, FamilyDoctor, None));
        assert_ok!(RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, FamilyDoctor));
        let closed: Vec<_> = Relationships::<Test>::get((PATIENT, DOCTOR, HOME))
            .iter()
            .map(|relationship| relationship.closed.is_some())
            .collect();
        assert_eq!(closed, [false, true]);
    });
}

#[test]
fn a_patient_who_has_left_the_hospital_can_still_unrelate() {
    run(|| {
        relate_doctor();
        end_registration(HOME, PATIENT);
        assert_ok!(RolePolicies::unrelate(user(PATIENT), PATIENT, DOCTOR, HOME, Treating));
    });
}

#[test]
fn other_hospitals_and_unknown_accounts_may_not_sign() {
    run(|| {
        relate_doctor();
        for origin in [agent(AWAY), governance(HOME), user(STRANGER)] {
            assert_noop!(
                RolePolicies::unrelate(origin, PATIENT, DOCTOR, HOME, Treating),
                Error::<Test>::NeitherAgentNorPatient
            );
        }
    });
}

#[test]
fn other_users_sign_only_if_the_policies_allow_it() {
    run(|| {
        relate_doctor();
        for signer in [NURSE, SPECIALIST, OTHER_PATIENT] {
            assert_noop!(
                RolePolicies::unrelate(user(signer), PATIENT, DOCTOR, HOME, Treating),
                Error::<Test>::NotAllowedToRelate
            );
        }
        set(&[policy("nurses relate", &[Role::Nurse], allows(&[Action::Relate]))]);
        assert_ok!(RolePolicies::unrelate(user(NURSE), PATIENT, DOCTOR, HOME, Treating));
    });
}

#[test]
fn a_doctor_who_may_refer_closes_only_referrals() {
    run(|| {
        relate_doctor();
        relate(SPECIALIST, Referral, Some(START + 100));
        assert_ok!(RolePolicies::unrelate(user(DOCTOR), PATIENT, SPECIALIST, HOME, Referral));
        relate(NURSE, Treating, None);
        assert_noop!(
            RolePolicies::unrelate(user(DOCTOR), PATIENT, NURSE, HOME, Treating),
            Error::<Test>::NotAllowedToRelate
        );
    });
}

#[test]
fn a_professional_who_has_left_the_hospital_can_still_unrelate() {
    run(|| {
        relate_doctor();
        end_registration(HOME, DOCTOR);
        assert_ok!(RolePolicies::unrelate(user(DOCTOR), PATIENT, DOCTOR, HOME, Treating));
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        relate_doctor();
        for origin in unsigned() {
            assert_noop!(
                RolePolicies::unrelate(origin, PATIENT, DOCTOR, HOME, Treating),
                BadOrigin
            );
        }
    });
}

#[test]
fn a_relationship_that_is_not_in_force_cannot_be_closed() {
    run(|| {
        let unrelate = |kind| RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, kind);
        assert_noop!(unrelate(Treating), Error::<Test>::NotRelated);
        relate_doctor();
        assert_noop!(unrelate(CareTeam), Error::<Test>::NotRelated);
        assert_ok!(unrelate(Treating));
        assert_noop!(unrelate(Treating), Error::<Test>::NotRelated);
    });
}

#[test]
fn an_expired_relationship_cannot_be_closed() {
    run(|| {
        let expires = Some(START + 10);
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, expires));
        pass(10);
        assert_noop!(
            RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, Treating),
            Error::<Test>::NotRelated
        );
    });
}
