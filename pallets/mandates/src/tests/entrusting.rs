use epione_mocks::{Users, remove_hospital};
use epione_primitives::{
    AccountId, HospitalId, Moment, UserId, limits::MAX_CUSTODY_MILLIS, mandate::Mandate, ports,
};
use frame_support::{assert_noop, assert_ok};

use super::accounts_of_no_user;
use crate::{Call, Custodies, Error, Event, mock::*};

fn entrusts(patient: UserId, hospital: HospitalId) -> bool {
    <Mandates as ports::Mandates>::entrusts(patient, hospital)
}

#[test]
fn keys_are_entrusted_until_the_end() {
    run(|| {
        assert!(!entrusts(CHILD, HOME));
        assert_ok!(entrust(HOME, UNTIL));
        let event = Event::<Test>::Entrusted { patient: CHILD, hospital: HOME, until: UNTIL };
        System::assert_last_event(event.into());
        assert!(entrusts(CHILD, HOME));
        assert!(!entrusts(CHILD, AWAY) && !entrusts(OTHER_PATIENT, HOME));
        assert!(!Mandates::authorized(CHILD, HOME, BEGIN), "to entrust authorizes nobody");
        pass(UNTIL - BEGIN - 1);
        assert!(entrusts(CHILD, HOME));
        pass(1);
        assert!(!entrusts(CHILD, HOME));
    });
}

#[test]
fn nobody_but_a_patient_entrusts_and_ends_it() {
    run(|| {
        assert_ok!(entrust(HOME, UNTIL));
        let calls = [
            Call::<Test>::entrust { hospital: HOME, until: UNTIL },
            Call::end_custody { hospital: HOME },
        ];
        for call in calls {
            for account in accounts_of_no_user() {
                let origin = RuntimeOrigin::signed(account);
                assert_noop!(dispatch(call.clone(), origin), Error::<Test>::NotPatient);
            }
            assert_noop!(dispatch(call, user(DOCTOR)), Error::<Test>::NotPatient);
        }
        let of_another = Call::end_custody { hospital: HOME };
        assert_noop!(dispatch(of_another, user(OTHER_PATIENT)), Error::<Test>::NotEntrusted);
        Users::set_account(CHILD, AccountId::new([8; 32]));
        assert_noop!(end_custody(HOME), Error::<Test>::NotPatient);
        assert!(entrusts(CHILD, HOME));
    });
}

#[test]
fn keys_are_entrusted_at_active_hospitals_at_which_the_patient_is_registered() {
    run(|| {
        assert_noop!(entrust(NOWHERE, UNTIL), Error::<Test>::UnknownHospital);
        assert_noop!(entrust(AWAY, UNTIL), Error::<Test>::NotRegistered);
        set_active(HOME, false);
        assert_noop!(entrust(HOME, UNTIL), Error::<Test>::UnknownHospital);
        set_active(HOME, true);
        end_registration(HOME, CHILD);
        assert_noop!(entrust(HOME, UNTIL), Error::<Test>::NotRegistered);
        register(HOME, CHILD, 0);
        assert_ok!(entrust(HOME, UNTIL));
        // Its worker keeps them as long as it has a share of the consortium key.
        epione_mocks::set_leaving(HOME);
        assert_ok!(entrust(HOME, UNTIL));
    });
}

#[test]
fn what_is_entrusted_ends_later_and_within_the_longest_time() {
    run(|| {
        let longest = BEGIN + MAX_CUSTODY_MILLIS;
        for until in [0, BEGIN, longest + 1, Moment::MAX] {
            assert_noop!(entrust(HOME, until), Error::<Test>::WrongUntil);
        }
        assert_ok!(entrust(HOME, BEGIN + 1));
        assert_ok!(entrust(HOME, longest));
    });
}

#[test]
fn to_entrust_again_replaces_the_end_or_begins_again() {
    run(|| {
        assert_ok!(entrust(HOME, UNTIL));
        pass(100);
        assert_ok!(entrust(HOME, UNTIL + 500));
        let mut expected = Mandate { since: BEGIN, until: UNTIL + 500, ended: None };
        assert_eq!(Custodies::<Test>::get(HOME, CHILD), Some(expected));
        assert_ok!(end_custody(HOME));
        pass(50);
        assert_ok!(entrust(HOME, UNTIL));
        expected = Mandate { since: BEGIN + 150, until: UNTIL, ended: None };
        assert_eq!(Custodies::<Test>::get(HOME, CHILD), Some(expected));
    });
}

#[test]
fn a_patient_without_a_registration_in_force_ends_it_also_after_the_hospital_was_removed() {
    run(|| {
        assert_noop!(end_custody(HOME), Error::<Test>::NotEntrusted);
        assert_ok!(entrust(HOME, UNTIL));
        end_registration(HOME, CHILD);
        remove_hospital(HOME);
        pass(10);
        assert!(Mandates::can_end_custody(CHILD, HOME));
        assert_ok!(end_custody(HOME));
        assert!(!Mandates::can_end_custody(CHILD, HOME) && !entrusts(CHILD, HOME));
        let event = Event::<Test>::CustodyEnded { patient: CHILD, hospital: HOME };
        System::assert_last_event(event.into());
        assert_noop!(end_custody(HOME), Error::<Test>::NotEntrusted);
    });
}

#[test]
fn what_is_entrusted_for_too_long_is_found() {
    externalities().execute_with(|| {
        let until = BEGIN + MAX_CUSTODY_MILLIS + 1;
        let too_long = Mandate { since: BEGIN, until, ended: None };
        Custodies::<Test>::insert(HOME, CHILD, too_long);
        assert!(Mandates::check_state().is_err());
    });
}
