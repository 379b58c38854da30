//! When things happen on the chain: looked at from outside, best block and final block apart.

use std::time::{Duration, Instant};

use epione_client::chain::Chain;
use epione_primitives::Hash;

use crate::{devnet::Probe, failure::Failure};

const POLL: Duration = Duration::from_millis(50);
/// A ballot of 200 blocks of 3 s, and some more.
const PATIENCE: Duration = Duration::from_secs(700);

/// When a lite block reached its stages.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Its announcement was in the best block.
    pub announced: Instant,
    /// Its commit was.
    pub committed: Instant,
    /// And that was final.
    pub finalised: Instant,
}

/// Watches until the block of this height is committed and final.
pub async fn block(chain: &Chain, height: u32) -> Result<Moments, Failure> {
    let probe = Probe::new().map_err(crate::devnet::DevnetError::from)?;
    let until = Instant::now() + PATIENCE;
    let (mut announced, mut committed) = (None, None);
    loop {
        if let (None, Some(best)) = (committed, probe.best(chain.url()).await) {
            let now = Instant::now();
            let stage = look(chain, best, height).await?;
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
            return Ok(Moments { announced, committed, finalised: Instant::now() });
        }
        if Instant::now() > until {
            return Err(Failure::new(
                format!("block {height} was not final after {} s", PATIENCE.as_secs()),
                "the logs of nodes and workers say why",
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
