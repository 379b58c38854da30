//! Checkpoints: makes one of a node's chain, and begins to verify at one.
//!
//! A checkpoint is the word of the hospitals. So it changes only what no votes prove: the authorities after its block.
//! What the client verified earlier stays true: the checkpoint must be on the same chain.

use std::time::Duration;

use epione_primitives::{BlockNumber, Hash};
use epione_proofs::{Authorities, CheckpointError, FinalizedHead, HeadError, ProvenState};

use super::{
    Doubt, Pinned,
    ancestors::hash_before,
    finality::{
        Block, Following, Head, KNOWN_ANCESTORS, Progress, header_of, prove_finality, read_proof,
        target,
    },
    keys, within,
};
use crate::chain::{Chain, ChainError, Checkpoint, error::unknown_number};

/// Blocks between a checkpoint and the last verified block, at most: a million, which take five weeks. With more, the
/// client could not show that both are on one chain, and refuses. Tests have short chains.
pub(super) const MAX_GAP: BlockNumber = KNOWN_ANCESTORS * if cfg!(test) { 16 } else { 512 };

/// How long the client may need for the way between a checkpoint and the last verified block.
const WAY_LIMIT: Duration = Duration::from_secs(300);

/// Authority sets that the chain's state may have counted although they never voted, at most: one for each session in
/// which nothing became final.
const MAX_AHEAD: u64 = 1_024;

/// Begins at a checkpoint, unless the client has verified later blocks of the same chain. `kept` is what it verified
/// before.
pub(super) async fn begin(
    chain: &Chain,
    pinned: Pinned,
    checkpoint: &Checkpoint,
    kept: Option<Progress>,
) -> Result<Following, ChainError> {
    let inner = checkpoint.inner();
    inner.check_chain(pinned.genesis).map_err(|error| chain.doubt(error))?;
    let header = header_of(chain, inner.hash()).await?;
    let authorities = inner.begin(pinned.genesis, &header).map_err(|error| chain.doubt(error))?;
    let block = Block::of(&header);
    let used = Some(checkpoint.sha256());
    if let Some(kept) = kept {
        let verified = kept.head.block;
        within(chain, WAY_LIMIT, on_one_chain(chain, block, verified)).await?;
        if verified.number > block.number {
            return Ok(Following::resume(pinned, Progress { checkpoint: used, ..kept }));
        }
    }
    // The block's state is not read, so its time does not matter.
    let head = Head { block, time: 0 };
    let progress = Progress { authorities, ahead: inner.ahead(), checkpoint: used, head };
    Ok(Following::after(pinned, progress))
}

/// Checks that one of the two blocks descends from the other, or is the same.
async fn on_one_chain(chain: &Chain, checkpoint: Block, verified: Block) -> Result<(), ChainError> {
    let (earlier, later) = if checkpoint.number < verified.number {
        (checkpoint, verified)
    } else {
        (verified, checkpoint)
    };
    let (number, gap) = (checkpoint.number, later.number - earlier.number);
    let found = match gap {
        0 => later.hash,
        gap if gap <= MAX_GAP => hash_before(chain, later, earlier.number, |_| {}).await?,
        _ => {
            let seen = verified.number;
            return Err(chain.doubt(Doubt::FarCheckpoint { number, seen, max: MAX_GAP }));
        }
    };
    if found == earlier.hash {
        return Ok(());
    }
    let (hash, seen) = (checkpoint.hash, verified.number);
    Err(chain.doubt(Doubt::OtherCheckpoint { number, hash, seen, verified: verified.hash }))
}

impl Chain {
    /// The checkpoint of a final block. The authorities are those of the state after the block, and they have voted for
    /// a later block: this also shows the number of their set, which the state alone does not.
    ///
    /// A handle that believes its node believes also that the block is final. Fails for the newest final block, and for
    /// one between the announcement of a change by force and its effect.
    pub async fn checkpoint(&self, number: BlockNumber) -> Result<Checkpoint, ChainError> {
        let newest = self.finalized_head().await?.number;
        if number == 0 || number >= newest {
            return Err(self.doubt(Doubt::NotBeforeNewest { number, newest }));
        }
        let hash = self.canonical_hash(number).await?.ok_or_else(|| unknown_number(number))?;
        let (authorities, counted) = stated(self, number, hash).await?;
        if counted == 0 {
            return Err(self.doubt(Doubt::NotNeeded { number }));
        }
        let justification = prove_finality(self, number.saturating_add(1)).await?;
        let justification = justification.unwrap_or_default();
        let (voted, _) = target(&justification).ok_or_else(|| self.doubt(Doubt::NoVotes))?;
        let voted = header_of(self, voted).await?;
        let genesis = self.genesis_hash();
        let mut refused: Option<HeadError> = None;
        for ahead in 0..=counted.min(MAX_AHEAD) {
            let (set, voters) = (counted - ahead, authorities.clone());
            let candidate =
                epione_proofs::Checkpoint::new(genesis, number, hash, set, ahead, voters)
                    .map_err(|error| self.doubt(error))?;
            let voters = candidate.authorities();
            match FinalizedHead::verify(voters, voted.clone(), &justification) {
                Ok(_) => return written(candidate),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let reason = refused.map(|error| error.to_string()).unwrap_or_default();
        Err(self.doubt(Doubt::NotInForce { number, reason }))
    }
}

fn written(checkpoint: epione_proofs::Checkpoint) -> Result<Checkpoint, ChainError> {
    Checkpoint::new(checkpoint).map_err(|error| ChainError::malformed("a checkpoint", error))
}

/// The authorities in the state after a block, and the number that the state has counted for them.
async fn stated(
    chain: &Chain,
    number: BlockNumber,
    hash: Hash,
) -> Result<(Vec<(Hash, u64)>, u64), ChainError> {
    let header = header_of(chain, hash).await?;
    let (list, set) = (Authorities::key(), keys::current_set());
    let proof = read_proof(chain, hash, &[list.clone(), set.clone()]).await?;
    let state = ProvenState::new(header.state_root, proof).map_err(|error| chain.doubt(error))?;
    let counted: Option<u64> = state.value(&set).map_err(|error| chain.doubt(error))?;
    let stored = state.value(&list).map_err(|error| chain.doubt(error))?;
    let stored = stored.ok_or_else(|| chain.doubt(Doubt::Absent { key: list }))?;
    let counted = counted.unwrap_or(0);
    let authorities = Authorities::restore(counted, number, stored)
        .map_err(|error| chain.doubt(CheckpointError::from(error)))?;
    Ok((authorities.keys(), counted))
}
