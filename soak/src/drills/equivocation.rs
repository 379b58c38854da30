//! Operators start a second node with a hospital's session keys, because they cannot reach the first one. When the
//! first one is back, both vote: an equivocation.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use epione_devnet::Service;
use epione_primitives::HospitalId;

use super::{
    consensus::benched,
    frame::{Drill, Setting},
    seat,
};
use crate::{council, node::Node, storage};

const DOUBLED: HospitalId = HospitalId(3);
const OTHERS: [HospitalId; 3] = [HospitalId(0), HospitalId(1), HospitalId(2)];
const ALL: [HospitalId; 4] = [OTHERS[0], OTHERS[1], OTHERS[2], DOUBLED];
/// Where the second node runs: behind a link of its own.
const ELSEWHERE: HospitalId = HospitalId(4);
/// How long the second node may take to follow the chain.
const SYNCED: Duration = Duration::from_secs(10 * 60);
/// A validator of four has a slot every twelve seconds. In each, the two nodes make different blocks and vote for them.
const PROVEN: Duration = Duration::from_secs(30 * 60);
/// A second node that is at most this many blocks behind follows the chain.
const NEAR: u32 = 3;

pub fn setting() -> Setting {
    // The node makes new session keys when the council reinstates the hospital. Nobody else reaches its namespace.
    Setting { places: Some(5), node_arguments: &["--rpc-methods=unsafe"], ..Setting::default() }
}

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("hospital 3 is cut off from the others");
    let rest = drill.links()?.all_but(&[DOUBLED]);
    drill.links()?.separate(&[DOUBLED], &rest)?;
    drill.step("its operators start a second node with its session keys elsewhere");
    let layout = drill.links()?.layout();
    let place = layout.locations.get(usize::from(ELSEWHERE.0)).context("there is no place")?;
    let site = drill.site(DOUBLED)?;
    let mut second = drill.network.plan().second_node(site, &place.node).await?;
    second.process.start()?;
    let copy = Node::new(&second.url)?;
    let first = drill.node(OTHERS[0])?;
    drill
        .until("waiting until the second node follows the chain", SYNCED, async || {
            let newest = first.finalized().await?;
            anyhow::Ok((copy.finalized().await? + NEAR >= newest).then_some(()))
        })
        .await?;
    drill.pass("the second node votes for hospital 3", Duration::from_secs(60)).await?;
    drill.step("hospital 3 reaches the others again, but not its second node");
    drill.links()?.reunite(&[DOUBLED], &OTHERS)?;
    let begun = Instant::now();
    drill
        .until("waiting for the proof of an equivocation", PROVEN, async || {
            anyhow::Ok(benched(&first).await?.contains(&DOUBLED).then_some(()))
        })
        .await?;
    drill.took("after both nodes voted, until the chain benched the hospital", begun);
    ensure!(second.process.ended().is_none(), "the second node has ended by itself");
    drill.step("the hospital is benched; its operators stop the second node");
    second.process.kill()?;
    drill.links()?.reunite(&[DOUBLED], &[ELSEWHERE])?;
    ensure!(members(&first).await? == ALL.len(), "the hospital has lost its seat in the council");
    seat::seated(drill, OTHERS[0], &OTHERS).await?;
    drill.took("after both nodes voted, until the others were the only validators", begun);
    drill.finalizes(OTHERS[0], 20).await?;
    drill.back(DOUBLED).await?;
    reinstate(drill, &first).await
}

/// The hospital gets new session keys, and then the council reinstates it.
async fn reinstate(drill: &mut Drill, first: &Node) -> anyhow::Result<()> {
    drill.step("hospital 3 makes new session keys");
    seat::set_session_keys(drill.hospital(DOUBLED)?).await?;
    let voters = drill.hospitals(&OTHERS[..council::more_than_half(ALL.len())])?;
    council::pass(&voters, &council::reinstate(DOUBLED)).await?;
    let begun = Instant::now();
    drill.step("the council has reinstated hospital 3");
    seat::be_ready(drill, DOUBLED).await?;
    // It is restarted as after any change of its machine, and has the new keys on its disk.
    drill.network.kill(DOUBLED, Service::Node)?;
    drill.network.restart(DOUBLED, Service::Node)?;
    drill.back(DOUBLED).await?;
    seat::seated(drill, OTHERS[0], &ALL).await?;
    drill.took("after the reinstatement, until the hospital was a validator", begun);
    seat::makes_blocks(drill, DOUBLED, &ALL).await?;
    ensure!(benched(first).await?.is_empty(), "a hospital is benched again");
    drill.step("hospital 3 makes blocks with its new keys");
    Ok(())
}

/// How many members the council has.
async fn members(node: &Node) -> anyhow::Result<usize> {
    let members: Option<Vec<[u8; 32]>> =
        node.stored_value(&storage::value("Council", "Members")).await?;
    Ok(members.unwrap_or_default().len())
}
