//! Extrinsics of a block, each proven by the trie's nodes from the root in the block's header down to the extrinsic.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use epione_primitives::Hash;
use sp_core::Blake2Hasher;
use sp_trie::{
    LayoutV0, LayoutV1, MemoryDB, Recorder, StorageProof, Trie, TrieDBBuilder, TrieDBMutBuilder,
    TrieError, TrieLayout, TrieMut,
};

use crate::{ProvenState, StateError, StorageKey};

/// The extrinsic with this index in a block whose header has this root; none if the block has no such extrinsic.
/// `proof` is from [`prove_extrinsics`]. The result begins with the extrinsic's length, as in the block.
///
/// Reading is the same for both versions of the trie.
pub fn extrinsic(
    root: Hash,
    index: u32,
    proof: Vec<Vec<u8>>,
) -> Result<Option<Vec<u8>>, StateError> {
    ProvenState::new(root, proof)?.read(&StorageKey::extrinsic(index))
}

/// The trie nodes that prove the extrinsics with these indices: one proof for each index, in their order. None if
/// these are not all extrinsics of the block with this root, in their order.
///
/// A runtime whose `system_version` is 0 or 1 hashes no extrinsic in the trie separately, and a later one does.
pub fn prove_extrinsics(
    root: Hash,
    extrinsics: &[Vec<u8>],
    indices: &[u32],
) -> Option<Vec<Vec<Vec<u8>>>> {
    let old = || proofs::<LayoutV0<Blake2Hasher>>(root, extrinsics, indices);
    old().or_else(|| proofs::<LayoutV1<Blake2Hasher>>(root, extrinsics, indices))
}

fn proofs<L: TrieLayout<Hash = Blake2Hasher>>(
    root: Hash,
    extrinsics: &[Vec<u8>],
    indices: &[u32],
) -> Option<Vec<Vec<Vec<u8>>>> {
    let nodes = nodes::<L>(root, extrinsics).ok().flatten()?;
    indices.iter().map(|index| proof::<L>(&nodes, root, *index).ok()).collect()
}

type Nodes = MemoryDB<Blake2Hasher>;

/// The trie of these extrinsics, if it has this root.
fn nodes<L: TrieLayout<Hash = Blake2Hasher>>(
    root: Hash,
    extrinsics: &[Vec<u8>],
) -> Result<Option<Nodes>, Box<TrieError<L>>> {
    let mut nodes: Nodes = StorageProof::empty().into_memory_db();
    let mut found = Hash::default();
    {
        let mut trie = TrieDBMutBuilder::<L>::new(&mut nodes, &mut found).build();
        for (index, extrinsic) in (0..).zip(extrinsics) {
            trie.insert(StorageKey::extrinsic(index).as_bytes(), extrinsic)?;
        }
    }
    Ok((found == root).then_some(nodes))
}

fn proof<L: TrieLayout<Hash = Blake2Hasher>>(
    nodes: &Nodes,
    root: Hash,
    index: u32,
) -> Result<Vec<Vec<u8>>, Box<TrieError<L>>> {
    let mut recorder = Recorder::<L>::new();
    {
        let trie = TrieDBBuilder::<L>::new(nodes, &root).with_recorder(&mut recorder).build();
        trie.get(StorageKey::extrinsic(index).as_bytes())?;
    }
    let nodes: BTreeSet<_> = recorder.drain().into_iter().map(|record| record.data).collect();
    Ok(nodes.into_iter().collect())
}
