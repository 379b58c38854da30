//! Two of four hospitals lose power: no block becomes final until one of them is back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use epione_primitives::HospitalId;

use super::{consensus::session, frame::Drill, seat};

const AWAY: [HospitalId; 2] = [HospitalId(2), HospitalId(3)];
const LEAST: Duration = Duration::from_secs(15 * 60);
/// With two of four authors, a session takes 20 minutes.
const MOST: Duration = Duration::from_secs(40 * 60);
const SETTLED: Duration = Duration::from_secs(30);

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("hospitals 2 and 3 lose power");
    for id in AWAY {
        drill.kill(id)?;
    }
    let begun = Instant::now();
    drill.pass("two of four are away", SETTLED).await?;
    let node = drill.node(HospitalId(0))?;
    let (finalized, best, before) =
        (node.finalized().await?, node.number(None).await?, session(&node).await?);
    drill.pass("two of four are away", LEAST - SETTLED).await?;
    drill
        .until("two of four are away, until the next session begins", MOST, async || {
            anyhow::Ok((session(&node).await? > before).then_some(()))
        })
        .await?;
    ensure!(node.finalized().await? == finalized, "two of four hospitals finalized a block");
    drill.took("the two were away", begun);
    let made = node.number(None).await?.saturating_sub(best);
    drill.figure("blocks that the other two made, none of them final", made.to_string());
    drill.step("hospitals 2 and 3 start again");
    let begun = Instant::now();
    for id in AWAY {
        drill.restart(id)?;
    }
    drill.finalizes(HospitalId(0), 1).await?;
    drill.took("after the start, until a new block was final", begun);
    for id in AWAY {
        drill.back(id).await?;
    }
    drill.took("after the start, until their workers were ready", begun);
    for id in AWAY {
        // If the chain took its seat meanwhile.
        seat::be_ready(drill, id).await?;
    }
    Ok(())
}
