use codec::Encode;
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    limits::MAX_PROFILE_BODY_BYTES,
    naming::{Naming, NamingConsent},
    ports::{BODY_NOT_AT_TAIL, HashedBody},
    profile::{Period, Profile, RegistrationStatus, Role},
};
use frame_support::{
    assert_noop, assert_ok,
    traits::{GetStorageVersion, StorageVersion},
};
use sp_core::{Pair, ed25519};

use super::only_agents;
use crate::{Error, Event, RegistrationBodies, mock::*};

fn naming(hospital: HospitalId, user: UserId, version: u32) -> Naming {
    Naming::Registration { hospital, user, version }
}

fn hash(body: &[u8]) -> Hash {
    HashedBody::new(body).hash()
}

#[test]
fn a_hospital_registers_a_new_user() {
    chain(|| {
        assert_ok!(register(A, consent(1, A, alice())));

        let body_hash = hash(b"Alice at 0");
        System::assert_last_event(
            Event::Registered { hospital: A, user: alice(), version: 1, body_hash }.into(),
        );
        assert_eq!(
            profile(),
            Profile {
                role: Role::Patient,
                account: account(1),
                sealing_key_hash: sealing_key(1),
                version: 1,
                since: START,
            }
        );
        let registration = registration(A);
        assert_eq!(registration.status, RegistrationStatus::Active);
        assert_eq!(registration.periods.as_slice(), &[Period { since: START, until: None }]);
        assert_eq!((registration.version, registration.body_hash), (1, body_hash));
        assert_eq!(RegistrationBodies::<Test>::get((alice(), A, 1)), Some(body_hash));
        assert_eq!(kept(), vec![b"Alice at 0".to_vec()]);
        assert_eq!(System::sufficients(&account(1)), 1);
        assert_eq!(Profiles::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn another_hospital_registers_a_user_who_consents() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(register(B, consent(1, B, alice())));

        let body_hash = hash(b"Alice at 1");
        System::assert_last_event(
            Event::Registered { hospital: B, user: alice(), version: 1, body_hash }.into(),
        );
        assert_eq!(registration(B).periods.as_slice(), &[Period { since: 2_000, until: None }]);
        assert_eq!(registration(A).body_hash, hash(b"Alice at 0"));
        assert_eq!(System::sufficients(&account(1)), 1);
    });
}

#[test]
fn an_ed25519_account_can_consent() {
    chain(|| {
        let key = ed25519::Pair::from_seed(&[5; 32]);
        let account: AccountId = key.public().into();
        let user = UserId::of(&account, sealing_key(5));
        for hospital in [A, B] {
            let naming = Naming::Registration { hospital, user, version: 0 };
            let consent = key.sign(&NamingConsent::new(genesis(), naming).encode()).into();
            assert_ok!(Profiles::register(
                by(hospital),
                user,
                Role::Nurse,
                account.clone(),
                sealing_key(5),
                consent,
                vec![1],
            ));
        }
    });
}

#[test]
fn a_new_registration_after_an_end_begins_a_new_period_and_body() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(Profiles::end_registration(by(A), alice()));
        at(3_000);
        assert_ok!(register(A, consent(1, A, alice())));

        let registration = registration(A);
        assert_eq!(registration.status, RegistrationStatus::Active);
        assert_eq!(
            registration.periods.as_slice(),
            &[Period { since: START, until: Some(2_000) }, Period { since: 3_000, until: None }]
        );
        assert_eq!(registration.version, 2);
    });
}

#[test]
fn a_consent_is_valid_once() {
    chain(|| {
        alice_at_a();
        let consent = consent(1, B, alice());
        assert_ok!(register(B, consent.clone()));
        assert_ok!(Profiles::end_registration(by(B), alice()));
        assert_noop!(register(B, consent), Error::<Test>::InvalidConsent);
    });
}

#[test]
fn only_an_active_hospitals_agent_registers() {
    chain(|| {
        let user = user(2);
        only_agents(|origin| {
            let (account, key, consent) = (account(2), sealing_key(2), consent(2, A, user));
            Profiles::register(origin, user, Role::Doctor, account, key, consent, vec![1])
        });
    });
}

#[test]
fn the_length_of_a_body_is_bounded() {
    chain(|| {
        let register = |bytes: u32| {
            let body = vec![1; bytes as usize];
            let (account, key, consent) = (account(1), sealing_key(1), consent(1, A, alice()));
            Profiles::register(by(A), alice(), Role::Patient, account, key, consent, body)
        };
        assert_noop!(register(0), Error::<Test>::EmptyBody);
        assert_noop!(register(MAX_PROFILE_BODY_BYTES + 1), Error::<Test>::BodyTooLong);
        assert_ok!(register(MAX_PROFILE_BODY_BYTES));
    });
}

