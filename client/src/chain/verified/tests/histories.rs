//! Heads that must descend from the last verified block.

use super::{Doubt, connect, doubt, honest, keys, network, node::Node, pinned};

/// A state has the hashes of the four blocks before it; ten blocks more are reached in steps.
#[tokio::test]
async fn another_history_by_the_same_authorities_is_noticed() {
    for blocks in [4, 14] {
        let folder = tempfile::tempdir().unwrap();
        let network = network();
        let remembering = pinned(&network).remembering(folder.path().join("head.json"));
        let mut fork = network.clone().until(8);
        fork.put(keys::height(), &7_u32);
        for _ in 0..blocks {
            fork.push();
        }
        let chain = connect(&Node::new(network), remembering.clone()).await.unwrap();
        chain.finalized().await.unwrap();

        let chain = connect(&Node::new(fork), remembering).await.unwrap();
        let refused = doubt(chain.finalized().await.unwrap_err());
        assert!(matches!(refused, Doubt::Fork { number: 10, .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_client_that_was_away_for_a_long_time_finds_its_block_again() {
    let network = network();
    let (node, chain) = honest(network).await;
    chain.finalized().await.unwrap();
    node.edit(|network| (0..14).for_each(|_| network.push()));
    assert_eq!(chain.finalized_head().await.unwrap().number, 24);
}

#[tokio::test]
async fn a_state_without_the_verified_blocks_hash_is_not_called_another_history() {
    let (node, chain) = honest(network()).await;
    chain.finalized().await.unwrap();
    node.edit(|network| {
        network.push();
        network.remove(&keys::block_hash(10));
        network.push();
    });
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::NoAncestor { number: 10, from: 12 });
}
