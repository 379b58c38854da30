//! GRANDPA justifications: the signed votes with which authorities make a block final.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use codec::DecodeAll;
use epione_primitives::{BlockNumber, ChainHeader, Hash};
use finality_grandpa::{Chain, Message, SignedPrecommit, validate_commit, voter_set::VoterSet};
use sp_consensus_grandpa::{
    AuthorityId, AuthoritySignature, GrandpaJustification, RoundNumber, SetId, localized_payload,
};
use sp_core::{Pair, ed25519};

/// Maximum bytes of a justification.
pub const MAX_JUSTIFICATION_BYTES: usize = 1024 * 1024;
/// Maximum number of headers in a justification: blocks between the lowest and the highest vote.
pub const MAX_ANCESTRY: usize = 4096;

type Justification = GrandpaJustification<ChainHeader>;
type Vote = SignedPrecommit<Hash, BlockNumber, AuthoritySignature, AuthorityId>;

/// Why a justification does not show that a block is final.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JustificationError {
    #[error("the justification has {bytes} bytes, and the limit is {max}", max = MAX_JUSTIFICATION_BYTES)]
    TooManyBytes { bytes: usize },
    #[error("the justification is not a GRANDPA justification of this chain")]
    Malformed,
    #[error("the justification has {headers} headers, and the limit is {max}", max = MAX_ANCESTRY)]
    TooManyHeaders { headers: usize },
    #[error("the justification is for block {number} ({hash:?}), not for the block of the header")]
    OtherTarget { number: BlockNumber, hash: Hash },
    #[error("the justification has {votes} votes, and these authorities have at most {max}")]
    TooManyVotes { votes: usize, max: usize },
    #[error("the key {key:?} voted, and is not one of the authorities")]
    NotAnAuthority { key: Hash },
    #[error("the authorities that voted have the weight {weight}, and {needed} is needed")]
    TooFewVotes { weight: u64, needed: u64 },
    #[error("the vote of {key:?} has no valid signature for authority set {set}")]
    BadSignature { key: Hash, set: SetId },
    #[error(
        "a vote is for block {number} ({hash:?}), which does not descend from the lowest voted block"
    )]
    OtherBranch { number: BlockNumber, hash: Hash },
    #[error("the justification has no header of block {hash:?}, which is between two voted blocks")]
    MissingHeader { hash: Hash },
    #[error("block {hash:?} has the number {header}, and the votes imply {voted}")]
    OtherNumber { hash: Hash, header: BlockNumber, voted: BlockNumber },
    #[error("the justification has headers that no vote needs")]
    UnusedHeaders,
    #[error("the votes do not make block {number} final")]
    NotFinal { number: BlockNumber },
}

/// Checks that the encoded justification makes `target` final by the votes of an authority set.
///
/// Cheap checks come before signatures, and signatures before finality-grandpa counts the votes, because it relies on
/// valid signatures and on consistent block numbers.
pub(crate) fn verify(
    mut encoded: &[u8],
    target: (Hash, BlockNumber),
    set: SetId,
    voters: &VoterSet<AuthorityId>,
) -> Result<(), JustificationError> {
    let bytes = encoded.len();
    if bytes > MAX_JUSTIFICATION_BYTES {
        return Err(JustificationError::TooManyBytes { bytes });
    }
    let Justification { round, commit, votes_ancestries } =
        Justification::decode_all(&mut encoded).map_err(|_| JustificationError::Malformed)?;
    let (hash, number) = (commit.target_hash, commit.target_number);
    if (hash, number) != target {
        return Err(JustificationError::OtherTarget { number, hash });
    }
    let headers = votes_ancestries.len();
    if headers > MAX_ANCESTRY {
        return Err(JustificationError::TooManyHeaders { headers });
    }
    check_voters(&commit.precommits, voters)?;
    let ancestry = Ancestry::new(&votes_ancestries);
    if ancestry.between(&commit.precommits)?.len() != headers {
        return Err(JustificationError::UnusedHeaders);
    }
    commit.precommits.iter().try_for_each(|vote| check_signature(vote, round, set))?;
    match validate_commit(&commit, voters, &ancestry) {
        Ok(result) if result.is_valid() => Ok(()),
        _ => Err(JustificationError::NotFinal { number }),
    }
}