#[test]
fn a_registration_with_a_body_not_at_the_tail_changes_nothing() {
    chain(|| {
        BodyAtTail::set(false);
        assert_noop!(register(A, consent(1, A, alice())), BODY_NOT_AT_TAIL);
        assert_eq!(Profiles::profile(alice()), None);
        assert_eq!(System::sufficients(&account(1)), 0);
        assert_eq!(kept(), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn a_refused_registration_stores_no_body() {
    chain(|| {
        alice_at_a();
        assert!(register(A, consent(1, A, alice())).is_err());
        assert!(register(B, consent(2, B, alice())).is_err());
        assert_eq!(kept().len(), 1);
    });
}

#[test]
fn a_hospital_cannot_take_an_account_whose_key_it_does_not_have() {
    chain(|| {
        let elsewhere = NamingConsent::new(Hash::zero(), naming(A, alice(), 0));
        let forged = [
            consent(2, A, alice()),
            consent(1, B, alice()),
            consent(1, A, UserId([9; 32])),
            signed(1, naming(A, alice(), 1)),
            key(1).sign(&elsewhere.encode()).into(),
            held(1, alice()).1,
        ];
        for consent in forged {
            assert_noop!(register(A, consent), Error::<Test>::InvalidConsent);
        }
        assert_eq!(System::sufficients(&account(1)), 0);
        alice_at_a();
    });
}

#[test]
fn another_hospital_cannot_replay_the_consent_of_the_first_registration() {
    chain(|| {
        let consent = consent(1, A, alice());
        assert_noop!(register(B, consent.clone()), Error::<Test>::InvalidConsent);
        assert_ok!(register(A, consent.clone()));
        assert_noop!(register(B, consent), Error::<Test>::InvalidConsent);
    });
}

#[test]
fn an_account_belongs_to_one_user() {
    chain(|| {
        alice_at_a();
        let register = |seed| {
            let (account, key) = (account(seed), sealing_key(2));
            let user = UserId::of(&account, key);
            let consent = consent(seed, A, user);
            Profiles::register(by(A), user, Role::Nurse, account, key, consent, vec![1])
        };
        // The account of a hospital.
        System::inc_providers(&account(4));
        for taken in [1, 4] {
            assert_noop!(register(taken), Error::<Test>::AccountInUse);
        }
        assert_ok!(Profiles::rotate_keys(
            RuntimeOrigin::signed(account(1)),
            Some(held(3, alice())),
            None
        ));
        assert_noop!(register(1), Error::<Test>::AccountInUse);
    });
}

/// A hospital that sees an id, for example in a registration that waits for a block, cannot take it for others.
#[test]
fn a_hospital_cannot_register_another_user_under_an_id_that_it_saw() {
    chain(|| {
        let squat = |seed, key| {
            let (account, consent) = (account(seed), consent(seed, B, alice()));
            Profiles::register(by(B), alice(), Role::Patient, account, key, consent, vec![1])
        };
        assert_noop!(squat(2, sealing_key(2)), Error::<Test>::AnotherUser);
        assert_noop!(squat(2, sealing_key(1)), Error::<Test>::AnotherUser);
        // Nor can it register Alice with a sealing key that it made.
        assert_noop!(squat(1, sealing_key(2)), Error::<Test>::AnotherUser);
        alice_at_a();
        assert_eq!(profile().account, account(1));
    });
}

#[test]
fn an_id_that_somebody_made_up_is_refused() {
    chain(|| {
        let made_up = UserId([1; 32]);
        let (account, key, consent) = (account(1), sealing_key(1), consent(1, A, made_up));
        assert_noop!(
            Profiles::register(by(A), made_up, Role::Patient, account, key, consent, vec![1]),
            Error::<Test>::AnotherUser
        );
    });
}

#[test]
fn the_id_of_a_user_stays_after_a_rotation() {
    chain(|| {
        alice_at_a();
        let origin = RuntimeOrigin::signed(account(1));
        assert_ok!(Profiles::rotate_keys(origin, Some(held(2, alice())), Some(sealing_key(2))));
        let (account, key) = (account(2), sealing_key(2));
        let consent = consent(2, B, alice());
        assert_ok!(Profiles::register(
            by(B),
            alice(),
            Role::Patient,
            account,
            key,
            consent,
            vec![1],
        ));
    });
}

#[test]
fn another_hospital_must_describe_the_user_as_on_chain() {
    chain(|| {
        alice_at_a();
        let register = |role, account, key| {
            let consent = consent(1, B, alice());
            Profiles::register(by(B), alice(), role, account, key, consent, vec![1])
        };
        for (role, account, key) in [
            (Role::Doctor, account(1), sealing_key(1)),
            (Role::Patient, account(2), sealing_key(1)),
            (Role::Patient, account(1), sealing_key(2)),
        ] {
            assert_noop!(register(role, account, key), Error::<Test>::ProfileMismatch);
        }
    });
}

#[test]
fn a_registered_user_cannot_be_registered_again() {
    chain(|| {
        alice_at_a();
        let again = || register(A, consent(1, A, alice()));
        assert_noop!(again(), Error::<Test>::AlreadyRegistered);
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_noop!(again(), Error::<Test>::AlreadyRegistered);
    });
}

#[test]
fn no_hospital_registers_a_user_without_their_consent() {
    chain(|| {
        alice_at_a();
        let elsewhere = NamingConsent::new(Hash::zero(), naming(B, alice(), 0));
        let forged = [
            consent(2, B, alice()),
            consent(1, A, alice()),
            consent(1, B, UserId([9; 32])),
            key(1).sign(&elsewhere.encode()).into(),
            held(1, alice()).1,
        ];
        for consent in forged {
            assert_noop!(register(B, consent), Error::<Test>::InvalidConsent);
        }
    });
}

#[test]
fn a_consent_is_invalid_after_the_account_is_rotated() {
    chain(|| {
        alice_at_a();
        let old = consent(1, B, alice());
        assert_ok!(Profiles::rotate_keys(
            RuntimeOrigin::signed(account(1)),
            Some(held(2, alice())),
            None
        ));
        let register = |consent| {
            let (account, key) = (account(2), sealing_key(1));
            Profiles::register(by(B), alice(), Role::Patient, account, key, consent, vec![1])
        };
        assert_noop!(register(old), Error::<Test>::InvalidConsent);
        assert_ok!(register(consent(2, B, alice())));
    });
}
