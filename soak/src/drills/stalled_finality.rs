//! Three of seven hospitals are gone for good: no block becomes final any more, and the council of the other four
//! changes the authorities by force. These are the steps of docs/consortium.md, "Finality stalls because hospitals are
//! gone for good", as one program. At the end, the living agree on a checkpoint, and the doctors trust no node.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use epione_client::chain::{Chain, Checkpoint, Pinned, Trust};
use epione_devnet::Probe;
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde_json::json;

use super::{
    consensus::{queued, session},
    frame::{Drill, Setting},
    seat::listed,
};
use crate::{council, node::Node, storage};

const HOSPITALS: u16 = 7;
const LIVING: [HospitalId; 4] = [HospitalId(0), HospitalId(1), HospitalId(2), HospitalId(3)];
const GONE: [HospitalId; 3] = [HospitalId(4), HospitalId(5), HospitalId(6)];
/// The alarm EpioneFinalityStalled fires after this time.
const STALLED: Duration = Duration::from_secs(15 * 60);
/// In this time, what was on its way when the three ended has become final or never will.
const SETTLED: Duration = Duration::from_secs(60);
/// Blocks between the announcement of the new authorities and their first vote. A second announcement would be refused
/// for twice as long, which must end before the next session: below 100.
const DELAY: BlockNumber = 40;
/// With four of seven authors, a session takes 18 minutes.
const SESSION: Duration = Duration::from_secs(45 * 60);
const DELAYED: Duration = Duration::from_secs(15 * 60);

pub fn setting() -> Setting {
    // A client that verifies needs votes of the old authorities for each change, and there are none for this one: the
    // doctors verify again when there is a checkpoint.
    Setting { hospitals: HOSPITALS, doctors: 4, trusting: true, ..Setting::default() }
}

pub async fn run(drill: &mut Drill) -> anyhow::Result<()> {
    drill.step("hospitals 4, 5 and 6 are gone for good");
    for id in GONE {
        drill.calm.leave_out(id)?;
        drill.watch.forget(id).await;
        drill.kill(id)?;
    }
    let begun = Instant::now();
    drill.pass("three of seven are gone", SETTLED).await?;
    let node = drill.node(LIVING[0])?;
    let stalled_at = node.finalized().await?;
    let before = seen_by_workers(drill).await?;
    drill.pass("three of seven are gone, until the alarm fires", STALLED - SETTLED).await?;
    ensure!(node.finalized().await? == stalled_at, "four of seven hospitals finalized a block");
    let after = seen_by_workers(drill).await?;
    ensure!(before == after, "the final blocks that workers report: {before:?}, then {after:?}");
    drill.figure("the condition of EpioneFinalityStalled", "met at each living hospital");

    let finalized = agree(drill).await?;
    drill.step(format!("step 1: block {finalized} is the newest final block of all living nodes"));
    suspend_the_dead(drill, &node).await?;
    drill.step("step 2: the council of the living has suspended the dead");
    drill
        .until("waiting until the next validators are the living", SESSION, async || {
            anyhow::Ok((queued(&node).await? == LIVING).then_some(()))
        })
        .await?;
    drill.step(format!("step 3: the next validators are {}", listed(&LIVING)));
    let forced = force(drill, &node, finalized).await?;
    drill.step(format!("step 5: block {forced} announces the new authorities by force"));
    drill
        .until("waiting until the new authorities finalize blocks", DELAYED, async || {
            anyhow::Ok((node.finalized().await? > forced).then_some(()))
        })
        .await?;
    drill.took("after the three were gone, until blocks were final again", begun);
    let state = node.call("grandpa_roundState", json!([])).await?;
    drill.figure("authority set that votes now", state["setId"].to_string());
    drill.step("step 6: blocks are final again");
    for id in LIVING {
        drill.back(id).await?;
    }
    drill.took("after the three were gone, until all workers were ready", begun);
    let checkpoint = agree_on_checkpoint(drill, forced).await?;
    drill.step(format!(
        "step 7: the living made the same checkpoint of block {}",
        checkpoint.number()
    ));
    let genesis = drill.network.state().genesis.context("no node of the network has answered")?;
    refuse_without(drill, genesis).await?;
    drill
        .calm
        .verify(&Pinned::new(genesis).with_patience(SETTLED).beginning_at(checkpoint))
        .await?;
    drill.step("step 8: the doctors begin at the checkpoint, and trust no node any more");
    Ok(())
}

