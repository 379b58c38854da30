use epione_primitives::{
    ports::Users as _,
    profile::{Period, RegistrationStatus},
};
use frame_support::{assert_noop, assert_ok};

use super::{only_agents, only_where_registered};
use crate::{Error, Event, mock::*};

#[test]
fn a_reinstated_registration_is_in_force_except_while_it_was_suspended() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(Profiles::suspend(by(A), alice()));
        at(3_000);
        assert_ok!(Profiles::reinstate(by(A), alice()));

        System::assert_last_event(Event::Reinstated { hospital: A, user: alice() }.into());
        let registration = registration(A);
        assert_eq!(registration.status, RegistrationStatus::Active);
        assert_eq!(
            registration.periods.as_slice(),
            &[Period { since: START, until: Some(2_000) }, Period { since: 3_000, until: None }]
        );
        assert!(!Profiles::registered(A, alice(), 2_999));
        assert!(Profiles::registered(A, alice(), 3_000));
    });
}

#[test]
fn only_the_registering_hospitals_agent_reinstates() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::suspend(by(A), alice()));
        let reinstate = |origin| Profiles::reinstate(origin, alice());
        only_where_registered(reinstate);
        only_agents(reinstate);
    });
}

#[test]
fn only_a_suspended_registration_is_reinstated() {
    chain(|| {
        alice_at_a();
        assert_noop!(Profiles::reinstate(by(A), alice()), Error::<Test>::NotSuspended);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(Profiles::reinstate(by(A), alice()), Error::<Test>::NotSuspended);
    });
}
