//! Losses that an operator must expect: damaged and deleted segments, a worker's whole disk, a node that comes back
//! with an older database.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use epione_client::visit::{Visit, VisitBuilder};
use epione_envelope::record::SectionKind;
use epione_primitives::block::Segment;
use network::{Hospital, Network, Tuning, people::People, program};
use serde_json::{Value, json};

const FILES: u32 = 20;

fn content(seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; 1_000 + seed as usize];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A visit with many small files, each of which is one segment.
async fn visit(people: &People, hospital: &Hospital, folder: &Path, number: u32) -> Visit {
    let chain = hospital.chain().await;
    let (patient, author) = (people.patient, people.doctor.user);
    let mut visit = VisitBuilder::new(chain.genesis_hash(), patient, hospital.id, author);
    for seed in number * FILES..(number + 1) * FILES {
        let file = folder.join(format!("{seed}.bin"));
        fs::write(&file, content(seed)).unwrap();
        visit = visit.file(SectionKind::Media, &file);
    }
    let newest = chain.finalized_head().await.unwrap();
    visit.build(&people.doctor.account, newest.into()).await.unwrap()
}

/// Runs one of the worker's commands for a hospital.
fn command(hospital: &Hospital, name: &str) -> Output {
    let config = hospital.home().join("worker.toml");
    Command::new(program("epione-worker"))
        .args([name, "--json", "--config"])
        .arg(config)
        .output()
        .unwrap()
}

