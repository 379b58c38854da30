//! Extrinsics that a node moves, changes or leaves out.

use epione_primitives::Hash;
use epione_proofs::{StateError, extrinsic, prove_extrinsics};
use sp_runtime::{
    StateVersion,
    traits::{BlakeTwo256, Hash as _},
};

/// More than 64, so that the indices have two lengths; one of them is long.
fn extrinsics() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..70_u8).map(|number| vec![number; 1 + usize::from(number)]).collect();
    all[66] = vec![9; 100_000];
    all
}

fn root(version: StateVersion) -> Hash {
    BlakeTwo256::ordered_trie_root(extrinsics(), version)
}

#[test]
fn each_extrinsic_of_a_block_is_proven_alone_in_both_versions_of_the_trie() {
    let all = extrinsics();
    for version in [StateVersion::V0, StateVersion::V1] {
        let root = root(version);
        let indices: Vec<u32> = (0..70).collect();
        let proofs = prove_extrinsics(root, &all, &indices).unwrap();
        for (index, (proof, expected)) in (0..).zip(proofs.into_iter().zip(&all)) {
            let bytes: usize = proof.iter().map(Vec::len).sum();
            assert!(bytes < expected.len() + 2_000, "{index}: {bytes}");
            assert_eq!(extrinsic(root, index, proof).unwrap().as_ref(), Some(expected));
        }
        // That a block has no such extrinsic is proven, too.
        let absent = prove_extrinsics(root, &all, &[70]).unwrap().remove(0);
        assert_eq!(extrinsic(root, 70, absent), Ok(None));
    }
}

#[test]
fn a_list_that_is_not_the_blocks_is_not_proven() {
    let (root, all) = (root(StateVersion::V0), extrinsics());
    let mut moved = all.clone();
    moved.swap(0, 1);
    let mut longer = all.clone();
    longer.push(vec![1]);
    for other in [&all[..69], moved.as_slice(), longer.as_slice(), &[]] {
        assert_eq!(prove_extrinsics(root, other, &[0]), None);
    }
}

#[test]
fn a_proof_of_another_extrinsic_or_with_a_changed_byte_shows_nothing() {
    let (root, all) = (root(StateVersion::V0), extrinsics());
    let proof = prove_extrinsics(root, &all, &[3]).unwrap().remove(0);
    let other = extrinsic(root, 40, proof.clone()).unwrap_err();
    assert!(matches!(other, StateError::Withheld { .. }), "{other}");
    for node in 0..proof.len() {
        for at in 0..proof[node].len() {
            let mut changed = proof.clone();
            changed[node][at] ^= 1;
            assert!(extrinsic(root, 3, changed).is_err(), "node {node}, byte {at}");
        }
    }
}
