//! A peer copies the chain of lite blocks, from honest nodes and from others.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{
    Doubt, StateError, connect, doubt, honest, keys, network,
    node::{Network, Node},
    pinned,
};
use crate::{
    chain::{Chain, LiteBlock, PAGE_BLOCKS, Trust},
    lite::{Fault, LiteError, Source, Store, check, compare, made, sync},
};
use serde_json::Value;

/// A network whose newest final state has these lite blocks.
fn with_blocks(blocks: &[LiteBlock]) -> Network {
    let mut network = network();
    put(&mut network, blocks);
    network
}

fn put(network: &mut Network, blocks: &[LiteBlock]) {
    for LiteBlock { header, hashes, entries, ballot } in blocks {
        network.put(keys::header(header.height), header);
        network.put(keys::hashes(header.height), hashes);
        network.put(keys::entries(header.height), entries);
        network.put(keys::ballot(header.announcement), ballot);
    }
    network.put(keys::height(), &(blocks.len() as u32));
    network.push();
}

/// A place for the file of a peer.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lite.sqlite");
        Self { _folder: folder, path }
    }

    async fn sync(&self, chain: &Chain) -> Result<u32, LiteError> {
        let mut store = Store::create(&self.path, chain.genesis_hash())?;
        Ok(sync(chain, &mut store, |_, _| {}).await?.added)
    }

    async fn compare(&self, chain: &Chain) -> Result<Source, LiteError> {
        let store = Store::open(&self.path)?;
        let checked = check(&store, |_, _| {})?;
        compare(chain, &store, &checked).await
    }

    fn height(&self) -> u32 {
        let store = Store::open(&self.path).unwrap();
        let checked = check(&store, |_, _| {}).unwrap();
        assert_eq!(checked.wrong, None);
        assert_eq!(checked.height, store.height().unwrap());
        checked.height
    }
}

#[tokio::test]
async fn a_whole_chain_is_copied_by_two_requests_for_a_page() {
    let blocks = made::chain(2 * PAGE_BLOCKS + 2);
    let (node, chain) = honest(with_blocks(&blocks)).await;
    chain.finalized_head().await.unwrap();
    let place = Place::new();
    let before = node.requests();
    let mut seen = Vec::new();
    let mut store = Store::create(&place.path, chain.genesis_hash()).unwrap();
    let synced = sync(&chain, &mut store, |height, newest| seen.push((height, newest))).await;
    let synced = synced.unwrap();
    assert_eq!((synced.added, synced.height, synced.source.proven), (130, 130, true));
    assert_eq!(seen, [(64, 130), (128, 130), (130, 130)]);
    // Two for each of three pages; the others are for the newest block.
    assert!(node.requests() - before <= 2 * 3 + 6, "{}", node.requests() - before);
    for block in &blocks {
        assert_eq!(store.block(block.header.height).unwrap().as_ref(), Some(block));
    }
    drop(store);
    assert_eq!(place.height(), 130);
}

#[tokio::test]
async fn a_later_copy_adds_what_is_new() {
    let blocks = made::chain(80);
    let (node, chain) = honest(with_blocks(&blocks[..70])).await;
    let place = Place::new();
    assert_eq!(place.sync(&chain).await.unwrap(), 70);
    assert_eq!(place.sync(&chain).await.unwrap(), 0);
    node.edit(|network| put(network, &blocks));
    assert_eq!(place.compare(&chain).await.unwrap().height, 80, "the file lacks ten blocks");
    assert_eq!(place.sync(&chain).await.unwrap(), 10);
    assert_eq!(place.height(), 80);
    assert!(place.compare(&chain).await.unwrap().proven);
}

#[tokio::test]
async fn a_copy_whose_node_dies_continues_without_loss_from_the_node_of_another_hospital() {
    let blocks = made::chain(7 * PAGE_BLOCKS);
    let (node, chain) = honest(with_blocks(&blocks)).await;
    let place = Place::new();
    let mut store = Store::create(&place.path, chain.genesis_hash()).unwrap();
    // After the first page, when a few more are requested.
    let dying = |_: u32, _: u32| node.refuse("state_getReadProof", -1);
    let refused = sync(&chain, &mut store, dying).await.unwrap_err();
    assert!(matches!(refused, LiteError::Chain(_)), "{refused}");
    drop(store);
    let kept = place.height();
    assert!(kept > 0 && kept < 7 * PAGE_BLOCKS && kept.is_multiple_of(PAGE_BLOCKS), "{kept}");

    let (_other, chain) = honest(with_blocks(&blocks)).await;
    assert_eq!(place.sync(&chain).await.unwrap(), 7 * PAGE_BLOCKS - kept);
    assert_eq!(place.height(), 7 * PAGE_BLOCKS);
    assert!(place.compare(&chain).await.unwrap().proven);
}

