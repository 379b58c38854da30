//! The network falls into two parts. Only a part with more than two thirds of the validators may finalize blocks.

use std::time::{Duration, Instant};

use anyhow::ensure;
use epione_primitives::HospitalId;

use super::frame::{Drill, RECOVERY, Setting};

/// Shorter than a session of three of four validators, so that the chain takes no seat.
const CUT: Duration = Duration::from_secs(10 * 60);
/// In this time, what was on its way when the links were cut has arrived or is lost.
const SETTLED: Duration = Duration::from_secs(30);
const HOSPITALS: u16 = 4;

pub fn setting() -> Setting {
    Setting { places: Some(HOSPITALS), ..Setting::default() }
}

/// The three go on, the one waits and is back by itself.
pub async fn three_and_one(drill: &mut Drill) -> anyhow::Result<()> {
    let alone = [HospitalId(3)];
    let others = drill.links()?.all_but(&alone);
    drill.step("hospital 3 is cut off from the others");
    drill.links()?.separate(&alone, &others)?;
    drill.pass("the links are cut", SETTLED).await?;
    let (here, there) = (drill.node(HospitalId(0))?, drill.node(HospitalId(3))?);
    let (three, one) = (here.finalized().await?, there.finalized().await?);
    drill.pass("hospital 3 is cut off", CUT - SETTLED).await?;
    let more = here.finalized().await?.saturating_sub(three);
    ensure!(more > 0, "the three hospitals finalized no block while the fourth was cut off");
    let further = there.finalized().await?.saturating_sub(one);
    ensure!(further == 0, "a hospital that is alone finalized {further} blocks");
    drill.figure("blocks that the three finalized during the cut", more.to_string());
    drill.step("the links work again");
    drill.links()?.reunite(&alone, &others)?;
    let begun = Instant::now();
    drill.back(HospitalId(3)).await?;
    drill
        .took("after the cut, until the fourth followed the chain and its worker was ready", begun);
    Ok(())
}

/// Nobody finalizes, and both sides are back by themselves.
pub async fn two_and_two(drill: &mut Drill) -> anyhow::Result<()> {
    let one = [HospitalId(0), HospitalId(1)];
    let other = drill.links()?.all_but(&one);
    drill.step("hospitals 0 and 1 are cut off from 2 and 3");
    drill.links()?.separate(&one, &other)?;
    drill.pass("the links are cut", SETTLED).await?;
    let nodes = [drill.node(HospitalId(0))?, drill.node(HospitalId(2))?];
    let mut before = Vec::new();
    for node in &nodes {
        before.push((node.finalized().await?, node.number(None).await?));
    }
    drill.pass("two and two are cut off from each other", CUT - SETTLED).await?;
    for (node, (finalized, best)) in nodes.iter().zip(before) {
        let more = node.finalized().await?.saturating_sub(finalized);
        ensure!(more == 0, "two of four hospitals finalized {more} blocks");
        let more = node.number(None).await?.saturating_sub(best);
        ensure!(more > 0, "two of four hospitals made no blocks");
        drill.figure("blocks of one side that were not final", more.to_string());
    }
    drill.step("the links work again");
    drill.links()?.reunite(&one, &other)?;
    let begun = Instant::now();
    drill.finalizes(HospitalId(0), 1).await?;
    drill.took("after the cut, until a new block was final", begun);
    for id in (0..HOSPITALS).map(HospitalId) {
        drill.back(id).await?;
    }
    drill.took("after the cut, until all workers were ready", begun);
    ensure!(begun.elapsed() < RECOVERY, "the network needed longer than {} s", RECOVERY.as_secs());
    Ok(())
}
