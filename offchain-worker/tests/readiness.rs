//! Proof of life and leaving on a real network. A hospital that is reinstated does not validate before its own worker has
//! every committed segment; a hospital that leaves serves its readers, and does nothing else. Sessions last for ten
//! minutes, so the tests of the runtime rotate them.

#![allow(clippy::unwrap_used)]

mod network;

use std::fs;

use epione_client::chain::{Chain, calls::hospitals};
use epione_primitives::{HospitalId, hospital::HospitalStatus};
use network::{
    Network, Tuning,
    council::{Motion, REINSTATE, SUSPEND},
    people::{People, TREATMENT, reader},
    settles,
};

/// The hospital that is reinstated and then leaves.
const D: HospitalId = HospitalId(3);

fn media(seed: u8) -> Vec<u8> {
    (0..9_000_000_usize).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

async fn unready(chain: &Chain) -> Vec<HospitalId> {
    chain.finalized().await.unwrap().unready().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_is_ready_when_its_worker_has_everything_and_serves_its_readers_while_it_leaves()
{
    let mut network = Network::start(4, Tuning::default()).await;
    let folder = network.folder.path().to_owned();
    let chain = network.hospitals[0].chain().await;
    let people = People::register(&network.hospitals[0]).await;
    let others = People::register_as(&network.hospitals[3], "//Surgeon", "//Sick").await;
    let visit = others.visit(&network.hospitals[3], &folder, &[]).await;
    others.submit(&network.hospitals[3], &visit).await;
    let record = others.is_committed(&network.hospitals[3], visit.record_id()).await;

    let kept = people.visit(&network.hospitals[0], &folder, &media(4)).await;
    people.submit(&network.hospitals[0], &kept).await;
    people.is_committed(&network.hospitals[0], kept.record_id()).await;
    let stored = network.segments().await;
    network.hospitals[3].comes_to_hold(&stored).await;
    network.hospitals[3]
        .metric_becomes("epione_worker_blocks_committed_total", |blocks| blocks >= 2)
        .await;

    // Nobody but its own worker says that it is ready, and other blocks are committed meanwhile. Its disk loses what its
    // worker had stored.
    network.hospitals[3].worker.kill();
    for segment in &stored {
        fs::remove_file(network.hospitals[3].stored(segment)).unwrap();
    }
    for (index, call, threshold) in [(0, SUSPEND, 3), (1, REINSTATE, 2)] {
        Motion::voted(&network, (call, D.0), index, threshold).await.close(&network).await;
    }
    assert_eq!(unready(&chain).await, [D]);
    let visit = people.visit(&network.hospitals[0], &folder, &media(1)).await;
    people.submit(&network.hospitals[0], &visit).await;
    people.is_committed(&network.hospitals[0], visit.record_id()).await;
    assert_eq!(unready(&chain).await, [D]);
    let segments = network.segments().await;
    assert!(!segments.iter().all(|segment| network.hospitals[3].holds(segment)));

    network.hospitals[3].worker.start();
    settles("the hospital is ready", async || {
        let unready = unready(&chain).await;
        if unready.is_empty() { Ok(()) } else { Err(unready) }
    })
    .await;
    assert!(segments.iter().all(|segment| network.hospitals[3].holds(segment)));
    network.hospitals[3].metric_becomes("epione_worker_unready", |unready| unready == 0).await;

    // It leaves. What would never be committed is not acknowledged, and readers go on.
    let leaving = &network.hospitals[3];
    let visit = others.visit(leaving, &folder, &media(2)).await;
    leaving.chain().await.submit(&hospitals::leave(), &leaving.governance()).await.unwrap();
    let state = leaving.chain().await.finalized().await.unwrap();
    let entry = state.hospital(D).await.unwrap().unwrap();
    assert_eq!(entry.status, HospitalStatus::Leaving);
    let refused = others.try_submit(leaving, &visit).await.unwrap_err().to_string();
    assert!(refused.contains("This hospital is leaving"), "{refused}");
    let opened = reader(leaving, "//Surgeon").await;
    let opened = opened.open(others.patient, &[record], TREATMENT).await.unwrap();
    assert_eq!(opened.len(), 1);
    let visit = people.visit(&network.hospitals[0], &folder, &media(3)).await;
    people.submit(&network.hospitals[0], &visit).await;
    people.is_committed(&network.hospitals[0], visit.record_id()).await;
}
