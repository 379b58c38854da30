//! Votes that do not make a block final.

use epione_primitives::{ChainHeader, Hash};
use epione_proofs::{
    Authorities, FinalizedHead, HeadError, JustificationError, MAX_ANCESTRY,
    MAX_JUSTIFICATION_BYTES,
};

use crate::chain::{
    Vote, block, child, flips, header, justified, justify, list, public_key, vote, vote_for,
};

/// What four hospitals in set 3 say about a header.
fn verify(header: &ChainHeader, justification: &[u8]) -> Result<(), JustificationError> {
    let authorities = Authorities::restore(3, 0, list(0..4)).unwrap();
    match FinalizedHead::verify(&authorities, header.clone(), justification) {
        Ok(_) => Ok(()),
        Err(HeadError::NotJustified { reason, .. }) => Err(reason),
        Err(error) => panic!("{error}"),
    }
}

/// Votes of three hospitals, for a block, its child and its grandchild; and these two descendants.
fn votes_on_three_blocks(target: &ChainHeader) -> (Vec<Vote>, Vec<ChainHeader>) {
    let (next, last) = (child(target), child(&child(target)));
    (vec![vote(3, 0, target), vote(3, 1, &next), vote(3, 2, &last)], vec![next, last])
}

#[test]
fn three_of_four_hospitals_make_a_block_final() {
    assert_eq!(verify(&block(7), &justified(3, 0..3, &block(7))), Ok(()));
}

#[test]
fn votes_for_descendants_count_for_the_block() {
    let target = block(7);
    let (votes, ancestry) = votes_on_three_blocks(&target);
    assert_eq!(verify(&target, &justify(&target, votes, ancestry)), Ok(()));
}

#[test]
fn a_fork_signed_by_strangers_is_refused() {
    let refused = verify(&block(7), &justified(3, 10..14, &block(7)));
    assert_eq!(refused, Err(JustificationError::NotAnAuthority { key: public_key(10) }));
}

#[test]
fn half_of_the_hospitals_are_too_few() {
    let refused = verify(&block(7), &justified(3, 0..2, &block(7)));
    assert_eq!(refused, Err(JustificationError::TooFewVotes { weight: 2, needed: 3 }));
    let refused = verify(&block(7), &justified(3, [], &block(7)));
    assert_eq!(refused, Err(JustificationError::TooFewVotes { weight: 0, needed: 3 }));
}

#[test]
fn a_repeated_vote_counts_once() {
    let refused = verify(&block(7), &justified(3, [0, 1, 1, 1], &block(7)));
    assert_eq!(refused, Err(JustificationError::TooFewVotes { weight: 2, needed: 3 }));
}

#[test]
fn votes_of_another_set_are_refused() {
    for set in [2, 4] {
        let refused = verify(&block(7), &justified(set, 0..4, &block(7)));
        assert_eq!(refused, Err(JustificationError::BadSignature { key: public_key(0), set: 3 }));
    }
}

#[test]
fn a_vote_signed_by_somebody_else_is_refused() {
    let target = block(7);
    let mut votes: Vec<Vote> = (0..3).map(|number| vote(3, number, &target)).collect();
    votes[2].signature = vote(3, 10, &target).signature;
    let refused = verify(&target, &justify(&target, votes, vec![]));
    assert_eq!(refused, Err(JustificationError::BadSignature { key: public_key(2), set: 3 }));
}

#[test]
fn a_justification_of_another_block_is_refused() {
    let (target, other) = (block(7), header(7, Hash::zero(), Hash::zero()));
    let refused = verify(&target, &justified(3, 0..4, &other));
    assert_eq!(refused, Err(JustificationError::OtherTarget { number: 7, hash: other.hash() }));
}

#[test]
fn a_block_with_fewer_votes_than_its_parent_is_not_final() {
    // Two votes are for the parent. Two are for the child, which the node presents as final.
    let (parent, target) = (block(7), child(&block(7)));
    let votes =
        vec![vote(3, 0, &parent), vote(3, 1, &parent), vote(3, 2, &target), vote(3, 3, &target)];
    let refused = verify(&target, &justify(&target, votes, vec![target.clone()]));
    assert_eq!(refused, Err(JustificationError::NotFinal { number: 8 }));
}

