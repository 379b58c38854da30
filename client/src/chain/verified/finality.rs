//! Follows finality from the authorities that the client knows: over each hand-over, to the newest final block.

use codec::{Decode, DecodeAll};
use epione_primitives::{BlockNumber, ChainHeader, Hash, Moment, rpc::FinalityReply};
use epione_proofs::{Authorities, FinalizedHead, ProvenState, StorageKey, TimeError};
use serde::Deserialize;
use sp_core::Bytes;
use subxt::rpcs::client::{RpcSubscription, rpc_params};

use super::{Doubt, keys};
use crate::chain::{
    Chain, ChainError, decode,
    error::{unknown_block, unknown_number},
};

/// The state of each block has the hashes of at least so many earlier ones (`frame_system::BlockHashCount`). Tests have
/// short chains.
pub(super) const KNOWN_ANCESTORS: BlockNumber = if cfg!(test) { 4 } else { 2_048 };

/// Error code of JSON-RPC: the node does not know the method.
const UNKNOWN_METHOD: i32 = -32601;

/// A final block, and the root of the state after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chain) struct Block {
    pub number: BlockNumber,
    pub hash: Hash,
    pub state_root: Hash,
}

impl Block {
    pub(super) fn of(header: &ChainHeader) -> Self {
        Self { number: header.number, hash: header.hash(), state_root: header.state_root }
    }
}

/// The newest final block that the client verified, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub block: Block,
    pub time: Moment,
}

/// How far a client has followed the chain.
pub(super) struct Following {
    authorities: Authorities,
    head: Head,
    /// The last block that handed over, if this process followed it.
    handed_over: Option<Block>,
    /// Open while the node does not send the newest justification when it is asked.
    justifications: Option<RpcSubscription<Bytes>>,
}

impl Following {
    /// Begins at a block that was verified earlier.
    pub(super) fn resume(authorities: Authorities, head: Head) -> Self {
        Self { authorities, head, handed_over: None, justifications: None }
    }

