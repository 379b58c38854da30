//! Reads a node without believing it. The client knows the hash of the genesis block, and verifies the rest with
//! `epione-proofs`: finality from the genesis authorities, the age of the newest final block, and every value of the
//! state. What the runtime API computes, this module computes from proven values.
//!
//! | module | |
//! | --- | --- |
//! | [`trust`] | what a client believes, and what it knows |
//! | [`finality`] | follows the authorities to the newest final block |
//! | [`checkpoint`] | begins at a checkpoint, if the hospitals changed the authorities by force |
//! | [`ancestors`] | earlier final blocks |
//! | [`memory`] | the file with the last verified block |
//! | [`state`], [`known`] | values by storage proofs, and computations over them |
//! | [`keys`] | where the pallets store what clients read |
//! | [`reads`] | the answers of the runtime API |
//! | [`pages`] | the chain of lite blocks, many blocks by one proof |
//! | [`records`] | the node's `liteBlocks_*` methods |
//! | [`record_proof`] | what proves a record to somebody who has no node |
//! | [`chain_proof`], [`sent`] | what proves values of earlier states, and signed calls, to somebody who has no node |
//! | [`inclusion`] | a block's extrinsics |
//! | [`calls`], [`events`], [`numbers`] | the numbers of calls and events |
//! | [`metadata`] | bounds of the node's metadata |
//!
//! The node's metadata is not proven: see [`calls`] and [`events`] for what that means.

mod ancestors;
mod calls;
mod chain_proof;
mod checkpoint;
mod doubt;
mod events;
mod finality;
mod inclusion;
pub(crate) mod keys;
mod known;
mod memory;
mod metadata;
mod numbers;
mod pages;
mod reads;
mod record_proof;
mod records;
mod sent;
mod state;
#[cfg(test)]
pub(super) mod tests;
mod trust;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use epione_primitives::Hash;
use tokio::sync::Mutex;

use super::{Chain, ChainError};
use crate::waiting::Awaited;
use ancestors::Blocks;
use finality::{Following, Latest, Progress};

pub(crate) use calls::numbers_of;
pub(crate) use chain_proof::{ChainProof, ProvenChain, Proving, Wanted};
pub use doubt::Doubt;
pub use pages::{LiteBlock, LiteChain, PAGE_BLOCKS};
pub use record_proof::ProofFault;
pub(crate) use record_proof::{Committed, RecordProof, Steps};
pub(crate) use sent::{Sent, SignedInBlock};
pub use trust::{MAX_AGE, Pinned, TRUSTING_GIVES_UP, Trust};

pub(super) use finality::Block;
pub(super) use reads::claimed_pending;
pub(super) use state::VerifiedState;

/// The versions of the runtime, and of its transactions, that this source describes.
pub(super) const BUILT_VERSIONS: (u32, u32) = (numbers::SPEC_VERSION, numbers::TRANSACTION_VERSION);

/// Pause after a subscription ended.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Pause between two questions to a node that is behind.
const CATCH_UP_PAUSE: Duration = Duration::from_millis(300);

/// What a client verified of one chain, by the answers of one node.
pub(super) struct Verifier {
    pinned: Pinned,
    following: Mutex<Following>,
    /// The last new head, which can be read while the client asks the node for a newer one.
    latest: Latest,
    blocks: Blocks,
    metadata: metadata::Checked,
}

impl Verifier {
    async fn begin(chain: &Chain, pinned: Pinned) -> Result<Self, ChainError> {
        let (expected, found) = (pinned.genesis, chain.genesis_hash());
        if found != expected {
            return Err(ChainError::OtherChain { url: chain.url().into(), expected, found });
        }
        let kept = match &pinned.memory {
            Some(file) => memory::load(file, expected)?,
            None => None,
        };
        let is_used = |kept: &Progress| {
            let wanted = pinned.checkpoint.as_ref().map(|checkpoint| checkpoint.sha256());
            wanted.is_none() || kept.checkpoint == wanted
        };
        let following = match (kept, &pinned.checkpoint) {
            (Some(kept), _) if is_used(&kept) => Following::resume(pinned.clone(), kept),
            (kept, Some(given)) => checkpoint::begin(chain, pinned.clone(), given, kept).await?,
            (_, None) => Following::begin(chain, pinned.clone()).await?,
        };
        let latest = Latest::new(following.head());
        let (blocks, metadata) = Default::default();
        Ok(Self { pinned, following: Mutex::new(following), latest, blocks, metadata })
    }

