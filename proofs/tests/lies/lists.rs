//! Lists from which a node leaves out entries.

use codec::Encode;
use epione_proofs::{
    Listing, ListingError, MAX_ENTRIES, MAX_KEYS, ProvenState, StateError, StorageKey,
};

use crate::chain::State;

fn count_key() -> StorageKey {
    StorageKey::value("LiteBlocks", "Height")
}

fn key(number: u32) -> StorageKey {
    StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&number)
}

/// A state that counts `count` entries from 1, and has those that are not hidden. Each entry is its number, many times.
fn state_of(count: u32, hidden: Option<u32>) -> State {
    let entries = (1..=count.min(3_000)).filter(|number| Some(*number) != hidden);
    let mut values: Vec<_> = entries.map(|number| (key(number), [number; 10].encode())).collect();
    values.push((count_key(), count.encode()));
    State::new(&values)
}

fn prove(state: &State, numbers: impl IntoIterator<Item = u32>) -> ProvenState {
    let mut keys: Vec<_> = numbers.into_iter().map(key).collect();
    keys.push(count_key());
    ProvenState::new(state.root, state.proof(&keys)).unwrap()
}

#[test]
fn a_complete_list_is_accepted() {
    let state = state_of(3, None);
    let proven = prove(&state, 1..=3);
    let mut list = Listing::<[u32; 10]>::begin(&proven, &count_key(), 1).unwrap();
    list.read(&proven, key).unwrap();
    assert_eq!(list.complete(), Ok(vec![[1; 10], [2; 10], [3; 10]]));
}

#[test]
fn an_empty_list_is_proven_to_be_empty() {
    let state = State::new(&[(key(1), vec![1; 40]), (key(2), vec![1; 40])]);
    let list = Listing::<[u32; 10]>::begin(&prove(&state, []), &count_key(), 1).unwrap();
    assert_eq!(list.complete(), Ok(vec![]));
}

#[test]
fn a_long_list_is_read_in_parts_of_one_state() {
    let state = state_of(3_000, None);
    let mut list = Listing::<[u32; 10]>::begin(&prove(&state, []), &count_key(), 1).unwrap();
    let mut parts = Vec::new();
    loop {
        let part: Vec<u32> = list.next_part().collect();
        if part.is_empty() {
            break;
        }
        parts.push(part.len());
        list.read(&prove(&state, part), key).unwrap();
    }
    assert_eq!(parts, [MAX_KEYS, MAX_KEYS, 3_000 - 2 * MAX_KEYS]);
    assert_eq!(list.complete().unwrap().len(), 3_000);
}

#[test]
fn an_entry_without_its_proof_is_noticed() {
    let state = state_of(3, None);
    let proven = prove(&state, 1..=2);
    let mut list = Listing::<[u32; 10]>::begin(&proven, &count_key(), 1).unwrap();
    let refused = list.read(&proven, key).unwrap_err();
    assert!(matches!(refused, ListingError::State(StateError::Withheld { .. })), "{refused}");
    assert_eq!(list.complete(), Err(ListingError::Incomplete { missing: 3 }));
}

#[test]
fn an_entry_that_the_count_includes_must_exist() {
    let state = state_of(3, Some(2));
    let proven = prove(&state, 1..=3);
    let mut list = Listing::<[u32; 10]>::begin(&proven, &count_key(), 1).unwrap();
    assert_eq!(list.read(&proven, key), Err(ListingError::Missing { number: 2 }));
}

#[test]
fn a_list_cannot_be_continued_from_an_older_state() {
    let (new, old) = (state_of(3, None), state_of(2, None));
    let mut list = Listing::<[u32; 10]>::begin(&prove(&new, []), &count_key(), 1).unwrap();
    let refused = list.read(&prove(&old, 1..=2), key);
    assert_eq!(refused, Err(ListingError::OtherState { begun: new.root, found: old.root }));
}

#[test]
fn an_entry_of_another_type_is_refused() {
    let state = state_of(3, None);
    let proven = prove(&state, 1..=3);
    let mut list = Listing::<u8>::begin(&proven, &count_key(), 1).unwrap();
    let expected = ListingError::State(StateError::OtherType { key: key(1) });
    assert_eq!(list.read(&proven, key), Err(expected));
}

#[test]
fn a_list_has_a_limit() {
    let state = state_of(MAX_ENTRIES + 1, None);
    let refused = Listing::<[u32; 10]>::begin(&prove(&state, []), &count_key(), 1).unwrap_err();
    assert_eq!(refused, ListingError::TooLong { count: MAX_ENTRIES + 1 });

    let state = state_of(3, None);
    let refused = Listing::<[u32; 10]>::begin(&prove(&state, []), &count_key(), u32::MAX);
    assert_eq!(refused.unwrap_err(), ListingError::TooLong { count: 3 });
}
