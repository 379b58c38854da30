use epione_primitives::access::RelationshipKind::*;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, Relationships, mock::*};

fn related() {
    assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, DOCTOR, HOME, Treating, None));
    pass(10);
}

#[test]
fn agent_or_patient_close_a_relationship() {
    for origin in [agent(HOME), user(PATIENT)] {
        run(|| {
            related();
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
        related();
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
        related();
        end_registration(HOME, PATIENT);
        assert_ok!(RolePolicies::unrelate(user(PATIENT), PATIENT, DOCTOR, HOME, Treating));
    });
}

#[test]
fn only_that_hospitals_agent_or_the_patient_may_sign() {
    run(|| {
        related();
        for origin in [agent(AWAY), governance(HOME), user(DOCTOR), user(STRANGER)] {
            assert_noop!(
                RolePolicies::unrelate(origin, PATIENT, DOCTOR, HOME, Treating),
                Error::<Test>::NeitherAgentNorPatient
            );
        }
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        related();
        for origin in unsigned() {
            assert_noop!(
                RolePolicies::unrelate(origin, PATIENT, DOCTOR, HOME, Treating),
                BadOrigin
            );
        }
    });
}

#[test]
fn what_does_not_hold_cannot_be_closed() {
    run(|| {
        let unrelate = |kind| RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, kind);
        assert_noop!(unrelate(Treating), Error::<Test>::NotRelated);
        related();
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
