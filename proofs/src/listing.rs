//! Lists that must be complete: the chain stores how many entries there are, so a node cannot leave one out.

use alloc::vec::Vec;

use codec::Decode;
use epione_primitives::Hash;

use crate::{
    StorageKey,
    state::{MAX_KEYS, ProvenState, StateError, decode},
};

/// Maximum number of entries of one list.
pub const MAX_ENTRIES: u32 = 1024 * 1024;

/// Why a list is not proven to be complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the list has {count} entries, and the limit is {max}", max = MAX_ENTRIES)]
    TooLong { count: u32 },
    #[error("the list began with the state {begun:?}, and this proof is of the state {found:?}")]
    OtherState { begun: Hash, found: Hash },
    #[error("the state has no entry {number}, although the list's count includes it")]
    Missing { number: u32 },
    #[error("{missing} entries of the list were not read yet")]
    Incomplete { missing: u32 },
}

/// A list of entries with consecutive numbers, of which the chain stores the count. All proofs must be of one state.
///
/// A long list is read in parts: ask the node for a proof of the keys of [`next_part`](Self::next_part), give it to
/// [`read`](Self::read), and begin again until the part is empty.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    root: Hash,
    first: u32,
    count: u32,
    entries: Vec<T>,
}

impl<T: Decode> Listing<T> {
    /// `count` is the key of the number of entries, a `u32`. A count that is proven to be absent is 0. `first` is the
    /// number of the first entry.
    pub fn begin(
        state: &ProvenState,
        count: &StorageKey,
        first: u32,
    ) -> Result<Self, ListingError> {
        let count: u32 = state.value(count)?.unwrap_or(0);
        if count > MAX_ENTRIES || first.checked_add(count).is_none() {
            return Err(ListingError::TooLong { count });
        }
        Ok(Self { root: state.root(), first, count, entries: Vec::new() })
    }

    /// The number of entries of the complete list.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The numbers of the entries to read next, at most [`MAX_KEYS`].
    pub fn next_part(&self) -> impl Iterator<Item = u32> + use<T> {
        let end = self.first + self.count;
        (self.first..end).skip(self.entries.len()).take(MAX_KEYS)
    }

    /// Reads the next part from a proof. `key` gives the key of the entry with a number.
    pub fn read(
        &mut self,
        state: &ProvenState,
        key: impl Fn(u32) -> StorageKey,
    ) -> Result<(), ListingError> {
        if state.root() != self.root {
            return Err(ListingError::OtherState { begun: self.root, found: state.root() });
        }
        let numbers: Vec<u32> = self.next_part().collect();
        let keys: Vec<StorageKey> = numbers.iter().map(|number| key(*number)).collect();
        let values = state.read_all(&keys)?;
        let mut part = Vec::with_capacity(values.len());
        for ((number, key), value) in numbers.into_iter().zip(&keys).zip(values) {
            let value = value.ok_or(ListingError::Missing { number })?;
            part.push(decode(key, &value)?);
        }
        self.entries.append(&mut part);
        Ok(())
    }

    /// All entries in order, or an error if some were not read yet.
    pub fn complete(self) -> Result<Vec<T>, ListingError> {
        match self.next_part().next() {
            None => Ok(self.entries),
            Some(next) => Err(ListingError::Incomplete { missing: self.first + self.count - next }),
        }
    }
}
