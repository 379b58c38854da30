//! Checkpoints, after a change of the authorities by force.

use std::path::Path;

use epione_primitives::{BlockNumber, Hash};
use epione_proofs::{CheckpointError, HandOverError, HeadError, JustificationError};
use serde_json::json;

use super::{
    Doubt, Pinned, USER, connect, doubt, keys, made, network,
    node::{Network, Node},
    pinned, profile,
};
use crate::chain::{
    Chain, ChainError, Checkpoint,
    verified::{checkpoint::MAX_GAP, memory},
};

/// Block 10 is the last one that the first authorities made final. The state counts two sets that never voted. Block 13
/// forces a change to new authorities, who make blocks 14 to 17 final.
fn forced() -> Network {
    let mut network = network();
    force(&mut network);
    network
}

fn force(network: &mut Network) {
    network.announce_in_vain(1..4);
    network.announce_in_vain(0..3);
    network.force(4..8);
    (0..4).for_each(|_| network.push());
}

/// The checkpoint that a hospital makes at its own node, which it believes.
async fn made_of(network: &Network, number: BlockNumber) -> Checkpoint {
    let chain = Node::new(network.clone()).connect().await;
    chain.checkpoint(number).await.unwrap()
}

/// A checkpoint by hand.
fn forged(
    network: &Network,
    number: BlockNumber,
    set: u64,
    authorities: std::ops::Range<u8>,
) -> Checkpoint {
    let (genesis, hash) = (network.genesis(), network.hashes()[number as usize]);
    let authorities = authorities.map(|hospital| (made::public_key(hospital), 1));
    let inner =
        epione_proofs::Checkpoint::new(genesis, number, hash, set, 3 - set, authorities).unwrap();
    Checkpoint::new(inner).unwrap()
}

async fn begun(network: &Network, checkpoint: Checkpoint) -> Result<Chain, ChainError> {
    let pinned = pinned(network).beginning_at(checkpoint);
    connect(&Node::new(network.clone()), pinned).await
}

/// Why the votes for a head were refused.
fn head_reason(doubt: Doubt) -> JustificationError {
    match doubt {
        Doubt::Head(HeadError::NotJustified { reason, .. }) => reason,
        other => panic!("{other}"),
    }
}

/// From now on, the node says that an earlier block is its newest final one.
fn show_only(node: &Node, shorter: Network) {
    let newest = shorter.newest_header().hash();
    node.lie(move |method, _, truth| match method {
        "chain_getFinalizedHead" => json!(newest),
        "finality_newest" => shorter.finality(),
        _ => truth,
    });
}

/// From now on, the node also has the headers of another chain.
fn serve_headers_of(node: &Node, other: Network) {
    node.lie(move |method, params, truth| {
        let numbers = 0..other.hashes().len() as BlockNumber;
        let mut headers = numbers.map(|number| other.header(number));
        match method {
            "chain_getHeader" if truth.is_null() => {
                json!(headers.find(|header| json!(header.hash()) == params[0]))
            }
            _ => truth,
        }
    });
}

#[tokio::test]
async fn a_change_by_force_is_refused_with_what_to_do() {
    let mut alone = network();
    alone.force(4..8);
    alone.push();
    let chain = connect(&Node::new(alone.clone()), pinned(&alone)).await.unwrap();
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::HandOver(HandOverError::Forced { number: 11 }));
    assert!(refused.needs_the_hospitals());
    let said = refused.to_string();
    assert!(said.contains("epione chain accept-checkpoint"), "{said}");

    // The first change in vain has no votes either.
    let network = forced();
    let chain = connect(&Node::new(network.clone()), pinned(&network)).await.unwrap();
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert!(matches!(refused, Doubt::HandOver(HandOverError::Head(_))), "{refused}");
    assert!(refused.to_string().contains("checkpoint"), "{refused}");
}

#[tokio::test]
async fn a_client_begins_at_a_checkpoint_and_follows_later_changes() {
    let network = forced();
    for number in [13, 15, 16] {
        let checkpoint = made_of(&network, number).await;
        // The set of the votes, and not the one that the state counts.
        assert_eq!((checkpoint.number(), checkpoint.set()), (number, 1));
        let node = Node::new(network.clone());
        let chain = connect(&node, pinned(&network).beginning_at(checkpoint)).await.unwrap();
        assert_eq!(chain.finalized_head().await.unwrap().number, 17);
        let state = chain.finalized().await.unwrap();
        assert_eq!(state.profile(USER).await.unwrap(), Some(profile()));
        // Blocks before the checkpoint, too.
        assert_eq!(chain.block_hash(3).await.unwrap(), Some(network.hashes()[3]));

        for authorities in [5..9, 6..10] {
            node.edit(|network| {
                network.change(authorities);
                (0..3).for_each(|_| network.push());
            });
        }
        assert_eq!(chain.finalized_head().await.unwrap().number, 23);
    }
}

