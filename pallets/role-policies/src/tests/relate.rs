use epione_primitives::{access::Relationship, limits::MAX_PAGE};
use frame_support::assert_noop;
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{EarlierCount, Error, Relationships};

#[test]
fn the_hospitals_agent_relates_a_doctor_to_a_patient() {
    run(|| {
        let expires = Some(START + 1);
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, expires));
        assert_only_event(Event::Related {
            patient: PATIENT,
            professional: DOCTOR,
            hospital: HOME,
            kind: Treating,
            expires,
        });
        assert_eq!(
            Relationships::<Test>::get((PATIENT, DOCTOR, HOME)).into_inner(),
            [Relationship { kind: Treating, hospital: HOME, since: START, expires, closed: None }]
        );
    });
}

#[test]
fn the_patient_relates_a_nurse_to_themselves() {
    run(|| {
        assert_ok!(RolePolicies::relate(user(PATIENT), PATIENT, NURSE, HOME, CareTeam, None));
        assert_only_event(Event::Related {
            patient: PATIENT,
            professional: NURSE,
            hospital: HOME,
            kind: CareTeam,
            expires: None,
        });
    });
}

#[test]
fn a_professional_of_another_hospital_can_be_related_by_referral() {
    run(|| {
        let expires = Some(START + 10);
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, SPECIALIST, HOME, Referral, expires));
        assert_eq!(RolePolicies::relationships(PATIENT, None, MAX_PAGE).len(), 1);
    });
}

#[test]
fn relationships_of_several_kinds_and_hospitals_are_stored_together() {
    run(|| {
        register(AWAY, PATIENT, START);
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, None));
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, FamilyDoctor, None));
        let expires = Some(START + 1);
        assert_ok!(RolePolicies::relate(agent(AWAY), PATIENT, DOCTOR, AWAY, Referral, expires));
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, NURSE, HOME, Treating, None));
        assert_eq!(RolePolicies::relationships(PATIENT, None, MAX_PAGE).len(), 4);
    });
}

#[test]
fn a_new_relationship_may_follow_an_expired_or_closed_one() {
    run(|| {
        let relate =
            |expires| RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, expires);
        assert_ok!(relate(Some(START + 5)));
        pass(5);
        assert_ok!(relate(None));
        assert_ok!(RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, Treating));
        assert_ok!(relate(None));
        assert_eq!(Relationships::<Test>::get((PATIENT, DOCTOR, HOME)).len(), 1);
        assert_eq!(EarlierCount::<Test>::get((PATIENT, DOCTOR, HOME, Treating)), 2);
    });
}

#[test]
fn other_hospitals_and_unknown_accounts_may_not_sign() {
    run(|| {
        for origin in [agent(AWAY), governance(HOME), user(STRANGER)] {
            assert_noop!(
                RolePolicies::relate(origin, PATIENT, DOCTOR, HOME, Treating, None),
                Error::<Test>::NeitherAgentNorPatient
            );
        }
    });
}

#[test]
fn other_users_sign_only_if_the_policies_allow_it() {
    run(|| {
        let expires = Some(START + 10);
        for signer in [DOCTOR, NURSE, SPECIALIST, RESEARCHER, OTHER_PATIENT] {
            for (kind, expires) in [(Treating, None), (Referral, expires)] {
                assert_noop!(
                    RolePolicies::relate(user(signer), PATIENT, NURSE, HOME, kind, expires),
                    Error::<Test>::NotAllowedToRelate
                );
            }
        }
    });
}

#[test]
fn a_doctor_who_treats_the_patient_refers_them() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        let expires = Some(START + 100);
        let refer = |hospital, kind| {
            RolePolicies::relate(user(DOCTOR), PATIENT, SPECIALIST, hospital, kind, expires)
        };
        assert_noop!(refer(HOME, CareTeam), Error::<Test>::NotAllowedToRelate);
        assert_noop!(refer(AWAY, Referral), Error::<Test>::NotAllowedToRelate);
        assert_ok!(refer(HOME, Referral));
        assert_eq!(
            Relationships::<Test>::get((PATIENT, SPECIALIST, HOME)).into_inner(),
            [Relationship { kind: Referral, hospital: HOME, since: START, expires, closed: None }]
        );
        pass(10);
        let another = RolePolicies::relate(user(DOCTOR), PATIENT, NURSE, HOME, Referral, expires);
        assert_eq!(another, Err(Error::<Test>::NotAllowedToRelate.into()));
    });
}

