//! What a node could do to a client that verifies. The chain is in memory, with real keys, votes and proofs.

mod changes;
mod checkpoints;
mod consortium;
pub(crate) mod disclosed;
pub(crate) mod evident;
mod histories;
#[allow(dead_code)]
#[path = "../../../../proofs/tests/false_proofs/chain.rs"]
mod made;
mod node;
mod pages;
mod records;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use codec::Encode;
use epione_primitives::{
    AccountId, Hash, HospitalId, UserId,
    profile::{Profile, Registration, RegistrationStatus, Role},
};
use epione_proofs::{Authorities, HeadError, JustificationError, StateError, TimeError};
use serde_json::{Value, json};
use sp_core::Bytes;

use super::{Doubt, Pinned, Trust, keys, memory, within};
use crate::chain::{Chain, ChainError, Snapshot};
use node::{Network, Node};

const USER: UserId = UserId([1; 32]);
const HOSPITAL: HospitalId = HospitalId(0);

fn account() -> AccountId {
    AccountId::new([7; 32])
}

fn profile() -> Profile {
    Profile {
        role: Role::Patient,
        account: account(),
        sealing_key_hash: Hash::repeat_byte(3),
        version: 1,
        since: 0,
    }
}

fn registration() -> Registration {
    Registration {
        status: RegistrationStatus::Active,
        periods: Default::default(),
        version: 1,
        body_hash: Hash::repeat_byte(4),
    }
}

/// A chain of four hospitals and ten blocks. The state has a user from block 5 on.
fn network() -> Network {
    let mut network = Network::new(0..4);
    for number in 1..=10 {
        if number == 5 {
            network.put(keys::profile(USER), &profile());
            network.put(keys::user_account(&account()), &USER);
        }
        network.push();
    }
    network
}

fn pinned(network: &Network) -> Pinned {
    Pinned::new(network.genesis())
}

async fn connect(node: &Node, pinned: Pinned) -> Result<Chain, ChainError> {
    node.connect().await.trusting(Trust::Verified(pinned)).await
}

/// A verifying connection to a node that tells no lies yet.
async fn honest(network: Network) -> (Node, Chain) {
    let pinned = pinned(&network);
    let node = Node::new(network);
    let chain = connect(&node, pinned).await.unwrap();
    (node, chain)
}

