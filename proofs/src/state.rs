//! Values of the chain's state, each proven by the trie's nodes from the state root down to the value.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use codec::{Decode, DecodeAll};
use epione_primitives::Hash;
use sp_core::Blake2Hasher;
use sp_trie::{
    EMPTY_PREFIX, HashDBT, LayoutV1, MemoryDB, StorageProof, TrieDBBuilder, TrieDBIterator,
    TrieError, read_trie_value,
};

use crate::StorageKey;

/// Maximum bytes of the nodes of one proof.
pub const MAX_PROOF_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of nodes of one proof.
pub const MAX_PROOF_NODES: usize = 32 * 1024;
/// Maximum number of keys that are read from one proof together.
pub const MAX_KEYS: usize = 1024;

type Layout = LayoutV1<Blake2Hasher>;
type ReadError = TrieError<Layout>;

/// Why a proof does not show the value of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the node's proof has {bytes} bytes, and the limit is {max}", max = MAX_PROOF_BYTES)]
    TooManyBytes { bytes: usize },
    #[error("the node's proof has {nodes} trie nodes, and the limit is {max}", max = MAX_PROOF_NODES)]
    TooManyNodes { nodes: usize },
    #[error("{keys} keys are too many for one proof: ask for {max} or less", max = MAX_KEYS)]
    TooManyKeys { keys: usize },
    #[error("the node's proof is not of the state with the root {root:?}: use another node")]
    OtherRoot { root: Hash },
    #[error("the node's proof leaves out trie node {node:?}, which is needed for key {key}")]
    Withheld { key: StorageKey, node: Hash },
    #[error("the state's trie is malformed at key {key}")]
    Malformed { key: StorageKey },
    #[error(
        "the value of key {key} does not have the expected type: use a client of the chain's version"
    )]
    OtherType { key: StorageKey },
}

/// An entry of a map: the rest of its key after the map's prefix, and its value.
pub type MapEntry = (Vec<u8>, Vec<u8>);

/// A part of the state with one root: the values that a proof shows, and the keys that it shows to be absent.
///
/// Nodes that are not below the root are never read. So a node can prove too little, but nothing that is wrong.
pub struct ProvenState {
    root: Hash,
    nodes: MemoryDB<Blake2Hasher>,
}

impl ProvenState {
    /// `proof` has the trie nodes that `state_getReadProof` returns, in any order.
    ///
    /// The root must be from a [`FinalizedHead`](crate::FinalizedHead), or from a header with a known hash.
    pub fn new(root: Hash, proof: Vec<Vec<u8>>) -> Result<Self, StateError> {
        let nodes = proof.len();
        if nodes > MAX_PROOF_NODES {
            return Err(StateError::TooManyNodes { nodes });
        }
        let bytes: usize = proof.iter().map(Vec::len).sum();
        if bytes > MAX_PROOF_BYTES {
            return Err(StateError::TooManyBytes { bytes });
        }
        // Each node is stored under the hash that is computed from its bytes.
        let nodes: MemoryDB<Blake2Hasher> = StorageProof::new(proof).into_memory_db();
        if !HashDBT::contains(&nodes, &root, EMPTY_PREFIX) {
            return Err(StateError::OtherRoot { root });
        }
        Ok(Self { root, nodes })
    }

    pub fn root(&self) -> Hash {
        self.root
    }

    /// The value of a key, or none if the proof shows that the state has none. What the proof leaves open is an error.
    pub fn read(&self, key: &StorageKey) -> Result<Option<Vec<u8>>, StateError> {
        read_trie_value::<Layout, _>(&self.nodes, &self.root, key.as_bytes(), None, None)
            .map_err(|error| unreadable(key, *error))
    }

    /// The values of up to [`MAX_KEYS`] keys, in the order of the keys.
    pub fn read_all(&self, keys: &[StorageKey]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        if keys.len() > MAX_KEYS {
            return Err(StateError::TooManyKeys { keys: keys.len() });
        }
        keys.iter().map(|key| self.read(key)).collect()
    }

    /// The entries of a map, in the order of the state: at most `limit` of those whose keys begin with `prefix` and
    /// come after the key `after`. Each has the rest of its key, and its value. If there are fewer, the state has no
    /// others. What the proof leaves open is an error, so a node cannot leave out an entry.
    ///
    /// The proof must show the prefix, the key `after`, and the key of each entry.
    pub fn entries(
        &self,
        prefix: &StorageKey,
        after: Option<&StorageKey>,
        limit: usize,
    ) -> Result<Vec<MapEntry>, StateError> {
        if limit > MAX_KEYS {
            return Err(StateError::TooManyKeys { keys: limit });
        }
        let start = after.unwrap_or(prefix).as_bytes();
        let refuse = |error: Box<ReadError>| unreadable(prefix, *error);
        let trie = TrieDBBuilder::<Layout>::new(&self.nodes, &self.root).build();
        let mut found = TrieDBIterator::new_prefixed_then_seek(&trie, prefix.as_bytes(), start)
            .map_err(refuse)?;
        let mut entries = Vec::new();
        // Reads no entry after the last one of the page: the proof need not show it.
        while entries.len() < limit {
            let Some(entry) = found.next() else { break };
            let (key, value) = entry.map_err(refuse)?;
            if after.is_some_and(|after| key.as_slice() <= after.as_bytes()) {
                continue;
            }
            let Some(rest) = key.strip_prefix(prefix.as_bytes()) else {
                return Err(StateError::Malformed { key: prefix.clone() });
            };
            entries.push((rest.to_vec(), value));
        }
        Ok(entries)
    }

    /// The decoded value of a key, or none if the proof shows that the state has none.
    pub fn value<T: Decode>(&self, key: &StorageKey) -> Result<Option<T>, StateError> {
        self.read(key)?.map(|bytes| decode(key, &bytes)).transpose()
    }
}

fn unreadable(key: &StorageKey, error: ReadError) -> StateError {
    match error {
        ReadError::IncompleteDatabase(node) | ReadError::InvalidStateRoot(node) => {
            StateError::Withheld { key: key.clone(), node }
        }
        _ => StateError::Malformed { key: key.clone() },
    }
}

/// Decodes a value of which no byte may be left.
pub(crate) fn decode<T: Decode>(key: &StorageKey, mut bytes: &[u8]) -> Result<T, StateError> {
    T::decode_all(&mut bytes).map_err(|_| StateError::OtherType { key: key.clone() })
}

impl fmt::Debug for ProvenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvenState").field("root", &self.root).finish_non_exhaustive()
    }
}
