//! The pool of a real node: how much of it one member can use, and which transactions blocks include first.

use std::process::Command;

use codec::{Encode, MaxEncodedLen};
use epione_primitives::{
    AnnouncementId, Hash, HospitalId,
    access::RelationshipKind,
    block::{AnnouncedEntries, Range},
    limits::{
        LARGE_TRANSACTION_BYTES, MAX_AGENT_NONCE_LEAD, MAX_BODY_BYTES, MAX_LARGE_NONCE_LEAD,
        MAX_USER_TRANSACTION_BYTES,
    },
    ports::HashedBody,
    refusal::Refusal,
};
use epione_runtime::{Runtime, RuntimeCall, RuntimeEvent};

use crate::{
    lite_blocks::announcement,
    process::{Node, development},
    rpc::{
        AGENT, HOSPITAL, LIFETIME, Rpc, assert_no_failure, block_at, next_status, patient,
        patients_seed, refusal,
    },
    transactions::{approve, custom},
};

const PATIENT: u8 = 3;
/// Another hospital, which votes.
const BOB: HospitalId = HospitalId(1);
const BOBS_AGENT: &str = "//Bob//agent";

/// More transactions than the pool accepts of one account.
const MANY: u64 = 200;
/// Bytes of a body whose announcement is just not large.
const SMALL_BODY: u32 = LARGE_TRANSACTION_BYTES - 1024;
/// Maximum bytes of an announcement apart from its body and entries.
const ENVELOPE_BYTES: usize = 4 * 1024;
/// The code of the SDK's pool for a transaction whose nonce another one with the same priority has.
const TOO_LOW_PRIORITY: i32 = 1014;
/// The code for a transaction that the pool found invalid shortly before.
const BANNED: i32 = 1012;

/// The node of one of four hospitals, which runs alone: it makes every fourth block, and no block becomes final.
fn one_of_four() -> Command {
    let mut command = development();
    command.arg("--chain=local");
    command
}

/// Announces a block of one record, whose body has this number of bytes and depends on `number`.
fn announce(number: u64, bytes: u32) -> pallet_lite_blocks::Call<Runtime> {
    let mut body = vec![0; bytes as usize];
    body[..8].copy_from_slice(&number.to_le_bytes());
    let text = Range { offset: 0, length: bytes };
    announcement(std::iter::once((patient(PATIENT), text)), body)
}

/// What the other hospitals vote on.
fn subject(announcement: &pallet_lite_blocks::Call<Runtime>) -> Hash {
    match announcement {
        pallet_lite_blocks::Call::announce { header, entries, body } => {
            header.subject(entries, HashedBody::new(body).hash())
        }
        other => panic!("not an announcement: {other:?}"),
    }
}

/// A user's call, which fails in its block.
fn relate() -> RuntimeCall {
    let user = patient(PATIENT);
    pallet_role_policies::Call::<Runtime>::relate {
        patient: user,
        professional: user,
        hospital: HOSPITAL,
        kind: RelationshipKind::Treating,
        expires: None,
    }
    .into()
}