fn doubt(error: ChainError) -> Doubt {
    match error {
        ChainError::Unproven { doubt, .. } => *doubt,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_the_chain_has_is_read_and_what_it_does_not_have_is_absent() {
    let (_node, chain) = honest(network()).await;
    assert_eq!(chain.finalized_head().await.unwrap().number, 10);
    let state = chain.finalized().await.unwrap();
    assert_eq!(state.profile(USER).await.unwrap(), Some(profile()));
    assert_eq!(state.user_of(&account()).await.unwrap(), Some(USER));
    assert_eq!(state.profile(UserId([9; 32])).await.unwrap(), None);
    assert_eq!(state.height().await.unwrap(), 0);
    assert_eq!(state.hospitals().await.unwrap(), []);
    assert!(chain.is_verified());
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused() {
    let node = Node::new(network());
    let refused = connect(&node, Pinned::new(Hash::repeat_byte(9))).await.unwrap_err();
    assert!(matches!(refused, ChainError::OtherChain { .. }), "{refused}");
    assert!(!refused.is_transient());
}

#[tokio::test]
async fn authorities_that_the_genesis_state_does_not_name_make_nothing_final() {
    let mut network = network();
    network.sign_as(6..10);
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = doubt(chain.finalized().await.unwrap_err());
    let Doubt::Head(HeadError::NotJustified { reason, .. }) = &refused else { panic!("{refused}") };
    assert!(matches!(reason, JustificationError::NotAnAuthority { .. }), "{reason}");
}

#[tokio::test]
async fn other_authorities_for_the_same_first_block_are_refused() {
    let network = network();
    let forged = Network::new(6..10).proof_of_newest(&Authorities::key());
    let (genesis, pinned) = (network.genesis(), pinned(&network));
    let node = Node::new(network);
    node.lie(move |method, params, mut truth| {
        if method == "state_getReadProof" && params[1] == json!(genesis) {
            truth["proof"] = forged.clone();
        }
        truth
    });
    let refused = doubt(connect(&node, pinned).await.unwrap_err());
    assert!(matches!(refused, Doubt::Genesis(_)), "{refused}");
}

#[tokio::test]
async fn a_minority_of_the_authorities_makes_nothing_final() {
    let mut network = network();
    network.sign_as(0..2);
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = doubt(chain.finalized().await.unwrap_err());
    let Doubt::Head(HeadError::NotJustified { reason, .. }) = &refused else { panic!("{refused}") };
    assert!(matches!(reason, JustificationError::TooFewVotes { .. }), "{reason}");
}

/// The code with which a node refuses a method that it does not know.
const UNKNOWN_METHOD: i32 = -32601;

/// A network in authority set 0, and one in a later set.
fn networks() -> [Network; 2] {
    let mut later = network();
    later.change(1..5);
    later.push();
    later.push();
    [network(), later]
}

#[tokio::test]
async fn a_client_does_not_wait_for_the_next_votes() {
    for network in networks() {
        let newest = network.newest_header().number;
        let (node, chain) = honest(network).await;
        node.lie(|method, _, truth| {
            assert_ne!(method, "justification", "the client waits");
            truth
        });
        assert_eq!(chain.finalized_head().await.unwrap().number, newest);
    }
}

#[tokio::test]
async fn a_node_that_does_not_send_the_newest_votes_is_followed_by_the_next_ones() {
    for network in networks() {
        let newest = network.newest_header().number;
        let (node, chain) = honest(network).await;
        node.refuse("finality_newest", UNKNOWN_METHOD);
        assert_eq!(chain.finalized_head().await.unwrap().number, newest);
        // Votes that nobody waits for would fill the client's memory.
        assert_eq!(node.subscriptions(), 0);
    }
    let network = network();
    for answer in [Value::Null, network.clone().until(8).finality()] {
        let (node, chain) = honest(network.clone()).await;
        node.lie(move |method, _, truth| match method {
            "finality_newest" => answer.clone(),
            _ => truth,
        });
        assert_eq!(chain.finalized_head().await.unwrap().number, 10);
    }
}

#[tokio::test]
async fn the_newest_votes_may_be_for_a_later_block_than_the_head() {
    let network = network();
    let earlier = network.hashes()[8];
    let (node, chain) = honest(network).await;
    node.lie(move |method, _, truth| match method {
        "chain_getFinalizedHead" => json!(earlier),
        _ => truth,
    });
    assert_eq!(chain.finalized_head().await.unwrap().number, 10);
}

#[tokio::test]
async fn newest_votes_that_prove_nothing_are_refused() {
    // By strangers, for another header, and damaged.
    let network = network();
    let mut forged = network.clone().until(9);
    forged.sign_as(6..10);
    forged.push();
    let mut other = network.finality();
    other["header"]["stateRoot"] = json!(Hash::repeat_byte(9));
    let mut damaged = network.finality();
    damaged["justification"] = json!(Bytes(vec![0xff; 64]));
    for answer in [forged.finality(), other, damaged] {
        let (node, chain) = honest(network.clone()).await;
        node.lie(move |method, _, truth| match method {
            "finality_newest" => answer.clone(),
            _ => truth,
        });
        let refused = doubt(chain.finalized_head().await.unwrap_err());
        assert!(matches!(refused, Doubt::Head(HeadError::NotJustified { .. })), "{refused}");
    }
}

#[tokio::test]
async fn a_changed_value_is_refused() {
    let (node, chain) = honest(network()).await;
    let state = chain.finalized().await.unwrap();
    // The node answers from a state in which the account belongs to another user.
    let mut forged = network();
    forged.put(keys::user_account(&account()), &UserId([8; 32]));
    forged.push();
    let proof = forged.proof_of_newest(&keys::user_account(&account()));
    node.lie(move |method, _, truth| match method {
        "state_getReadProof" => json!({ "at": Hash::zero(), "proof": proof }),
        _ => truth,
    });
    let refused = doubt(state.user_of(&account()).await.unwrap_err());
    assert!(matches!(refused, Doubt::State(StateError::OtherRoot { .. })), "{refused}");
}

#[tokio::test]
async fn a_withheld_value_is_not_taken_for_an_absent_one() {
    let (node, chain) = honest(network()).await;
    let state = chain.finalized().await.unwrap();
    node.lie(|method, _, mut truth| {
        if method == "state_getReadProof" {
            truth["proof"].as_array_mut().unwrap().pop();
        }
        truth
    });
    let refused = doubt(state.profile(USER).await.unwrap_err());
    let withheld = matches!(
        &refused,
        Doubt::State(StateError::Withheld { .. } | StateError::OtherRoot { .. })
    );
    assert!(withheld, "{refused}");
}

#[tokio::test]
async fn an_old_head_is_refused_and_may_be_tried_again() {
    let mut network = network();
    network.set_time(crate::now() - 480_000);
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = chain.finalized().await.unwrap_err();
    assert!(refused.is_transient());
    let refused = doubt(refused);
    assert!(matches!(refused, Doubt::Time(TimeError::Behind { .. })), "{refused}");
}

#[tokio::test]
async fn a_node_that_stops_is_refused_when_its_head_gets_old() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let network = network();
    let genesis = network.genesis();
    let pinned = pinned(&network).with_max_age(Duration::from_secs(60)).remembering(&file);
    let node = Node::new(network);
    let chain = connect(&node, pinned.clone()).await.unwrap();
    chain.finalized().await.unwrap();

    // As if two minutes had passed since then.
    let mut older = memory::load(&file, genesis).unwrap().unwrap();
    std::fs::remove_file(&file).unwrap();
    older.head.time -= 120_000;
    memory::store(&file, genesis, &older).unwrap();
    let chain = connect(&node, pinned).await.unwrap();
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert!(matches!(refused, Doubt::Time(TimeError::Behind { .. })), "{refused}");
}

#[tokio::test]
async fn a_head_from_the_future_is_refused() {
    let mut network = network();
    network.set_time(crate::now() + 480_000);
    network.push();
    let (_node, chain) = honest(network).await;
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert!(matches!(refused, Doubt::Time(TimeError::Ahead { .. })), "{refused}");
}

#[tokio::test]
async fn a_node_cannot_go_back_while_the_client_runs() {
    let (node, chain) = honest(network()).await;
    chain.finalized().await.unwrap();
    node.replace(network().until(8));
    let refused = chain.finalized().await.unwrap_err();
    assert!(refused.is_transient());
    assert_eq!(doubt(refused), Doubt::RolledBack { found: 8, seen: 10 });
}

/// A node names a forged block with a large number as its newest, and proves an earlier block than the client's.
#[tokio::test]
async fn the_votes_for_an_earlier_block_prove_no_later_one() {
    let network = network();
    let earlier = network.clone().until(8);
    for sends_newest in [true, false] {
        let (node, chain) = honest(network.clone()).await;
        chain.finalized().await.unwrap();
        node.edit(|network| network.forge(4_000_000_000));
        let (newest, pushed) = (earlier.finality(), earlier.justification());
        node.lie(move |method, _, truth| match method {
            "finality_newest" if sends_newest => newest.clone(),
            "finality_newest" => Value::Null,
            "justification" => json!(Bytes(pushed.clone())),
            _ => truth,
        });
        let waiting = tokio::time::timeout(Duration::from_millis(300), chain.finalized_head());
        assert!(!matches!(waiting.await, Ok(Ok(_))));

        // The client did not move.
        node.replace(network.clone());
        node.lie(|_, _, truth| truth);
        assert_eq!(chain.finalized_head().await.unwrap().number, 10);
    }
}

#[tokio::test]
async fn a_node_that_is_a_block_behind_gets_time_to_catch_up() {
    let whole = network();
    let node = Node::new(whole.clone());
    let patient = pinned(&whole).with_patience(Duration::from_secs(60));
    let chain = connect(&node, patient).await.unwrap();
    chain.finalized().await.unwrap();
    node.replace(whole.clone().until(9));
    let catching_up = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        node.replace(whole);
    };
    let (head, ()) = tokio::join!(chain.finalized_head(), catching_up);
    assert_eq!(head.unwrap().number, 10);
}

#[tokio::test]
async fn right_after_the_start_of_a_network_the_first_final_block_gets_some_time() {
    let whole = network();
    let node = Node::new(whole.clone().until(0));
    let chain = connect(&node, pinned(&whole)).await.unwrap();
    let refused = chain.finalized_head().await.unwrap_err();
    assert!(refused.is_transient());
    assert_eq!(doubt(refused), Doubt::NothingFinal);

    let patient = pinned(&whole).with_patience(Duration::from_secs(60));
    let chain = connect(&node, patient).await.unwrap();
    let starting = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        node.replace(whole.until(1));
    };
    let (head, ()) = tokio::join!(chain.finalized_head(), starting);
    assert_eq!(head.unwrap().number, 1);
}

