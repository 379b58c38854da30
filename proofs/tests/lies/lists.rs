//! Lists and maps from which a node leaves out entries.

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
fn no_entry_of_a_map_can_be_left_out() {
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
