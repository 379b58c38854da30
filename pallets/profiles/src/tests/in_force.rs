//! The registrations in force, and the periods of a registration over the years.

use epione_primitives::{
    HospitalId,
    limits::{MAX_REGISTRATION_PERIODS, MAX_REGISTRATIONS_IN_FORCE, PERIODS_PER_PAGE},
    ports::Users as _,
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use crate::{EarlierPages, Error, InForce, mock::*};

fn register_at(number: u16) -> DispatchResult {
    let hospital = HospitalId(number);
    register(hospital, consent(1, hospital, alice()))
}

#[test]
fn only_registrations_in_force_are_listed_in_the_order_in_which_they_began() {
    chain(|| {
        alice_at_a();
        assert_ok!(register_at(1));
        assert_eq!(Profiles::in_force(alice()), [A, B]);
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_eq!(Profiles::in_force(alice()), [B]);
        assert_ok!(Profiles::reinstate(by(A), alice()));
        assert_eq!(Profiles::in_force(alice()), [B, A]);
        assert_ok!(Profiles::end_registration(by(B), alice()));
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert!(!InForce::<Test>::contains_key(alice()));
    });
}

#[test]
fn another_version_of_a_body_does_not_list_a_registration_again() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::update(by(A), alice(), registration(A).body_hash, vec![1]));
        assert_eq!(Profiles::in_force(alice()), [A]);
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(Profiles::update(by(A), alice(), registration(A).body_hash, vec![2]));
        assert!(Profiles::in_force(alice()).is_empty());
    });
}

#[test]
fn only_what_is_in_force_counts_towards_the_bound() {
    let most = MAX_REGISTRATIONS_IN_FORCE as u16;
    chain_of(most + 1, || {
        alice_at_a();
        for number in 1..most {
            assert_ok!(register_at(number));
        }
        assert_noop!(register_at(most), Error::<Test>::TooManyInForce);
        assert_ok!(Profiles::suspend(by(B), alice()));
        assert_ok!(register_at(most));
        assert_noop!(Profiles::reinstate(by(B), alice()), Error::<Test>::TooManyInForce);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_ok!(Profiles::reinstate(by(B), alice()));
    });
}

/// A removed hospital's agent cannot end a registration any more.
#[test]
fn removed_hospitals_cannot_use_up_a_patients_registrations() {
    let most = MAX_REGISTRATIONS_IN_FORCE as u16;
    chain_of(most + 3, || {
        alice_at_a();
        for number in 1..most {
            assert_ok!(register_at(number));
        }
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), A));
        assert_noop!(register_at(most), Error::<Test>::TooManyInForce);
        assert_ok!(Hospitals::reinstate(RuntimeOrigin::root(), A));
        assert_ok!(Hospitals::remove(RuntimeOrigin::root(), B));
        assert_ok!(Hospitals::remove(RuntimeOrigin::root(), HospitalId(2)));
        for number in [most, most + 1] {
            assert_ok!(register_at(number));
            assert_ok!(Profiles::check_state());
        }
        let listed = Profiles::in_force(alice());
        assert_eq!(listed.len(), usize::from(most));
        assert!(listed.contains(&A) && !listed.contains(&B));
        assert_noop!(register_at(most + 2), Error::<Test>::TooManyInForce);
    });
}

#[test]
fn a_pair_cannot_be_used_up_by_registering_and_ending() {
    chain(|| {
        alice_at_a();
        let mut now = START;
        for _ in 0..4 * MAX_REGISTRATION_PERIODS {
            now += 10;
            at(now);
            assert_ok!(Profiles::end_registration(by(A), alice()));
            now += 10;
            at(now);
            assert_ok!(register(A, consent(1, A, alice())));
        }
        let pages = EarlierPages::<Test>::get(alice(), A);
        assert!(pages >= 4 * MAX_REGISTRATION_PERIODS / PERIODS_PER_PAGE - 2, "{pages}");
        for moment in (START..now).step_by(20) {
            assert!(Profiles::registered(A, alice(), moment), "{moment}");
            assert!(Profiles::registered(A, alice(), moment + 9), "{moment}");
            assert!(!Profiles::registered(A, alice(), moment + 10), "{moment}");
            assert!(!Profiles::registered(A, alice(), moment + 19), "{moment}");
        }
        assert!(!Profiles::registered(A, alice(), START - 1));
        assert!(Profiles::registered(A, alice(), now));
    });
}

#[test]
fn a_pair_cannot_be_used_up_by_suspending_and_reinstating() {
    chain(|| {
        alice_at_a();
        for _ in 0..2 * MAX_REGISTRATION_PERIODS {
            assert_ok!(Profiles::suspend(by(A), alice()));
            assert_ok!(Profiles::reinstate(by(A), alice()));
        }
        assert!(registration(A).periods.len() <= MAX_REGISTRATION_PERIODS as usize);
        assert_eq!(Profiles::in_force(alice()), [A]);
    });
}

#[test]
fn a_new_user_is_in_force_at_the_registering_hospital() {
    chain(|| {
        assert_ok!(register(B, consent(1, B, alice())));
        assert_eq!(Profiles::in_force(alice()), [B]);
    });
}
