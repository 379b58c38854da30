use epione_primitives::{
    ports::Users as _,
    profile::{Period, RegistrationStatus},
};
use frame_support::{assert_noop, assert_ok};

use super::{only_agents, only_where_registered};
use crate::{Error, Event, mock::*};

#[test]
fn a_suspended_registration_is_no_longer_in_force() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(Profiles::suspend(by(A), alice()));

        System::assert_last_event(Event::Suspended { hospital: A, user: alice() }.into());
        let registration = registration(A);
        assert_eq!(registration.status, RegistrationStatus::Suspended);
        assert_eq!(registration.periods.as_slice(), &[Period { since: START, until: Some(2_000) }]);
        assert!(Profiles::registered(A, alice(), 1_999));
        assert!(!Profiles::registered(A, alice(), 2_000));
    });
}

#[test]
fn only_the_registering_hospitals_agent_suspends() {
    chain(|| {
        alice_at_a();
        let suspend = |origin| Profiles::suspend(origin, alice());
        only_where_registered(suspend);
        only_agents(suspend);
    });
}

#[test]
fn only_an_active_registration_is_suspended() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_noop!(Profiles::suspend(by(A), alice()), Error::<Test>::NotActive);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(Profiles::suspend(by(A), alice()), Error::<Test>::NotActive);
    });
}

#[test]
fn a_hospital_that_leaves_looks_after_its_users_and_gets_no_new_ones() {
    chain(|| {
        alice_at_a();
        let governance = RuntimeOrigin::signed(epione_mocks::governance_account(A.0));
        assert_ok!(Hospitals::leave(governance));
        let previous = registration(A).body_hash;
        assert_ok!(Profiles::update(by(A), alice(), previous, b"new".to_vec()));
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_noop!(Profiles::reinstate(by(A), alice()), Error::<Test>::NotAgent);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(register(A, consent(1, A, alice())), Error::<Test>::NotAgent);
    });
}
