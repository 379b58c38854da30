//! Four validators, each with a worker. One hospital stops, node and worker. The others continue. When it returns, it
//! catches up.

#![allow(clippy::unwrap_used)]

mod network;

use epione_client::{
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
    ballot.approvals.into_iter().collect()
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