/// Submits an account's calls with one nonce after the other until the node refuses one. Returns how many the node
/// accepted, and why it refused the last one.
async fn fill(rpc: &Rpc, seed: &str, call: impl Fn(u64) -> RuntimeCall) -> (usize, (i32, String)) {
    for number in 0..MANY {
        let submitted = rpc.submit(&rpc.sign(seed, call(number)).await).await;
        if submitted.is_err() {
            return (number as usize, refusal(submitted));
        }
    }
    panic!("the node accepted {MANY} transactions of {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_fills_a_nodes_pool_does_not_delay_the_vote_of_another() {
    let node = Node::start(one_of_four());
    let rpc = Rpc::connect(&node.rpc_url).await;
    let registration = rpc.registration(PATIENT).await;
    rpc.submit(&rpc.sign(AGENT, registration).await).await.unwrap();
    let first = announce(0, 100);
    let subject = subject(&first);
    let block = rpc.include(&rpc.sign(AGENT, first).await).await.unwrap();
    assert_no_failure(&rpc.events(block).await);

    // Large transactions, then small ones, and those of a user, until the node refuses each kind.
    let most_large = MAX_LARGE_NONCE_LEAD as usize + 1;
    let most = MAX_AGENT_NONCE_LEAD as usize + 1;
    let too_many = custom(Refusal::TooManyInFlight);
    let large = fill(&rpc, AGENT, |number| announce(number, MAX_BODY_BYTES).into()).await;
    assert!(large.0 >= most_large, "the node accepted only {} large transactions", large.0);
    assert_eq!(large.1, too_many);
    let small = fill(&rpc, AGENT, |number| announce(number, SMALL_BODY).into()).await;
    assert!(large.0 + small.0 >= most, "the node accepted only {} small transactions", small.0);
    assert_eq!(small.1, too_many);
    let user = patients_seed(PATIENT);
    let users = fill(&rpc, &user, |_| relate()).await;
    assert!(users.0 >= 1, "the node accepted no transaction of the user");
    assert_eq!(users.1, too_many);

    the_surplus_is_refused(&rpc, &user).await;
    the_pool_is_within_its_bounds(&rpc, most_large, most).await;

    // The vote waits for nothing in the pool: it is the first transaction of its block, after the block's time.
    let id = AnnouncementId(0);
    let vote = pallet_approvals::Call::<Runtime>::approve { id, subject };
    let vote = rpc.sign(BOBS_AGENT, vote).await;
    let before = rpc.newest().await;
    let block = rpc.include(&vote).await.unwrap();
    let (number, extrinsics) = rpc.block(block).await;
    // The node may have been making a block when the vote arrived.
    assert!(number <= before + 2, "the vote of block {before} was included in block {number}");
    let position = extrinsics.iter().position(|extrinsic| extrinsic.0 == vote.encode());
    assert_eq!(position, Some(1));
    assert!(extrinsics.len() > 2, "no other transaction was waiting for the block");
    let approved = pallet_approvals::Event::<Runtime>::Approved { id, hospital: BOB };
    assert!(rpc.events(block).await.contains(&RuntimeEvent::Approvals(approved)));
}

/// Neither another transaction with the same nonce, nor a larger or an immortal one, is accepted.
async fn the_surplus_is_refused(rpc: &Rpc, user: &str) {
    let last = rpc.next_nonce(AGENT).await - 1;
    let again = rpc.sign_for(AGENT, announce(MANY, SMALL_BODY), last, Some(LIFETIME)).await;
    assert_eq!(refusal(rpc.submit(&again).await).0, TOO_LOW_PRIORITY);
    let larger = rpc.sign(AGENT, announce(MANY, 2 * MAX_BODY_BYTES)).await;
    assert_eq!(refusal(rpc.submit(&larger).await), custom(Refusal::CallTooLarge));

    let calls = vec![relate(); 60];
    let long = rpc.sign(user, pallet_utility::Call::<Runtime>::batch { calls }).await;
    assert_eq!(refusal(rpc.submit(&long).await), custom(Refusal::CallTooLarge));
    let nonce = rpc.next_nonce(user).await;
    let immortal = rpc.sign_for(user, relate(), nonce, None).await;
    assert_eq!(refusal(rpc.submit(&immortal).await), custom(Refusal::LifetimeTooLong));
}

/// The pool has no more transactions and bytes of a hospital's agent and of one user than ADR 028 permits.
async fn the_pool_is_within_its_bounds(rpc: &Rpc, most_large: usize, most: usize) {
    let pending = rpc.pending().await;
    assert!(pending.len() <= most + 1, "{} transactions", pending.len());
    let lengths: Vec<usize> = pending.iter().map(|transaction| transaction.len()).collect();
    let large = lengths.iter().filter(|bytes| **bytes > LARGE_TRANSACTION_BYTES as usize).count();
    assert!(large <= most_large, "{large} large transactions");
    let largest = MAX_BODY_BYTES as usize + AnnouncedEntries::max_encoded_len() + ENVELOPE_BYTES;
    let small = (most - most_large) * LARGE_TRANSACTION_BYTES as usize;
    let bound = most_large * largest + small + MAX_USER_TRANSACTION_BYTES as usize;
    let bytes: usize = lengths.iter().sum();
    assert!(bytes <= bound, "{bytes} bytes, more than {bound}");
}

/// The chain gives all transactions of a lane the same longevity, so the pool finds out by validating again which ones
/// have expired.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_expires_while_it_waits_leaves_the_pool() {
    /// Blocks: fewer than those after which the pool validates a transaction again.
    const SHORT: u64 = 8;
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    // Both wait for an earlier nonce.
    let next = rpc.next_nonce(AGENT).await;
    let short = rpc.sign_for(AGENT, approve(), next + 1, Some(SHORT)).await;
    let long = rpc.sign_for(AGENT, approve(), next + 2, Some(LIFETIME)).await;
    let mut short_watched = rpc.watch(&short).await.unwrap();
    let mut long_watched = rpc.watch(&long).await.unwrap();
    for watched in [&mut short_watched, &mut long_watched] {
        assert_eq!(next_status(watched).await, "future");
    }

    assert_eq!(next_status(&mut short_watched).await, "invalid");
    // The node remembers that it is invalid.
    assert_eq!(refusal(rpc.submit(&short).await).0, BANNED);

    // The other one has not expired: it is included after the transactions that it waited for.
    for nonce in [next, next + 1] {
        let earlier = rpc.sign_for(AGENT, approve(), nonce, Some(LIFETIME)).await;
        rpc.include(&earlier).await.unwrap();
    }
    block_at(&mut long_watched, "inBlock").await;
}
