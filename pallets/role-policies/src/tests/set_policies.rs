use epione_primitives::{
    access::{Action, Condition, Policies, Policy, PolicySet},
    limits::MAX_POLICIES,
    profile::Role,
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::{BoundedVec, DispatchError::BadOrigin};

use super::assert_only_event;
use crate::{Error, Event, LatestVersion, PolicySets, mock::*, policies::default_policies};

fn policy() -> Policy {
    Policy {
        name: BoundedVec::truncate_from(b"auditors read".to_vec()),
        roles: BoundedVec::truncate_from(vec![Role::Auditor]),
        actions: BoundedVec::truncate_from(vec![Action::ReadText]),
        conditions: BoundedVec::truncate_from(vec![Condition::Before(START + 1)]),
        expires: Some(START + 1),
    }
}

fn policies(policy: Policy) -> Policies {
    BoundedVec::truncate_from(vec![policy])
}

#[test]
fn governance_sets_the_next_version() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), policies(policy())));
        assert_only_event(Event::PoliciesSet { hospital: HOME, version: 1 });
        let set = PolicySet { since: START, policies: policies(policy()) };
        assert_eq!(PolicySets::<Test>::get(HOME, 1), Some(set.clone()));
        assert_eq!(RolePolicies::policies(HOME), (1, set));
    });
}

#[test]
fn earlier_versions_stay_readable() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), policies(policy())));
        pass(5);
        let defaults = default_policies().policies;
        assert_ok!(RolePolicies::set_policies(governance(HOME), defaults.clone()));
        assert_eq!(LatestVersion::<Test>::get(HOME), 2);
        assert_eq!(PolicySets::<Test>::get(HOME, 1).unwrap().policies, policies(policy()));
        let newest = PolicySet { since: START + 5, policies: defaults };
        assert_eq!(RolePolicies::policies(HOME), (2, newest));
    });
}

#[test]
fn hospitals_have_policies_of_their_own() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), policies(policy())));
        assert_eq!(RolePolicies::policies(AWAY), (0, default_policies()));
    });
}

#[test]
fn as_many_policies_as_allowed_can_be_set() {
    run(|| {
        let many = BoundedVec::truncate_from(vec![policy(); MAX_POLICIES as usize]);
        assert_ok!(RolePolicies::set_policies(governance(HOME), many));
    });
}

#[test]
fn the_default_policies_can_be_set() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), default_policies().policies));
    });
}

#[test]
fn only_an_active_hospitals_governance_may_sign() {
    run(|| {
        for origin in [agent(HOME), governance(SUSPENDED), user(DOCTOR), user(STRANGER)] {
            assert_noop!(
                RolePolicies::set_policies(origin, policies(policy())),
                Error::<Test>::NotGovernance
            );
        }
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        for origin in unsigned() {
            assert_noop!(RolePolicies::set_policies(origin, policies(policy())), BadOrigin);
        }
    });
}

#[test]
fn an_empty_set_is_refused() {
    run(|| {
        assert_noop!(
            RolePolicies::set_policies(governance(HOME), BoundedVec::default()),
            Error::<Test>::NoPolicies
        );
    });
}

#[test]
fn flawed_policies_are_refused() {
    let before = |end| BoundedVec::truncate_from(vec![Condition::Before(end)]);
    let listing_nothing =
        [Condition::Related(BoundedVec::default()), Condition::Purpose(BoundedVec::default())];
    let mut flawed = vec![
        (Policy { name: BoundedVec::default(), ..policy() }, Error::<Test>::InvalidName),
        (
            Policy { name: BoundedVec::truncate_from(vec![0xff]), ..policy() },
            Error::<Test>::InvalidName,
        ),
        (Policy { roles: BoundedVec::default(), ..policy() }, Error::<Test>::NoRoles),
        (Policy { actions: BoundedVec::default(), ..policy() }, Error::<Test>::NoActions),
        (Policy { expires: Some(START), ..policy() }, Error::<Test>::PolicyExpired),
        (Policy { conditions: before(START), ..policy() }, Error::<Test>::ConditionNeverHolds),
    ];
    flawed.extend(listing_nothing.map(|condition| {
        let conditions = BoundedVec::truncate_from(vec![condition]);
        (Policy { conditions, ..policy() }, Error::<Test>::ConditionNeverHolds)
    }));
    for (flawed, error) in flawed {
        run(|| {
            let set = BoundedVec::truncate_from(vec![policy(), flawed]);
            assert_noop!(RolePolicies::set_policies(governance(HOME), set), error);
        });
    }
}
