use epione_primitives::{
    Hash,
    limits::MAX_PROFILE_BODY_BYTES,
    ports::{BODY_NOT_AT_TAIL, HashedBody},
};
use frame_support::{assert_noop, assert_ok};

use super::{only_agents, only_where_registered};
use crate::{Error, Event, RegistrationBodies, Registrations, mock::*};

/// The hash of Alice's first body at hospital A.
fn first() -> Hash {
    HashedBody::new(b"Alice at 0").hash()
}

#[test]
fn a_registration_gets_a_new_body_and_the_old_one_stays_readable() {
    chain(|| {
        alice_at_a();
        let before = registration(A);
        assert_ok!(Profiles::update(by(A), alice(), first(), b"new".to_vec()));

        let body_hash = HashedBody::new(b"new").hash();
        System::assert_last_event(
            Event::Updated { hospital: A, user: alice(), version: 2, body_hash }.into(),
        );
        let after = registration(A);
        assert_eq!((after.version, after.body_hash), (2, body_hash));
        assert_eq!((after.status, after.periods), (before.status, before.periods));
        assert_eq!(RegistrationBodies::<Test>::get((alice(), A, 1)), Some(before.body_hash));
        assert_eq!(RegistrationBodies::<Test>::get((alice(), A, 2)), Some(body_hash));
        assert_eq!(kept(), vec![b"Alice at 0".to_vec(), b"new".to_vec()]);
    });
}

#[test]
fn the_second_of_two_bodies_made_from_the_same_one_is_refused() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::update(by(A), alice(), first(), b"one".to_vec()));
        let second = |previous| Profiles::update(by(A), alice(), previous, b"two".to_vec());
        for stale in [first(), Hash::zero(), HashedBody::new(b"two").hash()] {
            assert_noop!(second(stale), Error::<Test>::AnotherBody);
        }
        assert_eq!(registration(A).body_hash, HashedBody::new(b"one").hash());
        assert_ok!(second(registration(A).body_hash));
        assert_eq!(registration(A).version, 3);
    });
}

#[test]
fn a_suspended_registration_can_be_updated() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(Profiles::update(by(A), alice(), first(), b"new".to_vec()));
        assert_eq!(registration(A).version, 2);
    });
}

#[test]
fn only_the_registering_hospitals_agent_updates() {
    chain(|| {
        alice_at_a();
        let update = |origin| Profiles::update(origin, alice(), first(), vec![1]);
        only_where_registered(update);
        only_agents(update);
    });
}

#[test]
fn an_ended_registration_is_not_updated() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(
            Profiles::update(by(A), alice(), first(), vec![1]),
            Error::<Test>::RegistrationHasEnded
        );
    });
}

#[test]
fn the_length_of_a_body_is_bounded() {
    chain(|| {
        alice_at_a();
        let update =
            |bytes: u32| Profiles::update(by(A), alice(), first(), vec![1; bytes as usize]);
        assert_noop!(update(0), Error::<Test>::EmptyBody);
        assert_noop!(update(MAX_PROFILE_BODY_BYTES + 1), Error::<Test>::BodyTooLong);
        assert_ok!(update(MAX_PROFILE_BODY_BYTES));
    });
}

#[test]
fn an_update_with_a_body_not_at_the_tail_changes_nothing() {
    chain(|| {
        alice_at_a();
        BodyAtTail::set(false);
        assert_noop!(Profiles::update(by(A), alice(), first(), vec![1]), BODY_NOT_AT_TAIL);
        assert_eq!(registration(A).version, 1);
        assert_eq!(kept().len(), 1);
    });
}

#[test]
fn version_numbers_do_not_overflow() {
    externalities().execute_with(|| {
        at(START);
        alice_at_a();
        Registrations::<Test>::mutate(alice(), A, |registration| {
            registration.as_mut().unwrap().version = u32::MAX;
        });
        assert_noop!(
            Profiles::update(by(A), alice(), first(), vec![1]),
            Error::<Test>::TooManyVersions
        );
    });
}
