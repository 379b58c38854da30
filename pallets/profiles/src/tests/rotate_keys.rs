use codec::Encode;
use epione_primitives::{
    AccountId, Hash, Signature, UserId,
    limits::ROTATION_PAUSE_MILLIS,
    naming::{Naming, NamingConsent},
    ports::Users as _,
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_core::Pair;
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, LastRotation, ProfileHistory, Profiles as Stored, mock::*};

fn rotate(
    signer: u8,
    account_and_proof: Option<(AccountId, Signature)>,
    sealing_key_hash: Option<Hash>,
) -> DispatchResult {
    let origin = RuntimeOrigin::signed(account(signer));
    Profiles::rotate_keys(origin, account_and_proof, sealing_key_hash)
}

#[test]
fn a_user_rotates_both_keys_and_the_earlier_profile_stays_readable() {
    chain(|| {
        alice_at_a();
        let before = profile();
        at(2_000);
        assert_ok!(rotate(1, Some(held(2, alice())), Some(sealing_key(2))));

        System::assert_last_event(Event::KeysRotated { user: alice(), version: 2 }.into());
        let after = profile();
        assert_eq!(after.account, account(2));
        assert_eq!(after.sealing_key_hash, sealing_key(2));
        assert_eq!((after.role, after.version), (before.role, 2));
        assert_eq!((before.since, after.since), (START, 2_000));
        assert_eq!(ProfileHistory::<Test>::get(alice(), 1), Some(before));
        assert_eq!(Profiles::user_of(account(2)), Some(alice()));
        assert_eq!(Profiles::user_of(account(1)), None);
    });
}

#[test]
fn a_single_key_can_be_rotated() {
    chain(|| {
        alice_at_a();
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
        assert_eq!((profile().account, profile().version), (account(1), 2));
        at(START + ROTATION_PAUSE_MILLIS);
        assert_ok!(rotate(1, Some(held(2, alice())), None));
        assert_eq!((profile().sealing_key_hash, profile().version), (sealing_key(2), 3));
        assert_eq!(Profiles::sealing_key(alice()), Some(sealing_key(2)));
    });
}

#[test]
fn an_old_account_keeps_its_reference_and_loses_its_rights() {
    chain(|| {
        alice_at_a();
        assert_ok!(rotate(1, Some(held(2, alice())), None));
        assert_eq!(System::sufficients(&account(1)), 1);
        assert_noop!(rotate(1, None, Some(sealing_key(3))), Error::<Test>::NotUser);
        at(START + ROTATION_PAUSE_MILLIS);
        assert_noop!(rotate(2, Some(held(1, alice())), None), Error::<Test>::AccountInUse);
    });
}

#[test]
fn rotations_need_a_pause_between_them() {
    chain(|| {
        alice_at_a();
        let again = || rotate(2, None, Some(sealing_key(3)));
        assert_ok!(rotate(1, Some(held(2, alice())), None));
        assert_noop!(again(), Error::<Test>::RotatedTooRecently);
        at(START + ROTATION_PAUSE_MILLIS - 1);
        assert_noop!(again(), Error::<Test>::RotatedTooRecently);
        at(START + ROTATION_PAUSE_MILLIS);
        assert_ok!(again());
        assert_eq!(LastRotation::<Test>::get(alice()), Some(START + ROTATION_PAUSE_MILLIS));
        assert_noop!(rotate(2, None, Some(sealing_key(4))), Error::<Test>::RotatedTooRecently);
    });
}

#[test]
fn a_failed_rotation_causes_no_pause() {
    chain(|| {
        alice_at_a();
        assert_noop!(rotate(1, None, None), Error::<Test>::NothingToRotate);
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
    });
}

#[test]
fn only_a_user_rotates() {
    chain(|| {
        alice_at_a();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            assert_noop!(Profiles::rotate_keys(origin, None, Some(sealing_key(2))), BadOrigin);
        }
        assert_noop!(rotate(9, None, Some(sealing_key(2))), Error::<Test>::NotUser);
        assert_noop!(
            Profiles::rotate_keys(by(A), None, Some(sealing_key(2))),
            Error::<Test>::NotUser
        );
    });
}

#[test]
fn a_thief_cannot_rotate_the_keys_of_a_user_who_is_suspended_everywhere() {
    chain(|| {
        alice_at_a();
        let before = profile();
        assert_ok!(Profiles::suspend(by(A), alice()));
        for key in [Some(sealing_key(2)), None] {
            let new = held(2, alice());
            assert_noop!(rotate(1, Some(new), key), Error::<Test>::NotRegistered);
        }
        assert_noop!(rotate(1, None, Some(sealing_key(2))), Error::<Test>::NotRegistered);
        assert_eq!(profile(), before);
        assert_ok!(Profiles::reinstate(by(A), alice()));
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
    });
}