/// All votes are by authorities, and these have enough weight. An authority that voted twice counts once.
fn check_voters(votes: &[Vote], voters: &VoterSet<AuthorityId>) -> Result<(), JustificationError> {
    // GRANDPA accepts a second, different vote of an authority in a round as evidence against it.
    let max = 2 * voters.len().get();
    if votes.len() > max {
        return Err(JustificationError::TooManyVotes { votes: votes.len(), max });
    }
    let mut counted = BTreeSet::new();
    let mut weight = 0u64;
    for vote in votes {
        let voter = voters
            .get(&vote.id)
            .ok_or_else(|| JustificationError::NotAnAuthority { key: key_of(&vote.id) })?;
        if counted.insert(&vote.id) {
            weight = weight.saturating_add(voter.weight().get());
        }
    }
    let needed = voters.threshold().get();
    if weight < needed {
        return Err(JustificationError::TooFewVotes { weight, needed });
    }
    Ok(())
}

/// Checks one signature with sp-core's own code: the host function of the SDK would also link secp256k1.
fn check_signature(vote: &Vote, round: RoundNumber, set: SetId) -> Result<(), JustificationError> {
    let message = localized_payload(round, set, &Message::Precommit(vote.precommit.clone()));
    let signature: &ed25519::Signature = vote.signature.as_ref();
    let key: &ed25519::Public = vote.id.as_ref();
    if !ed25519::Pair::verify(signature, message, key) {
        return Err(JustificationError::BadSignature { key: key_of(&vote.id), set });
    }
    Ok(())
}

/// The 32 bytes of an authority's key.
pub(crate) fn key_of(authority: &AuthorityId) -> Hash {
    let key: &ed25519::Public = authority.as_ref();
    Hash::from(*key)
}

/// Number and parent of the blocks whose headers a justification contains, by the hash of the header.
struct Ancestry(BTreeMap<Hash, (BlockNumber, Hash)>);

impl Ancestry {
    fn new(headers: &[ChainHeader]) -> Self {
        Self(headers.iter().map(|h| (h.hash(), (h.number, h.parent_hash))).collect())
    }

    /// The blocks after the lowest voted block and up to the other voted blocks. All votes must be on one tree above
    /// the lowest voted block, with the numbers of the headers.
    fn between(&self, votes: &[Vote]) -> Result<BTreeSet<Hash>, JustificationError> {
        let mut visited = BTreeSet::new();
        let targets = votes.iter().map(|v| (v.precommit.target_hash, v.precommit.target_number));
        let Some(lowest) = targets.clone().min_by_key(|(_, number)| *number) else {
            return Ok(visited);
        };
        for target in targets {
            self.walk(lowest, target, &mut visited)?;
        }
        Ok(visited)
    }

    /// Walks from a voted block back to the lowest one, or to a block from which an earlier walk went on.
    fn walk(
        &self,
        lowest: (Hash, BlockNumber),
        voted: (Hash, BlockNumber),
        visited: &mut BTreeSet<Hash>,
    ) -> Result<(), JustificationError> {
        let (mut hash, mut number) = voted;
        while number > lowest.1 {
            let (header, parent) =
                *self.0.get(&hash).ok_or(JustificationError::MissingHeader { hash })?;
            if header != number {
                return Err(JustificationError::OtherNumber { hash, header, voted: number });
            }
            if !visited.insert(hash) {
                return Ok(());
            }
            (hash, number) = (parent, number - 1);
        }
        if hash != lowest.0 {
            return Err(JustificationError::OtherBranch { number: voted.1, hash: voted.0 });
        }
        Ok(())
    }
}

impl Chain<Hash, BlockNumber> for Ancestry {
    fn ancestry(&self, base: Hash, block: Hash) -> Result<Vec<Hash>, finality_grandpa::Error> {
        let mut route = Vec::new();
        let mut current = block;
        while current != base {
            let (_, parent) = self.0.get(&current).ok_or(finality_grandpa::Error::NotDescendent)?;
            current = *parent;
            route.push(current);
        }
        // The route ends before the base.
        route.pop();
        Ok(route)
    }
}
