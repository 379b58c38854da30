//! Everybody who tries to use the recovery of lost keys against a user, or against one who lost the keys.

use epione_primitives::{
    Hash, UserId,
    limits::{MAX_STANDING_RECOVERIES, RECOVERY_AFTER_SUSPENSION_MILLIS},
    naming::{NamedAccount, Naming},
    profile::{Recovery, Role},
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use super::recovery::{
    DUE, DUE_FOR_COUNCIL, LAPSES, complete, decide, key_of, object, propose, proposed, recovery,
};
use crate::{Error, Proposals, Recoveries, RecoveryPauses, mock::*};

/// The council votes about the keys that the hospital showed. Before the motion is closed, other keys stand.
#[test]
fn the_council_gives_a_user_no_other_keys_than_it_decided() {
    proposed(|| {
        let decided = recovery();
        assert_ok!(object(by(B)));
        assert_ok!(propose(B, 3));
        System::set_block_number(DUE_FOR_COUNCIL);
        assert_noop!(decide(&decided), Error::<Test>::AnotherRecovery);
        for changed in [
            Recovery { hospital: A, ..recovery() },
            Recovery { account: account(2), ..recovery() },
            Recovery { sealing_key_hash: sealing_key(2), ..recovery() },
            Recovery { version: 2, ..recovery() },
        ] {
            assert_noop!(decide(&changed), Error::<Test>::AnotherRecovery);
        }
        // A decision that names nothing is none.
        assert_noop!(complete(RuntimeOrigin::root()), Error::<Test>::AnotherRecovery);
        assert_ok!(decide(&recovery()));
    });
}

#[test]
fn a_hospital_may_name_the_recovery_that_it_completes() {
    proposed(|| {
        System::set_block_number(DUE);
        let naming = |decision| Profiles::complete_recovery(by(A), alice(), Some(decision));
        assert_noop!(naming(Hash::zero()), Error::<Test>::AnotherRecovery);
        assert_ok!(naming(recovery().decision()));
    });
}

/// The user found the phone after the vote, and rotated the keys.
#[test]
fn the_council_does_not_replace_keys_about_which_it_did_not_decide() {
    proposed(|| {
        let decided = recovery();
        System::set_block_number(DUE_FOR_COUNCIL);
        assert_ok!(Profiles::rotate_keys(key_of(1), Some(held(3, alice())), Some(sealing_key(3))));
        assert_noop!(decide(&decided), Error::<Test>::RotatedSinceProposal);
        assert_noop!(decide(&recovery()), Error::<Test>::RotatedSinceProposal);
        assert_eq!(profile().account, account(3));
    });
}

#[test]
fn not_even_the_council_completes_a_recovery_within_a_day() {
    proposed(|| {
        assert_noop!(decide(&recovery()), Error::<Test>::RecoveryTooEarly);
        System::set_block_number(DUE_FOR_COUNCIL - 1);
        assert_noop!(decide(&recovery()), Error::<Test>::RecoveryTooEarly);
        System::set_block_number(DUE_FOR_COUNCIL);
        assert_noop!(complete(by(A)), Error::<Test>::RecoveryTooEarly);
        assert_ok!(decide(&recovery()));
    });
}

/// A network on one machine has a delay of 20 blocks, which is less than a day.
#[test]
fn the_council_waits_for_a_short_delay_as_hospitals_do() {
    chain(|| {
        crate::RecoveryDelay::<Test>::put(20);
        alice_at_a();
        assert_ok!(propose(A, 2));
        System::set_block_number(20);
        assert_noop!(decide(&recovery()), Error::<Test>::RecoveryTooEarly);
        System::set_block_number(21);
        assert_ok!(decide(&recovery()));
    });
}

/// The thief sees the proposed keys on the chain, and rotates to one of them, so that nobody can complete the recovery.
#[test]
fn a_thief_cannot_make_the_proposed_keys_worthless() {
    proposed(|| {
        let rotate = |account, key| Profiles::rotate_keys(key_of(1), account, key);
        assert_noop!(rotate(None, Some(sealing_key(2))), Error::<Test>::KeyProposed);
        let both = rotate(Some(held(3, alice())), Some(sealing_key(2)));
        assert_noop!(both, Error::<Test>::KeyProposed);
        assert_noop!(rotate(Some(held(2, alice())), None), Error::<Test>::KeyProposed);
        assert_ok!(object(key_of(1)));
        // After an objection, the council can complete the recovery.
        assert_noop!(rotate(None, Some(sealing_key(2))), Error::<Test>::KeyProposed);
        System::set_block_number(DUE_FOR_COUNCIL);
        assert_ok!(decide(&recovery()));
        assert_eq!(profile().sealing_key_hash, sealing_key(2));
    });
    proposed(|| {
        System::set_block_number(LAPSES);
        assert_ok!(Profiles::rotate_keys(key_of(1), None, Some(sealing_key(2))));
    });
}

/// Two hospitals of one owner take turns, until nobody looks.
#[test]
fn two_hospitals_cannot_take_turns_to_evade_the_wait_after_an_objection() {
    proposed(|| {
        assert_ok!(object(key_of(1)));
        assert_noop!(propose(A, 3), Error::<Test>::RecoveryPaused);
        System::set_block_number(10);
        assert_ok!(propose(B, 3));
        assert_ok!(object(key_of(1)));
        for hospital in [A, B] {
            assert_noop!(propose(hospital, 4), Error::<Test>::RecoveryPaused);
        }
        System::set_block_number(LAPSES - 1);
        assert_noop!(propose(A, 4), Error::<Test>::RecoveryPaused);
        System::set_block_number(LAPSES);
        assert_ok!(propose(A, 4));
        assert_eq!(RecoveryPauses::<Test>::get(alice(), A), None);
        // The other hospital still waits for its own proposal, also when this one is gone.
        assert_ok!(object(key_of(1)));
        assert_noop!(propose(B, 5), Error::<Test>::RecoveryPaused);
        System::set_block_number(LAPSES + 9);
        assert_ok!(propose(B, 5));
    });
}

/// A user whose first keys have this number, registered at A.
fn registered(seed: u8) -> UserId {
    let body = vec![seed];
    let consent = consent(seed, A, user(seed));
    assert_ok!(Profiles::register(
        by(A),
        user(seed),
        Role::Patient,
        account(seed),
        sealing_key(seed),
        consent,
        body
    ));
    user(seed)
}

/// A proposes keys for the user with this number.
fn propose_for(seed: u8) -> DispatchResult {
    let (user, next, until) = (user(seed), seed + 100, System::block_number() as u32);
    let sealing_key_hash = sealing_key(next);
    let naming = Naming::Recovery { hospital: A, user, sealing_key_hash, version: 1, until };
    let next = NamedAccount { account: account(next), until, consent: signed(next, naming) };
    Profiles::propose_recovery(by(A), user, next, sealing_key_hash)
}

/// The workers of all hospitals read all proposals.
#[test]
fn a_hospital_has_a_limited_number_of_proposals_that_stand() {
    chain(|| {
        let most = MAX_STANDING_RECOVERIES as u8;
        for seed in 1..=most + 2 {
            registered(seed);
        }
        for seed in 1..=most {
            assert_ok!(propose_for(seed));
        }
        assert_noop!(propose_for(most + 1), Error::<Test>::TooManyRecoveries);
        // An objection makes no room: the council can still complete the recovery.
        assert_ok!(Profiles::object(key_of(1), user(1)));
        assert_noop!(propose_for(most + 1), Error::<Test>::TooManyRecoveries);
        System::set_block_number(DUE);
        assert_ok!(Profiles::complete_recovery(by(A), user(2), None));
        assert_ok!(propose_for(most + 1));
        assert_noop!(propose_for(most + 2), Error::<Test>::TooManyRecoveries);
        Profiles::check_state().unwrap();
        // Those that lapsed are removed, at the next proposal.
        System::set_block_number(LAPSES);
        assert_eq!(Recoveries::<Test>::iter().count(), usize::from(most));
        assert_ok!(propose_for(most + 2));
        let standing = [user(most + 1), user(most + 2)];
        let listed = Proposals::<Test>::get(A);
        assert_eq!(listed.iter().map(|(user, _)| *user).collect::<Vec<_>>(), standing);
        assert_eq!(Recoveries::<Test>::iter().count(), 2);
        assert!(standing.iter().all(Recoveries::<Test>::contains_key));
    });
}

#[test]
fn a_proposal_that_replaces_another_hospitals_makes_room_there() {
    proposed(|| {
        assert_eq!(Proposals::<Test>::get(A).as_slice(), [(alice(), LAPSES as u32)]);
        assert_ok!(object(by(B)));
        assert_ok!(propose(B, 3));
        assert!(!Proposals::<Test>::contains_key(A));
        assert_eq!(Proposals::<Test>::get(B).as_slice(), [(alice(), LAPSES as u32)]);
        System::set_block_number(DUE);
        assert_ok!(complete(by(B)));
        assert!(!Proposals::<Test>::contains_key(B));
    });
}

/// The user went to another hospital long ago.
#[test]
fn a_hospital_that_suspended_the_user_long_ago_proposes_nothing() {
    chain(|| {
        alice_at_a();
        assert_ok!(Profiles::suspend(by(A), alice()));
        let over = START + RECOVERY_AFTER_SUSPENSION_MILLIS;
        at(over);
        assert_noop!(propose(A, 2), Error::<Test>::SuspendedTooLong);
        at(over - 1);
        assert_ok!(propose(A, 2));
        assert_ok!(object(by(A)));
        // A user who is registered again is a user of the hospital.
        System::set_block_number(LAPSES);
        at(over);
        assert_noop!(propose(A, 3), Error::<Test>::SuspendedTooLong);
        assert_ok!(Profiles::reinstate(by(A), alice()));
        assert_ok!(propose(A, 3));
    });
}
