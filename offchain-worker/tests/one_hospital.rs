//! A single hospital: one node, one worker, and failures of both.

#![allow(clippy::unwrap_used)]

mod network;

use std::{fs, time::Duration};

use epione_client::{
    api::{Relation, VisitStage},
    signer::Account,
};
use epione_primitives::{RecordPointer, access::RelationshipKind, profile::Role};
use network::{
    Network, Tuning,
    people::{Doctor, People, SUMMARY, join},
};
use tokio::time::sleep;

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

/// The other hospitals would reject the whole block because of this one visit.
#[tokio::test(flavor = "multi_thread")]
async fn a_visit_of_a_suspended_author_does_not_spoil_the_block_of_the_others() {
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 2, ..Tuning::default() };
    let network = Network::start(1, tuning).await;
    let (hospital, folder) = (&network.hospitals[0], network.folder.path());
    let people = People::register(hospital).await;
    let (patient, kind) = (people.patient, RelationshipKind::FamilyDoctor);
    let user = join(hospital, Role::Doctor, "//Suspended").await;
    let office = hospital.client(hospital.governance()).await;
    let relation = Relation { patient, professional: user, kind, expires: None };
    office.relate(&relation).await.unwrap();
    let account = Account::development("//Suspended").unwrap();
    let suspended = People { doctor: Doctor { account, user }, patient };
    let held = suspended.visit(hospital, folder, &[]).await;
    suspended.submit(hospital, &held).await;
    office.suspend(user).await.unwrap();

    let mut visits = Vec::new();
    for _ in 0..2 {
        let visit = people.visit(hospital, folder, &[]).await;
        people.submit(hospital, &visit).await;
        visits.push(visit.record_id());
    }
    for visit in &visits {
        people.is_committed(hospital, *visit).await;
    }
    assert!(!network.committed().await.contains_key(&held.record_id()));
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
