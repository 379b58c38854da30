//! A fifth hospital joins, works, and leaves, while the others go on.

use std::time::{Duration, Instant};

use anyhow::ensure;
use epione_client::chain::Chain;
use epione_devnet::Service;
use epione_primitives::{HospitalId, hospital::HospitalStatus};

use super::{
    consensus::validators,
    frame::{Drill, RECOVERY, SESSION_BLOCKS, Setting},
    seat,
};
use crate::{council, node::Node, storage};

const FOUNDERS: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(2), HospitalId(3)];
const NEW: HospitalId = HospitalId(4);
const ALL: [HospitalId; 5] = [FOUNDERS[0], FOUNDERS[1], FOUNDERS[2], FOUNDERS[3], NEW];
const NEAR: u32 = 3;
const BOTH: Duration = Duration::from_secs(3 * 60);
/// Time of a chain block.
const SLOT: Duration = Duration::from_secs(3);

pub fn setting() -> Setting {
    Setting { hospitals: 5, founders: Some(4), ..Setting::default() }
}

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    join(drill).await?;
    drill.pass("five hospitals work", BOTH).await?;
    leave(drill).await?;
    // The pauses of finality around both changes of the validators.
    let longest = drill.watch.seen().await.longest_without_seconds;
    let most = (2 * SESSION_BLOCKS * SLOT).as_secs_f64();
    ensure!(longest < most, "no block became final for {longest:.0} s");
    Ok(())
}

async fn join(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("the node of hospital 4 starts, and follows the chain");
    let begun = Instant::now();
    drill.network.restart(NEW, Service::Node)?;
    let (node, first) = (drill.node(NEW)?, drill.node(FOUNDERS[0])?);
    drill
        .until("waiting until the new node follows the chain", RECOVERY, async || {
            let newest = first.finalized().await?;
            anyhow::Ok((node.finalized().await? + NEAR >= newest).then_some(()))
        })
        .await?;
    let hospital = drill.hospital(NEW)?.clone();
    let chain = Chain::connect_unprotected(&drill.hospital(FOUNDERS[0])?.node_url).await?;
    let admission = seat::admit(&chain, &hospital).await?;
    let voters = drill.hospitals(&FOUNDERS[..council::more_than_half(FOUNDERS.len())])?;
    council::pass(&voters, &admission).await?;
    drill.step("the council has admitted hospital 4; its worker starts");
    drill.network.restart(NEW, Service::Worker)?;
    drill.back(NEW).await?;
    seat::set_session_keys(&hospital).await?;
    drill.take_in(NEW).await?;
    seat::be_ready(drill, NEW).await?;
    seat::seated(drill, FOUNDERS[0], &ALL).await?;
    drill.took("from the start of the new node until its hospital was a validator", begun);
    seat::makes_blocks(drill, NEW, &ALL).await?;
    agree(&first, &chain, &ALL).await?;
    drill.step("hospital 4 makes blocks, and its doctor submits visits");
    Ok(())
}

async fn leave(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("the doctor of hospital 4 submits no more visits");
    drill.let_go(NEW).await?;
    let hospital = drill.hospital(NEW)?.clone();
    let begun = Instant::now();
    seat::leave(&hospital).await?;
    drill.step("hospital 4 leaves: it only serves");
    let first = drill.node(FOUNDERS[0])?;
    let chain = Chain::connect_unprotected(&drill.hospital(FOUNDERS[0])?.node_url).await?;
    seat::seated(drill, FOUNDERS[0], &FOUNDERS).await?;
    drill.took("after it left, until the others were the only validators", begun);
    agree(&first, &chain, &FOUNDERS).await?;
    let voters = drill.hospitals(&FOUNDERS[..council::more_than_half(FOUNDERS.len())])?;
    council::pass(&voters, &council::remove(NEW)).await?;
    let entry = chain.finalized().await?.hospital(NEW).await?;
    let status = entry.map(|hospital| hospital.status);
    ensure!(status == Some(HospitalStatus::Removed), "the hospital is {status:?}");
    drill.watch.forget(NEW).await;
    drill.kill(NEW)?;
    drill.step("the council has removed hospital 4, whose operators end node and worker");
    drill.finalizes(FOUNDERS[0], 20).await?;
    Ok(())
}

/// Checks that Aura, GRANDPA, the council and the electorate have as many members as there are validators.
async fn agree(node: &Node, chain: &Chain, expected: &[HospitalId]) -> anyhow::Result<()> {
    ensure!(validators(node).await? == expected, "the validators have changed");
    let aura: Option<Vec<[u8; 32]>> =
        node.stored_value(&storage::value("Aura", "Authorities")).await?;
    let grandpa: Option<Vec<([u8; 32], u64)>> =
        node.stored_value(&storage::value("Grandpa", "Authorities")).await?;
    let council: Option<Vec<[u8; 32]>> =
        node.stored_value(&storage::value("Council", "Members")).await?;
    let hospitals = chain.finalized().await?.hospitals().await?;
    let active: Vec<_> = hospitals
        .iter()
        .filter(|(_, hospital)| hospital.status == HospitalStatus::Active)
        .map(|(id, _)| *id)
        .collect();
    ensure!(active == expected, "the active hospitals are {}", seat::listed(&active));
    let counts = [
        ("Aura", aura.unwrap_or_default().len()),
        ("GRANDPA", grandpa.unwrap_or_default().len()),
        ("the council", council.unwrap_or_default().len()),
    ];
    for (which, count) in counts {
        ensure!(count == expected.len(), "{which} has {count} members, not {}", expected.len());
    }
    Ok(())
}
