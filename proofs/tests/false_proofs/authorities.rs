//! Hand-overs from the genesis block to later authorities.

use codec::Encode;
use epione_primitives::Hash;
use epione_proofs::{
    Authorities, AuthoritiesError, FinalizedHead, GenesisError, HandOverError, HeadError,
    JustificationError, StateError,
};
use sp_consensus_grandpa::ConsensusLog;

use crate::chain::{
    State, block, change, hand_over, header, justified, justify, list, public_key, vote, with_log,
};

fn genesis_set() -> Authorities {
    Authorities::restore(0, 0, list(0..4)).unwrap()
}

/// Why the votes for a head were refused.
fn reason(error: HeadError) -> JustificationError {
    match error {
        HeadError::NotJustified { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

/// Why the votes for a hand-over were refused.
fn hand_over_reason(error: HandOverError) -> JustificationError {
    match error {
        HandOverError::Head(error) => reason(error),
        other => panic!("{other}"),
    }
}

#[test]
fn a_client_follows_two_changes_of_authorities_from_the_genesis_block() {
    let state = State::new(&[(Authorities::key(), list(0..4).encode())]);
    let genesis = header(0, Hash::zero(), state.root);
    let proof = state.proof(&[Authorities::key()]);
    let first = Authorities::genesis(genesis.hash(), &genesis, proof).unwrap();
    assert_eq!(first, genesis_set());

    let (to_second, to_third) = (hand_over(10, 1..6), hand_over(20, 6..7));
    let second = first.follow(&to_second, &justified(0, 0..3, &to_second)).unwrap();
    assert_eq!((second.set(), second.after()), (1, 10));
    let third = second.follow(&to_third, &justified(1, 2..6, &to_third)).unwrap();
    assert_eq!((third.set(), third.after(), third.list()), (2, 20, list([6])));

    let head = FinalizedHead::verify(&third, block(21), &justified(2, [6], &block(21))).unwrap();
    assert_eq!((head.number(), head.hash()), (21, block(21).hash()));
}

#[test]
fn a_restored_set_equals_the_followed_one() {
    let to_second = hand_over(10, 1..6);
    let second = genesis_set().follow(&to_second, &justified(0, 0..4, &to_second)).unwrap();
    let restored = Authorities::restore(second.set(), second.after(), second.list()).unwrap();
    assert_eq!(restored, second);
}

#[test]
fn the_genesis_block_of_another_chain_is_refused() {
    let state = State::new(&[(Authorities::key(), list(7..9).encode())]);
    let genesis = header(0, Hash::zero(), state.root);
    let expected = Hash::repeat_byte(9);
    let refused =
        Authorities::genesis(expected, &genesis, state.proof(&[Authorities::key()])).unwrap_err();
    assert_eq!(refused, GenesisError::OtherChain { expected, found: genesis.hash() });
}

#[test]
fn genesis_authorities_from_another_state_are_refused() {
    let state = State::new(&[(Authorities::key(), list(0..4).encode())]);
    let forged = State::new(&[(Authorities::key(), list(7..9).encode())]);
    let genesis = header(0, Hash::zero(), state.root);
    let proof = forged.proof(&[Authorities::key()]);
    let refused = Authorities::genesis(genesis.hash(), &genesis, proof).unwrap_err();
    assert_eq!(refused, GenesisError::State(StateError::OtherRoot { root: state.root }));
}

#[test]
fn a_hand_over_that_the_new_authorities_sign_themselves_is_refused() {
    let forged = hand_over(10, 7..10);
    let refused = genesis_set().follow(&forged, &justified(0, 7..10, &forged)).unwrap_err();
    let key = public_key(7);
    assert_eq!(hand_over_reason(refused), JustificationError::NotAnAuthority { key });
}

#[test]
fn a_hand_over_whose_list_was_changed_after_the_votes_is_refused() {
    let (voted, forged) = (hand_over(10, 1..6), hand_over(10, 7..10));
    let refused = genesis_set().follow(&forged, &justified(0, 0..4, &voted)).unwrap_err();
    let expected = JustificationError::OtherTarget { number: 10, hash: voted.hash() };
    assert_eq!(hand_over_reason(refused), expected);
}

#[test]
fn a_skipped_hand_over_is_noticed() {
    // The set after the next has the same hospitals, so only the number of the set tells them apart.
    let head = block(30);
    let refused = FinalizedHead::verify(&genesis_set(), head.clone(), &justified(2, 0..4, &head));
    let key = public_key(0);
    assert_eq!(reason(refused.unwrap_err()), JustificationError::BadSignature { key, set: 0 });
}

#[test]
fn authorities_that_handed_over_cannot_make_blocks_final() {
    let to_second = hand_over(10, 0..4);
    let second = genesis_set().follow(&to_second, &justified(0, 0..4, &to_second)).unwrap();
    let fork = block(11);
    let refused = FinalizedHead::verify(&second, fork.clone(), &justified(0, 0..4, &fork));
    let key = public_key(0);
    assert_eq!(reason(refused.unwrap_err()), JustificationError::BadSignature { key, set: 1 });
}

#[test]
fn new_authorities_cannot_make_blocks_before_their_hand_over_final() {
    let to_second = hand_over(10, 4..8);
    let second = genesis_set().follow(&to_second, &justified(0, 0..4, &to_second)).unwrap();
    for number in [9, 10] {
        let fork = block(number);
        let refused = FinalizedHead::verify(&second, fork.clone(), &justified(1, 4..8, &fork));
        assert_eq!(refused.unwrap_err(), HeadError::BeforeSet { number, after: 10, set: 1 });
    }
}

#[test]
fn a_block_without_a_change_is_no_hand_over() {
    let plain = block(10);
    let refused = genesis_set().follow(&plain, &justified(0, 0..4, &plain)).unwrap_err();
    assert_eq!(refused, HandOverError::NoChange { number: 10 });
}

#[test]
fn a_forced_change_is_refused_even_after_a_scheduled_one() {
    let forced = with_log(hand_over(10, 1..6), ConsensusLog::ForcedChange(3, change(1..6, 0)));
    let refused = genesis_set().follow(&forced, &justified(0, 0..4, &forced)).unwrap_err();
    assert_eq!(refused, HandOverError::Forced { number: 10 });
}

#[test]
fn a_delayed_change_is_refused() {
    let delayed = with_log(block(10), ConsensusLog::ScheduledChange(change(1..6, 2)));
    let refused = genesis_set().follow(&delayed, &justified(0, 0..4, &delayed)).unwrap_err();
    assert_eq!(refused, HandOverError::Delayed { number: 10, delay: 2 });
}

#[test]
fn the_first_of_two_scheduled_changes_counts() {
    let twice = with_log(hand_over(10, 1..6), ConsensusLog::ScheduledChange(change(7..9, 0)));
    let next = genesis_set().follow(&twice, &justified(0, 0..4, &twice)).unwrap();
    assert_eq!(next, Authorities::restore(1, 10, list(1..6)).unwrap());
}

#[test]
fn a_set_has_at_least_one_and_at_most_a_hundred_authorities() {
    assert_eq!(Authorities::restore(0, 0, vec![]).unwrap_err(), AuthoritiesError::NoWeight);
    assert!(Authorities::restore(0, 0, list(0..100)).is_ok());
    let refused = Authorities::restore(0, 0, list(0..101)).unwrap_err();
    assert_eq!(refused, AuthoritiesError::TooMany { authorities: 101 });
}

#[test]
fn there_is_no_set_after_the_last_number() {
    let last = Authorities::restore(u64::MAX, 0, list([1])).unwrap();
    let header = hand_over(10, 1..6);
    let justification = justify(&header, vec![vote(u64::MAX, 1, &header)], vec![]);
    let refused = last.follow(&header, &justification).unwrap_err();
    assert_eq!(refused, HandOverError::LastSet { set: u64::MAX });
}