#[tokio::test]
async fn each_hospital_makes_the_same_file_of_a_block_now_and_later() {
    let network = forced();
    let first = made_of(&network, 15).await;
    let mut later = network.clone();
    later.change(5..9);
    (0..5).for_each(|_| later.push());
    let second = made_of(&later, 15).await;
    assert_eq!(first.to_bytes().unwrap(), second.to_bytes().unwrap());
    assert_eq!(first.sha256(), second.sha256());
    assert_ne!(made_of(&network, 16).await.sha256(), first.sha256());
    // A client that verifies makes it as well.
    let chain = begun(&network, first.clone()).await.unwrap();
    assert_eq!(chain.checkpoint(15).await.unwrap(), first);
}

#[tokio::test]
async fn no_checkpoint_is_made_of_authorities_that_did_not_vote() {
    let network = forced();
    let chain = Node::new(network).connect().await;
    for number in [0, 17, 18] {
        let refused = doubt(chain.checkpoint(number).await.unwrap_err());
        assert_eq!(refused, Doubt::NotBeforeNewest { number, newest: 17 });
    }
    // Block 10 is the last one of the first authorities.
    let refused = doubt(chain.checkpoint(10).await.unwrap_err());
    assert_eq!(refused, Doubt::NotNeeded { number: 10 });
    // The authorities of blocks 11 and 12 never voted.
    for number in [11, 12] {
        let refused = doubt(chain.checkpoint(number).await.unwrap_err());
        assert!(matches!(refused, Doubt::NotInForce { .. }), "{refused}");
        assert!(refused.needs_another_block());
    }
}

#[tokio::test]
async fn the_checkpoint_of_another_chain_is_refused() {
    let mut other = Network::new(6..10);
    (0..10).for_each(|_| other.push());
    force(&mut other);
    let checkpoint = made_of(&other, 15).await;
    let refused = doubt(begun(&forced(), checkpoint).await.unwrap_err());
    let expected =
        CheckpointError::OtherChain { expected: forced().genesis(), found: other.genesis() };
    assert_eq!(refused, Doubt::Checkpoint(expected));
    assert!(refused.needs_the_hospitals());
}

#[tokio::test]
async fn a_checkpoint_with_other_authorities_or_another_set_makes_nothing_final() {
    let network = forced();
    let right = forged(&network, 15, 1, 4..8);
    assert_eq!(right, made_of(&network, 15).await);
    let others = begun(&network, forged(&network, 15, 1, 20..24)).await.unwrap();
    let refused = head_reason(doubt(others.finalized().await.unwrap_err()));
    assert!(matches!(refused, JustificationError::NotAnAuthority { .. }), "{refused}");
    let set = begun(&network, forged(&network, 15, 2, 4..8)).await.unwrap();
    let refused = head_reason(doubt(set.finalized().await.unwrap_err()));
    assert!(matches!(refused, JustificationError::BadSignature { set: 2, .. }), "{refused}");
}

#[tokio::test]
async fn a_header_with_another_number_than_the_checkpoints_is_refused() {
    let network = forced();
    let (genesis, hash) = (network.genesis(), network.hashes()[16]);
    let voters = (4..8).map(|hospital| (made::public_key(hospital), 1));
    let inner = epione_proofs::Checkpoint::new(genesis, 15, hash, 1, 2, voters).unwrap();
    let refused = doubt(begun(&network, Checkpoint::new(inner).unwrap()).await.unwrap_err());
    assert!(
        matches!(refused, Doubt::Checkpoint(CheckpointError::OtherBlock { found: 16, .. })),
        "{refused}"
    );
}

/// The new authorities sign two histories, of which the hospitals agreed on one.
#[tokio::test]
async fn a_node_whose_blocks_do_not_descend_from_the_checkpoint_is_refused() {
    let network = forced();
    let checkpoint = made_of(&network, 15).await;
    let mut fork = network.clone().until(14);
    fork.put(keys::height(), &7_u32);
    (0..4).for_each(|_| fork.push());
    // It does not have the checkpoint's block.
    let absent = begun_on(&fork, &network, checkpoint.clone()).await.unwrap_err();
    assert!(matches!(absent, ChainError::UnknownBlock(_)), "{absent}");

    let node = Node::new(fork);
    serve_headers_of(&node, network.clone());
    let chain = connect(&node, pinned(&network).beginning_at(checkpoint)).await.unwrap();
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert!(matches!(refused, Doubt::Fork { number: 15, .. }), "{refused}");
}

/// A node of `served`, for a client that begins at a checkpoint of `network`.
async fn begun_on(
    served: &Network,
    network: &Network,
    checkpoint: Checkpoint,
) -> Result<Chain, ChainError> {
    connect(&Node::new(served.clone()), pinned(network).beginning_at(checkpoint)).await
}

#[tokio::test]
async fn blocks_up_to_the_checkpoint_are_no_newest_blocks() {
    let network = forced();
    let checkpoint = made_of(&network, 16).await;
    let node = Node::new(network.clone());
    let chain = connect(&node, pinned(&network).beginning_at(checkpoint)).await.unwrap();
    show_only(&node, network.until(15));
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::RolledBack { found: 15, seen: 16 });
}

