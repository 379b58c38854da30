//! What a block contains: its header names the root of its extrinsics. So a node can neither hide that a transaction
//! was included, which would then be sent again, nor show the events of another one.

use epione_primitives::Hash;
use sp_runtime::{
    StateVersion,
    traits::{BlakeTwo256, Hash as _},
};

use super::{Doubt, finality::header_of};
use crate::chain::{Chain, ChainError};

impl Chain {
    /// Checks that these are the extrinsics of a final block, all of them, in their order.
    pub(in crate::chain) async fn check_extrinsics(
        &self,
        block: Hash,
        extrinsics: &[Vec<u8>],
    ) -> Result<(), ChainError> {
        let Some(verifier) = &self.verifier else { return Ok(()) };
        verifier.block(self, block).await?;
        let header = header_of(self, block).await?;
        if is_root(header.extrinsics_root, extrinsics) {
            return Ok(());
        }
        Err(self.doubt(Doubt::OtherExtrinsics { block }))
    }

    /// Checks that a final block has this extrinsic at this index.
    pub(in crate::chain) async fn check_inclusion(
        &self,
        block: Hash,
        index: u32,
        extrinsic: &[u8],
    ) -> Result<(), ChainError> {
        if !self.is_verified() {
            return Ok(());
        }
        let extrinsics = self.extrinsics(block).await?;
        let index = usize::try_from(index).ok();
        if index.and_then(|index| extrinsics.get(index)).is_some_and(|found| found == extrinsic) {
            return Ok(());
        }
        Err(self.doubt(Doubt::NotIncluded { block }))
    }
}

/// Whether a header's root is that of these extrinsics. Whether long ones are hashed in the trie depends on the version
/// of the runtime's system.
fn is_root(root: Hash, extrinsics: &[Vec<u8>]) -> bool {
    [StateVersion::V0, StateVersion::V1]
        .into_iter()
        .any(|version| BlakeTwo256::ordered_trie_root(extrinsics.to_vec(), version) == root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_extrinsic_can_be_left_out_added_or_moved() {
        let extrinsics = vec![vec![1; 10], vec![2; 100], vec![3; 3_000]];
        for version in [StateVersion::V0, StateVersion::V1] {
            let root = BlakeTwo256::ordered_trie_root(extrinsics.clone(), version);
            assert!(is_root(root, &extrinsics));
            assert!(!is_root(root, &extrinsics[..2]));
            assert!(!is_root(root, &[]));
            let mut moved = extrinsics.clone();
            moved.swap(0, 1);
            assert!(!is_root(root, &moved));
            moved.push(vec![4]);
            assert!(!is_root(root, &moved));
        }
    }
}
