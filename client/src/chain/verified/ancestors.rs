//! Final blocks before the newest one. The state of each block has the hashes of the blocks before it, so that the
//! client reaches any earlier block in steps of proven hashes.

use std::{
    collections::{BTreeMap, VecDeque},
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

/// Blocks, and hashes of blocks, that the client remembers while it runs.
const MAX_REMEMBERED: usize = 4_096;

/// What is remembered of blocks, by their numbers. The oldest memory is forgotten first, whatever its number: a walk to
/// early blocks is not forgotten for later blocks.
struct Memory<T> {
    known: BTreeMap<BlockNumber, T>,
    ages: VecDeque<BlockNumber>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), ages: VecDeque::new() }
    }
}

impl<T> Memory<T> {
    fn insert(&mut self, number: BlockNumber, value: T) {
        if self.known.insert(number, value).is_none() {
            self.ages.push_back(number);
        }
        if self.ages.len() > MAX_REMEMBERED
            && let Some(oldest) = self.ages.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Final blocks that were verified.
#[derive(Default)]
pub(super) struct Blocks {
    blocks: Mutex<Memory<Block>>,
    /// Hashes of blocks whose headers were not requested.
    hashes: Mutex<Memory<Hash>>,
}

impl Blocks {
    pub(super) fn insert(&self, block: Block) {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(block.number, block);
    }

    fn insert_hash(&self, number: BlockNumber, hash: Hash) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.insert(number, hash);
    }

    fn with_hash(&self, hash: Hash) -> Option<Block> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.known.values().rev().find(|block| block.hash == hash).copied()
    }

    /// The block with this number, or the nearest known one after it.
    fn nearest(&self, number: BlockNumber) -> Option<Block> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.known.range(number..).next().map(|(_, block)| *block)
    }

    fn hash(&self, number: BlockNumber) -> Option<Hash> {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.known.get(&number).copied()
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
        if let Some(hash) = self.blocks.hash(number) {
            return Ok(Some(hash));
        }
        let nearest = match self.blocks.nearest(number) {
            Some(block) => block,
            None => self.head(chain).await?,
        };
        if nearest.number <= number {
            return Ok((nearest.number == number).then_some(nearest.hash));
        }
        let hash = hash_before(chain, nearest, number, |block| self.blocks.insert(block)).await?;
        self.blocks.insert_hash(number, hash);
        Ok(Some(hash))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: BlockNumber) -> Block {
        Block { number, hash: Hash::from_low_u64_be(number.into()), state_root: Hash::zero() }
    }

    #[test]
    fn an_early_block_is_remembered_although_many_later_ones_are_known() {
        let blocks = Blocks::default();
        let full = MAX_REMEMBERED as BlockNumber;
        (0..full).for_each(|number| blocks.insert(block(100_000 + number)));
        blocks.insert(block(7));
        assert_eq!(blocks.nearest(7), Some(block(7)));
        assert_eq!(blocks.with_hash(block(7).hash), Some(block(7)));
        // The oldest memory made room.
        assert_eq!(blocks.nearest(100_000), Some(block(100_001)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let blocks = Blocks::default();
        let twice = 2 * MAX_REMEMBERED as BlockNumber;
        for number in (0..twice).chain(0..twice) {
            blocks.insert(block(number));
            blocks.insert(block(number));
            blocks.insert_hash(number, block(number).hash);
        }
        let blocks_known = blocks.blocks.into_inner().map(|it| (it.known.len(), it.ages.len()));
        let hashes_known = blocks.hashes.into_inner().map(|it| (it.known.len(), it.ages.len()));
        assert_eq!(blocks_known.ok(), Some((MAX_REMEMBERED, MAX_REMEMBERED)));
        assert_eq!(hashes_known.ok(), Some((MAX_REMEMBERED, MAX_REMEMBERED)));
    }
}
