use epione_policies::default_policies;
use epione_primitives::{
    HospitalId,
    access::PolicySet,
    credential::{AttributeId, Requirement},
    limits::MAX_POLICIES,
};
use frame_support::assert_noop;
use sp_runtime::DispatchError::BadOrigin;

use super::*;
use crate::{Error, LatestVersion, PolicySets};

/// One policy, which expires after a millisecond.
fn one() -> Policies {
    policies(&[Policy {
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
fn every_hospital_has_its_own_policies() {
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
fn a_set_with_one_flawed_policy_is_refused() {
    run(|| {
        let nobodys = policy("nobody reads", &[], allows(&[Action::ReadText]));
        let mut both = one();
        both.try_push(nobodys).unwrap();
        assert_noop!(RolePolicies::set_policies(governance(HOME), both), Error::<Test>::NoRoles);
    });
}

#[test]
fn a_policy_that_names_an_unknown_hospital_is_refused() {
    run(|| {
        let reads = policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]));
        let place = Condition::RequesterRegistered(Place::OneOf(list(&[HOME, NOWHERE])));
        let unknown = [
            Policy { hospitals: list(&[HOME, NOWHERE]), ..reads.clone() },
            Policy { conditions: list(&[place]), ..reads.clone() },
            Policy { conditions: list(&[has(&[HOME, NOWHERE], 1)]), ..reads },
        ];
        for flawed in unknown {
            assert_noop!(
                RolePolicies::set_policies(governance(HOME), policies(&[flawed])),
                Error::<Test>::UnknownHospital
            );
        }
    });
}

/// An attribute that so many of these hospitals must confirm.
fn has(issuers: &[HospitalId], at_least: u8) -> Condition {
    let attribute = AttributeId(0);
    Condition::RequesterHas(list(&[Requirement { attribute, issuers: list(issuers), at_least }]))
}

/// Checks that a set of this policy is refused with this error.
#[track_caller]
fn assert_refused(flawed: Policy, error: Error<Test>) {
    run(|| {
        let set = policies(&[flawed]);
        assert_noop!(RolePolicies::set_policies(governance(HOME), set), error);
    });
}

/// The tests of epione-policies show which policies are flawed.
#[test]
fn each_flaw_has_its_error() {
    let reads = || policy("doctors read", &[Role::Doctor], allows(&[Action::ReadText]));
    let does = |action| policy("doctors", &[Role::Doctor], allows(&[action]));
    let with = |condition: Condition, policy| Policy { conditions: list(&[condition]), ..policy };
    let purpose = |purpose| Condition::Purpose(list(&[purpose]));
    let both = list(&[Role::Doctor, Role::Patient]);
    let own_and_related = list(&[Condition::RequesterIsPatient, related(&[Treating])]);

    assert_refused(Policy { name: list(b" "), ..reads() }, Error::InvalidName);
    assert_refused(Policy { summary: list(b"\n"), ..reads() }, Error::InvalidSummary);
    assert_refused(Policy { roles: list(&[]), ..reads() }, Error::NoRoles);
    assert_refused(Policy { conclusion: allows(&[]), ..reads() }, Error::NoConclusion);
    assert_refused(with(related(&[]), reads()), Error::EmptyCondition);
    assert_refused(Policy { hospitals: list(&[HOME, HOME]), ..reads() }, Error::Repeated);
    assert_refused(Policy { expires: Some(START), ..reads() }, Error::PolicyExpired);
    assert_refused(with(Condition::Before(START), reads()), Error::ConditionNeverHolds);
    let late = with(Condition::Before(START + 1), reads());
    assert_refused(Policy { expires: Some(START + 1), ..late }, Error::NoEarlierEnd);
    let relates = policy("relates", &[Role::Doctor], recognises(&[Treating]));
    assert_refused(with(Condition::SectionShared, relates.clone()), Error::NotInRelationships);
    assert_refused(Policy { roles: list(&[Role::Patient]), ..relates }, Error::NeverRelated);
    assert_refused(with(Condition::RequesterIsPatient, reads()), Error::PatientNotBound);
    assert_refused(
        Policy { roles: both, conditions: own_and_related, ..reads() },
        Error::RelatedToThemselves,
    );
    assert_refused(with(related(&[Treating]), reads()), Error::NeverRecognised);
    assert_refused(with(Condition::PatientCosigned, reads()), Error::NotSubmitted);
    assert_refused(with(Condition::SectionShared, does(Action::Refer)), Error::NoSection);
    assert_refused(with(purpose(Purpose::Treatment), does(Action::Submit)), Error::NothingRead);
    assert_refused(with(purpose(Purpose::Audit), does(Action::BreakGlass)), Error::NotEmergency);
    assert_refused(with(has(&[], 1), reads()), Error::NoIssuer);
    assert_refused(with(has(&[HOME, HOME], 1), reads()), Error::RepeatedIssuer);
    assert_refused(with(has(&[HOME], 0), reads()), Error::ImpossibleNumber);
    assert_refused(with(has(&[HOME], 2), reads()), Error::ImpossibleNumber);
    let submits = allows(&[Action::ReadText, Action::Submit]);
    let audit = with(purpose(Purpose::Audit), reads());
    assert_refused(Policy { conclusion: submits, ..audit }, Error::NotTreatment);
    run(|| {
        let twice = policies(&[reads(), reads()]);
        let refused = RolePolicies::set_policies(governance(HOME), twice);
        assert_noop!(refused, Error::<Test>::DuplicateName);
    });
}

#[test]
fn a_set_names_a_bounded_number_of_hospitals() {
    run(|| {
        let named = |first: u16| {
            let places: Vec<_> = (first..first + 7).map(HospitalId).collect();
            let reads = policy(&first.to_string(), &[Role::Doctor], allows(&[Action::ReadText]));
            Policy { hospitals: list(&places), ..reads }
        };
        let many: Vec<_> = (0..5).map(|number| named(7 * number)).collect();
        assert_noop!(
            RolePolicies::set_policies(governance(HOME), policies(&many)),
            Error::<Test>::TooManyHospitals
        );
    });
}

#[test]
fn a_set_requires_a_bounded_number_of_credentials() {
    run(|| {
        let named = |first: u16| {
            let issuers: Vec<_> = (first..first + 6).map(HospitalId).collect();
            let reads = policy(&first.to_string(), &[Role::Doctor], allows(&[Action::ReadText]));
            Policy { conditions: list(&[has(&issuers, 1)]), ..reads }
        };
        let many: Vec<_> = (0..3).map(|number| named(6 * number)).collect();
        assert_noop!(
            RolePolicies::set_policies(governance(HOME), policies(&many)),
            Error::<Test>::TooManyCredentials
        );
    });
}
