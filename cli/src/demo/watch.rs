//! Measures when a lite block is announced, committed and final, by watching the chain.

use std::time::{Duration, Instant};

use epione_client::chain::{Chain, Trust};
use epione_devnet::{DevnetError, Probe};
use epione_primitives::Hash;

use crate::failure::Failure;

const POLL: Duration = Duration::from_millis(50);
/// More than a ballot of 200 blocks of 3 s.
const PATIENCE: Duration = Duration::from_secs(700);

/// The times at which a lite block reached its stages.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Its announcement was in the best block.
    pub announced: Instant,
    /// Its commit was in the best block.
    pub committed: Instant,
    /// Its commit was final.
    pub finalized: Instant,
}

/// Waits until the block of this height is committed and final.
pub async fn block(chain: &Chain, height: u32) -> Result<Moments, Failure> {
    let probe = Probe::new().map_err(DevnetError::from)?;
    // Blocks that are not final have no proofs. Their states are read for the times only.
    let unproven = chain.clone().trusting(Trust::Node).await?;
    let until = Instant::now() + PATIENCE;
    let (mut announced, mut committed) = (None, None);
    loop {
        if let (None, Some(best)) = (committed, probe.best(chain.url()).await) {
            let now = Instant::now();
            let stage = look(&unproven, best, height).await?;
            if announced.is_none() && stage != BlockStage::Absent {
                announced = Some(now);
            }
            if stage == BlockStage::Committed {
                committed = Some(now);
            }
        }
        if let (Some(announced), Some(committed)) = (announced, committed)
            && chain.finalized().await?.height().await? >= height
        {
            return Ok(Moments { announced, committed, finalized: Instant::now() });
        }
        if Instant::now() > until {
            return Err(Failure::new(
                format!("block {height} was not finalized after {} s", PATIENCE.as_secs()),
                "read the logs of nodes and workers",
            ));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How far a lite block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockStage {
    Absent,
    Announced,
    Committed,
}

async fn look(chain: &Chain, block: Hash, height: u32) -> Result<BlockStage, Failure> {
    let snapshot = chain.at(block);
    if snapshot.height().await? >= height {
        return Ok(BlockStage::Committed);
    }
    let open = snapshot.open_announcements().await?;
    Ok(if open.is_empty() { BlockStage::Absent } else { BlockStage::Announced })
}
