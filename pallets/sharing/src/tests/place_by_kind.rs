//! A hospital places sections by their kind. The chain does not know the kinds, so it restricts everything else.

use epione_mocks::{governance_account, user_account};
use epione_primitives::{
    AccountId,
    sharing::{Change, Consent, KindSet, Term},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError::{self, BadOrigin};

use crate::{Error, mock::*};

/// Gives a consent, and commits the later records.
fn given() {
    assert_ok!(give(user(PATIENT), SLOT, lasting()));
    pass(2_000);
}

fn lasting() -> Consent {
    Consent { until: START + 10_000, ..consent(&[Term::User(INSURER)]) }
}

#[test]
fn the_hospital_of_a_later_record_adds_sections_under_the_consent_in_force() {
    run(|| {
        given();
        assert_ok!(place(user(PATIENT), SLOT, &[part(SECOND, &[5])]));
        assert_ok!(place_by_kind(agent(HOME), 1, &[part(SECOND, &[0, 1])]));
        assert_eq!(placed(SECOND, &[SLOT.0]), sections(&[0, 1, 5]));
        let change = Change::Placed { pointer: SECOND, sections: sections(&[0, 1, 5]) };
        assert_eq!(changes().pop(), Some((PATIENT, SLOT, change)));
        assert_ok!(place_by_kind(agent(AWAY), 1, &[part(ELSEWHERE, &[0])]));
    });
}

#[test]
fn another_hospitals_agent_places_nothing() {
    run(|| {
        given();
        let announced = DispatchError::from(Error::<Test>::RecordOfAnotherHospital);
        assert_noop!(place_by_kind(agent(AWAY), 1, &[part(SECOND, &[0])]), announced);
        let both = [part(SECOND, &[0]), part(ELSEWHERE, &[0])];
        for hospital in [HOME, AWAY] {
            assert_noop!(place_by_kind(agent(hospital), 1, &both), announced);
        }
        set_active(HOME, false);
        let suspended = place_by_kind(agent(HOME), 1, &[part(SECOND, &[0])]);
        assert_eq!(suspended, Err(Error::<Test>::NotAgent.into()));
        epione_mocks::set_leaving(HOME);
        assert_ok!(place_by_kind(agent(HOME), 1, &[part(SECOND, &[0])]));
    });
}

#[test]
fn nobody_but_an_agent_places_by_kind() {
    run(|| {
        given();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(place_by_kind(origin, 1, &[part(SECOND, &[0])]), BadOrigin);
        }
        let strangers = [
            user_account(PATIENT),
            user_account(DOCTOR),
            governance_account(HOME.0),
            AccountId::new([9; 32]),
        ];
        for stranger in strangers {
            let origin = RuntimeOrigin::signed(stranger);
            let records = [part(SECOND, &[0])];
            assert_noop!(place_by_kind(origin, 1, &records), Error::<Test>::NotAgent);
        }
    });
}

#[test]
fn a_hospital_places_only_under_the_version_in_force() {
    run(|| {
        let records = [part(SECOND, &[0])];
        let not_in_force = DispatchError::from(Error::<Test>::NotInForce);
        assert_noop!(place_by_kind(agent(HOME), 0, &records), not_in_force);
        given();
        for version in [0, 2, u32::MAX] {
            let other = Error::<Test>::OtherVersion;
            assert_noop!(place_by_kind(agent(HOME), version, &records), other);
        }
        assert_ok!(withdraw(user(PATIENT), SLOT));
        assert_noop!(place_by_kind(agent(HOME), 1, &records), not_in_force);
        assert_ok!(give(user(PATIENT), SLOT, lasting()));
        assert_noop!(place_by_kind(agent(HOME), 1, &records), Error::<Test>::OtherVersion);
        pass(10_000);
        assert_noop!(place_by_kind(agent(HOME), 2, &records), not_in_force);
    });
}

#[test]
fn a_hospital_places_nothing_of_a_record_that_is_older_than_the_consent() {
    run(|| {
        given();
        let before = DispatchError::from(Error::<Test>::RecordBeforeConsent);
        assert_noop!(place_by_kind(agent(HOME), 1, &[part(FIRST, &[0])]), before);
        // A new version does not cover what was committed before it.
        assert_ok!(give(user(PATIENT), SLOT, lasting()));
        assert_noop!(place_by_kind(agent(HOME), 2, &[part(SECOND, &[0])]), before);
    });
}

#[test]
fn a_record_of_the_same_moment_is_not_later_than_the_consent() {
    run(|| {
        pass(LATER - START);
        assert_ok!(give(user(PATIENT), SLOT, lasting()));
        let before = DispatchError::from(Error::<Test>::RecordBeforeConsent);
        assert_noop!(place_by_kind(agent(HOME), 1, &[part(SECOND, &[0])]), before);
    });
}

#[test]
fn a_consent_without_kinds_lets_no_hospital_place() {
    run(|| {
        let consent = Consent { kinds: KindSet(0), ..lasting() };
        assert_ok!(give(user(PATIENT), SLOT, consent));
        pass(2_000);
        let records = [part(SECOND, &[0])];
        assert_noop!(place_by_kind(agent(HOME), 1, &records), Error::<Test>::NoKinds);
    });
}

#[test]
fn a_hospital_places_no_records_of_others_and_none_out_of_order() {
    run(|| {
        given();
        let another = Error::<Test>::RecordOfAnotherPatient;
        assert_noop!(place_by_kind(agent(HOME), 1, &[part(OTHERS, &[0])]), another);
        let unknown = Error::<Test>::UnknownRecord;
        assert_noop!(place_by_kind(agent(HOME), 1, &[part(UNCOMMITTED, &[0])]), unknown);
        for records in [vec![], vec![part(SECOND, &[])], vec![part(SECOND, &[0]); 2]] {
            let error = Error::<Test>::InvalidRecords;
            assert_noop!(place_by_kind(agent(HOME), 1, &records), error);
        }
    });
}

#[test]
fn a_hospital_does_not_put_back_what_the_patient_took_out() {
    run(|| {
        given();
        assert_ok!(place_by_kind(agent(HOME), 1, &[part(SECOND, &[0, 1])]));
        let again = |indices: &[u16]| place_by_kind(agent(HOME), 1, &[part(SECOND, indices)]);
        let already = DispatchError::from(Error::<Test>::AlreadyPlaced);
        assert_noop!(again(&[0]), already);
        assert_ok!(remove(user(PATIENT), SLOT, &[part(SECOND, &[0])]));
        for indices in [&[0][..], &[0, 1], &[5]] {
            assert_noop!(again(indices), already);
        }
        assert_ok!(remove(user(PATIENT), SLOT, &[part(SECOND, &[1])]));
        assert_noop!(again(&[1]), already);
        assert!(placed(SECOND, &[SLOT.0]).is_empty());
        // The patient can, and another hospital places its own record.
        assert_ok!(place(user(PATIENT), SLOT, &[part(SECOND, &[0])]));
        assert_ok!(place_by_kind(agent(AWAY), 1, &[part(ELSEWHERE, &[0])]));
    });
}
