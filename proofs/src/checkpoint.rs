//! Where verification goes on after a change of the authorities that no votes prove.

use epione_primitives::{BlockNumber, ChainHeader, Hash};
use sp_consensus_grandpa::{AuthorityId, AuthorityList, SetId};
use sp_core::ed25519;

use crate::{Authorities, AuthoritiesError};

/// Why verification cannot begin at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "the checkpoint is of the chain whose first block is {found:?}, not {expected:?}: use the checkpoint of the \
         hospitals of this chain"
    )]
    OtherChain { expected: Hash, found: Hash },
    #[error("a checkpoint is after the first block, which needs none")]
    FirstBlock,
    #[error(
        "the checkpoint counts more than the last authority set: ask the hospitals for it again"
    )]
    LastSet,
    #[error(
        "the node's header is of block {found} ({hash:?}), and the checkpoint is block {number} ({expected:?}): use \
         another node, or ask the hospitals whether this is their checkpoint"
    )]
    OtherBlock { number: BlockNumber, expected: Hash, found: BlockNumber, hash: Hash },
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// A final block, and the authorities that vote for the blocks after it, in the word of the hospitals.
///
/// After [`HandOverError::Forced`](crate::HandOverError::Forced), no votes lead from the genesis block to the
/// authorities. A client that has this word from the hospitals begins with [`begin`](Self::begin), and then follows
/// later changes by their votes, as from the genesis block. Nothing here proves the word: the client must have compared
/// it with what the hospitals publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    genesis: Hash,
    hash: Hash,
    ahead: SetId,
    authorities: Authorities,
}

impl Checkpoint {
    /// The block is named by number and hash. `set` is the number under which the authorities vote. `ahead` is how many
    /// sets the chain's state has counted more: those that it announced while nothing became final, and that never
    /// voted. Each authority has an Ed25519 key and a weight.
    pub fn new(
        genesis: Hash,
        number: BlockNumber,
        hash: Hash,
        set: SetId,
        ahead: SetId,
        authorities: impl IntoIterator<Item = (Hash, u64)>,
    ) -> Result<Self, CheckpointError> {
        if number == 0 {
            return Err(CheckpointError::FirstBlock);
        }
        if set.checked_add(ahead).is_none() {
            return Err(CheckpointError::LastSet);
        }
        let id = |key: Hash| AuthorityId::from(ed25519::Public::from_raw(key.0));
        let list: AuthorityList =
            authorities.into_iter().map(|(key, weight)| (id(key), weight)).collect();
        let authorities = Authorities::restore(set, number, list)?;
        Ok(Self { genesis, hash, ahead, authorities })
    }

    /// The authorities of the checkpoint, for the chain with this genesis block, whose hash the client knows. `header`
    /// is of the checkpoint's block. They make only later blocks final.
    pub fn begin(
        &self,
        genesis: Hash,
        header: &ChainHeader,
    ) -> Result<Authorities, CheckpointError> {
        self.check_chain(genesis)?;
        let (number, expected) = (self.number(), self.hash);
        let (found, hash) = (header.number, header.hash());
        if hash != expected || found != number {
            return Err(CheckpointError::OtherBlock { number, expected, found, hash });
        }
        Ok(self.authorities.clone())
    }

    /// Checks that the checkpoint is of the chain with this genesis block.
    pub fn check_chain(&self, expected: Hash) -> Result<(), CheckpointError> {
        let found = self.genesis;
        if found == expected {
            Ok(())
        } else {
            Err(CheckpointError::OtherChain { expected, found })
        }
    }

    /// The hash of the chain's genesis block.
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    pub fn number(&self) -> BlockNumber {
        self.authorities.after()
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// How many authority sets the chain's state has counted that never voted.
    pub fn ahead(&self) -> SetId {
        self.ahead
    }

    pub fn authorities(&self) -> &Authorities {
        &self.authorities
    }
}
