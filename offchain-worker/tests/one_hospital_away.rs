//! Four validators, each with a worker. One hospital stops, node and worker. The others continue. When it returns, it
//! catches up. And two, of which one has no worker.

#![allow(clippy::unwrap_used)]

mod network;

use epione_client::{
    api::VisitStage,
    chain::{Chain, ChainEvent},
    verify,
};
use epione_primitives::{HospitalId, RecordPointer, approval::BallotOutcome};
use futures::StreamExt;
use network::{Network, Tuning, eventually, people::People};

const BOB: usize = 1;
const DAVE: usize = 3;
/// Enough for each of four validators to have authored twice.
const BLOCKS: usize = 8;

/// Submits a visit to the first hospital and waits until it is committed.
async fn commit(network: &Network, people: &People, content: &[u8]) -> RecordPointer {
    let visit = people.visit(&network.hospitals[0], network.folder.path(), content).await;
    people.submit(&network.hospitals[0], &visit).await;
    people.is_committed(&network.hospitals[0], visit.record_id()).await
}

/// The hospitals that approved a committed block.
async fn approvals(chain: &Chain, height: u32) -> Vec<HospitalId> {
    let state = chain.finalized().await.unwrap();
    let (header, _) = state.header(height).await.unwrap().unwrap();
    let ballot = state.ballot(header.announcement).await.unwrap().unwrap();
    assert_eq!(ballot.outcome, Some(BallotOutcome::Approved));
    ballot.approvals.into_iter().map(|approval| approval.hospital).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_commits_while_one_hospital_is_away() {
    let mut network = Network::start(4, Tuning::default()).await;
    let people = People::register(&network.hospitals[0]).await;
    let before = commit(&network, &people, b"while all are there").await;
    network.hospitals[DAVE].comes_to_hold(&network.segments().await).await;

    network.hospitals[DAVE].worker.kill();
    network.hospitals[DAVE].node.kill();
    let chain = network.hospitals[0].chain().await;
    let finalized = chain.finalized_head().await.unwrap().number;
    let during = commit(&network, &people, b"while one is away").await;
    assert_eq!(during.height, before.height + 1);
    let approvals = approvals(&chain, during.height).await;
    assert!(!approvals.contains(&HospitalId(DAVE as u16)), "one that is away approved");
    assert!(chain.finalized_head().await.unwrap().number > finalized);

    network.hospitals[DAVE].node.start();
    network.hospitals[DAVE].worker.start();
    network.hospitals[DAVE].worker_is_ready().await;
    network.hospitals[DAVE].comes_to_hold(&network.segments().await).await;
    let own = network.hospitals[DAVE].chain().await;
    eventually("the node that was away has the block", async || {
        (own.finalized().await.ok()?.height().await.ok()? >= during.height).then_some(())
    })
    .await;
    let report = verify::check(&verify::gather(&own, during.height).await.unwrap());
    assert!(report.passed(), "the block does not verify at the one that was away: {report:?}");

    // It votes again: with another worker stopped, a block needs its vote.
    network.hospitals[BOB].worker.kill();
    commit(&network, &people, b"when it is back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_finalize_the_same_blocks_in_order() {
    let network = Network::of_nodes(4, Tuning::default()).await;
    let chain = network.hospitals[0].chain().await;
    let from = chain.finalized_head().await.unwrap().number + 1;
    let mut stream = chain.finalized_stream(from);
    let mut times = Vec::new();
    while times.len() < BLOCKS {
        let block = stream.next().await.unwrap().unwrap();
        assert_eq!(block.number, from + times.len() as u32, "a finalized block is missing");
        let events = chain.events(block.hash).await.unwrap();
        assert!(!events.iter().any(|event| matches!(event.event, ChainEvent::Committed { .. })));
        times.push(chain.time(block.hash).await.unwrap());
    }
    assert!(times.is_sorted(), "time goes back: {times:?}");
    let expected = chain.block_hash(from).await.unwrap();
    assert!(expected.is_some());
    for hospital in &network.hospitals {
        let own = hospital.chain().await;
        eventually("every node has finalized the block", async || {
            (own.finalized_head().await.ok()?.number >= from).then_some(())
        })
        .await;
        assert_eq!(own.block_hash(from).await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_block_whose_media_are_lost_before_it_is_announced_is_aborted() {
    let mut network = Network::of_nodes(2, Tuning::default()).await;
    network.hospitals[0].worker.start();
    let hospital = &network.hospitals[0];
    hospital.worker_is_ready().await;
    let people = People::register(hospital).await;
    // So large that it is offered to the other hospital first, whose worker does not answer for half a minute.
    let visit = people.visit(hospital, network.folder.path(), &vec![7; 5 << 20]).await;
    people.submit(hospital, &visit).await;
    people
        .reaches(hospital, visit.record_id(), "the visit is packed", |stage| {
            (stage == VisitStage::Packed).then_some(())
        })
        .await;
    for file in hospital.all_stored() {
        std::fs::remove_file(file).unwrap();
    }
    hospital.metric_becomes("epione_worker_announcements_failed_total", |failed| failed > 0).await;
    let held = "epione_worker_visits_held_total{reason=\"SegmentMissing\"}";
    hospital.metric_becomes(held, |held| held > 0).await;
    assert_eq!(hospital.metric("epione_worker_announcements_total").await, 0);
    let open =
        hospital.chain().await.finalized().await.unwrap().open_announcements().await.unwrap();
    assert!(open.is_empty(), "{open:?}");
}