#[tokio::test]
async fn a_node_that_hides_many_blocks_gets_no_time() {
    let mut long = network();
    for _ in 0..30 {
        long.push();
    }
    let short = long.clone().until(10);
    let patient = pinned(&long).with_patience(Duration::from_secs(3_600));
    let node = Node::new(long);
    let chain = connect(&node, patient).await.unwrap();
    chain.finalized().await.unwrap();
    node.replace(short);
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::RolledBack { found: 10, seen: 40 });
}

#[tokio::test]
async fn a_node_cannot_go_back_behind_the_clients_last_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json");
    let network = network();
    let remembering = pinned(&network).remembering(&file);
    let earlier = network.clone().until(8);
    let chain = connect(&Node::new(network), remembering.clone()).await.unwrap();
    chain.finalized().await.unwrap();
    assert!(file.exists());

    let chain = connect(&Node::new(earlier), remembering).await.unwrap();
    let refused = doubt(chain.finalized().await.unwrap_err());
    assert_eq!(refused, Doubt::RolledBack { found: 8, seen: 10 });
}

#[tokio::test]
async fn a_start_from_the_file_reads_no_earlier_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = network();
    network.change(1..5);
    network.push();
    network.push();
    let remembering = pinned(&network).remembering(folder.path().join("head.json"));
    let chain = connect(&Node::new(network.clone()), remembering.clone()).await.unwrap();
    assert_eq!(chain.finalized_head().await.unwrap().number, 12);

    network.push();
    let node = Node::new(network);
    let chain = connect(&node, remembering).await.unwrap();
    node.lie(|method, params, truth| match method {
        "state_getStorage" => panic!("a hand-over is searched"),
        "chain_getHeader" => {
            assert_ne!(truth["number"], json!("0x0"), "{params:?}");
            truth
        }
        _ => truth,
    });
    assert_eq!(chain.finalized_head().await.unwrap().number, 13);
}

