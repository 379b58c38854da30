//! Follows finality from the authorities that the client knows: over each hand-over, to the newest final block.

use std::sync::{Mutex, PoisonError};

use codec::{Decode, DecodeAll};
use epione_primitives::{BlockNumber, ChainHeader, Hash, Moment, rpc::FinalityReply};
use epione_proofs::{Authorities, FinalizedHead, ProvenState, StorageKey, TimeError};
use serde::Deserialize;
use sp_core::Bytes;
use subxt::rpcs::client::{RpcSubscription, rpc_params};

use super::{Doubt, LIMIT, Pinned, ancestors::hash_before, keys, memory, within};
use crate::chain::{
    Chain, ChainError, decode,
    error::{unknown_block, unknown_number},
};

/// The state of each block has the hashes of at least so many earlier ones (`frame_system::BlockHashCount`). Tests have
/// short chains.
pub(super) const KNOWN_ANCESTORS: BlockNumber = if cfg!(test) { 4 } else { 2_048 };

/// So many steps of [`KNOWN_ANCESTORS`] blocks the client goes back to look for the last verified block. After a longer
/// time, another history is not noticed.
const MAX_STEPS: BlockNumber = 64;

/// Blocks that the client requests at once in the search for a change of the authorities.
const POINTS: BlockNumber = 15;

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

impl Head {
    /// Whether the time is known. It is not for a block that handed over: nobody reads its state.
    fn is_dated(&self) -> bool {
        self.time > 0
    }
}

/// The last new head. It can be read while the client asks the node for a newer one.
pub(super) struct Latest(Mutex<Head>);

impl Latest {
    pub(super) fn new(head: Head) -> Self {
        Self(Mutex::new(head))
    }

    pub(super) fn get(&self) -> Head {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, head: Head) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

/// How far a client has verified the chain: what it keeps between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub authorities: Authorities,
    /// How many authority sets the chain's state has counted that never voted, before a change by force.
    pub ahead: u64,
    /// The hash of the checkpoint's file at which the client began, if it did not begin at the genesis block.
    pub checkpoint: Option<Hash>,
    /// The newest verified block: the last new head, or a block that handed over.
    pub head: Head,
}

impl Progress {
    /// The number of the current authority set in the chain's state.
    fn counted(&self) -> u64 {
        self.authorities.set().saturating_add(self.ahead)
    }
}

/// What a node says about its newest final block.
struct Claim {
    header: ChainHeader,
    /// Proven for this header, which is not proven itself.
    state: ProvenState,
    newest: Option<FinalityReply>,
}

/// How far a client has followed the chain.
pub(super) struct Following {
    progress: Progress,
    /// The last new head, or the block of the checkpoint. Every later block must descend from it. None before the first
    /// one.
    seen: Option<Block>,
    pinned: Pinned,
}

impl Following {
    /// Begins at a block that was verified earlier.
    pub(super) fn resume(pinned: Pinned, progress: Progress) -> Self {
        let seen = progress.head.is_dated().then_some(progress.head.block);
        Self { progress, seen, pinned }
    }

    /// Begins at the block of a checkpoint, from which every later block must descend.
    pub(super) fn after(pinned: Pinned, progress: Progress) -> Self {
        let seen = Some(progress.head.block);
        Self { progress, seen, pinned }
    }

    /// Begins at the genesis block.
    pub(super) async fn begin(chain: &Chain, pinned: Pinned) -> Result<Self, ChainError> {
        let genesis = pinned.genesis;
        let header = header_of(chain, genesis).await?;
        let proof = read_proof(chain, genesis, &[Authorities::key()]).await?;
        let authorities =
            Authorities::genesis(genesis, &header, proof).map_err(|error| chain.doubt(error))?;
        // The genesis block has no time: it is never new enough to be read.
        let head = Head { block: Block::of(&header), time: 0 };
        let progress = Progress { authorities, ahead: 0, checkpoint: None, head };
        Ok(Self::resume(pinned, progress))
    }

    pub(super) fn head(&self) -> Head {
        self.progress.head
    }

