//! Four hospitals, of which one is behind a slow link. Its blocks wait; the blocks of the others, and their readers, do
//! not.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use epione_client::{visit::Visit, worker::WorkerClient};
use network::{
    Hospital, Network, Tuning, eventually,
    link::Link,
    people::{People, SUMMARY},
    settles,
};

const ALICE: usize = 0;
/// Behind the slow link. It receives quickly and sends slowly. Each block of Alice's is its share, which the others get
/// from it, because it has the lowest id apart from Alice.
const BOB: usize = 1;
const CAROL: usize = 2;
const DAVE: usize = 3;

/// Bytes of each visit's file: one segment. So much is fetched from any hospital that has it, not only from the
/// announcer, and so little is not offered before it is announced.
const MEDIA: usize = 3 << 20;
/// Bob's blocks at once: as many as the segments that a worker fetches at once from all hospitals, and more than it
/// fetches for one hospital's blocks.
const SLOW_BLOCKS: u8 = 4;
const OTHER_BLOCKS: u8 = 3;
/// Bytes a second of each connection. A segment needs six minutes.
const SLOW: u64 = 8 * 1024;
/// A segment needs six seconds.
const BETTER: u64 = 512 * 1024;
/// Less than the three minutes for which a worker waits for a segment from a hospital alone.
const SOON: Duration = Duration::from_secs(150);
/// When so many bytes have passed the link, all others fetch Bob's segments, because none has received its share yet.
const UNDERWAY: u64 = 1024 * 1024;

fn media(seed: u8) -> Vec<u8> {
    vec![seed; MEDIA]
}

/// Blocks of one visit each, and hospitals that wait as long for the next byte as by default: what arrives slowly has
/// not stalled.
async fn four_hospitals() -> Network {
    let tuning = Tuning { pack_records: 1, ..Tuning::default() };
    let mut network = Network::of_nodes(4, tuning).await;
    for hospital in &mut network.hospitals {
        hospital.reconfigure("stall_timeout = \"2s\"", "stall_timeout = \"20s\"");
        hospital.worker.start();
    }
    for hospital in &network.hospitals {
        hospital.worker_is_ready().await;
    }
    network
}

/// A link to the hospital's worker. The chain names its address, so all other hospitals use it.
async fn link_to(hospital: &Hospital) -> Link {
    let worker = hospital.endpoint().url().socket_addrs(|| None).unwrap()[0];
    let link = Link::to(worker).await;
    hospital.name_address(&link.url()).await;
    link
}

/// Submits a visit from the hospital's own network, without the link.
async fn submit(hospital: &Hospital, people: &People, folder: &Path, seed: u8) -> Visit {
    let visit = people.visit(hospital, folder, &media(seed)).await;
    let genesis = hospital.chain().await.genesis_hash();
    let account = people.doctor.account.clone();
    let client = WorkerClient::new(&hospital.endpoint(), hospital.id, genesis, account).unwrap();
    settles("the visit is acknowledged", async || {
        client.submit_visit(&visit, |_| {}).await.map_err(|error| error.to_string())
    })
    .await;
    visit
}

/// Waits until all these visits are committed; returns the heights of their blocks.
async fn heights(network: &Network, visits: &[Visit]) -> Vec<u32> {
    eventually("the visits are committed", async || {
        let committed = network.committed().await;
        let height = |visit: &Visit| Some(committed.get(&visit.record_id())?.first()?.height);
        visits.iter().map(height).collect::<Option<Vec<u32>>>()
    })
    .await
}

async fn all_have_every_segment(network: &Network) {
    let segments = network.segments().await;
    for hospital in &network.hospitals {
        hospital.comes_to_hold(&segments).await;
        hospital.worker_is_ready().await;
    }
}

/// A hospital loses its storage, and gets everything back, including Bob's block, nearly without Bob's bytes.
async fn is_recovered_without(link: &Link, network: &mut Network) {
    let segments = network.segments().await;
    let before = link.carried();
    let dave = &mut network.hospitals[DAVE];
    dave.worker.kill();
    dave.lose_everything();
    dave.worker.start();
    dave.worker_is_ready().await;
    dave.comes_to_hold(&segments).await;
    // Dave asked Bob which segments Bob has, and may have tried Bob for a while.
    let carried = link.carried() - before;
    assert!(carried < MEDIA as u64 / 8, "{carried} bytes were carried by the slow link");
}

/// Commits and reads visits of a hospital on a fast link; returns the heights of their blocks.
async fn visits_of_others_are_read(network: &Network, people: &People, folder: &Path) -> Vec<u32> {
    let alice = &network.hospitals[ALICE];
    let mut heights = Vec::new();
    for seed in 20..20 + OTHER_BLOCKS {
        let visit = submit(alice, people, folder, seed).await;
        let submitted = Instant::now();
        let pointer = people.is_committed(alice, visit.record_id()).await;
        assert!(submitted.elapsed() < SOON, "committed after {:?}", submitted.elapsed());
        let (text, read) = people.read(alice, folder, pointer).await;
        assert_eq!(text, SUMMARY);
        assert!(read == media(seed), "other bytes came back");
        heights.push(pointer.height);
    }
    heights
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_on_a_slow_link_delays_only_its_own_blocks() {
    let mut network = four_hospitals().await;
    let folder = network.folder.path().to_owned();
    let link = link_to(&network.hospitals[BOB]).await;
    let people = People::register(&network.hospitals[ALICE]).await;
    let (doctor, patient) = ("//BobsDoctor", "//BobsPatient");
    let bobs = People::register_as(&network.hospitals[BOB], doctor, patient).await;
    let before = [
        submit(&network.hospitals[ALICE], &people, &folder, 1).await,
        submit(&network.hospitals[BOB], &bobs, &folder, 2).await,
    ];
    heights(&network, &before).await;
    all_have_every_segment(&network).await;

    link.narrow(SLOW);
    is_recovered_without(&link, &mut network).await;

    // All others fetch as many of Bob's segments at once as they do for one hospital.
    let begun = link.carried();
    let mut slow = Vec::new();
    for seed in 10..10 + SLOW_BLOCKS {
        slow.push(submit(&network.hospitals[BOB], &bobs, &folder, seed).await);
    }
    settles("the others fetch the blocks of the slow hospital", async || {
        let carried = link.carried() - begun;
        if carried >= UNDERWAY { Ok(()) } else { Err(carried) }
    })
    .await;
    let quick = visits_of_others_are_read(&network, &people, &folder).await;
    for hospital in [CAROL, DAVE] {
        network.hospitals[hospital].comes_to_hold(&network.segments().await).await;
    }
    for hospital in &network.hospitals {
        hospital.has_free_places().await;
    }
    let committed = network.committed().await;
    let is_committed = |visit: &&Visit| committed.contains_key(&visit.record_id());
    assert_eq!(slow.iter().filter(is_committed).count(), 0, "the slow blocks were committed first");

    // The slow hospital's blocks are committed in the end, and everybody has everything.
    link.narrow(BETTER);
    let late = heights(&network, &slow).await;
    assert!(quick.iter().max() < late.iter().min(), "{quick:?} {late:?}");
    all_have_every_segment(&network).await;
}
