use epione_primitives::{
    ports::Users as _,
    profile::{Period, RegistrationStatus},
};
use frame_support::{assert_noop, assert_ok};

use super::{only_agents, only_where_registered};
use crate::{Error, Event, mock::*};

#[test]
fn an_ended_registration_stays_readable() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(Profiles::end_registration(by(A), alice()));

        System::assert_last_event(Event::RegistrationEnded { hospital: A, user: alice() }.into());
        let registration = registration(A);
        assert_eq!(registration.status, RegistrationStatus::Ended);
        assert_eq!(registration.periods.as_slice(), &[Period { since: START, until: Some(2_000) }]);
        assert!(!Profiles::registered(A, alice(), 2_000));
        assert_eq!(Profiles::by_account(&account(1)), Some(alice()));
    });
}

#[test]
fn ending_a_suspended_registration_keeps_the_time_of_suspension() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(Profiles::suspend(by(A), alice()));
        at(3_000);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_eq!(
            registration(A).periods.as_slice(),
            &[Period { since: START, until: Some(2_000) }]
        );
    });
}

#[test]
fn only_the_registering_hospitals_agent_ends() {
    chain(|| {
        alice_at_a();
        let end = |origin| Profiles::end_registration(origin, alice());
        only_where_registered(end);
        only_agents(end);
    });
}

#[test]
fn a_registration_ends_once() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(
            Profiles::end_registration(by(A), alice()),
            Error::<Test>::RegistrationHasEnded
        );
    });
}
