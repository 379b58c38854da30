//! Changes of the authorities.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use epione_proofs::{HandOverError, HeadError, JustificationError};
use serde_json::{Value, json};
use sp_core::Bytes;

use super::{
    Doubt, USER, connect, doubt, honest, keys, network,
    node::{Network, Node},
    pinned, profile,
};

/// A network whose authorities changed in blocks 11, 15 and 19.
fn changed() -> Network {
    let mut network = network();
    for authorities in [1..5, 2..6, 2..7] {
        network.change(authorities);
        (0..4).for_each(|_| network.push());
    }
    network
}

#[tokio::test]
async fn changes_of_the_authorities_are_followed() {
    let (node, chain) = honest(changed()).await;
    assert_eq!(chain.finalized_head().await.unwrap().number, 22);
    let state = chain.finalized().await.unwrap();
    assert_eq!(state.profile(USER).await.unwrap(), Some(profile()));

    // One more change, while the client runs; its block is the newest one.
    node.edit(|network| {
        network.change(3..7);
        network.push();
    });
    assert_eq!(chain.finalized_head().await.unwrap().number, 23);
    node.edit(Network::push);
    assert_eq!(chain.finalized_head().await.unwrap().number, 24);
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let network = changed();
    let remembering = pinned(&network).remembering(&file);
    let interrupted = Node::new(network.clone());
    let chain = connect(&interrupted, remembering.clone()).await.unwrap();
    interrupted.lie(|method, params, truth| match method {
        "grandpa_proveFinality" if params[0] == json!(19) => Value::Null,
        _ => truth,
    });
    let refused = doubt(chain.finalized_head().await.unwrap_err());
    assert!(matches!(refused, Doubt::HandOver(_)), "{refused}");

    // The same process, and the next one.
    let next = Node::new(network);
    let later = connect(&next, remembering).await.unwrap();
    for (node, chain) in [(interrupted, chain), (next, later)] {
        node.lie(|method, params, truth| {
            let proves_again = method == "grandpa_proveFinality" && params[0] != json!(19);
            assert!(!proves_again, "block {} is proven again", params[0]);
            truth
        });
        assert_eq!(chain.finalized_head().await.unwrap().number, 22);
    }
}

#[tokio::test]
async fn a_block_that_handed_over_is_read_when_it_is_the_head() {
    let mut network = network();
    network.change(1..5);
    network.push();
    network.push();
    let (node, chain) = honest(network.clone()).await;
    let mut damaged = network.finality();
    damaged["justification"] = json!(Bytes(vec![0xff; 64]));
    node.lie(move |method, _, truth| match method {
        "finality_newest" => damaged.clone(),
        _ => truth,
    });
    // The client follows the change in block 11, and gets no proof of block 12.
    let refused = doubt(chain.finalized_head().await.unwrap_err());
    assert!(matches!(refused, Doubt::Head(_)), "{refused}");
    node.replace(network.until(11));
    assert_eq!(chain.finalized_head().await.unwrap().number, 11);
}

#[tokio::test]
async fn the_file_keeps_the_last_seen_block_until_a_new_one_descends_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let seen = network();
    let remembering = pinned(&seen).remembering(&file);
    let chain = connect(&Node::new(seen.clone()), remembering.clone()).await.unwrap();
    chain.finalized().await.unwrap();

    // Another history, in which the authorities changed.
    let mut fork = seen.clone().until(8);
    fork.put(keys::height(), &7_u32);
    fork.push();
    fork.push();
    fork.change(1..5);
    (0..4).for_each(|_| fork.push());
    let node = Node::new(fork);
    for _ in 0..2 {
        let chain = connect(&node, remembering.clone()).await.unwrap();
        for _ in 0..2 {
            let refused = doubt(chain.finalized().await.unwrap_err());
            assert!(matches!(refused, Doubt::Fork { number: 10, .. }), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_change_of_the_authorities_is_found_by_a_few_requests_at_once() {
    let mut network = network();
    network.change(1..5);
    (0..30).for_each(|_| network.push());
    let (node, chain) = honest(network).await;
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&searches);
    node.lie(move |method, _, truth| {
        if method == "state_getStorage" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        truth
    });
    assert_eq!(chain.finalized_head().await.unwrap().number, 40);
    // Two rounds: 13 blocks at a distance of 3, then the 2 blocks between. Halving needs 6 rounds of one block.
    assert_eq!(searches.load(Ordering::Relaxed), 15);
}

#[tokio::test]
async fn authorities_that_nobody_handed_over_to_are_refused() {
    let mut network = network();
    network.change(6..10);
    network.sign_as(6..10);
    network.push();
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = doubt(chain.finalized().await.unwrap_err());
    let Doubt::HandOver(HandOverError::Head(HeadError::NotJustified { .. })) = &refused else {
        panic!("{refused}");
    };
}

#[tokio::test]
async fn authorities_that_handed_over_make_nothing_final() {
    let mut network = network();
    network.change(1..5);
    network.push();
    network.sign_as(0..4);
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = doubt(chain.finalized().await.unwrap_err());
    let Doubt::Head(HeadError::NotJustified { reason, .. }) = &refused else { panic!("{refused}") };
    assert!(matches!(reason, JustificationError::NotAnAuthority { .. }), "{reason}");
}