#[test]
fn a_hospital_may_let_its_nurses_relate() {
    run(|| {
        let relates = policy("nurses relate", &[Role::Nurse], allows(&[Action::Relate]));
        set(&[Policy { conditions: list(&[registered_here()]), ..relates }]);
        let relate =
            |kind, expires| RolePolicies::relate(user(NURSE), PATIENT, DOCTOR, HOME, kind, expires);
        assert_ok!(relate(Treating, None));
        assert_noop!(relate(Referral, Some(START + 1)), Error::<Test>::NotAllowedToRelate);
        pass(1);
        end_registration(HOME, NURSE);
        assert_noop!(relate(CareTeam, None), Error::<Test>::NotAllowedToRelate);
    });
}

#[test]
fn a_referral_needs_an_expiry_regardless_of_the_signer() {
    run(|| {
        relate(DOCTOR, Treating, None);
        for origin in [agent(HOME), user(PATIENT), user(DOCTOR)] {
            assert_noop!(
                RolePolicies::relate(origin, PATIENT, SPECIALIST, HOME, Referral, None),
                Error::<Test>::ReferralNeedsExpiry
            );
        }
    });
}

#[test]
fn a_suspended_hospitals_agent_may_not_sign() {
    run(|| {
        register(SUSPENDED, PATIENT, START);
        register(SUSPENDED, DOCTOR, START);
        assert_noop!(
            RolePolicies::relate(agent(SUSPENDED), PATIENT, DOCTOR, SUSPENDED, Treating, None),
            Error::<Test>::NeitherAgentNorPatient
        );
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        for origin in unsigned() {
            assert_noop!(
                RolePolicies::relate(origin, PATIENT, DOCTOR, HOME, Treating, None),
                BadOrigin
            );
        }
    });
}

#[test]
fn the_patient_must_be_a_patient_registered_there() {
    run(|| {
        let relate = |hospital, patient| {
            RolePolicies::relate(agent(hospital), patient, DOCTOR, hospital, Treating, None)
        };
        assert_noop!(relate(HOME, STRANGER), Error::<Test>::UnknownPatient);
        assert_noop!(relate(HOME, NURSE), Error::<Test>::NotPatient);
        assert_noop!(relate(AWAY, PATIENT), Error::<Test>::PatientNotRegistered);
        pass(1);
        end_registration(HOME, PATIENT);
        assert_noop!(relate(HOME, PATIENT), Error::<Test>::PatientNotRegistered);
    });
}

#[test]
fn no_patient_is_registered_at_an_unknown_hospital() {
    run(|| {
        assert_noop!(
            RolePolicies::relate(user(PATIENT), PATIENT, DOCTOR, NOWHERE, Treating, None),
            Error::<Test>::PatientNotRegistered
        );
    });
}

#[test]
fn the_professional_must_be_a_known_doctor_or_nurse() {
    run(|| {
        let relate = |professional, kind| {
            RolePolicies::relate(agent(HOME), PATIENT, professional, HOME, kind, None)
        };
        for kind in [FamilyDoctor, Treating, Referral, CareTeam] {
            assert_noop!(relate(STRANGER, kind), Error::<Test>::UnknownProfessional);
            assert_noop!(relate(RESEARCHER, kind), Error::<Test>::NotProfessional);
            assert_noop!(relate(PATIENT, kind), Error::<Test>::NotProfessional);
        }
    });
}

#[test]
fn all_but_referred_professionals_must_be_registered_there() {
    run(|| {
        for kind in [FamilyDoctor, Treating, CareTeam] {
            assert_noop!(
                RolePolicies::relate(agent(HOME), PATIENT, SPECIALIST, HOME, kind, None),
                Error::<Test>::ProfessionalNotRegistered
            );
        }
    });
}

#[test]
fn the_expiry_must_be_in_the_future() {
    run(|| {
        for expires in [0, START - 1, START] {
            assert_noop!(
                RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, Some(expires)),
                Error::<Test>::ExpiryPassed
            );
        }
    });
}

#[test]
fn a_relationship_in_force_cannot_be_begun_again() {
    run(|| {
        assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, None));
        assert_noop!(
            RolePolicies::relate(user(PATIENT), PATIENT, DOCTOR, HOME, Treating, Some(START + 9)),
            Error::<Test>::AlreadyRelated
        );
    });
}
