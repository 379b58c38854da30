//! Proofs that do not show the value of a key.

use epione_primitives::Hash;
use epione_proofs::{
    MAX_KEYS, MAX_PROOF_BYTES, MAX_PROOF_NODES, ProvenState, StateError, StorageKey,
};

use crate::chain::{State, flips};

fn key(number: u32) -> StorageKey {
    StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&number)
}

/// A state with sixteen values of this byte. They are too long to be stored in the trie nodes of their keys.
fn state_of(byte: u8) -> State {
    let values: Vec<_> = (0..16).map(|number| (key(number), vec![byte; 40])).collect();
    State::new(&values)
}

#[test]
fn a_proof_shows_values_and_absence() {
    let state = state_of(1);
    let keys = [key(3), key(99)];
    let proven = ProvenState::new(state.root, state.proof(&keys)).unwrap();
    assert_eq!(proven.read_all(&keys), Ok(vec![Some(vec![1; 40]), None]));
}

#[test]
fn keys_are_computed_as_in_frame() {
    let hex = |key: StorageKey| key.to_string();
    assert_eq!(
        hex(StorageKey::value("Timestamp", "Now")),
        "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb"
    );
    assert_eq!(
        hex(StorageKey::value("System", "Account").blake2_128_concat(&7u32)),
        "0x26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9\
         99850724010e3222888eeb8478c9ffd307000000"
    );
}

#[test]
fn a_proof_of_another_state_is_refused() {
    let (state, other) = (state_of(1), state_of(2));
    let refused = ProvenState::new(state.root, other.proof(&[key(3)])).unwrap_err();
    assert_eq!(refused, StateError::OtherRoot { root: state.root });
}

#[test]
fn an_absent_key_cannot_be_shown_as_present() {
    let state = State::new(&[(key(1), vec![1; 40]), (key(2), vec![1; 40])]);
    let forged = state_of(1);
    let mut proof = state.proof(&[key(3)]);
    proof.extend(forged.proof(&[key(3)]));
    let proven = ProvenState::new(state.root, proof).unwrap();
    assert_eq!(proven.read(&key(3)), Ok(None));
}

#[test]
fn a_present_key_cannot_be_shown_as_absent() {
    let state = state_of(1);
    let proven = ProvenState::new(state.root, state.proof(&[key(99)])).unwrap();
    assert!(matches!(proven.read(&key(3)), Err(StateError::Withheld { .. })));
}

#[test]
fn no_node_of_a_proof_can_be_left_out() {
    let state = state_of(1);
    let keys = [key(3), key(5), key(99)];
    let proof = state.proof(&keys);
    for left_out in 0..proof.len() {
        let mut proof = proof.clone();
        proof.remove(left_out);
        let read = ProvenState::new(state.root, proof).and_then(|proven| proven.read_all(&keys));
        assert!(read.is_err(), "node {left_out} was left out");
    }
}

#[test]
fn no_byte_of_a_proof_can_be_changed() {
    let state = state_of(1);
    let keys = [key(3), key(99)];
    let proof = state.proof(&keys);
    for (index, node) in proof.iter().enumerate() {
        for (at, changed) in flips(node) {
            let mut proof = proof.clone();
            proof[index] = changed;
            let read = ProvenState::new(state.root, proof).and_then(|state| state.read_all(&keys));
            assert!(read.is_err(), "byte {at} of node {index} was changed");
        }
    }
}

#[test]
fn a_truncated_node_is_refused() {
    let state = state_of(1);
    let keys = [key(3)];
    let proof = state.proof(&keys);
    for index in 0..proof.len() {
        let mut proof = proof.clone();
        proof[index].pop();
        let read = ProvenState::new(state.root, proof).and_then(|proven| proven.read_all(&keys));
        assert!(read.is_err(), "node {index} was truncated");
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    let state = state_of(1);
    let proven = ProvenState::new(state.root, state.proof(&[key(3)])).unwrap();
    assert_eq!(proven.value::<[u8; 40]>(&key(3)), Ok(Some([1; 40])));
    assert_eq!(proven.value::<u64>(&key(3)), Err(StateError::OtherType { key: key(3) }));
}

#[test]
fn a_proof_has_limits() {
    let nodes = MAX_PROOF_NODES + 1;
    let refused = ProvenState::new(Hash::zero(), vec![vec![]; nodes]).unwrap_err();
    assert_eq!(refused, StateError::TooManyNodes { nodes });

    let bytes = MAX_PROOF_BYTES + 1;
    let refused = ProvenState::new(Hash::zero(), vec![vec![0; bytes]]).unwrap_err();
    assert_eq!(refused, StateError::TooManyBytes { bytes });

    let state = state_of(1);
    let proven = ProvenState::new(state.root, state.proof(&[key(3)])).unwrap();
    let keys = MAX_KEYS + 1;
    assert_eq!(proven.read_all(&vec![key(3); keys]), Err(StateError::TooManyKeys { keys }));
}
