//! A validator is down for more than a session: the chain takes its seat before a third of the seats is silent.

use std::time::{Duration, Instant};

use anyhow::ensure;
use epione_primitives::HospitalId;

use super::{consensus::unready, frame::Drill, seat};

const SILENT: HospitalId = HospitalId(3);
const OTHERS: [HospitalId; 3] = [HospitalId(0), HospitalId(1), HospitalId(2)];
const ALL: [HospitalId; 4] = [OTHERS[0], OTHERS[1], OTHERS[2], SILENT];
/// The rest of a session, and a whole one. With three of four authors, a session takes 13 minutes.
const UNSEATED: Duration = Duration::from_secs(45 * 60);

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("hospital 3 loses power");
    drill.kill(SILENT)?;
    let begun = Instant::now();
    let node = drill.node(OTHERS[0])?;
    drill
        .until("waiting until the chain takes the seat of hospital 3", UNSEATED, async || {
            anyhow::Ok(unready(&node).await?.contains(&SILENT).then_some(()))
        })
        .await?;
    drill.took("after the power cut, until the chain took the seat", begun);
    drill.step("the chain has taken the seat of hospital 3");
    seat::seated(drill, OTHERS[0], &OTHERS).await?;
    drill.took("after the power cut, until the others were the only validators", begun);
    drill.finalizes(OTHERS[0], 20).await?;
    drill.step("the three finalize blocks by themselves; hospital 3 starts again");
    drill.restart(SILENT)?;
    drill.back(SILENT).await?;
    let begun = Instant::now();
    if !seat::be_ready(drill, SILENT).await? {
        drill.step("the worker of hospital 3 has said by itself that it is ready");
    }
    seat::seated(drill, SILENT, &ALL).await?;
    drill.took("after `ready`, until the hospital was a validator", begun);
    seat::makes_blocks(drill, SILENT, &ALL).await?;
    ensure!(unready(&node).await?.is_empty(), "a hospital is not ready");
    drill.step("hospital 3 makes blocks");
    Ok(())
}
