//! Measures one block in one network.

use std::time::{Duration, Instant};

use anyhow::ensure;
use epione_client::chain::Chain;
use epione_devnet::{Devnet, HospitalState, Options, Probe, Service};
use epione_primitives::{HospitalId, block::Segment};

use super::{Block, LinksArgs};
use crate::{
    client::Client,
    content,
    people::Practice,
    programs::Programs,
    stores,
    topology::{self, Topology},
};

const ANNOUNCER: HospitalId = HospitalId(0);
const POLL: Duration = Duration::from_millis(100);
/// The measurement fails after so many times of one link, plus some minutes.
const PATIENCE: f64 = 20.0;
const MORE_PATIENCE_SECONDS: f64 = 300.0;

/// Builds links and network, submits a visit, and watches it.
pub(super) async fn block(
    args: &LinksArgs,
    programs: &Programs,
    hospitals: u16,
    pre_seeding: bool,
) -> anyhow::Result<Block> {
    let links = Topology::build(hospitals, Some(args.width()), false)?;
    let mut layout = links.layout();
    let nodes = args.nodes().clamp(1, hospitals);
    layout.nodes = Some(nodes);
    if !pre_seeding {
        let none = toml::toml! { offer_quota_bytes = 0
        offer_wait = "0s" };
        layout.worker_settings.insert("transfer".into(), none.into());
    }
    let options = Options { pack_millis: 500, ..programs.network(&args.dir, hospitals, layout) };
    let network = Devnet::up(&options, &|step| println!("  {step}")).await?;
    let hospitals = &network.state().hospitals;
    let practice = Practice::open(network.state(), &hospitals[0]).await?;
    let client = Client::new(programs, network.directory())
        .started_by(topology::prefix(ANNOUNCER, Service::Worker));
    let media = args.dir.join("media.bin");
    content::write(&media, &format!("links {pre_seeding}"), args.mib << 20)?;
    let before = links.sent(ANNOUNCER)?;
    client.submit(&practice, &media).await?;
    let begun = Instant::now();
    let segments = stores::listed(&hospitals[0].store)?;
    let block_bytes: u64 = segments.iter().map(|segment| u64::from(segment.length)).sum();
    ensure!(
        block_bytes >= args.mib << 20,
        "the announcer's store does not contain the whole visit"
    );
    let one_link = block_bytes as f64 / args.width().bytes_per_second() as f64;
    println!("  {block_bytes} bytes, {one_link:.1} s over one link");
    let times = watch(hospitals, &segments, begun, one_link).await?;
    let announcer_sent_bytes = links.sent(ANNOUNCER)?.saturating_sub(before);
    let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
    let measured = Block {
        hospitals: options.hospitals,
        nodes,
        pre_seeding,
        block_bytes,
        one_link,
        acknowledged_to_announced: seconds(begun, times.announced),
        announced_to_committed: seconds(times.announced, times.committed),
        acknowledged_to_committed: seconds(begun, times.committed),
        acknowledged_to_held_by_all: seconds(begun, times.held_by_all),
        announcer_sent_bytes,
    };
    println!("  {measured:?}");
    network.down()?;
    Ok(measured)
}

/// When a block reached its stages.
struct StageTimes {
    announced: Instant,
    committed: Instant,
    held_by_all: Instant,
}

async fn watch(
    hospitals: &[HospitalState],
    segments: &[Segment],
    begun: Instant,
    one_link: f64,
) -> anyhow::Result<StageTimes> {
    let node = &hospitals[0].node_url;
    let (chain, probe) = (Chain::connect_unprotected(node).await?, Probe::new()?);
    let limit = Duration::from_secs_f64(PATIENCE * one_link + MORE_PATIENCE_SECONDS);
    let (mut announced, mut committed, mut held) = (None, None, None);
    loop {
        if let (None, Some(best)) = (committed, probe.best(node).await) {
            let (now, state) = (Instant::now(), chain.at(best));
            let is_committed = state.height().await? > 0;
            if is_committed || !state.open_announcements().await?.is_empty() {
                announced.get_or_insert(now);
            }
            if is_committed {
                println!("  committed after {:.1} s", begun.elapsed().as_secs_f64());
                committed = Some(now);
            }
        }
        let has_all = |hospital: &HospitalState| {
            segments.iter().all(|segment| stores::has(&hospital.store, segment))
        };
        if held.is_none() && hospitals.iter().all(has_all) {
            println!("  stored by all hospitals after {:.1} s", begun.elapsed().as_secs_f64());
            held = Some(Instant::now());
        }
        if let (Some(announced), Some(committed), Some(held_by_all)) = (announced, committed, held)
        {
            return Ok(StageTimes { announced, committed, held_by_all });
        }
        ensure!(
            begun.elapsed() < limit,
            "not stored by all hospitals after {} s: announced {}, committed {}, stored by {} of \
             {} hospitals; read the logs in the devnet's folder",
            limit.as_secs(),
            announced.is_some(),
            committed.is_some(),
            hospitals.iter().filter(|hospital| has_all(hospital)).count(),
            hospitals.len()
        );
        tokio::time::sleep(POLL).await;
    }
}