/// A client that remembers the block `seen` of a network.
async fn remembering(network: &Network, seen: BlockNumber, file: &Path) -> Pinned {
    let remembering = pinned(network).remembering(file);
    let node = Node::new(network.clone().until(seen));
    connect(&node, remembering.clone()).await.unwrap().finalized().await.unwrap();
    remembering
}

#[tokio::test]
async fn a_client_that_remembers_a_block_goes_on_at_a_checkpoint_of_the_same_chain() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let network = forced();
    let before = remembering(&network, 8, &file).await;
    let checkpoint = made_of(&network, 15).await;
    let with = before.clone().beginning_at(checkpoint.clone());
    let node = Node::new(network.clone());
    let chain = connect(&node, with.clone()).await.unwrap();
    assert_eq!(chain.finalized_head().await.unwrap().number, 17);
    let kept = memory::load(&file, network.genesis()).unwrap().unwrap();
    assert_eq!((kept.head.block.number, kept.ahead), (17, 2));
    assert_eq!(kept.checkpoint, Some(checkpoint.sha256()));

    // The next start needs the checkpoint no more, and does not look at it again.
    node.edit(|network| {
        network.change(5..9);
        (0..3).for_each(|_| network.push());
    });
    let block = network.hashes()[15];
    node.lie(move |method, params, truth| {
        assert!(method != "chain_getHeader" || params[0] != json!(block), "it is requested");
        truth
    });
    for pinned in [before, with] {
        let chain = connect(&node, pinned).await.unwrap();
        assert_eq!(chain.finalized_head().await.unwrap().number, 20);
    }
}

#[tokio::test]
async fn a_checkpoint_of_another_history_than_the_remembered_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let seen = network();
    let remembering = remembering(&seen, 10, &file).await;
    let mut fork = seen.clone().until(8);
    fork.put(keys::height(), &7_u32);
    (0..2).for_each(|_| fork.push());
    force(&mut fork);
    let checkpoint = made_of(&fork, 15).await;
    let node = Node::new(fork.clone());
    for _ in 0..2 {
        let pinned = remembering.clone().beginning_at(checkpoint.clone());
        let refused = doubt(connect(&node, pinned).await.unwrap_err());
        let expected = Doubt::OtherCheckpoint {
            number: 15,
            hash: fork.hashes()[15],
            seen: 10,
            verified: seen.hashes()[10],
        };
        assert_eq!(refused, expected);
        assert!(refused.needs_the_hospitals());
    }
}

#[tokio::test]
async fn a_checkpoint_does_not_take_a_client_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let network = forced();
    let remembering = pinned(&network).remembering(&file);
    let late = remembering.clone().beginning_at(made_of(&network, 16).await);
    connect(&Node::new(network.clone()), late).await.unwrap().finalized().await.unwrap();

    // An earlier checkpoint of the same chain changes nothing.
    let early = remembering.clone().beginning_at(made_of(&network, 14).await);
    let node = Node::new(network.clone());
    let chain = connect(&node, early).await.unwrap();
    show_only(&node, network.clone().until(16));
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::RolledBack { found: 16, seen: 17 });

    // One of another history is refused.
    let mut fork = network.clone().until(14);
    fork.put(keys::height(), &7_u32);
    (0..2).for_each(|_| fork.push());
    let other = made_of(&fork, 15).await;
    let node = Node::new(network);
    serve_headers_of(&node, fork);
    let refused = doubt(connect(&node, remembering.beginning_at(other)).await.unwrap_err());
    assert!(matches!(refused, Doubt::OtherCheckpoint { number: 15, seen: 17, .. }), "{refused}");
}

#[tokio::test]
async fn a_checkpoint_that_is_too_far_from_the_remembered_block_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let mut network = forced();
    (0..MAX_GAP).for_each(|_| network.push());
    let remembering = remembering(&network, 10, &file).await;
    let pinned = |checkpoint| remembering.clone().beginning_at(checkpoint);
    let far = 10 + MAX_GAP + 1;
    let node = Node::new(network.clone());
    let refused = connect(&node, pinned(made_of(&network, far).await)).await.unwrap_err();
    assert_eq!(doubt(refused), Doubt::FarCheckpoint { number: far, seen: 10, max: MAX_GAP });
    let near = connect(&node, pinned(made_of(&network, far - 1).await)).await.unwrap();
    assert_eq!(near.finalized_head().await.unwrap().number, 17 + MAX_GAP);
}

/// A file names what its chain has; what it has not, nobody can prove.
#[tokio::test]
async fn a_checkpoint_of_a_block_that_nobody_has_is_refused() {
    let network = forced();
    let voters = (4..8).map(|hospital| (made::public_key(hospital), 1));
    let (genesis, hash) = (network.genesis(), Hash::repeat_byte(9));
    let inner = epione_proofs::Checkpoint::new(genesis, 15, hash, 1, 2, voters).unwrap();
    let refused = begun(&network, Checkpoint::new(inner).unwrap()).await.unwrap_err();
    assert!(matches!(refused, ChainError::UnknownBlock(_)), "{refused}");
}
