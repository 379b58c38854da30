//! A single hospital: one node, one worker, and failures of both.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    net::IpAddr,
    time::{Duration, Instant},
};

use epione_client::{api::VisitStage, worker::WorkerError};
use epione_primitives::{Hash, RecordPointer};
use epione_worker::descriptors;
use network::{
    Hospital, Network, Tuning, attacker, eventually,
    people::{People, SUMMARY},
};
use tokio::{task::spawn_blocking, time::sleep};

const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };

fn media(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_committed_and_read_back() {
    let network = Network::start(1, Tuning::default()).await;
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    // Nine segments, the last one short.
    let image = media(1, 33 * 1024 * 1024 + 17);
    let visit = people.visit(hospital, folder, &image).await;
    people.submit(hospital, &visit).await;
    let pointer = people.is_committed(hospital, visit.record_id()).await;
    assert_eq!(pointer, FIRST);
    let (text, back) = people.read(hospital, folder, pointer).await;
    assert_eq!(text, SUMMARY);
    assert!(back == image, "other bytes came back");

    // A damaged segment is not served, and no other hospital has it.
    let segments = network.segments().await;
    assert_eq!(segments.len(), 9);
    let file = hospital.stored(&segments[1]);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let served = hospital.client(hospital.agent()).await.segment(&segments[1]).await;
    assert!(served.is_err(), "a damaged segment was served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_stage_commits_every_visit_once() {
    let tuning = Tuning { pack_age_ms: 2_000, ..Tuning::default() };
    let mut network = Network::start(1, tuning).await;
    let people = People::register(&network.hospitals[0]).await;
    let mut visits = Vec::new();
    // How long after the acknowledgment, or after packing, the worker is killed.
    let moments: [(bool, u64); 6] =
        [(false, 0), (true, 0), (true, 30), (true, 400), (true, 2_000), (true, 4_000)];
    for (index, (packed, delay)) in (0_u8..).zip(moments) {
        let folder = network.folder.path().to_owned();
        let hospital = &mut network.hospitals[0];
        let visit = people.visit(hospital, &folder, &media(index, 100_000)).await;
        people.submit(hospital, &visit).await;
        if packed {
            people
                .reaches(hospital, visit.record_id(), "the visit is packed", |stage| {
                    (stage != VisitStage::Queued).then_some(())
                })
                .await;
        }
        sleep(Duration::from_millis(delay)).await;
        hospital.worker.kill();
        hospital.worker.start();
        hospital.worker_is_ready().await;
        visits.push(visit);
    }
    for visit in &visits {
        people.is_committed(&network.hospitals[0], visit.record_id()).await;
    }
    let committed = network.committed().await;
    assert_eq!(committed.len(), visits.len());
    for visit in &visits {
        assert_eq!(committed[&visit.record_id()].len(), 1, "{}", visit.record_id());
    }
    network.hospitals[0].comes_to_hold(&network.segments().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_resumes_when_its_node_is_back() {
    let mut network = Network::start(1, Tuning::default()).await;
    let folder = network.folder.path().to_owned();
    let people = People::register(&network.hospitals[0]).await;
    let hospital = &mut network.hospitals[0];
    let first = people.visit(hospital, &folder, &[]).await;
    let second = people.visit(hospital, &folder, &media(2, 1_000)).await;
    let client = hospital.client(people.doctor.account.clone()).await;
    people.submit(hospital, &first).await;

    hospital.node.kill();
    hospital.answers("readyz", 503).await;
    hospital.answers("healthz", 200).await;
    let refused = client.submit_visit(&second, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("node"), "{refused}");

    hospital.node.start();
    hospital.worker_is_ready().await;
    people.submit(hospital, &second).await;
    for visit in [&first, &second] {
        people.is_committed(hospital, visit.record_id()).await;
    }
    assert!(network.committed().await.values().all(|places| places.len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_started_before_its_node_waits_for_it() {
    let mut network = Network::of_nodes(1, Tuning::default()).await;
    let hospital = &mut network.hospitals[0];
    hospital.node.kill();
    hospital.worker.start();
    hospital.answers("healthz", 200).await;
    hospital.answers("readyz", 503).await;
    hospital.node.start();
    hospital.worker_is_ready().await;
    People::register(hospital).await;
    assert!(hospital.worker.stop(), "{}", hospital.worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_verifies_its_node_commits_and_serves_visits() {
    let mut network = Network::of_nodes(1, Tuning::default()).await;
    let genesis = network.hospitals[0].chain().await.genesis_hash();
    let folder = network.folder.path().to_owned();
    // A worker does nothing for a node of another chain.
    network.verify_nodes_of(Hash::repeat_byte(7));
    let hospital = &mut network.hospitals[0];
    hospital.worker.start();
    hospital.answers("readyz", 503).await;
    eventually("the worker names both chains", async || {
        let log = network.hospitals[0].worker.log();
        (log.contains("another chain") && log.contains(&format!("{genesis:?}"))).then_some(())
    })
    .await;
    assert!(!network.hospitals[0].verified_head().exists());
    network.hospitals[0].worker.kill();

    network.verify_nodes_of(genesis);
    let hospital = &mut network.hospitals[0];
    hospital.worker.start();
    hospital.worker_is_ready().await;
    let people = People::register(hospital).await;
    let image = media(3, 5_000_000);
    let visit = people.visit(hospital, &folder, &image).await;
    people.submit(hospital, &visit).await;
    let pointer = people.is_committed(hospital, visit.record_id()).await;
    let (text, back) = people.read(hospital, &folder, pointer).await;
    assert!(text == SUMMARY && back == image, "other bytes came back");
    assert!(hospital.verified_head().exists());

    // It begins again at the last verified block.
    hospital.worker.kill();
    hospital.worker.start();
    hospital.worker_is_ready().await;
    let (text, _) = people.read(hospital, &folder, pointer).await;
    assert_eq!(text, SUMMARY);
}

/// A hospital has acknowledged the visit, so it must not be lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_whose_author_and_patient_were_suspended_after_they_signed_is_committed() {
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 2, ..Tuning::default() };
    let network = Network::start(1, tuning).await;
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    let visit = people.visit(hospital, folder, &[]).await;
    people.submit(hospital, &visit).await;
    let office = hospital.client(hospital.governance()).await;
    for user in [people.doctor.user, people.patient] {
        office.suspend(user).await.unwrap();
    }
    // What they sign from now on is not accepted.
    let late = people.visit(hospital, folder, &[]).await;
    let refused = people.try_submit(hospital, &late).await.unwrap_err();
    let is_forbidden = matches!(&refused, WorkerError::Problem(problem) if problem.status == 403);
    assert!(is_forbidden, "{refused}");

    let others = other_people(hospital).await;
    let other = others.visit(hospital, folder, &[]).await;
    others.submit(hospital, &other).await;
    others.is_committed(hospital, other.record_id()).await;
    // Both are in the same block.
    let committed = network.committed().await;
    assert_eq!(committed.len(), 2);
    assert_eq!(committed[&visit.record_id()], [FIRST]);
}

/// Another doctor and another patient.
async fn other_people(hospital: &Hospital) -> People {
    People::register_as(hospital, "//OtherDoctor", "//OtherPatient").await
}

/// As after an error in the journal, or by a hospital that tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_record_is_refused_by_the_chain_and_its_visit_is_set_aside() {
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 2, ..Tuning::default() };
    let mut network = Network::start(1, tuning).await;
    let folder = network.folder.path().to_owned();
    let hospital = &mut network.hospitals[0];
    let people = People::register(hospital).await;
    let mut visits = Vec::new();
    for _ in 0..2 {
        let visit = people.visit(hospital, &folder, &[]).await;
        people.submit(hospital, &visit).await;
        visits.push(visit.record_id());
    }
    let replayed = visits[0];
    let pointer = people.is_committed(hospital, replayed).await;
    let record = hospital.chain().await.lite_record(pointer).await.unwrap().unwrap().text.0;
    assert!(hospital.worker.stop(), "{}", hospital.worker.log());
    let journal = rusqlite::Connection::open(hospital.journal()).unwrap();
    // Of another visit, as its fingerprint says.
    let replay = "UPDATE visits SET stage = 0, batch = NULL, position = NULL, announcement = NULL, height = NULL,
                  fingerprint = zeroblob(32), record = ?2, record_bytes = length(?2) WHERE record_id = ?1";
    assert_eq!(journal.execute(replay, (replayed.0, &record)).unwrap(), 1);
    drop(journal);
    hospital.worker.start();
    hospital.worker_is_ready().await;

    // The first of these is in the block that the chain refuses.
    for _ in 0..2 {
        let visit = people.visit(hospital, &folder, &[]).await;
        people.submit(hospital, &visit).await;
        visits.push(visit.record_id());
    }
    for visit in &visits[1..] {
        people.is_committed(hospital, *visit).await;
    }
    let client = hospital.client(people.doctor.account.clone()).await;
    let status = client.visit_status(replayed).await.unwrap();
    assert_eq!(status.stage, VisitStage::Outdated);
    assert!(status.last_failure.as_ref().is_some_and(|it| it.contains("record id")), "{status:?}");
    assert_eq!(hospital.metric("epione_worker_announcements_failed_total").await, 1);
    let committed = network.committed().await;
    assert_eq!(committed.len(), visits.len());
    assert!(committed.values().all(|places| places.len() == 1), "{committed:?}");
}

/// The other hospitals would reject the whole block because of these visits.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_queued_visits_are_not_announced_and_do_not_spoil_the_block_of_the_others() {
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 3, ..Tuning::default() };
    let mut network = Network::start(1, tuning).await;
    let folder = network.folder.path().to_owned();
    let hospital = &mut network.hospitals[0];
    let people = People::register(hospital).await;
    let without_media = people.visit(hospital, &folder, &media(1, 100_000)).await;
    let without_record = people.visit(hospital, &folder, &[]).await;
    for visit in [&without_media, &without_record] {
        people.submit(hospital, visit).await;
    }
    assert!(hospital.worker.stop(), "{}", hospital.worker.log());
    for file in hospital.all_stored() {
        fs::write(file, b"other bytes").unwrap();
    }
    let journal = rusqlite::Connection::open(hospital.journal()).unwrap();
    let spoil = "UPDATE visits SET record = zeroblob(64) WHERE record_id = ?1";
    assert_eq!(journal.execute(spoil, [without_record.record_id().0]).unwrap(), 1);
    drop(journal);
    hospital.worker.start();
    hospital.worker_is_ready().await;

    let mut visits = Vec::new();
    for _ in 0..3 {
        let visit = people.visit(hospital, &folder, &[]).await;
        people.submit(hospital, &visit).await;
        visits.push(visit.record_id());
    }
    for (index, visit) in (0..).zip(&visits) {
        let pointer = people.is_committed(hospital, *visit).await;
        assert_eq!(pointer, RecordPointer { height: 1, index });
    }
    for (reason, visit, why) in [
        ("SegmentMissing", &without_media, "storage"),
        ("MalformedBody", &without_record, "record is damaged"),
    ] {
        let held = format!("epione_worker_visits_held_total{{reason=\"{reason}\"}}");
        assert!(hospital.metric(&held).await > 0, "{held}");
        let client = hospital.client(people.doctor.account.clone()).await;
        let status = client.visit_status(visit.record_id()).await.unwrap();
        assert_eq!(status.stage, VisitStage::Queued);
        assert!(status.last_failure.as_ref().is_some_and(|it| it.contains(why)), "{status:?}");
    }
    assert_eq!(hospital.metric("epione_worker_announcements_total").await, 1);
    assert_eq!(hospital.metric("epione_worker_announcements_failed_total").await, 0);
    assert_eq!(network.committed().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_visits_are_packed_in_order_into_few_blocks() {
    // Only their number causes packing, however long submitting them takes.
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 6, ..Tuning::default() };
    let network = Network::start(1, tuning).await;
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    let mut visits = Vec::new();
    for _ in 0..12 {
        let visit = people.visit(hospital, folder, &[]).await;
        people.submit(hospital, &visit).await;
        visits.push(visit.record_id());
    }
    let mut places = Vec::new();
    for visit in &visits {
        places.push(people.is_committed(hospital, *visit).await);
    }
    let expected =
        (1..=2).flat_map(|height| (0..6).map(move |index| RecordPointer { height, index }));
    assert_eq!(places, expected.collect::<Vec<_>>());
}

/// Whether the worker answers a client at this address of this machine, within ten seconds.
async fn answers(hospital: &Hospital, client: [u8; 4]) -> bool {
    let endpoint = hospital.endpoint();
    let http = endpoint.http().no_proxy().local_address(IpAddr::from(client));
    let http = http.timeout(Duration::from_secs(10)).build().unwrap();
    let answer = http.get(endpoint.url().join("healthz").unwrap()).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_silent_connections_from_one_address_stop_nobody_and_do_not_stay() {
    const CONNECTIONS: usize = 600;
    descriptors::raise();
    let network = Network::start(1, Tuning::default()).await;
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    let visit = people.visit(hospital, folder, &[]).await;

    let address = hospital.endpoint().url().socket_addrs(|| None).unwrap()[0];
    let begun = Instant::now();
    let open = move || attacker::silent_connections(address, CONNECTIONS);
    let held = spawn_blocking(open).await.unwrap();
    assert!(held.len() < CONNECTIONS, "one address has all the connections that it wants");
    // Other addresses of loopback exist on Linux only.
    if cfg!(target_os = "linux") {
        assert!(answers(hospital, [127, 0, 0, 2]).await);
    }
    hospital.answers("readyz", 200).await;

    let closed = move || held.into_iter().all(attacker::is_closed);
    assert!(spawn_blocking(closed).await.unwrap(), "a silent connection stays");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    people.submit(hospital, &visit).await;
    people.is_committed(hospital, visit.record_id()).await;
}
