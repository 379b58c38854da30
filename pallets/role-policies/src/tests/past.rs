//! Decisions about moments that have passed.

use super::*;
use crate::LatestVersion;

fn decide_at(requester: UserId, moment: Moment) -> Decision {
    RolePolicies::decide(request(requester, Action::ReadText), Some(moment))
}

/// Checks that a requester may read from `since` on, and no longer from `until` on.
fn assert_allowed_within(requester: UserId, since: Moment, until: Moment) {
    for (moment, allowed) in
        [(since - 1, false), (since, true), (until - 1, true), (until, false), (until + 1, false)]
    {
        assert_eq!(decide_at(requester, moment).is_allowed(), allowed, "at {moment}");
    }
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
fn an_expired_relationship_allows_for_moments_before_its_expiry() {
    run(|| {
        pass(5);
        relate(DOCTOR, Treating, Some(START + 10));
        pass(20);
        assert_allowed_within(DOCTOR, START + 5, START + 10);
    });
}

#[test]
fn a_closed_relationship_allows_for_moments_before_it_was_closed() {
    run(|| {
        pass(5);
        relate(DOCTOR, Treating, Some(START + 30));
        pass(5);
        assert_ok!(RolePolicies::unrelate(agent(HOME), PATIENT, DOCTOR, HOME, Treating));
        assert_allowed_within(DOCTOR, START + 5, START + 10);
        pass(100);
        assert_allowed_within(DOCTOR, START + 5, START + 10);
    });
}

#[test]
fn an_ended_registration_allows_for_moments_before_its_end() {
    run(|| {
        relate(DOCTOR, Treating, None);
        pass(20);
        end_registration(HOME, DOCTOR);
        assert_allowed_within(DOCTOR, START, START + 20);
        pass(20);
        end_registration(HOME, PATIENT);
        assert_allowed_within(PATIENT, START, START + 40);
        assert_allowed_within(DOCTOR, START, START + 20);
    });
}

#[test]
fn nothing_is_allowed_between_two_relationships() {
    run(|| {
        relate(DOCTOR, Treating, Some(START + 10));
        pass(20);
        relate(DOCTOR, Treating, Some(START + 30));
        pass(20);
        assert_allowed_within(DOCTOR, START, START + 10);
        assert_allowed_within(DOCTOR, START + 20, START + 30);
    });
}

#[test]
fn an_expired_policy_allows_for_moments_before_its_expiry() {
    run(|| {
        let reads = policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]));
        set(&[Policy { expires: Some(START + 10), ..reads }]);
        pass(20);
        let ended = denied(&[("doctors read", &[Condition::Before(START + 10)])]);
        assert_eq!(decide_at(DOCTOR, START + 9), allowed_by(1, "doctors read"));
        assert_eq!(decide_at(DOCTOR, START + 10), ended);
        assert_eq!(decide(DOCTOR, Action::ReadText), ended);
    });
}

/// Sets a policy of this name: doctors registered at the hospital read.
fn set_policy(name: &str) {
    let reads = policy(name, &[Role::Doctor], allows(&[Action::ReadText]));
    set(&[Policy { conditions: list(&[registered_here()]), ..reads }]);
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
                    let allowed = allowed_by(version, &version.to_string());
                    assert_eq!(decide_at(DOCTOR, moment), allowed);
                }
            }
            assert_eq!(decide_at(DOCTOR, START + 9), unrelated_doctor());
        });
    }
}

#[test]
fn the_later_of_two_sets_of_one_moment_is_in_force() {
    run(|| {
        set_policy("first");
        set_policy("second");
        assert_eq!(decide_at(DOCTOR, START), allowed_by(2, "second"));
        pass(1);
        set_policy("third");
        assert_eq!(decide_at(DOCTOR, START), allowed_by(2, "second"));
        assert_eq!(decide_at(DOCTOR, START + 1), allowed_by(3, "third"));
    });
}

#[test]
fn a_new_set_decides_from_the_moment_at_which_it_was_set() {
    run(|| {
        relate(DOCTOR, Treating, None);
        pass(10);
        set(&[policy("audit", &[Role::Auditor], allows(&[Action::ReadText]))]);
        assert_eq!(decide_at(DOCTOR, START + 9), allowed_by(0, "related professional"));
        let denial = Denial::NoPolicy { role: Role::Doctor, action: Action::ReadText };
        assert_eq!(decide_at(DOCTOR, START + 10), Decision::Deny(denial));
    });
}
