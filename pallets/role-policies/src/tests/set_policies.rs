use epione_primitives::{access::PolicySet, limits::MAX_POLICIES};
use frame_support::assert_noop;
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{Error, LatestVersion, PolicySets, policies::default_policies};

/// A policy set of one policy, which ends at once.
fn one() -> Policies {
    policies(&[Policy {
        conditions: list(&[Condition::Before(START + 1)]),
        expires: Some(START + 1),
        ..policy("auditors read", &[Role::Auditor], allows(&[Action::ReadText]))
    }])
}

#[test]
fn governance_sets_the_next_version() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), one()));
        assert_only_event(Event::PoliciesSet { hospital: HOME, version: 1 });
        let set = PolicySet { since: START, policies: one() };
        assert_eq!(PolicySets::<Test>::get(HOME, 1), Some(set.clone()));
        assert_eq!(RolePolicies::policies(HOME, None), Some((1, set)));
    });
}

#[test]
fn earlier_versions_stay_readable() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), one()));
        pass(5);
        let defaults = default_policies().policies;
        assert_ok!(RolePolicies::set_policies(governance(HOME), defaults.clone()));
        assert_eq!(LatestVersion::<Test>::get(HOME), 2);
        let first = PolicySet { since: START, policies: one() };
        let newest = PolicySet { since: START + 5, policies: defaults };
        let version = |version| RolePolicies::policies(HOME, version);
        assert_eq!(version(Some(0)), Some((0, default_policies())));
        assert_eq!(version(Some(1)), Some((1, first)));
        assert_eq!(version(Some(2)), Some((2, newest.clone())));
        assert_eq!(version(None), Some((2, newest)));
        assert_eq!(version(Some(3)), None);
    });
}

#[test]
fn hospitals_have_policies_of_their_own() {
    run(|| {
        assert_ok!(RolePolicies::set_policies(governance(HOME), one()));
        assert_eq!(RolePolicies::policies(AWAY, None), Some((0, default_policies())));
        assert_eq!(RolePolicies::policies(NOWHERE, None), None);
        assert_eq!(RolePolicies::policies(NOWHERE, Some(0)), None);
    });
}

#[test]
fn as_many_policies_as_allowed_can_be_set() {
    run(|| {
        let reads = |number: u32| {
            policy(&number.to_string(), &[Role::Auditor], allows(&[Action::ReadText]))
        };
        let many: Vec<_> = (0..MAX_POLICIES).map(reads).collect();
        set(&many);
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
            assert_noop!(RolePolicies::set_policies(origin, one()), Error::<Test>::NotGovernance);
        }
    });
}

#[test]
fn unsigned_and_root_origins_are_refused() {
    run(|| {
        for origin in unsigned() {
            assert_noop!(RolePolicies::set_policies(origin, one()), BadOrigin);
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
fn a_flawed_policy_is_refused_with_all_others() {
    run(|| {
        let nobodys = policy("nobody reads", &[], allows(&[Action::ReadText]));
        let mut both = one();
        both.try_push(nobodys).unwrap();
        assert_noop!(RolePolicies::set_policies(governance(HOME), both), Error::<Test>::NoRoles);
    });
}

#[test]
fn policies_name_hospitals_that_exist() {
    run(|| {
        let reads = policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]));
        let place = Condition::RequesterRegistered(Place::OneOf(list(&[HOME, NOWHERE])));
        let unknown = [
            Policy { hospitals: list(&[HOME, NOWHERE]), ..reads.clone() },
            Policy { conditions: list(&[place]), ..reads },
        ];
        for flawed in unknown {
            assert_noop!(
                RolePolicies::set_policies(governance(HOME), policies(&[flawed])),
                Error::<Test>::UnknownHospital
            );
        }
    });
}
