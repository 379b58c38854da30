//! Final blocks before the newest one. The state of each block has the hashes of the blocks before it, so that the
//! client reaches any earlier block in steps of proven hashes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use epione_primitives::{BlockNumber, Hash};

use super::{
    Doubt, Verifier,
    finality::{Block, KNOWN_ANCESTORS, header_of},
    keys,
    state::VerifiedState,
};
use crate::chain::{Chain, ChainError};

/// Blocks that the client remembers while it runs.
const MAX_BLOCKS: usize = 4_096;

/// Final blocks that were verified, by number.
#[derive(Default)]
pub(super) struct Blocks(Mutex<BTreeMap<BlockNumber, Block>>);

impl Blocks {
    pub(super) fn insert(&self, block: Block) {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(block.number, block);
        if blocks.len() > MAX_BLOCKS {
            blocks.pop_first();
        }
    }

    fn with_hash(&self, hash: Hash) -> Option<Block> {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.values().rev().find(|block| block.hash == hash).copied()
    }

    /// The block with this number, or the nearest known one after it.
    fn nearest(&self, number: BlockNumber) -> Option<Block> {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.range(number..).next().map(|(_, block)| *block)
    }
}

impl Verifier {
    /// The hash of the final block with this number; none beyond the newest one that the node proves.
    pub(in crate::chain) async fn hash_of(
        &self,
        chain: &Chain,
        number: BlockNumber,
    ) -> Result<Option<Hash>, ChainError> {
        if number == 0 {
            return Ok(Some(self.pinned.genesis));
        }
        let nearest = match self.blocks.nearest(number) {
            Some(block) => block,
            None => self.head(chain).await?,
        };
        if nearest.number <= number {
            return Ok((nearest.number == number).then_some(nearest.hash));
        }
        hash_before(chain, nearest, number, |block| self.blocks.insert(block)).await.map(Some)
    }

    /// The final block with this hash.
    pub(in crate::chain) async fn block(
        &self,
        chain: &Chain,
        hash: Hash,
    ) -> Result<Block, ChainError> {
        if let Some(block) = self.blocks.with_hash(hash) {
            return Ok(block);
        }
        let block = Block::of(&header_of(chain, hash).await?);
        if self.hash_of(chain, block.number).await? != Some(hash) {
            return Err(chain.doubt(Doubt::NotFinal { hash }));
        }
        self.blocks.insert(block);
        Ok(block)
    }

    /// The state after the final block with this hash.
    pub(in crate::chain) async fn state(
        &self,
        chain: &Chain,
        hash: Hash,
    ) -> Result<VerifiedState, ChainError> {
        Ok(VerifiedState::new(chain.clone(), self.block(chain, hash).await?))
    }
}

/// The hash of the block with this number, which is before a verified one. `meet` receives the blocks on the way.
pub(super) async fn hash_before(
    chain: &Chain,
    mut from: Block,
    number: BlockNumber,
    meet: impl Fn(Block),
) -> Result<Hash, ChainError> {
    while from.number.saturating_sub(number) > KNOWN_ANCESTORS {
        let hash = known_hash(chain, from, from.number - KNOWN_ANCESTORS).await?;
        from = Block::of(&header_of(chain, hash).await?);
        meet(from);
    }
    known_hash(chain, from, number).await
}

/// The hash of an earlier block, by the state of a verified one.
async fn known_hash(chain: &Chain, from: Block, number: BlockNumber) -> Result<Hash, ChainError> {
    let state = VerifiedState::new(chain.clone(), from);
    let hash: Option<Hash> = state.value(keys::block_hash(number)).await?;
    hash.ok_or_else(|| chain.doubt(Doubt::NoAncestor { number, from: from.number }))
}