    /// Keeps the newest verified block for the next start.
    pub(super) fn keep(&self) {
        let Some(file) = &self.pinned.memory else { return };
        let stored = memory::store(file, self.pinned.genesis, &self.progress);
        if let Err(error) = stored {
            tracing::warn!(%error, "the last verified block was not kept");
        }
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

    /// Each step has a time limit of its own: to what the node claims, over each change of the authorities, to the
    /// proof, and back to the last verified block.
    async fn try_to_advance(&mut self, chain: &Chain) -> Result<bool, ChainError> {
        let Some(claimed) = within(chain, LIMIT, self.claim(chain)).await? else {
            return Ok(false);
        };
        let set: u64 = read(chain, &claimed.state, &keys::current_set())?.unwrap_or(0);
        while self.progress.counted() < set {
            within(chain, LIMIT, self.follow(chain, claimed.header.number)).await?;
        }
        let (header, state) = within(chain, LIMIT, self.prove(chain, claimed)).await?;
        let head = Block::of(&header);
        // The votes may be for another block than the claimed one.
        not_before(chain, self.head().block, head.number)?;
        if let Some(seen) = self.seen {
            within(chain, LIMIT, descends(chain, head, &state, seen)).await?;
        }
        let time = read(chain, &state, &FinalizedHead::time_key())?
            .ok_or_else(|| chain.doubt(TimeError::NoTime))?;
        self.progress.head = Head { block: head, time };
        self.seen = Some(head);
        Ok(true)
    }

    /// What the node says about its newest final block. None if the client has verified this block already.
    async fn claim(&self, chain: &Chain) -> Result<Option<Claim>, ChainError> {
        let hash: Hash = chain.request("chain_getFinalizedHead", rpc_params![]).await?;
        let Head { block: before, .. } = self.head();
        if hash == before.hash && (self.head().is_dated() || before.number == 0) {
            return Ok(None);
        }
        let claimed = claimed_head(chain, hash, self.seen);
        let ((header, state), newest) =
            futures::future::try_join(claimed, newest_justification(chain)).await?;
        not_before(chain, before, header.number)?;
        same_history(chain, before, header.number, hash)?;
        Ok(Some(Claim { header, state, newest }))
    }

    /// Checks that the authorities made the claimed block, or a later one, final. Returns it, and a part of its state.
    /// If the newest justification is for an earlier block, the client waits for the next one.
    async fn prove(
        &self,
        chain: &Chain,
        claim: Claim,
    ) -> Result<(ChainHeader, ProvenState), ChainError> {
        let Claim { header, state, newest } = claim;
        let (claimed, number) = (header.hash(), header.number);
        // The block that handed over to the current authorities is proven.
        let verified = self.head().block;
        if verified.number == number {
            same_history(chain, verified, number, claimed)?;
            return Ok((header, state));
        }
        let (target, justification) = match newest.filter(|newest| newest.header.number >= number) {
            Some(newest) => (newest.header, newest.justification.0),
            None => next_justification(chain, number).await?,
        };
        FinalizedHead::verify(&self.progress.authorities, target.clone(), &justification)
            .map_err(|error| chain.doubt(error))?;
        if target.hash() == claimed {
            return Ok((target, state));
        }
        claimed_head(chain, target.hash(), self.seen).await
    }

    /// Follows the next change of the authorities, which happened after the current set began, and not after block
    /// `latest`. A client that has seen no head yet keeps what it reached, because its way may be long.
    async fn follow(&mut self, chain: &Chain, latest: BlockNumber) -> Result<(), ChainError> {
        let (after, counted) = (self.progress.authorities.after(), self.progress.counted());
        let number = claimed_hand_over(chain, after, counted, latest).await?;
        let hash = claimed_hash(chain, number).await?;
        let before = self.head().block;
        not_before(chain, before, number)?;
        same_history(chain, before, number, hash)?;
        let header = header_of(chain, hash).await?;
        let justification = prove_finality(chain, number).await?.unwrap_or_default();
        let next = self.progress.authorities.follow(&header, &justification);
        self.progress.authorities = next.map_err(|error| chain.doubt(error))?;
        self.progress.head = Head { block: Block::of(&header), time: 0 };
        if self.seen.is_none() {
            self.keep();
        }
        Ok(())
    }
}

/// Where the node says that a set of authorities ended, which began after block `before` and has the number `counted`
/// in the chain's state: found by halving, because changes are rare. The justification of this block proves it.
pub(super) async fn claimed_hand_over(
    chain: &Chain,
    mut before: BlockNumber,
    counted: u64,
    latest: BlockNumber,
) -> Result<BlockNumber, ChainError> {
    let mut after = latest;
    // Not only the middle: many blocks at once save round trips.
    while after.saturating_sub(before) > 1 {
        let points = points(before, after);
        let claims = points.iter().copied().map(|number| claimed_set(chain, number));
        let sets = futures::future::try_join_all(claims).await?;
        for (number, set) in points.into_iter().zip(sets) {
            if set > counted {
                after = number;
                break;
            }
            before = number;
        }
    }
    Ok(after)
}

/// Blocks between two others, at equal distances.
fn points(before: BlockNumber, after: BlockNumber) -> Vec<BlockNumber> {
    let step = after.saturating_sub(before).div_ceil(POINTS + 1).max(1);
    let point = |count: BlockNumber| before.checked_add(step.checked_mul(count)?);
    (1..=POINTS).map_while(point).take_while(|number| *number < after).collect()
}

/// The justification that a node stores for a block that handed over.
pub(super) async fn prove_finality(
    chain: &Chain,
    number: BlockNumber,
) -> Result<Option<Vec<u8>>, ChainError> {
    const METHOD: &str = "grandpa_proveFinality";
    let proof: Option<Bytes> = chain.request(METHOD, rpc_params![number]).await?;
    let Some(Bytes(proof)) = proof else { return Ok(None) };
    // The justified block, its justification, and the headers of the blocks between.
    let (_, justification, _): (Hash, Vec<u8>, Vec<ChainHeader>) = decode(METHOD, &proof)?;
    Ok(Some(justification))
}

/// The newest final block with its justification, as the node sends them. None if the node has none, or does not know
/// the method.
pub(super) async fn newest_justification(
    chain: &Chain,
) -> Result<Option<FinalityReply>, ChainError> {
    match chain.request("finality_newest", rpc_params![]).await {
        Err(ChainError::Refused { code: UNKNOWN_METHOD, .. }) => Ok(None),
        reply => reply,
    }
}

/// Waits until the node sends the justification of this block or of a later one. Returns it with the header of the
/// justified block. The node sends more of them until the subscription ends, so it ends here.
pub(super) async fn next_justification(
    chain: &Chain,
    earliest: BlockNumber,
) -> Result<(ChainHeader, Vec<u8>), ChainError> {
    let next = async {
        loop {
            let mut justifications = subscribe(chain).await?;
            while let Some(Ok(Bytes(justification))) = justifications.next().await {
                let Some((hash, number)) = target(&justification) else { continue };
                if number >= earliest {
                    return Ok((header_of(chain, hash).await?, justification));
                }
            }
            tokio::time::sleep(super::RETRY_PAUSE).await;
        }
    };
    chain.within_limit(next).await
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
pub(super) fn target(justification: &[u8]) -> Option<(Hash, BlockNumber)> {
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
    seen: Option<Block>,
) -> Result<(ChainHeader, ProvenState), ChainError> {
    let mut keys = vec![keys::current_set(), FinalizedHead::time_key()];
    keys.extend(seen.map(|block| keys::block_hash(block.number)));
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

/// Checks that a block is not before a verified one.
fn not_before(chain: &Chain, verified: Block, found: BlockNumber) -> Result<(), ChainError> {
    let seen = verified.number;
    if found < seen {
        return Err(chain.doubt(Doubt::RolledBack { found, seen }));
    }
    Ok(())
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

/// Checks that a verified block is an ancestor of a new one, or the same. `state` is the part of the new block's state
/// that the client has.
async fn descends(
    chain: &Chain,
    head: Block,
    state: &ProvenState,
    verified: Block,
) -> Result<(), ChainError> {
    let Block { number, .. } = verified;
    let found = match head.number.saturating_sub(number) {
        0 => head.hash,
        gap if gap <= KNOWN_ANCESTORS => {
            let from = head.number;
            read(chain, state, &keys::block_hash(number))?
                .ok_or_else(|| chain.doubt(Doubt::NoAncestor { number, from }))?
        }
        gap if gap / KNOWN_ANCESTORS <= MAX_STEPS => {
            hash_before(chain, head, number, |_| {}).await?
        }
        // Too far back.
        _ => return Ok(()),
    };
    same_history(chain, verified, number, found)
}

pub(super) async fn claimed_hash(chain: &Chain, number: BlockNumber) -> Result<Hash, ChainError> {
    let hash: Option<Hash> = chain.request("chain_getBlockHash", rpc_params![number]).await?;
    hash.ok_or_else(|| unknown_number(number))
}

/// The authority set after a block, as the node says.
pub(super) async fn claimed_set(chain: &Chain, number: BlockNumber) -> Result<u64, ChainError> {
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
    fn a_search_ends_at_each_block_after_a_few_rounds() {
        for after in [1, 2, 3, 16, 17, 18, 1_000, BlockNumber::MAX] {
            for end in [1, after / 3 + 1, after / 2 + 1, after] {
                let (mut low, mut high, mut rounds) = (0, after, 0);
                while high - low > 1 {
                    let points = points(low, high);
                    assert!(points.len() <= POINTS as usize);
                    assert!(points.iter().all(|number| low < *number && *number < high));
                    high = points.iter().copied().find(|number| *number >= end).unwrap_or(high);
                    low = points.iter().copied().rfind(|number| *number < end).unwrap_or(low);
                    rounds += 1;
                }
                assert!(high == end && rounds <= 9, "{end} of {after}: {high}, {rounds} rounds");
            }
        }
    }

    #[test]
    fn the_block_of_a_justification_comes_after_its_round() {
        let hash = Hash::repeat_byte(9);
        let mut bytes = (7u64, hash, 1_234u32, [1u8; 40]).encode();
        assert_eq!(target(&bytes), Some((hash, 1_234)));
        bytes.truncate(20);
        assert_eq!(target(&bytes), None);
    }
}