/// The checkpoint of the first block after which the new authorities are in force, which each living hospital makes at
/// its own node.
async fn agree_on_checkpoint(drill: &mut Drill, forced: BlockNumber) -> anyhow::Result<Checkpoint> {
    let block = forced + DELAY;
    let hospitals = drill.hospitals(&LIVING)?;
    let mut files = Vec::new();
    for hospital in hospitals {
        let chain = Chain::connect(&hospital.node_url).await?;
        let what = "waiting until the checkpoint's block and a later one are final";
        let made = drill
            .until(what, DELAYED, async || anyhow::Ok(Some(chain.checkpoint(block).await?)))
            .await?;
        files.push((made.to_bytes()?, made));
    }
    let (first, made) = files.first().context("no node is left")?;
    let hashes: Vec<Hash> = files.iter().map(|(_, made)| made.sha256()).collect();
    ensure!(files.iter().all(|(bytes, _)| bytes == first), "the checkpoints differ: {hashes:?}");
    Ok(made.clone())
}

/// A client that verifies, and that has no checkpoint, refuses every living node.
async fn refuse_without(drill: &Drill, genesis: Hash) -> anyhow::Result<()> {
    for hospital in drill.hospitals(&LIVING)? {
        let chain = Chain::connect(&hospital.node_url).await?;
        let chain = chain.trusting(Trust::Verified(Pinned::new(genesis))).await?;
        let refused = chain.finalized_head().await.err().context(
            "a client without a checkpoint accepted a change of the authorities that nobody voted for",
        )?;
        ensure!(!refused.is_transient(), "the node of {} is not refused: {refused}", hospital.name);
    }
    Ok(())
}

/// The final blocks that the workers of the living report to their operators. Each worker must be connected to its
/// node. If the block then does not change for ten minutes, the alarm EpioneFinalityStalled fires.
async fn seen_by_workers(drill: &Drill) -> anyhow::Result<Vec<f64>> {
    let probe = Probe::new()?;
    let mut blocks = Vec::new();
    for hospital in drill.hospitals(&LIVING)? {
        let url = &hospital.operators_url;
        let metric = async |name: &str| {
            let value = probe.metric(url, name).await;
            value.with_context(|| format!("the worker of {} has no {name}", hospital.name))
        };
        let connected = metric("epione_worker_node_connected").await?;
        ensure!(connected == 1.0, "the worker of {} has lost its node", hospital.name);
        blocks.push(metric("epione_worker_finalized_block").await?);
    }
    Ok(blocks)
}

/// The newest final block, which must be the same at every living node.
async fn agree(drill: &mut Drill) -> anyhow::Result<BlockNumber> {
    let nodes: Vec<Node> =
        LIVING.iter().map(|id| drill.node(*id)).collect::<anyhow::Result<_>>()?;
    let what = "waiting until the living nodes agree about the newest final block";
    drill
        .until(what, DELAYED, async || {
            let mut said: Vec<(BlockNumber, Option<Hash>)> = Vec::new();
            for node in &nodes {
                let number = node.finalized().await?;
                said.push((number, node.hash(number).await?));
            }
            let first = said.first().copied().context("no node is left")?;
            anyhow::Ok(said.iter().all(|it| *it == first).then_some(first.0))
        })
        .await
}

/// One motion for each: a motion cannot contain a batch. With each suspension, the council is smaller.
async fn suspend_the_dead(drill: &mut Drill, node: &Node) -> anyhow::Result<()> {
    let mut members = usize::from(HOSPITALS);
    for id in GONE {
        let voters = drill.hospitals(&LIVING[..council::more_than_half(members)])?;
        council::pass_at_best(node, &voters, &council::suspend(id))
            .await
            .with_context(|| format!("hospital {id} was not suspended"))?;
        members -= 1;
        let council: Option<Vec<[u8; 32]>> =
            node.stored_value(&storage::value("Council", "Members")).await?;
        let found = council.unwrap_or_default().len();
        ensure!(found == members, "the council has {found} members, not {members}");
    }
    Ok(())
}

/// Passes `note_stalled` in the session before that of the new validators, and returns the block that announces them.
async fn force(
    drill: &mut Drill,
    node: &Node,
    finalized: BlockNumber,
) -> anyhow::Result<BlockNumber> {
    let before = session(node).await?;
    let voters = drill.hospitals(&LIVING[..council::two_thirds(LIVING.len())])?;
    council::pass_at_best(node, &voters, &council::note_stalled(DELAY, finalized)).await?;
    let noted: Option<(BlockNumber, BlockNumber)> =
        node.stored_value(&storage::value("Grandpa", "Stalled")).await?;
    ensure!(noted == Some((DELAY, finalized)), "the chain noted {noted:?}");
    ensure!(session(node).await? == before, "the motion passed too late, in the next session");
    drill.step("step 4: the council has noted the stall, before the session of the new validators");
    drill
        .until("waiting for the next session", SESSION, async || {
            anyhow::Ok((session(node).await? > before).then_some(()))
        })
        .await?;
    let stalled = node.stored(&storage::value("Grandpa", "Stalled")).await?;
    ensure!(stalled.is_none(), "the session began without the announcement of new authorities");
    // The change that is pending begins with the block that announces it.
    node.stored_number(&storage::value("Grandpa", "PendingChange"))
        .await?
        .context("no change of the authorities is pending")
}