/// Nobody can suspend the user there, so a thief would have no hurdle.
#[test]
fn a_thief_cannot_rotate_the_keys_of_a_user_whom_only_a_removed_hospital_lists() {
    chain(|| {
        alice_at_a();
        assert_ok!(register(B, consent(1, B, alice())));
        assert_ok!(Profiles::suspend(by(B), alice()));
        assert_ok!(Hospitals::remove(RuntimeOrigin::root(), A));
        assert_eq!(Profiles::in_force(alice()), [A]);
        assert_noop!(rotate(1, None, Some(sealing_key(2))), Error::<Test>::NotRegistered);
        assert_ok!(Profiles::reinstate(by(B), alice()));
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
    });
}

/// The thief of an account's key changes the account first, so that the user cannot stop the second rotation.
#[test]
fn a_rotation_of_the_account_alone_gains_a_thief_no_time() {
    chain(|| {
        alice_at_a();
        at(2_000);
        assert_ok!(rotate(1, Some(held(2, alice())), None));
        assert_eq!((profile().sealing_key_hash, profile().since), (sealing_key(1), 2_000));
        let later = 2_000 + ROTATION_PAUSE_MILLIS;
        at(later);
        assert_ok!(rotate(2, None, Some(sealing_key(2))));
        assert_eq!(profile().since, later);
    });
}

#[test]
fn a_user_whose_registrations_have_ended_does_not_rotate() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::end_registration(by(A), alice()));
        assert_noop!(rotate(1, None, Some(sealing_key(2))), Error::<Test>::NotRegistered);
    });
}

#[test]
fn a_registration_at_one_hospital_is_enough_to_rotate() {
    chain(|| {
        alice_at_a();
        assert_ok!(register(B, consent(1, B, alice())));
        assert_ok!(Profiles::suspend(by(A), alice()));
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
    });
}

#[test]
fn a_rotation_without_changes_is_refused() {
    chain(|| {
        alice_at_a();
        assert_noop!(rotate(1, None, None), Error::<Test>::NothingToRotate);
        assert_noop!(rotate(1, None, Some(sealing_key(1))), Error::<Test>::NothingToRotate);
    });
}

/// A thief has the first sealing key and the account: the hospital's body may still contain that key.
#[test]
fn no_earlier_sealing_key_comes_back() {
    chain(|| {
        alice_at_a();
        assert_ok!(rotate(1, None, Some(sealing_key(2))));
        at(START + ROTATION_PAUSE_MILLIS);
        for new in [None, Some(held(2, alice()))] {
            let back = rotate(1, new, Some(sealing_key(1)));
            assert_noop!(back, Error::<Test>::SealingKeyUsedBefore);
        }
        assert_ok!(rotate(1, None, Some(sealing_key(3))));
        at(START + 2 * ROTATION_PAUSE_MILLIS);
        for earlier in [1, 2] {
            let back = rotate(1, None, Some(sealing_key(earlier)));
            assert_noop!(back, Error::<Test>::SealingKeyUsedBefore);
        }
        // The account alone, with the key that stays.
        assert_ok!(rotate(1, Some(held(2, alice())), Some(sealing_key(3))));
    });
}

#[test]
fn an_account_in_use_is_refused() {
    chain(|| {
        alice_at_a();
        assert_noop!(rotate(1, Some(held(1, alice())), None), Error::<Test>::AccountInUse);
        System::inc_providers(&account(2));
        assert_noop!(rotate(1, Some(held(2, alice())), None), Error::<Test>::AccountInUse);
    });
}

#[test]
fn a_new_account_needs_the_consent_of_its_keys_holder() {
    chain(|| {
        alice_at_a();
        let naming = |version| Naming::Rotation { user: alice(), version };
        let elsewhere = NamingConsent::new(Hash::zero(), naming(1));
        let forged = [
            held(3, alice()).1,
            held(2, UserId([9; 32])).1,
            signed(2, naming(0)),
            signed(2, naming(2)),
            consent(2, A, alice()),
            key(2).sign(&elsewhere.encode()).into(),
        ];
        for consent in forged {
            assert_noop!(
                rotate(1, Some((account(2), consent)), None),
                Error::<Test>::InvalidConsent
            );
        }
    });
}

#[test]
fn version_numbers_do_not_overflow() {
    externalities().execute_with(|| {
        at(START);
        alice_at_a();
        Stored::<Test>::mutate(alice(), |profile| profile.as_mut().unwrap().version = u32::MAX);
        assert_noop!(rotate(1, None, Some(sealing_key(2))), Error::<Test>::TooManyVersions);
    });
}
