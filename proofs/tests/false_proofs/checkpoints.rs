//! Verification that begins at a checkpoint, after a change of the authorities by force.

use epione_primitives::Hash;
use epione_proofs::{
    Authorities, AuthoritiesError, Checkpoint, CheckpointError, FinalizedHead, HandOverError,
    HeadError, JustificationError,
};
use sp_consensus_grandpa::ConsensusLog;

use crate::chain::{block, change, hand_over, justified, list, public_key, with_log};

const GENESIS: Hash = Hash::repeat_byte(9);

fn keys(hospitals: impl IntoIterator<Item = u8>) -> Vec<(Hash, u64)> {
    hospitals.into_iter().map(|number| (public_key(number), 1)).collect()
}

/// Hospitals 4 to 7 vote as set 3 after block 40, and the state has counted one set more.
fn checkpoint() -> Checkpoint {
    Checkpoint::new(GENESIS, 40, block(40).hash(), 3, 1, keys(4..8)).unwrap()
}

fn begun() -> Authorities {
    checkpoint().begin(GENESIS, &block(40)).unwrap()
}

#[test]
fn verification_begins_at_a_checkpoint_and_goes_on_over_later_hand_overs() {
    let first = begun();
    assert_eq!(first, Authorities::restore(3, 40, list(4..8)).unwrap());
    assert_eq!(first.keys().len(), 4);
    assert_eq!(checkpoint().ahead(), 1);
    let head = FinalizedHead::verify(&first, block(41), &justified(3, 4..7, &block(41))).unwrap();
    assert_eq!(head.hash(), block(41).hash());

    let next = hand_over(50, 5..9);
    let second = first.follow(&next, &justified(3, 4..8, &next)).unwrap();
    assert_eq!(second, Authorities::restore(4, 50, list(5..9)).unwrap());
    FinalizedHead::verify(&second, block(51), &justified(4, 5..9, &block(51))).unwrap();
}

#[test]
fn a_checkpoint_of_another_chain_is_refused() {
    let other = Hash::repeat_byte(8);
    let refused = checkpoint().begin(other, &block(40)).unwrap_err();
    assert_eq!(refused, CheckpointError::OtherChain { expected: other, found: GENESIS });
}

#[test]
fn another_block_than_the_checkpoints_is_refused() {
    for number in [39, 41] {
        let header = block(number);
        let refused = checkpoint().begin(GENESIS, &header).unwrap_err();
        let (expected, hash) = (block(40).hash(), header.hash());
        let other = CheckpointError::OtherBlock { number: 40, expected, found: number, hash };
        assert_eq!(refused, other);
    }
    // The right hash with a wrong number.
    let wrong = Checkpoint::new(GENESIS, 39, block(40).hash(), 3, 1, keys(4..8)).unwrap();
    let refused = wrong.begin(GENESIS, &block(40)).unwrap_err();
    assert!(matches!(refused, CheckpointError::OtherBlock { number: 39, found: 40, .. }));
}

#[test]
fn votes_of_others_and_of_another_set_prove_nothing_after_a_checkpoint() {
    let head = block(41);
    // The authorities before the change by force.
    let refused = FinalizedHead::verify(&begun(), head.clone(), &justified(3, 0..4, &head));
    let HeadError::NotJustified { reason, .. } = refused.unwrap_err() else { panic!() };
    assert_eq!(reason, JustificationError::NotAnAuthority { key: public_key(0) });
    // As the number that the state counts.
    let refused = FinalizedHead::verify(&begun(), head.clone(), &justified(4, 4..8, &head));
    let HeadError::NotJustified { reason, .. } = refused.unwrap_err() else { panic!() };
    assert_eq!(reason, JustificationError::BadSignature { key: public_key(4), set: 3 });
    // Too few.
    let refused = FinalizedHead::verify(&begun(), head.clone(), &justified(3, 4..6, &head));
    let HeadError::NotJustified { reason, .. } = refused.unwrap_err() else { panic!() };
    assert_eq!(reason, JustificationError::TooFewVotes { weight: 2, needed: 3 });
}

#[test]
fn the_authorities_of_a_checkpoint_make_no_block_up_to_it_final() {
    for number in [39, 40] {
        let earlier = block(number);
        let refused =
            FinalizedHead::verify(&begun(), earlier.clone(), &justified(3, 4..8, &earlier));
        assert_eq!(refused.unwrap_err(), HeadError::BeforeSet { number, after: 40, set: 3 });
    }
}

#[test]
fn a_change_by_force_is_named_although_nobody_voted_for_its_block() {
    let forced = with_log(block(50), ConsensusLog::ForcedChange(44, change(1..6, 3)));
    let refused = begun().follow(&forced, &[]).unwrap_err();
    assert_eq!(refused, HandOverError::Forced { number: 50 });
    // Nor do the votes of the new authorities prove it.
    let refused = begun().follow(&forced, &justified(4, 1..6, &forced)).unwrap_err();
    assert_eq!(refused, HandOverError::Forced { number: 50 });
}

#[test]
fn a_checkpoint_that_names_no_block_set_or_authorities_is_refused() {
    let made = |number, set, ahead, voters: Vec<(Hash, u64)>| {
        Checkpoint::new(GENESIS, number, block(40).hash(), set, ahead, voters)
    };
    assert_eq!(made(0, 3, 0, keys(4..8)), Err(CheckpointError::FirstBlock));
    assert_eq!(made(40, u64::MAX, 1, keys(4..8)), Err(CheckpointError::LastSet));
    assert!(made(40, u64::MAX, 0, keys(4..8)).is_ok());
    let none = CheckpointError::Authorities(AuthoritiesError::NoWeight);
    assert_eq!(made(40, 3, 0, vec![]), Err(none));
    let many = AuthoritiesError::TooMany { authorities: 101 };
    assert_eq!(made(40, 3, 0, keys(0..101)), Err(CheckpointError::Authorities(many)));
}