#[tokio::test]
async fn earlier_states_are_read_by_the_hashes_in_later_states() {
    let network = network();
    let (hashes, times) = (network.hashes(), network.times());
    let (_node, chain) = honest(network).await;
    for number in [10, 4, 9, 1, 5] {
        let hash = hashes[number as usize];
        assert_eq!(chain.block_hash(number).await.unwrap(), Some(hash));
        assert_eq!(chain.time(hash).await.unwrap(), times[number as usize]);
        let found = chain.at(hash).profile(USER).await.unwrap();
        assert_eq!(found.is_some(), number >= 5, "block {number}");
    }
    assert_eq!(chain.block_hash(0).await.unwrap(), Some(hashes[0]));
    assert_eq!(chain.block_hash(11).await.unwrap(), None);
    assert_eq!(chain.time_at(5).await.unwrap(), Some(times[5]));
}

#[tokio::test]
async fn a_long_chain_is_crossed_in_steps() {
    let mut network = network();
    for _ in 0..20 {
        network.push();
    }
    let hashes = network.hashes();
    let (node, chain) = honest(network).await;
    chain.finalized().await.unwrap();
    let before = node.requests();
    assert_eq!(chain.block_hash(1).await.unwrap(), Some(hashes[1]));
    // Two requests for each step of four blocks, and one for the newest block.
    let asked = node.requests() - before;
    assert!((14..=17).contains(&asked), "{asked}");
    // The steps are remembered.
    assert_eq!(chain.block_hash(2).await.unwrap(), Some(hashes[2]));
    assert_eq!(node.requests() - before - asked, 1);
    // The hash is remembered, too.
    let before = node.requests();
    assert_eq!(chain.block_hash(1).await.unwrap(), Some(hashes[1]));
    assert_eq!(node.requests() - before, 1);
}

#[tokio::test]
async fn a_block_that_is_not_final_is_refused() {
    let network = network();
    let mut fork = network.clone().until(8);
    fork.put(keys::height(), &7_u32);
    fork.push();
    let side = fork.newest_header();
    let (node, chain) = honest(network).await;
    node.lie(move |method, params, truth| match method {
        "chain_getHeader" if params[0] == json!(side.hash()) => json!(side),
        _ => truth,
    });
    let hash = fork.hashes()[9];
    let refused = doubt(chain.at(hash).height().await.unwrap_err());
    assert_eq!(refused, Doubt::NotFinal { hash });
}

