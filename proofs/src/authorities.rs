//! Who makes blocks final: the GRANDPA authority sets, followed from the genesis block by their own votes.

use alloc::vec::Vec;

use epione_primitives::{BlockNumber, ChainHeader, Hash, limits::MAX_HOSPITALS};
use finality_grandpa::voter_set::VoterSet;
use sp_consensus_grandpa::{
    AuthorityId, AuthorityList, ConsensusLog, GRANDPA_ENGINE_ID, ScheduledChange, SetId,
};

use crate::{
    FinalizedHead, HeadError, StorageKey,
    justification::key_of,
    state::{ProvenState, StateError},
};

/// Why a list of authorities cannot decide anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    #[error("the list has {authorities} authorities, and the limit is {max}", max = MAX_HOSPITALS)]
    TooMany { authorities: usize },
    #[error("the list has no authority, or weights that exceed 64 bits together")]
    NoWeight,
}

/// Why the first authorities are not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    #[error(
        "the node's genesis block is {found:?}, and the chain's is {expected:?}: the node follows another chain"
    )]
    OtherChain { expected: Hash, found: Hash },
    #[error("the genesis state has no authorities")]
    NoAuthorities,
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// Why a block does not hand over to the next authorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    #[error(
        "{0}. Use another node; only if the hospitals have published a checkpoint after this block, begin at the \
         checkpoint"
    )]
    Head(#[from] HeadError),
    #[error("block {number} does not change the authorities")]
    NoChange { number: BlockNumber },
    #[error(
        "block {number} forces a change of the authorities, which no votes prove: ask the hospitals for their \
         checkpoint after this block, and begin at it (`epione chain accept-checkpoint`, or [checkpoint] in a \
         worker's configuration)"
    )]
    Forced { number: BlockNumber },
    #[error(
        "block {number} changes the authorities after {delay} blocks, and this chain changes them at once"
    )]
    Delayed { number: BlockNumber, delay: BlockNumber },
    #[error("there is no authority set after set {set}")]
    LastSet { set: SetId },
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// A set of GRANDPA authorities, and the last block before theirs.
///
/// A client begins with [`genesis`](Self::genesis), and follows every change. Between runs it stores number, last
/// block and list, and begins again with [`restore`](Self::restore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    set: SetId,
    after: BlockNumber,
    voters: VoterSet<AuthorityId>,
}

impl Authorities {
    /// The key of the list of authorities in the state of a block.
    pub fn key() -> StorageKey {
        StorageKey::value("Grandpa", "Authorities")
    }

    /// Set 0, from the genesis block whose hash the client knows. `proof` shows [`key`](Self::key) in its state.
    pub fn genesis(
        expected: Hash,
        header: &ChainHeader,
        proof: Vec<Vec<u8>>,
    ) -> Result<Self, GenesisError> {
        let found = header.hash();
        if found != expected || header.number != 0 {
            return Err(GenesisError::OtherChain { expected, found });
        }
        let list = ProvenState::new(header.state_root, proof)?
            .value::<AuthorityList>(&Self::key())?
            .ok_or(GenesisError::NoAuthorities)?;
        Ok(Self::restore(0, 0, list)?)
    }

    /// A set that the client verified earlier: its number, the block that handed over to it, and its list.
    pub fn restore(
        set: SetId,
        after: BlockNumber,
        list: AuthorityList,
    ) -> Result<Self, AuthoritiesError> {
        if list.len() > MAX_HOSPITALS as usize {
            return Err(AuthoritiesError::TooMany { authorities: list.len() });
        }
        let voters = VoterSet::new(list).ok_or(AuthoritiesError::NoWeight)?;
        Ok(Self { set, after, voters })
    }

    /// The next set, from the header of the block that changes the authorities, and from its justification by this
    /// set. Nodes store the justification of each such block: `chain_getBlock` returns it for the engine `FRNK`.
    pub fn follow(
        &self,
        header: &ChainHeader,
        justification: &[u8],
    ) -> Result<Self, HandOverError> {
        // First, because nobody votes for a block that forces a change. It is refused, so it need not be proven.
        let changed = match change(header) {
            Err(HandOverError::Forced { number }) => return Err(HandOverError::Forced { number }),
            changed => changed,
        };
        let number = FinalizedHead::verify(self, header.clone(), justification)?.number();
        let ScheduledChange { next_authorities, delay } = changed?;
        if delay != 0 {
            return Err(HandOverError::Delayed { number, delay });
        }
        let next = self.set.checked_add(1).ok_or(HandOverError::LastSet { set: self.set })?;
        Ok(Self::restore(next, number, next_authorities)?)
    }

    /// The number of the set: 0 at genesis, one more with each change.
    pub fn set(&self) -> SetId {
        self.set
    }

    /// The block that handed over to this set; 0 for the genesis block.
    pub fn after(&self) -> BlockNumber {
        self.after
    }

    /// The keys with their weights, in the order of the keys.
    pub fn list(&self) -> AuthorityList {
        self.voters.iter().map(|(id, voter)| (id.clone(), voter.weight().get())).collect()
    }

    /// The keys with their weights, each key as its 32 bytes, in the order of the keys.
    pub fn keys(&self) -> Vec<(Hash, u64)> {
        self.voters.iter().map(|(id, voter)| (key_of(id), voter.weight().get())).collect()
    }

    pub(crate) fn voters(&self) -> &VoterSet<AuthorityId> {
        &self.voters
    }
}

/// The change that a header announces: as in GRANDPA, a forced one comes before others, and then the first counts.
fn change(header: &ChainHeader) -> Result<ScheduledChange<BlockNumber>, HandOverError> {
    let number = header.number;
    let mut scheduled = None;
    for item in header.digest.logs() {
        match item.consensus_try_to::<ConsensusLog<BlockNumber>>(&GRANDPA_ENGINE_ID) {
            Some(ConsensusLog::ForcedChange(..)) => return Err(HandOverError::Forced { number }),
            Some(ConsensusLog::ScheduledChange(change)) if scheduled.is_none() => {
                scheduled = Some(change);
            }
            _ => {}
        }
    }
    scheduled.ok_or(HandOverError::NoChange { number })
}
