//! The chain of lite blocks, read in pages of blocks. One storage proof shows all values of a page, so that a client
//! copies the whole chain in few requests.

use std::ops::RangeInclusive;

use codec::{Decode, DecodeAll};
use epione_primitives::{
    Moment,
    approval::Ballot,
    block::{BlockHashes, Entries, Entry, Header},
};
use epione_proofs::{MAX_KEYS, StateError, StorageKey};

use super::{
    VerifiedState,
    finality::{Block, header_of},
    keys,
};
use crate::chain::{BlockRef, Chain, ChainError};

/// Maximum number of blocks of one page. The entries of a block have up to 55 kB, so that the proof of a page of the
/// largest blocks has less than 4 MiB.
pub const PAGE_BLOCKS: u32 = 64;

/// Header, hashes and entries. The ballots have a proof of their own, because the headers name them.
const KEYS_PER_BLOCK: usize = 3;

const _: () = assert!(PAGE_BLOCKS as usize * KEYS_PER_BLOCK <= MAX_KEYS);

/// A committed lite block, as the chain's state has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteBlock {
    pub header: Header,
    pub hashes: BlockHashes,
    pub entries: Vec<Entry>,
    /// The approvals of the other hospitals.
    pub ballot: Ballot,
}

/// The chain of lite blocks in one final state. Clones read the same state.
#[derive(Clone, Debug)]
pub struct LiteChain {
    state: VerifiedState,
    head: BlockRef,
    time: Moment,
    height: u32,
}

impl Chain {
    /// The chain of lite blocks after the newest final block. All values are read by storage proofs. A handle that
    /// believes its node believes also which state is final.
    pub async fn lite_chain(&self) -> Result<LiteChain, ChainError> {
        let state = match &self.verifier {
            Some(verifier) => verifier.newest(self).await?,
            None => {
                let head = self.finalized_head().await?;
                VerifiedState::new(self.clone(), Block::of(&header_of(self, head.hash).await?))
            }
        };
        LiteChain::of(state).await
    }
}

impl LiteChain {
    async fn of(state: VerifiedState) -> Result<Self, ChainError> {
        let needed = [keys::now(), keys::height()];
        let values = state.proven_at_once(&needed).await?;
        let mut values = needed.iter().zip(values);
        let time: Option<Moment> = stored(&state, values.next())?;
        let height: Option<u32> = stored(&state, values.next())?;
        let block = state.head();
        let head = BlockRef { hash: block.hash, number: block.number };
        let (time, height) = (time.unwrap_or_default(), height.unwrap_or_default());
        Ok(Self { state, head, time, height })
    }

    /// The final chain block whose state this is.
    pub fn head(&self) -> BlockRef {
        self.head
    }

    /// The time of that block.
    pub fn time(&self) -> Moment {
        self.time
    }

    /// The height of the newest lite block; 0 if there is none.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The hashes of a lite block.
    pub async fn hashes(&self, height: u32) -> Result<Option<BlockHashes>, ChainError> {
        self.state.value(keys::hashes(height)).await
    }

    /// The lite blocks of these heights, in order: at most the first [`PAGE_BLOCKS`]. Needs two requests, because the
    /// headers name the ballots.
    pub async fn page(&self, heights: RangeInclusive<u32>) -> Result<Vec<LiteBlock>, ChainError> {
        let heights: Vec<u32> = heights.take(PAGE_BLOCKS as usize).collect();
        let needed = heights.iter().flat_map(|height| {
            [keys::header(*height), keys::hashes(*height), keys::entries(*height)]
        });
        let needed: Vec<StorageKey> = needed.collect();
        let mut values = needed.iter().zip(self.state.proven_at_once(&needed).await?);
        let mut parts: Vec<(Header, BlockHashes, Entries)> = Vec::with_capacity(heights.len());
        for _ in &heights {
            let header = self.required(values.next())?;
            parts.push((header, self.required(values.next())?, self.required(values.next())?));
        }
        let ballots = parts.iter().map(|(header, ..)| keys::ballot(header.announcement)).collect();
        let ballots: Vec<Ballot> = self.each(ballots).await?;
        let blocks = parts.into_iter().zip(ballots);
        let blocks = blocks.map(|((header, hashes, entries), ballot)| {
            let entries = entries.into_inner();
            LiteBlock { header, hashes, entries, ballot }
        });
        Ok(blocks.collect())
    }

    /// The values of these keys. It is an error if one of them has none.
    async fn each<T: Decode>(&self, keys: Vec<StorageKey>) -> Result<Vec<T>, ChainError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.state.proven_at_once(&keys).await?;
        keys.iter().zip(values).map(|found| self.required(Some(found))).collect()
    }

    fn required<T: Decode>(&self, found: Option<Found<'_>>) -> Result<T, ChainError> {
        let key = found.as_ref().map(|(key, _)| key.to_string()).unwrap_or_default();
        stored(&self.state, found)?.ok_or_else(|| {
            ChainError::malformed("a committed lite block", format!("the state has no value {key}"))
        })
    }
}

/// A key, and the SCALE of its value if there is one.
type Found<'k> = (&'k StorageKey, Option<Vec<u8>>);

/// The decoded value of a key; none if the state has none.
fn stored<T: Decode>(
    state: &VerifiedState,
    found: Option<Found<'_>>,
) -> Result<Option<T>, ChainError> {
    let Some((key, Some(bytes))) = found else { return Ok(None) };
    let decoded = T::decode_all(&mut bytes.as_slice());
    decoded.map(Some).map_err(|_| state.chain().doubt(StateError::OtherType { key: key.clone() }))
}
