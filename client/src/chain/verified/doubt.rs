//! Why a client does not believe what its node says.

use epione_primitives::{BlockNumber, Hash, RecordPointer};
use epione_proofs::{
    CheckpointError, GenesisError, HandOverError, HeadError, StateError, StorageKey, TimeError,
};

use crate::chain::{Chain, ChainError};

/// Why an answer is not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "the checkpoint's block {number} ({hash:?}) and block {seen} ({verified:?}), which was final earlier, are not \
         on one chain: do not use this checkpoint, and ask the hospitals"
    )]
    OtherCheckpoint { number: BlockNumber, hash: Hash, seen: BlockNumber, verified: Hash },
    #[error(
        "the checkpoint's block {number} is more than {max} blocks from block {seen}, which was final earlier, so \
         nothing shows that they are on one chain: ask the hospitals for a checkpoint that is nearer"
    )]
    FarCheckpoint { number: BlockNumber, seen: BlockNumber, max: BlockNumber },
    #[error(
        "a checkpoint of block {number} cannot be made, because the newest final block is {newest}: choose a block \
         after the first one and before the newest final one"
    )]
    NotBeforeNewest { number: BlockNumber, newest: BlockNumber },
    #[error(
        "no change of the authorities was announced up to block {number}: verification begins at the first block, and \
         needs no checkpoint"
    )]
    NotNeeded { number: BlockNumber },
    #[error("the node has no votes for the blocks after the checkpoint: use another node")]
    NoVotes,
    #[error(
        "the authorities in the state after block {number} did not vote for the blocks after it ({reason}): choose a \
         later block, after which the change by force has taken effect"
    )]
    NotInForce { number: BlockNumber, reason: String },
    #[error("the node sent the header of block {found:?} instead of {asked:?}: use another node")]
    OtherHeader { asked: Hash, found: Hash },
    #[error(
        "the node's newest final block is {found}, and block {seen} was final earlier: the node is behind, or was \
         reset; try again later, or use another node"
    )]
    RolledBack { found: BlockNumber, seen: BlockNumber },
    #[error(
        "block {number} is {found:?} on the node's chain, and the final block {number} that was verified earlier is \
         {expected:?}: the chain has two histories, so ask the hospitals before you go on"
    )]
    Fork { number: BlockNumber, expected: Hash, found: Hash },
    #[error(
        "no block is final yet: wait until the network has started, and check that enough hospitals' nodes run"
    )]
    NothingFinal,
    #[error("block {hash:?} is not one of the chain's final blocks")]
    NotFinal { hash: Hash },
    #[error(
        "the state of block {from} does not have the hash of block {number}: use a client of the chain's version"
    )]
    NoAncestor { number: BlockNumber, from: BlockNumber },
    #[error(
        "this client cannot prove the answer to {method}: read it from a node that you trust, without verification"
    )]
    NoProof { method: String },
    #[error("the node sent other transactions than those of block {block:?}: use another node")]
    OtherExtrinsics { block: Hash },
    #[error(
        "the node says that block {block:?} contains the transaction, and it does not: use another node"
    )]
    NotIncluded { block: Hash },
    #[error(
        "the chain's state has no value for key {key}, which its count includes: use a client of the chain's version"
    )]
    Absent { key: StorageKey },
    #[error(
        "the answer needs more of the chain's state than this client reads for one answer: request less at once, or \
         read it from a node that you trust, without verification"
    )]
    TooLong,
    #[error(
        "a proof with more than {max} {what} would be needed, and no verifier accepts it: what is so old cannot be \
         proven offline"
    )]
    LongProof { what: &'static str, max: u32 },
    #[error(
        "the node sent other bytes than those of record {pointer}, whose hash is on the chain: use another node"
    )]
    OtherRecord { pointer: RecordPointer },
    #[error(
        "the node shows another call than that of motion {motion:?} of the council: use another node"
    )]
    OtherMotion { motion: Hash },
    #[error("the node does not have record {pointer}, which is on the chain: use another node")]
    NoRecord { pointer: RecordPointer },
    #[error(
        "the node's metadata encodes {call} as call {found:?}, and this client expects {expected:?}: use node and \
         client in the same version"
    )]
    OtherCall { call: String, expected: [u8; 2], found: Vec<u8> },
    #[error(
        "the node's metadata names event {numbers:?} {name}, and this client knows other names and numbers: use node \
         and client in the same version"
    )]
    OtherEvent { numbers: [u8; 2], name: String },
    #[error(
        "the node's metadata does not cover all events of block {block:?}: use node and client in the same version"
    )]
    UnreadEvents { block: Hash },
    #[error(
        "by the node's metadata, the events of block {block:?} do not say whether its transaction {extrinsic} failed: \
         use node and client in the same version"
    )]
    NoOutcome { block: Hash, extrinsic: u32 },
    #[error("the node's metadata has {flaw}, as no runtime of this chain has: use another node")]
    Metadata { flaw: &'static str },
    #[error(
        "this client does not know the number of the call {call}, so it does not sign it: use a newer client, or sign \
         it with a node that you trust, without verification"
    )]
    UnknownCall { call: String },
}

/// Nodes of different hospitals may differ by so many final blocks for a moment.
const FEW_BLOCKS: BlockNumber = 20;

impl Doubt {
    /// Whether the node will have what was verified earlier, or a first final block, in a moment.
    fn is_few_blocks_behind(&self) -> bool {
        match self {
            Self::RolledBack { found, seen } => seen.saturating_sub(*found) <= FEW_BLOCKS,
            Self::NothingFinal => true,
            _ => false,
        }
    }

    /// Whether only the hospitals can say what is right: a node that is honest gives no better answer.
    pub fn needs_the_hospitals(&self) -> bool {
        matches!(
            self,
            Self::HandOver(HandOverError::Forced { .. })
                | Self::Checkpoint(_)
                | Self::OtherCheckpoint { .. }
                | Self::FarCheckpoint { .. }
        )
    }

    /// Whether another block must be chosen for a checkpoint.
    pub fn needs_another_block(&self) -> bool {
        matches!(
            self,
            Self::NotBeforeNewest { .. } | Self::NotNeeded { .. } | Self::NotInForce { .. }
        )
    }

    /// Whether an honest node may give the same answer for a while, because it is behind.
    pub(in crate::chain) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RolledBack { .. } | Self::NothingFinal | Self::Time(TimeError::Behind { .. })
        )
    }
}

impl ChainError {
    pub(super) fn is_few_blocks_behind(&self) -> bool {
        matches!(self, Self::Unproven { doubt, .. } if doubt.is_few_blocks_behind())
    }

    /// Whether the node proved no final block after the first one: the chain, or this node, has just begun.
    pub fn is_nothing_final(&self) -> bool {
        matches!(self, Self::Unproven { doubt, .. } if matches!(**doubt, Doubt::NothingFinal))
    }
}

impl Chain {
    pub(in crate::chain) fn doubt(&self, doubt: impl Into<Doubt>) -> ChainError {
        ChainError::Unproven { url: self.url().into(), doubt: Box::new(doubt.into()) }
    }
}