    /// Begins at the genesis block.
    pub(super) async fn begin(chain: &Chain, genesis: Hash) -> Result<Self, ChainError> {
        let header = header_of(chain, genesis).await?;
        let proof = read_proof(chain, genesis, &[Authorities::key()]).await?;
        let authorities =
            Authorities::genesis(genesis, &header, proof).map_err(|error| chain.doubt(error))?;
        // The genesis block has no time: it is never new enough to be read.
        Ok(Self::resume(authorities, Head { block: Block::of(&header), time: 0 }))
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    pub(super) fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// Moves to the newest final block that the node proves. Returns whether it is a later one.
    pub(super) async fn advance(&mut self, chain: &Chain) -> Result<bool, ChainError> {
        match self.try_to_advance(chain).await {
            // The authorities may have changed between two of its requests.
            Err(ChainError::Unproven { doubt, .. }) if matches!(*doubt, Doubt::Head(_)) => {
                self.try_to_advance(chain).await
            }
            advanced => advanced,
        }
    }

    async fn try_to_advance(&mut self, chain: &Chain) -> Result<bool, ChainError> {
        let hash: Hash = chain.request("chain_getFinalizedHead", rpc_params![]).await?;
        let before = self.head.block;
        if hash == before.hash {
            return Ok(false);
        }
        let claimed = claimed_head(chain, hash, before);
        let ((header, state), newest) =
            futures::future::try_join(claimed, newest_justification(chain)).await?;
        let number = header.number;
        if number < before.number {
            return Err(chain.doubt(Doubt::RolledBack { found: number, seen: before.number }));
        }
        same_history(chain, before, number, hash)?;

        let set: u64 = read(chain, &state, &keys::current_set())?.unwrap_or(0);
        while self.authorities.set() < set {
            self.follow(chain, number).await?;
        }
        let (header, state) = match self.handed_over {
            Some(block) if block.number == number => {
                same_history(chain, block, number, hash)?;
                (header, state)
            }
            _ => self.prove(chain, header, state, newest).await?,
        };
        if header.number - before.number <= KNOWN_ANCESTORS {
            let found: Hash =
                read(chain, &state, &keys::block_hash(before.number))?.unwrap_or_default();
            same_history(chain, before, before.number, found)?;
        }
        let time = read(chain, &state, &FinalizedHead::time_key())?
            .ok_or_else(|| chain.doubt(TimeError::NoTime))?;
        self.head = Head { block: Block::of(&header), time };
        Ok(true)
    }

    /// Checks that the authorities made this block, or a later one, final. Returns it, and a part of its state. `newest`
    /// is the newest justification that the node sent; if it is for an earlier block, the client waits for the next one.
    async fn prove(
        &mut self,
        chain: &Chain,
        header: ChainHeader,
        state: ProvenState,
        newest: Option<FinalityReply>,
    ) -> Result<(ChainHeader, ProvenState), ChainError> {
        let claimed = header.hash();
        let (target, justification) =
            match newest.filter(|newest| newest.header.number >= header.number) {
                Some(newest) => {
                    self.justifications = None;
                    (newest.header, newest.justification.0)
                }
                None => self.next_justification(chain, header.number).await?,
            };
        FinalizedHead::verify(&self.authorities, target.clone(), &justification)
            .map_err(|error| chain.doubt(error))?;
        if target.hash() == claimed {
            return Ok((target, state));
        }
        claimed_head(chain, target.hash(), self.head.block).await
    }

    /// Follows the next change of the authorities, which happened after the current set began, and not after block
    /// `latest`.
    async fn follow(&mut self, chain: &Chain, latest: BlockNumber) -> Result<(), ChainError> {
        let number = claimed_hand_over(chain, &self.authorities, latest).await?;
        let hash = claimed_hash(chain, number).await?;
        let before = self.head.block;
        if number < before.number {
            return Err(chain.doubt(Doubt::RolledBack { found: number, seen: before.number }));
        }
        same_history(chain, before, number, hash)?;
        let header = header_of(chain, hash).await?;
        let justification = prove_finality(chain, number).await?.unwrap_or_default();
        self.authorities =
            self.authorities.follow(&header, &justification).map_err(|error| chain.doubt(error))?;
        self.handed_over = Some(Block::of(&header));
        // It was about the previous authorities.
        self.justifications = None;
        Ok(())
    }

    /// Waits until the node sends the justification of this block or of a later one. Returns it with the header of the
    /// justified block.
    async fn next_justification(
        &mut self,
        chain: &Chain,
        earliest: BlockNumber,
    ) -> Result<(ChainHeader, Vec<u8>), ChainError> {
        chain
            .within_limit(async {
                loop {
                    let Some(justifications) = &mut self.justifications else {
                        self.justifications = Some(subscribe(chain).await?);
                        continue;
                    };
                    let Some(Ok(Bytes(justification))) = justifications.next().await else {
                        self.justifications = None;
                        tokio::time::sleep(super::RETRY_PAUSE).await;
                        continue;
                    };
                    let Some((hash, number)) = target(&justification) else { continue };
                    if number >= earliest {
                        return Ok((header_of(chain, hash).await?, justification));
                    }
                }
            })
            .await
    }
}

/// Where the node says that this set of authorities ended: found by halving, because changes are rare. The
/// justification of this block proves it.
async fn claimed_hand_over(
    chain: &Chain,
    authorities: &Authorities,
    latest: BlockNumber,
) -> Result<BlockNumber, ChainError> {
    let (mut before, mut after) = (authorities.after(), latest);
    while after.saturating_sub(before) > 1 {
        let middle = BlockNumber::midpoint(before, after);
        if claimed_set(chain, middle).await? > authorities.set() {
            after = middle;
        } else {
            before = middle;
        }
    }
    Ok(after)
}

/// The justification that a node stores for a block that handed over.
async fn prove_finality(chain: &Chain, number: BlockNumber) -> Result<Option<Vec<u8>>, ChainError> {
    const METHOD: &str = "grandpa_proveFinality";
    let proof: Option<Bytes> = chain.request(METHOD, rpc_params![number]).await?;
    let Some(Bytes(proof)) = proof else { return Ok(None) };
    // The justified block, its justification, and the headers of the blocks between.
    let (_, justification, _): (Hash, Vec<u8>, Vec<ChainHeader>) = decode(METHOD, &proof)?;
    Ok(Some(justification))
}

/// The newest final block with its justification, as the node sends them. None if the node has none, or does not know
/// the method.
async fn newest_justification(chain: &Chain) -> Result<Option<FinalityReply>, ChainError> {
    match chain.request("finality_newest", rpc_params![]).await {
        Err(ChainError::Refused { code: UNKNOWN_METHOD, .. }) => Ok(None),
        reply => reply,
    }
}

async fn subscribe(chain: &Chain) -> Result<RpcSubscription<Bytes>, ChainError> {
    const METHOD: &str = "grandpa_subscribeJustifications";
    chain
        .inner
        .rpc
        .subscribe(METHOD, rpc_params![], "grandpa_unsubscribeJustifications")
        .await
        .map_err(|error| chain.rpc_error(METHOD, error))
}

/// The block for which a justification is, which is not verified: a round, then hash and number.
fn target(justification: &[u8]) -> Option<(Hash, BlockNumber)> {
    let (_, hash, number) = <(u64, Hash, BlockNumber)>::decode(&mut &justification[..]).ok()?;
    Some((hash, number))
}

/// The header with a hash.
pub(super) async fn header_of(chain: &Chain, hash: Hash) -> Result<ChainHeader, ChainError> {
    let header: Option<ChainHeader> = chain.request("chain_getHeader", rpc_params![hash]).await?;
    let header = header.ok_or_else(|| unknown_block(hash))?;
    let found = header.hash();
    if found != hash {
        return Err(chain.doubt(Doubt::OtherHeader { asked: hash, found }));
    }
    Ok(header)
}

/// The trie nodes that the node sends for these keys of a block's state.
pub(super) async fn read_proof(
    chain: &Chain,
    block: Hash,
    keys: &[StorageKey],
) -> Result<Vec<Vec<u8>>, ChainError> {
    let keys: Vec<String> = keys.iter().map(StorageKey::to_string).collect();
    read_proof_of(chain, block, &keys).await
}

/// As [`read_proof`], of keys in hexadecimal.
pub(super) async fn read_proof_of(
    chain: &Chain,
    block: Hash,
    keys: &[String],
) -> Result<Vec<Vec<u8>>, ChainError> {
    #[derive(Deserialize)]
    struct Reply {
        proof: Vec<Bytes>,
    }
    let Reply { proof } = chain.request("state_getReadProof", rpc_params![keys, block]).await?;
    Ok(proof.into_iter().map(|Bytes(node)| node).collect())
}

/// The header with this hash, and what the client must know of the state after it. The state is proven for this header,
/// and counts only if the header is final.
async fn claimed_head(
    chain: &Chain,
    hash: Hash,
    before: Block,
) -> Result<(ChainHeader, ProvenState), ChainError> {
    let keys = [keys::current_set(), FinalizedHead::time_key(), keys::block_hash(before.number)];
    let (header, proof) =
        futures::future::try_join(header_of(chain, hash), read_proof(chain, hash, &keys)).await?;
    let state = ProvenState::new(header.state_root, proof).map_err(|error| chain.doubt(error))?;
    Ok((header, state))
}

fn read<T: Decode>(
    chain: &Chain,
    state: &ProvenState,
    key: &StorageKey,
) -> Result<Option<T>, ChainError> {
    state.value(key).map_err(|error| chain.doubt(error))
}

/// Checks that a block with the number of a verified one is the same.
fn same_history(
    chain: &Chain,
    verified: Block,
    number: BlockNumber,
    found: Hash,
) -> Result<(), ChainError> {
    let expected = verified.hash;
    if number == verified.number && found != expected {
        return Err(chain.doubt(Doubt::Fork { number, expected, found }));
    }
    Ok(())
}

async fn claimed_hash(chain: &Chain, number: BlockNumber) -> Result<Hash, ChainError> {
    let hash: Option<Hash> = chain.request("chain_getBlockHash", rpc_params![number]).await?;
    hash.ok_or_else(|| unknown_number(number))
}

/// The authority set after a block, as the node says.
async fn claimed_set(chain: &Chain, number: BlockNumber) -> Result<u64, ChainError> {
    let hash = claimed_hash(chain, number).await?;
    let key = keys::current_set().to_string();
    let stored: Option<Bytes> = chain.request("state_getStorage", rpc_params![key, hash]).await?;
    let Some(Bytes(stored)) = stored else { return Ok(0) };
    DecodeAll::decode_all(&mut stored.as_slice())
        .map_err(|error| ChainError::malformed("the number of the authority set", error))
}

#[cfg(test)]
mod tests {
    use codec::Encode;

    use super::*;

    #[test]
    fn the_block_of_a_justification_comes_after_its_round() {
        let hash = Hash::repeat_byte(9);
        let mut bytes = (7u64, hash, 1_234u32, [1u8; 40]).encode();
        assert_eq!(target(&bytes), Some((hash, 1_234)));
        bytes.truncate(20);
        assert_eq!(target(&bytes), None);
    }
}
