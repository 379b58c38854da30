//! Maps from which a node leaves out entries.

use epione_proofs::{MAX_KEYS, ProvenState, StateError, StorageKey};

use crate::chain::State;

/// The prefix of a hospital's map of users.
fn members(hospital: u16) -> StorageKey {
    StorageKey::value("Profiles", "Members").twox_64_concat(&hospital)
}

fn member(hospital: u16, user: u8) -> StorageKey {
    members(hospital).blake2_128_concat(&[user; 32])
}

/// The maps of three hospitals with sixteen users each. Every second value is too long for the trie node of its key.
fn three_maps() -> State {
    let keys = (0..3).flat_map(|hospital| (0..16).map(move |user| member(hospital, user)));
    let values: Vec<_> = keys
        .enumerate()
        .map(|(at, key)| (key, vec![1; if at % 2 == 0 { 0 } else { 40 }]))
        .collect();
    State::new(&values)
}

/// The keys of the map's users, in the order of the state.
fn sorted(hospital: u16) -> Vec<StorageKey> {
    let mut keys: Vec<_> = (0..16).map(|user| member(hospital, user)).collect();
    keys.sort();
    keys
}

/// What a proof of these keys shows of the map of hospital 1.
fn entries(
    keys: &[StorageKey],
    after: Option<&StorageKey>,
    limit: usize,
) -> Result<Vec<Vec<u8>>, StateError> {
    let state = three_maps();
    let mut shown = keys.to_vec();
    shown.push(members(1));
    shown.extend(after.cloned());
    let proven = ProvenState::new(state.root, state.proof(&shown)).unwrap();
    let entries = proven.entries(&members(1), after, limit)?;
    Ok(entries.into_iter().map(|(rest, _)| rest).collect())
}

fn rest(key: &StorageKey) -> Vec<u8> {
    key.as_bytes()[members(1).as_bytes().len()..].to_vec()
}

#[test]
fn the_entries_of_a_map_are_read_in_pages() {
    let keys = sorted(1);
    let expected: Vec<_> = keys.iter().map(rest).collect();
    assert_eq!(entries(&keys, None, 1_000), Ok(expected.clone()));
    assert_eq!(entries(&keys[..5], None, 5), Ok(expected[..5].to_vec()));
    assert_eq!(entries(&keys[5..10], Some(&keys[4]), 5), Ok(expected[5..10].to_vec()));
    assert_eq!(entries(&keys[10..], Some(&keys[9]), 1_000), Ok(expected[10..].to_vec()));
    assert_eq!(entries(&[], Some(&keys[15]), 1_000), Ok(vec![]));
    // A page may begin after a key that is not in the map.
    let (absent, next) = (member(1, 77), keys.partition_point(|key| *key <= member(1, 77)));
    assert_eq!(entries(&keys[next..], Some(&absent), 1_000), Ok(expected[next..].to_vec()));
}

#[test]
fn an_entry_without_its_proof_is_noticed() {
    let keys = sorted(1);
    for left_out in 0..keys.len() {
        let mut shown = keys.clone();
        shown.remove(left_out);
        let refused = entries(&shown, None, 1_000);
        assert!(matches!(refused, Err(StateError::Withheld { .. })), "entry {left_out}");
    }
    for shown in [&keys[..15], &keys[1..], &keys[..0]] {
        let refused = entries(shown, None, 1_000);
        assert!(matches!(refused, Err(StateError::Withheld { .. })), "{refused:?}");
    }
}

#[test]
fn the_end_of_a_map_must_be_shown() {
    let keys = sorted(1);
    let refused = entries(&keys[5..10], Some(&keys[4]), 6);
    assert!(matches!(refused, Err(StateError::Withheld { .. })), "{refused:?}");
}

#[test]
fn an_empty_map_is_shown_to_be_empty() {
    let state = three_maps();
    let proven = ProvenState::new(state.root, state.proof(&[members(7)])).unwrap();
    assert_eq!(proven.entries(&members(7), None, 10), Ok(vec![]));
}

#[test]
fn a_page_of_a_map_has_a_limit() {
    let refused = entries(&[], None, MAX_KEYS + 1);
    assert_eq!(refused, Err(StateError::TooManyKeys { keys: MAX_KEYS + 1 }));
}
