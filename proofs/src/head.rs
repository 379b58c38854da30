//! Finalized heads: the blocks whose state a client reads, and how old they are.

use epione_primitives::{BlockNumber, ChainHeader, Hash, Moment};
use sp_consensus_grandpa::SetId;

use crate::{
    Authorities, StorageKey,
    justification::{self, JustificationError},
};

/// Why a header is not proven to be final.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("block {number} is not after block {after}, which handed over to authority set {set}")]
    BeforeSet { number: BlockNumber, after: BlockNumber, set: SetId },
    #[error("block {number} is not proven to be final: {reason}")]
    NotJustified { number: BlockNumber, reason: JustificationError },
}

/// Why the time of a head is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("the state has no time")]
    NoTime,
    #[error(
        "the node's newest final block is {millis} ms old: try again later, or use another node"
    )]
    Behind { millis: u64 },
    #[error(
        "the node's newest final block is {millis} ms ahead of this machine's clock: correct the clock"
    )]
    Ahead { millis: u64 },
}

/// How much the time of a head may differ from the client's clock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    pub behind: u64,
    pub ahead: u64,
}

impl Tolerance {
    /// Checks the proven time of a head against the client's time `now`. A client that keeps a head checks it again
    /// before each use.
    pub fn check(self, time: Moment, now: Moment) -> Result<(), TimeError> {
        let (behind, ahead) = (now.saturating_sub(time), time.saturating_sub(now));
        if behind > self.behind {
            return Err(TimeError::Behind { millis: behind });
        }
        if ahead > self.ahead {
            return Err(TimeError::Ahead { millis: ahead });
        }
        Ok(())
    }
}

/// A header that the authorities made final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizedHead {
    header: ChainHeader,
    hash: Hash,
}

impl FinalizedHead {
    /// Checks that the encoded GRANDPA justification makes the block of this header final, by the votes of this
    /// authority set.
    ///
    /// Authorities that handed over could still sign other blocks. So follow all changes first, with
    /// [`Authorities::follow`], and then check the time of the head.
    pub fn verify(
        authorities: &Authorities,
        header: ChainHeader,
        justification: &[u8],
    ) -> Result<Self, HeadError> {
        let (number, set, after) = (header.number, authorities.set(), authorities.after());
        if number <= after {
            return Err(HeadError::BeforeSet { number, after, set });
        }
        let hash = header.hash();
        justification::verify(justification, (hash, number), set, authorities.voters())
            .map_err(|reason| HeadError::NotJustified { number, reason })?;
        Ok(Self { header, hash })
    }

    pub fn number(&self) -> BlockNumber {
        self.header.number
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    pub fn state_root(&self) -> Hash {
        self.header.state_root
    }

    /// The key of the chain's time in the state of a block.
    pub fn time_key() -> StorageKey {
        StorageKey::value("Timestamp", "Now")
    }
}
