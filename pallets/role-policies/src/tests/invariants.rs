use epione_primitives::access::{PolicySet, Relationship};
use frame_support::assert_err;

use epione_policies::default_policies;

use super::*;
use crate::{EarlierCount, EarlierRelationships, LatestVersion, PolicySets, Relationships};

fn relationship(since: Moment, expires: Option<Moment>, closed: Option<Moment>) -> Relationship {
    Relationship { kind: Treating, hospital: HOME, since, expires, closed }
}

#[test]
fn a_broken_relationship_is_found() {
    let broken = [
        (vec![], "an empty list of relationships is stored"),
        (vec![relationship(5, Some(5), None)], "a relationship never held"),
        (
            vec![Relationship { kind: Referral, ..relationship(5, None, None) }],
            "a referral never expires",
        ),
        (
            vec![relationship(5, Some(9), Some(9))],
            "a relationship was closed while it did not hold",
        ),
        (vec![relationship(5, None, Some(4))], "a relationship was closed while it did not hold"),
        (
            vec![
                relationship(5, None, Some(6)),
                Relationship { kind: CareTeam, ..relationship(4, None, None) },
            ],
            "relationships are not in order",
        ),
        (
            vec![relationship(5, None, Some(6)), relationship(8, None, None)],
            "a kind has two newest relationships",
        ),
    ];
    for (relationships, message) in broken {
        run(|| {
            let stored = BoundedVec::truncate_from(relationships);
            Relationships::<Test>::insert((PATIENT, DOCTOR, HOME), stored);
            assert_err!(RolePolicies::check_state(), message);
            Relationships::<Test>::remove((PATIENT, DOCTOR, HOME));
        });
    }
}

#[test]
fn a_broken_history_is_found() {
    let broken = [
        (0, 0, relationship(5, Some(9), None), "two relationships of one kind overlap"),
        (0, 0, relationship(9, None, Some(9)), "relationships are not in order"),
        (1, 0, relationship(5, None, Some(6)), "an earlier relationship is missing"),
        (0, 1, relationship(5, None, Some(6)), "an earlier relationship is missing"),
        (
            0,
            0,
            Relationship { kind: CareTeam, ..relationship(5, None, Some(6)) },
            "a relationship is stored under another kind",
        ),
    ];
    for (missing, number, earlier, message) in broken {
        run(|| {
            let newest = BoundedVec::truncate_from(vec![relationship(8, None, None)]);
            Relationships::<Test>::insert((PATIENT, DOCTOR, HOME), newest);
            EarlierCount::<Test>::insert((PATIENT, DOCTOR, HOME, Treating), missing + 1);
            let key = (PATIENT, DOCTOR, HOME, (Treating, number));
            EarlierRelationships::<Test>::insert(key, earlier);
            assert_err!(RolePolicies::check_state(), message);
            EarlierRelationships::<Test>::remove(key);
            EarlierCount::<Test>::remove((PATIENT, DOCTOR, HOME, Treating));
        });
    }
    run(|| {
        let key = (PATIENT, DOCTOR, HOME, (Treating, 0));
        EarlierRelationships::<Test>::insert(key, relationship(5, None, Some(6)));
        assert_err!(RolePolicies::check_state(), "an earlier relationship is not counted");
        EarlierRelationships::<Test>::remove(key);
    });
}

#[test]
fn a_relationship_stored_under_another_hospital_is_found() {
    run(|| {
        let one = BoundedVec::truncate_from(vec![relationship(5, None, None)]);
        Relationships::<Test>::insert((PATIENT, DOCTOR, AWAY), one);
        assert_err!(RolePolicies::check_state(), "a relationship is stored under another hospital");
        Relationships::<Test>::remove((PATIENT, DOCTOR, AWAY));
    });
}

#[test]
fn a_user_related_to_themselves_is_found() {
    run(|| {
        let one = BoundedVec::truncate_from(vec![relationship(5, None, None)]);
        Relationships::<Test>::insert((DOCTOR, DOCTOR, HOME), one);
        assert_err!(RolePolicies::check_state(), "a user is related to themselves");
        Relationships::<Test>::remove((DOCTOR, DOCTOR, HOME));
    });
}

#[test]
fn a_broken_policy_set_is_found() {
    let set = |since| PolicySet { since, ..default_policies() };
    let empty = PolicySet { since: 1, policies: BoundedVec::default() };
    let ended = Policy {
        expires: Some(1),
        ..policy("ended", &[Role::Doctor], allows(&[Action::ReadText]))
    };
    let ended = PolicySet { since: 1, policies: policies(&[ended]) };
    let broken = [
        (2, vec![(1, set(1))], "a version of a hospital's policies is missing"),
        (2, vec![(1, set(2)), (2, set(1))], "policy sets did not begin in order"),
        (1, vec![(1, empty)], "a policy set was flawed when it began"),
        (1, vec![(1, ended)], "a policy set was flawed when it began"),
        (1, vec![(1, set(1)), (2, set(2))], "a policy set has no version"),
    ];
    for (latest, sets, message) in broken {
        run(|| {
            LatestVersion::<Test>::insert(HOME, latest);
            for (version, set) in sets {
                PolicySets::<Test>::insert(HOME, version, set);
            }
            assert_err!(RolePolicies::check_state(), message);
            LatestVersion::<Test>::remove(HOME);
            let _ = PolicySets::<Test>::clear_prefix(HOME, u32::MAX, None);
        });
    }
}