#[tokio::test]
async fn the_header_of_another_block_is_refused() {
    let network = network();
    let (asked, other) = (network.hashes()[4], network.header(5));
    let (node, chain) = honest(network).await;
    node.lie(move |method, params, truth| match method {
        "chain_getHeader" if params[0] == json!(asked) => json!(other),
        _ => truth,
    });
    let refused = doubt(chain.at(asked).height().await.unwrap_err());
    assert!(matches!(refused, Doubt::OtherHeader { .. }), "{refused}");
}

#[tokio::test]
async fn no_member_of_a_hospital_can_be_left_out() {
    let mut network = network();
    for byte in 0..9 {
        let user = UserId([byte; 32]);
        network.put(keys::member(HOSPITAL, user), &());
        network.put(keys::registration(HOSPITAL, user), &registration());
    }
    network.push();
    let (node, chain) = honest(network).await;
    let state = chain.finalized().await.unwrap();
    let mut users = Vec::new();
    state.for_each_member(HOSPITAL, |user, _| users.push(user)).await.unwrap();
    users.sort();
    assert_eq!(users, (0..9).map(|byte| UserId([byte; 32])).collect::<Vec<_>>());

    let first = state.members(HOSPITAL, None, 4).await.unwrap();
    let rest = state.members(HOSPITAL, Some(first[3].0), 64).await.unwrap();
    assert_eq!((first.len(), rest.len()), (4, 5));

    node.lie(|method, _, mut truth| {
        if method == "state_getKeysPaged" {
            truth.as_array_mut().unwrap().remove(2);
        }
        truth
    });
    let refused = doubt(state.members(HOSPITAL, None, 64).await.unwrap_err());
    assert!(matches!(refused, Doubt::State(StateError::Withheld { .. })), "{refused}");
}

#[tokio::test]
async fn requests_that_take_too_long_together_are_an_error() {
    let (_node, chain) = honest(network()).await;
    let slow = async {
        for _ in 0..1_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    let refused = within(&chain, Duration::from_millis(50), slow).await.unwrap_err();
    assert!(matches!(refused, ChainError::Unreachable { .. }), "{refused}");
    assert!(refused.is_transient());
}

#[tokio::test]
async fn what_cannot_be_proven_is_refused_and_not_believed() {
    let (_node, chain) = honest(network()).await;
    let state = chain.finalized().await.unwrap();
    let refused = doubt(state.read::<u32>("FutureApi_answer", ()).await.unwrap_err());
    assert_eq!(refused, Doubt::NoProof { method: "FutureApi_answer".into() });
}

#[tokio::test]
async fn a_node_that_is_trusted_is_not_asked_for_proofs() {
    let node = Node::new(network());
    let chain = node.connect().await.trusting(Trust::Node).await.unwrap();
    static PROOFS: AtomicUsize = AtomicUsize::new(0);
    node.lie(|method, _, truth| {
        if method == "state_getReadProof" {
            PROOFS.fetch_add(1, Ordering::Relaxed);
        }
        if method == "state_call" { json!(Bytes(Some(USER).encode())) } else { truth }
    });
    let state = chain.finalized().await.unwrap();
    assert_eq!(state.user_of(&account()).await.unwrap(), Some(USER));
    assert_eq!(PROOFS.load(Ordering::Relaxed), 0);
    assert!(!chain.is_verified());
}

/// It is enough that this compiles: workers read from spawned tasks.
#[test]
fn verified_reads_may_move_between_threads() {
    fn moves<T: Send>(_: fn(&'static Chain) -> T) {}
    moves(|chain| chain.finalized());
    fn reads<T: Send>(_: fn(&'static Snapshot) -> T) {}
    reads(|state| state.hospitals());
    reads(|state| state.relationships(USER));
    reads(|state| state.is_in_force(Hash::zero()));
    reads(|state| state.history(USER, None, 1));
    reads(|state| state.members(HOSPITAL, None, 1));
    reads(|state| state.receipts(USER, None, 1));
}

/// The JSON of trie nodes.
fn nodes(proof: Vec<Vec<u8>>) -> Value {
    json!(proof.into_iter().map(Bytes).collect::<Vec<_>>())
}