#[test]
fn votes_on_two_branches_are_refused() {
    let (target, fork) = (block(7), header(7, Hash::zero(), Hash::zero()));
    let votes = vec![vote(3, 0, &target), vote(3, 1, &target), vote(3, 2, &fork)];
    let refused = verify(&target, &justify(&target, votes, vec![]));
    assert_eq!(refused, Err(JustificationError::OtherBranch { number: 7, hash: fork.hash() }));
}

#[test]
fn a_vote_for_a_descendant_without_its_header_is_refused() {
    let target = block(7);
    let (votes, ancestry) = votes_on_three_blocks(&target);
    let missing = ancestry[0].hash();
    let refused = verify(&target, &justify(&target, votes, ancestry[1..].to_vec()));
    assert_eq!(refused, Err(JustificationError::MissingHeader { hash: missing }));
}

#[test]
fn a_vote_with_the_wrong_number_is_refused() {
    let target = block(7);
    let next = child(&target);
    let votes = vec![vote(3, 0, &target), vote(3, 1, &target), vote_for(3, 2, next.hash(), 9)];
    let refused = verify(&target, &justify(&target, votes, vec![next.clone()]));
    let expected = JustificationError::OtherNumber { hash: next.hash(), header: 8, voted: 9 };
    assert_eq!(refused, Err(expected));
}

#[test]
fn headers_that_no_vote_needs_are_refused() {
    let target = block(7);
    let votes: Vec<Vote> = (0..3).map(|number| vote(3, number, &target)).collect();
    for unused in [vec![child(&target)], vec![target.clone()]] {
        let refused = verify(&target, &justify(&target, votes.clone(), unused));
        assert_eq!(refused, Err(JustificationError::UnusedHeaders));
    }
    let (votes, mut ancestry) = votes_on_three_blocks(&target);
    ancestry.push(ancestry[0].clone());
    let refused = verify(&target, &justify(&target, votes, ancestry));
    assert_eq!(refused, Err(JustificationError::UnusedHeaders));
}

#[test]
fn an_authority_that_votes_twice_does_not_replace_another() {
    let (target, fork) = (block(7), header(8, block(7).hash(), Hash::zero()));
    let votes = vec![vote(3, 0, &target), vote(3, 1, &target), vote(3, 1, &fork)];
    let refused = verify(&target, &justify(&target, votes, vec![fork]));
    assert_eq!(refused, Err(JustificationError::TooFewVotes { weight: 2, needed: 3 }));
}

#[test]
fn a_second_vote_of_an_authority_does_not_prevent_finality() {
    let target = block(7);
    let mut votes: Vec<Vote> = (0..3).map(|number| vote(3, number, &target)).collect();
    votes.push(vote(3, 2, &child(&target)));
    assert_eq!(verify(&target, &justify(&target, votes, vec![child(&target)])), Ok(()));
}

#[test]
fn a_justification_has_limits() {
    let target = block(7);
    let bytes = MAX_JUSTIFICATION_BYTES + 1;
    let refused = verify(&target, &vec![0; bytes]);
    assert_eq!(refused, Err(JustificationError::TooManyBytes { bytes }));

    let refused = verify(&target, &justified(3, [0, 1, 2, 3, 0, 1, 2, 3, 0], &target));
    assert_eq!(refused, Err(JustificationError::TooManyVotes { votes: 9, max: 8 }));

    let headers = MAX_ANCESTRY + 1;
    let refused = verify(&target, &justify(&target, vec![], vec![block(8); headers]));
    assert_eq!(refused, Err(JustificationError::TooManyHeaders { headers }));
}

#[test]
fn a_justification_with_bytes_after_its_end_is_refused() {
    let mut bytes = justified(3, 0..4, &block(7));
    bytes.push(0);
    assert_eq!(verify(&block(7), &bytes), Err(JustificationError::Malformed));
}

#[test]
fn a_truncated_justification_is_refused() {
    let bytes = justified(3, 0..4, &block(7));
    for length in 0..bytes.len() {
        let refused = verify(&block(7), &bytes[..length]);
        assert_eq!(refused, Err(JustificationError::Malformed), "{length} bytes");
    }
}

#[test]
fn no_byte_of_a_justification_can_be_changed() {
    let target = block(7);
    let (votes, ancestry) = votes_on_three_blocks(&target);
    let bytes = justify(&target, votes, ancestry);
    for (at, changed) in flips(&bytes) {
        assert!(verify(&target, &changed).is_err(), "byte {at} was changed");
    }
}