#[tokio::test]
async fn a_handle_that_believes_its_node_copies_the_same_and_the_file_says_so() {
    let network = with_blocks(&made::chain(3));
    let known = pinned(&network);
    let node = Node::new(network);
    let chain = node.connect().await.trusting(Trust::Node).await.unwrap();
    let place = Place::new();
    assert_eq!(place.sync(&chain).await.unwrap(), 3);
    assert!(!Store::open(&place.path).unwrap().status().unwrap().source.proven);
    assert_eq!(place.height(), 3);
    // Its approvals stay unproven, also when its hashes are compared with a proven state.
    let verifying = connect(&node, known).await.unwrap();
    assert!(!place.compare(&verifying).await.unwrap().proven);
}

#[tokio::test]
async fn a_page_of_which_the_node_withholds_a_value_is_not_written() {
    let (node, chain) = honest(with_blocks(&made::chain(100))).await;
    let place = Place::new();
    // The second page, of 36 blocks with three values each.
    node.lie(|method, params, mut truth| {
        let keys = params.first().and_then(Value::as_array).map_or(0, Vec::len);
        if method == "state_getReadProof" && keys == 36 * 3 {
            let nodes = truth["proof"].as_array_mut().unwrap();
            let largest = nodes.iter().map(|node| node.as_str().unwrap().len()).max().unwrap();
            nodes.retain(|node| node.as_str().unwrap().len() < largest);
        }
        truth
    });
    let LiteError::Chain(refused) = place.sync(&chain).await.unwrap_err() else { panic!() };
    let refused = doubt(refused);
    assert!(
        matches!(refused, Doubt::State(StateError::Withheld { .. } | StateError::OtherRoot { .. })),
        "{refused}"
    );
    assert_eq!(place.height(), 64);
    node.lie(|_, _, truth| truth);
    assert_eq!(place.sync(&chain).await.unwrap(), 36);
}

#[tokio::test]
async fn a_final_state_with_a_wrong_block_is_refused_at_its_height() {
    let mut blocks = made::chain(100);
    blocks[69].entries[0].previous = None;
    blocks[69].header.time += 1;
    let (_node, chain) = honest(with_blocks(&blocks)).await;
    let place = Place::new();
    let LiteError::Block(wrong) = place.sync(&chain).await.unwrap_err() else { panic!() };
    assert_eq!(wrong.height, 70);
    assert!(matches!(wrong.fault, Fault::Hash { .. }), "{wrong}");
    assert_eq!(place.height(), 64);
}

#[tokio::test]
async fn a_ballot_of_another_block_is_refused() {
    let mut blocks = made::chain(5);
    let other = blocks[1].ballot.clone();
    blocks[3].ballot = other;
    let (_node, chain) = honest(with_blocks(&blocks)).await;
    let LiteError::Block(wrong) = Place::new().sync(&chain).await.unwrap_err() else { panic!() };
    assert_eq!((wrong.height, wrong.fault), (4, Fault::Subject));
}

#[tokio::test]
async fn a_rolled_back_chain_or_another_history_changes_nothing_in_the_file() {
    let blocks = made::chain(20);
    let (_node, chain) = honest(with_blocks(&blocks)).await;
    let place = Place::new();
    place.sync(&chain).await.unwrap();

    let (_behind, chain) = honest(with_blocks(&blocks[..15])).await;
    let refused = place.sync(&chain).await.unwrap_err();
    assert!(matches!(refused, LiteError::RolledBack { chain: 15, kept: 20 }), "{refused}");

    // Another history of the same length, and a longer one.
    let mut maker = made::Maker::default();
    let other: Vec<_> =
        (0..25).map(|number| maker.commit(&[(made::patient(number), vec![1])])).collect();
    for length in [20, 25] {
        let (_fork, chain) = honest(with_blocks(&other[..length])).await;
        let refused = place.sync(&chain).await.unwrap_err();
        assert!(matches!(refused, LiteError::Fork { height: 20, .. }), "{refused}");
        let refused = place.compare(&chain).await.unwrap_err();
        assert!(matches!(refused, LiteError::Fork { height: 20, .. }), "{refused}");
    }
    assert_eq!(place.height(), 20);
    let store = Store::open(&place.path).unwrap();
    assert_eq!(store.block(20).unwrap().as_ref(), Some(&blocks[19]));
}

#[tokio::test]
async fn a_file_of_another_chain_is_not_extended() {
    let place = Place::new();
    let (_node, chain) = honest(with_blocks(&made::chain(2))).await;
    place.sync(&chain).await.unwrap();
    let elsewhere = {
        let mut network = Network::new(0..7);
        put(&mut network, &made::chain(2));
        network
    };
    let pinned = pinned(&elsewhere);
    let chain = connect(&Node::new(elsewhere), pinned).await.unwrap();
    let refused = place.sync(&chain).await.unwrap_err();
    assert!(matches!(refused, LiteError::OtherChain { .. }), "{refused}");
    assert_eq!(place.height(), 2);
}

#[tokio::test]
async fn a_chain_without_lite_blocks_makes_an_empty_file() {
    let (_node, chain) = honest(network()).await;
    let place = Place::new();
    assert_eq!(place.sync(&chain).await.unwrap(), 0);
    assert_eq!(place.height(), 0);
    let lite = chain.lite_chain().await.unwrap();
    assert_eq!((lite.height(), lite.hashes(1).await.unwrap()), (0, None));
}
