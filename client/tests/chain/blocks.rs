//! Finalized blocks, and the connection to a node.

use std::time::Duration;

use epione_client::chain::{BlockRef, ChainError, FinalizedStream};
use epione_primitives::{Hash, HospitalId, hospital::Duty};
use futures::StreamExt;

use crate::{
    agent,
    node::{Node, PATIENCE},
};

/// The next block, after any number of errors while the node is away.
async fn next(stream: &mut FinalizedStream, errors: &mut usize) -> BlockRef {
    loop {
        match stream.next().await.unwrap() {
            Ok(block) => return block,
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                *errors += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_read_at_finalized_blocks() {
    let node = Node::start();
    let chain = node.connect().await;
    let mut stream = chain.finalized_stream(1);
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.number, 1);

    assert_eq!(chain.block_hash(0).await.unwrap(), Some(chain.genesis_hash()));
    assert_eq!(chain.block_hash(1).await.unwrap(), Some(first.hash));
    assert_eq!(chain.block_hash(1_000_000).await.unwrap(), None);
    let made = chain.time(first.hash).await.unwrap();
    assert!(made > 1_700_000_000_000, "{made}");
    assert_eq!(chain.time_at(1).await.unwrap(), Some(made));
    assert_eq!(chain.time_at(1_000_000).await.unwrap(), None);
    assert!(!chain.health().await.unwrap().is_syncing);

    let state = chain.at(first.hash);
    let hospitals = state.hospitals().await.unwrap();
    assert_eq!(hospitals.len(), 1);
    assert_eq!(hospitals[0].1.agent, agent().id());
    assert_eq!(state.benched().await.unwrap(), []);
    assert_eq!(state.unready().await.unwrap(), []);
    assert_eq!(state.replacement(HospitalId(0)).await.unwrap(), None);
    let of = state.hospital_of(&agent().id()).await.unwrap();
    assert_eq!(of, Some((HospitalId(0), Duty::Agent)));
    assert_eq!(state.height().await.unwrap(), 0);
    let (version, policies) = state.policies(HospitalId(0), None).await.unwrap().unwrap();
    assert_eq!(version, 0);
    assert_eq!(state.policies(HospitalId(0), Some(0)).await.unwrap(), Some((0, policies)));
    assert_eq!(state.policies(HospitalId(0), Some(1)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_distinct_from_what_cannot_be_read() {
    let node = Node::shared();
    let chain = node.connect().await;
    assert_eq!(chain.body(Hash::repeat_byte(1)).await.unwrap(), None);
    assert!(chain.lite_header(7).await.unwrap().is_none());
    let pointer = epione_primitives::RecordPointer { height: 7, index: 0 };
    assert!(chain.lite_record(pointer).await.unwrap().is_none());
    let unknown = chain.at(Hash::repeat_byte(9)).height().await.unwrap_err();
    assert!(!unknown.is_transient(), "{unknown}");
    let events = chain.events(Hash::repeat_byte(9)).await.unwrap_err();
    assert!(matches!(events, ChainError::UnknownBlock(_)), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn finalized_blocks_come_without_gaps_across_a_restart_of_the_node() {
    let mut node = Node::start();
    let chain = node.connect().await;
    let (mut stream, mut errors) = (chain.finalized_stream(0), 0);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(next(&mut stream, &mut errors).await);
    }
    assert_eq!(errors, 0);

    // Blocks that become final while the stream is not polled come later.
    while chain.finalized_head().await.unwrap().number < 5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for _ in 0..2 {
        seen.push(next(&mut stream, &mut errors).await);
    }

    node.stop();
    let restart = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        node.restart();
    };
    let go_on = async {
        for _ in 0..4 {
            seen.push(next(&mut stream, &mut errors).await);
        }
    };
    tokio::join!(restart, go_on);

    let numbers: Vec<u32> = seen.iter().map(|block| block.number).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    for block in seen {
        assert_eq!(chain.block_hash(block.number).await.unwrap(), Some(block.hash));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stopped_is_an_error_and_not_a_hang() {
    let mut node = Node::start();
    let chain = node.connect().await;
    node.stop();
    let mut stream = chain.finalized_stream(1_000_000);
    let told = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
    let error = told.unwrap().unwrap_err();
    assert!(error.to_string().contains(&node.url()), "{error}");
}