/// The report, which must say that every segment is intact.
fn whole(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Damages every twentieth segment and deletes every tenth; returns how many of each.
fn spoil(hospital: &Hospital, segments: &[Segment]) -> (u64, u64) {
    let (mut damaged, mut deleted) = (0, 0);
    for (index, segment) in segments.iter().enumerate() {
        let path = hospital.stored(segment);
        match index % 20 {
            3 => {
                let mut bytes = fs::read(&path).unwrap();
                bytes[index] ^= 4;
                fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
            7 | 17 => {
                fs::remove_file(&path).unwrap();
                deleted += 1;
            }
            _ => {}
        }
    }
    (damaged, deleted)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// Three committed visits of the first hospital, whose segments all hospitals have.
async fn three_visits(network: &Network) -> (People, Vec<Visit>, Vec<Segment>) {
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    let mut visits = Vec::new();
    for number in 0..3 {
        let visit = visit(&people, hospital, folder, number).await;
        people.submit(hospital, &visit).await;
        visits.push(visit);
    }
    for visit in &visits {
        people.is_committed(hospital, visit.record_id()).await;
    }
    let segments = network.segments().await;
    assert_eq!(segments.len(), 3 * FILES as usize);
    for hospital in &network.hospitals {
        hospital.comes_to_hold(&segments).await;
    }
    (people, visits, segments)
}

async fn each_is_committed_once(network: &Network, visits: &[Visit]) {
    let committed = network.committed().await;
    assert_eq!(committed.len(), visits.len());
    assert!(committed.values().all(|places| places.len() == 1), "{committed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_a_lost_disk_are_repaired() {
    let mut network = Network::start(3, Tuning::default()).await;
    let (people, visits, segments) = three_visits(&network).await;
    let hospital = &mut network.hospitals[0];
    a_scrub_beside_the_worker_leaves_all_whole(hospital, &segments);
    a_scrub_in_the_workers_place_counts_and_mends(hospital, &segments);
    hospital.worker_is_ready().await;
    rebuild_brings_all_back(hospital, &visits, &segments);
    hospital.worker_is_ready().await;

    // The worker knows its committed visits, and accepts none of them a second time.
    for visit in &visits {
        people.submit(hospital, visit).await;
        people.is_committed(hospital, visit.record_id()).await;
    }
    each_is_committed_once(&network, &visits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_waits_for_a_node_with_an_older_database() {
    let mut network = Network::start(3, Tuning::default()).await;
    // A copy of a node's database, made early.
    let old = network.hospitals[2].home().join("old");
    let database = network.hospitals[2].home().join("node");
    network.hospitals[2].node.kill();
    copy(&database, &old);
    network.hospitals[2].node.start();
    let (_, visits, _) = three_visits(&network).await;
    an_older_node_is_waited_for(&mut network, &old, &database).await;
    each_is_committed_once(&network, &visits).await;
}

/// A scrub by the running worker may find less: the worker also runs scheduled scrubs, and fetches the segments of new
/// blocks. All segments are intact afterwards in any case.
fn a_scrub_beside_the_worker_leaves_all_whole(hospital: &Hospital, segments: &[Segment]) {
    let (damaged, deleted) = spoil(hospital, segments);
    let report = scrub(hospital, segments);
    let count = |what: &str| report[what].as_u64().unwrap();
    assert!(count("damaged") <= damaged && count("missing") <= deleted, "{report}");
    assert_eq!(count("repaired"), count("damaged") + count("missing"), "{report}");
}

/// A scrub while the worker does not run finds and reports each damage.
fn a_scrub_in_the_workers_place_counts_and_mends(hospital: &mut Hospital, segments: &[Segment]) {
    hospital.worker.kill();
    // The first scrub does what the worker had not done when it was killed.
    let report = scrub(hospital, segments);
    assert_eq!((&report["damaged"], &report["missing"]), (&json!(0), &json!(0)), "{report}");
    let (damaged, deleted) = spoil(hospital, segments);
    let report = scrub(hospital, segments);
    assert_eq!(report["damaged"], damaged, "{report}");
    assert_eq!(report["missing"], deleted, "{report}");
    assert_eq!(report["repaired"], damaged + deleted, "{report}");
    assert_eq!(report["unknown_to_journal"], 0, "{report}");
    hospital.worker.start();
}

/// The report of a scrub, after which all segments are intact.
fn scrub(hospital: &Hospital, segments: &[Segment]) -> Value {
    let report = whole(&command(hospital, "scrub"));
    assert_eq!(report["segments"], segments.len(), "{report}");
    assert!(segments.iter().all(|segment| hospital.holds(segment)), "{report}");
    report
}

fn rebuild_brings_all_back(hospital: &mut Hospital, visits: &[Visit], segments: &[Segment]) {
    let refused = command(hospital, "rebuild");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("running"), "{said}");
    hospital.worker.kill();
    hospital.lose_everything();
    let report = whole(&command(hospital, "rebuild"));
    assert_eq!(report["visits_restored"], visits.len(), "{report}");
    assert_eq!(report["scrub"]["segments"], segments.len(), "{report}");
    assert!(report["not_restored"].as_array().unwrap().len() > 1, "{report}");
    assert!(segments.iter().all(|segment| hospital.holds(segment)));
    hospital.worker.start();
}

/// A node whose database is an older copy, and that cannot catch up at first.
async fn an_older_node_is_waited_for(network: &mut Network, old: &Path, database: &Path) {
    for hospital in &mut network.hospitals {
        hospital.node.kill();
    }
    fs::remove_dir_all(database).unwrap();
    copy(old, database);
    network.hospitals[2].node.start();
    let hospital = &network.hospitals[2];
    hospital.metric_becomes("epione_worker_node_connected", |connected| connected == 0).await;
    // No other node runs that could send it newer blocks.
    hospital.metric_becomes("epione_worker_node_behind_blocks", |behind| behind > 0).await;
    hospital.answers("readyz", 503).await;
    assert_eq!(hospital.metric("epione_worker_node_connected").await, 0);
    for hospital in &mut network.hospitals[..2] {
        hospital.node.start();
    }
    for hospital in &network.hospitals {
        hospital.worker_is_ready().await;
    }
    let hospital = &network.hospitals[2];
    hospital.metric_becomes("epione_worker_node_behind_blocks", |behind| behind == 0).await;
}