    /// The newest final block that the node proves. It is not older than the client tolerates.
    pub(super) async fn head(&self, chain: &Chain) -> Result<Block, ChainError> {
        let mut following = self.following.lock().await;
        let moved = self.advance(chain, &mut following).await?;
        let head = following.head();
        self.pinned.tolerance.check(head.time, crate::now()).map_err(|error| chain.doubt(error))?;
        self.blocks.insert(head.block);
        self.latest.set(head);
        if moved {
            following.keep();
        }
        Ok(head.block)
    }

    /// Moves to the newest final block that the node proves. Waits for a node that is a few blocks behind, and for the
    /// first final block after the genesis block.
    async fn advance(&self, chain: &Chain, following: &mut Following) -> Result<bool, ChainError> {
        let until = Instant::now() + self.pinned.patience;
        let mut waiting = None;
        loop {
            let advanced = match following.advance(chain).await {
                Ok(_) if following.head().block.number == 0 => {
                    Err(chain.doubt(Doubt::NothingFinal))
                }
                advanced => advanced,
            };
            match advanced {
                Err(error) if error.is_few_blocks_behind() && Instant::now() < until => {
                    waiting
                        .get_or_insert_with(|| chain.waits().begin(Awaited::Node, None))
                        .because(&error);
                    tokio::time::sleep(CATCH_UP_PAUSE).await;
                }
                advanced => return advanced,
            }
        }
    }

    /// The state after the newest final block.
    pub(super) async fn newest(&self, chain: &Chain) -> Result<VerifiedState, ChainError> {
        Ok(VerifiedState::new(chain.clone(), self.head(chain).await?))
    }

    /// The state after the last final block that was verified, without asking the node for a newer one. None if the
    /// client verified none yet, or if it is too old.
    fn recent(&self, chain: &Chain) -> Option<VerifiedState> {
        let head = self.latest.get();
        let fresh = self.pinned.tolerance.check(head.time, crate::now()).is_ok();
        fresh.then(|| VerifiedState::new(chain.clone(), head.block))
    }
}

/// How long an answer may take that needs several requests, or a step to a newer head.
const LIMIT: Duration = Duration::from_secs(60);

/// Ends what needs several requests after a time, so that a node cannot delay it with each of them.
async fn within<T>(
    chain: &Chain,
    limit: Duration,
    ask: impl Future<Output = Result<T, ChainError>>,
) -> Result<T, ChainError> {
    tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| {
        let reason = format!("its answers took more than {} s together", limit.as_secs());
        Err(super::unreachable(chain.url(), reason))
    })
}

impl Chain {
    /// The same connection, of which this handle and its clones believe what `trust` says. A new connection believes
    /// its node; nothing that it said before this call is verified, except the genesis hash.
    pub async fn trusting(mut self, trust: Trust) -> Result<Self, ChainError> {
        self.verifier = match trust {
            Trust::Node => None,
            Trust::Verified(pinned) => Some(Arc::new(Verifier::begin(&self, pinned).await?)),
        };
        Ok(self)
    }

    /// The verified state after a final block; none if this handle believes its node.
    pub(super) async fn verified(&self, block: Hash) -> Result<Option<VerifiedState>, ChainError> {
        match &self.verifier {
            Some(verifier) => verifier.state(self, block).await.map(Some),
            None => Ok(None),
        }
    }

    /// The state after a block, of which each value is read by a proof. A handle that believes its node believes also
    /// which state the block has.
    pub(super) async fn proving(&self, block: Hash) -> Result<VerifiedState, ChainError> {
        if let Some(state) = self.verified(block).await? {
            return Ok(state);
        }
        let header = finality::header_of(self, block).await?;
        Ok(VerifiedState::new(self.clone(), Block::of(&header)))
    }

    /// Whether this handle believes only what is proven.
    pub fn is_verified(&self) -> bool {
        self.verifier.is_some()
    }
}
