use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{
        AccessRequest, Action, Condition, Decision, Denial, FailedPolicy, Policy, Purpose,
        RelationshipKind::{self, *},
        SectionClass,
    },
    profile::Role,
};
use frame_support::assert_ok;
use sp_runtime::BoundedVec;

use crate::{LatestVersion, mock::*};

fn request(requester: UserId, action: Action) -> AccessRequest {
    AccessRequest {
        requester,
        action,
        patient: PATIENT,
        hospital: HOME,
        class: SectionClass::Private,
        purpose: Purpose::Treatment,
    }
}

fn decide(requester: UserId, action: Action) -> Decision {
    RolePolicies::decide(request(requester, action), None)
}

fn allowed_by(policy: &str) -> Decision {
    Decision::Allow { version: 0, policy: policy.into() }
}

fn denied(policy: &str, conditions: Vec<Condition>) -> Decision {
    let failed = FailedPolicy { policy: policy.into(), conditions };
    Decision::Deny(Denial::Failed(vec![failed]))
}

fn treated() -> Condition {
    Condition::Related(BoundedVec::truncate_from(vec![FamilyDoctor, Treating]))
}

fn relate(professional: UserId, kind: RelationshipKind, expires: Option<Moment>) {
    assert_ok!(RolePolicies::relate(agent(HOME), PATIENT, professional, HOME, kind, expires));
}

#[test]
fn patients_read_their_own_records() {
    run(|| {
        for action in [Action::ReadText, Action::ReadMedia] {
            assert_eq!(decide(PATIENT, action), allowed_by("patient reads own records"));
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
                assert_eq!(decide(professional, action), allowed_by("related professional"));
            }
        }
    });
}

#[test]
fn a_doctor_without_a_relationship_is_told_so() {
    run(|| {
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied("related professional", vec![treated()])
        );
    });
}

#[test]
fn a_relationship_of_another_kind_does_not_do() {
    run(|| {
        relate(DOCTOR, CareTeam, None);
        assert_eq!(
            decide(DOCTOR, Action::ReadText),
            denied("related professional", vec![treated()])
        );
    });
}

#[test]
fn a_relationship_at_another_hospital_does_not_do() {
    run(|| {
        register(AWAY, PATIENT, START);
        register(AWAY, DOCTOR, START);
        relate(DOCTOR, Treating, None);
        let elsewhere = AccessRequest { hospital: AWAY, ..request(DOCTOR, Action::ReadText) };
        assert_eq!(
            RolePolicies::decide(elsewhere, None),
            denied("related professional", vec![treated()])
        );
    });
}

#[test]
fn every_failed_condition_is_named() {
    run(|| {
        pass(1);
        end_registration(HOME, PATIENT);
        assert_eq!(
            decide(SPECIALIST, Action::Submit),
            denied(
                "related professional",
                vec![Condition::RequesterRegistered, Condition::PatientRegistered, treated()]
            )
        );
    });
}

#[test]
fn roles_and_actions_without_a_policy_are_denied_as_such() {
    run(|| {
        let unbound = [
            (RESEARCHER, Role::Researcher, Action::ReadText),
            (DOCTOR, Role::Doctor, Action::BreakGlass),
            (PATIENT, Role::Patient, Action::Submit),
        ];
        for (requester, role, action) in unbound {
            let denial = Denial::NoPolicy { role, action };
            assert_eq!(decide(requester, action), Decision::Deny(denial));
        }
    });
}

#[test]
fn unknown_parties_are_named() {
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
fn an_expired_or_closed_relationship_no_longer_allows() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        relate(NURSE, Treating, None);
        pass(9);
        assert!(decide(DOCTOR, Action::ReadText).is_allowed());
        pass(1);
        assert!(!decide(DOCTOR, Action::ReadText).is_allowed());
        assert!(decide(NURSE, Action::ReadText).is_allowed());
        assert_ok!(RolePolicies::unrelate(user(PATIENT), PATIENT, NURSE, HOME, Treating));
        assert!(!decide(NURSE, Action::ReadText).is_allowed());
    });
}

#[test]
fn a_past_moment_is_decided_by_what_held_then() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        pass(20);
        end_registration(HOME, PATIENT);
        let at = |moment| {
            RolePolicies::decide(request(DOCTOR, Action::ReadText), Some(moment)).is_allowed()
        };
        assert!(!at(START - 1));
        assert!(at(START));
        assert!(at(START + 9));
        assert!(!at(START + 10));
        let own = |moment| {
            RolePolicies::decide(request(PATIENT, Action::ReadText), Some(moment)).is_allowed()
        };
        assert!(own(START + 19));
        assert!(!own(START + 20));
    });
}

/// Sets a policy by which doctors registered at the hospital read, under this name.
fn set_policy(name: &str) {
    let policy = Policy {
        name: BoundedVec::truncate_from(name.into()),
        roles: BoundedVec::truncate_from(vec![Role::Doctor]),
        actions: BoundedVec::truncate_from(vec![Action::ReadText]),
        conditions: BoundedVec::truncate_from(vec![Condition::RequesterRegistered]),
        expires: None,
    };
    let set = BoundedVec::truncate_from(vec![policy]);
    assert_ok!(RolePolicies::set_policies(governance(HOME), set));
}

#[test]
fn the_policy_set_in_force_at_the_moment_decides() {
    for versions in 1..12_u32 {
        run(|| {
            for version in 1..=versions {
                pass(10);
                set_policy(&version.to_string());
            }
            pass(5);
            assert_eq!(LatestVersion::<Test>::get(HOME), versions);
            for version in 1..=versions {
                let begun = START + 10 * Moment::from(version);
                for moment in [begun, begun + 9] {
                    assert_eq!(
                        RolePolicies::decide(request(DOCTOR, Action::ReadText), Some(moment)),
                        Decision::Allow { version, policy: version.to_string().into() }
                    );
                }
            }
            let before_all = Some(START + 9);
            assert_eq!(
                RolePolicies::decide(request(DOCTOR, Action::ReadText), before_all),
                denied("related professional", vec![treated()])
            );
        });
    }
}

#[test]
fn of_two_sets_of_one_moment_the_later_is_in_force() {
    run(|| {
        set_policy("first");
        set_policy("second");
        assert_eq!(
            RolePolicies::decide(request(DOCTOR, Action::ReadText), Some(START)),
            Decision::Allow { version: 2, policy: b"second".to_vec() }
        );
    });
}
