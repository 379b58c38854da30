use codec::Encode;
use epione_primitives::hospital::{Hospital, HospitalStatus};
use serde_json::{Value, json};
use sp_core::Bytes;

use super::*;
use crate::{chain::fake::FakeNode, verify::tests::block};

fn hash_of(number: BlockNumber) -> Hash {
    Hash::from_low_u64_be(number.into())
}

fn agent(byte: u8) -> AccountId {
    AccountId::new([byte; 32])
}

/// The agent is account 1 until block 8, and account 2 from block 9 on.
fn hospital(at: &Value) -> Hospital {
    let is_rotated = (9..20).any(|number| *at == json!(hash_of(number)));
    Hospital {
        name: Default::default(),
        governance: agent(0),
        agent: agent(if is_rotated { 2 } else { 1 }),
        worker_url: Default::default(),
        sealing_key: Default::default(),
        tls_key: [0; 32],
        storage_origin: None,
        status: HospitalStatus::Active,
    }
}

/// A node whose newest finalized block is 19. Its blocks contain none of the calls.
fn node() -> FakeNode {
    FakeNode::new(|method, params: &[Value]| match method {
        "chain_getFinalizedHead" => json!(hash_of(19)),
        "chain_getHeader" => json!({ "number": "0x13" }),
        "chain_getBlockHash" => json!(hash_of(params[0].as_u64().unwrap() as BlockNumber)),
        "chain_getBlock" => json!({ "block": { "extrinsics": ["0x040500", [4, 5, 1]] } }),
        "HospitalsApi_hospital" => json!(Bytes(Some(hospital(&params[2])).encode())),
        other => panic!("{other} is not served"),
    })
}

#[tokio::test]
async fn each_chain_block_is_read_once_and_searched_before_the_next_one_is_read() {
    let node = node();
    let chain = node.connect().await;
    let (mut evidence, _) = block();
    let vote = |(hospital, block)| Approval { hospital: HospitalId(hospital), block };
    let votes = [(3, 8), (1, 10), (2, 8)].map(vote).to_vec();
    evidence.ballot.as_mut().unwrap().approvals = votes.try_into().unwrap();
    let Statements { announced, approved } = gather(&chain, &evidence).await.unwrap();

    let of = |it: &Statement| (it.hospital.0, it.block);
    assert_eq!(announced.as_ref().map(of), Some((0, 7)));
    assert_eq!(approved.iter().map(of).collect::<Vec<_>>(), [(3, 8), (2, 8), (1, 10)]);
    assert!(approved.iter().all(|vote| vote.found.is_empty()));
    let mut requests = node.requests();
    requests.retain(|it| ["chain_getBlock", "HospitalsApi_hospital"].contains(&it.as_str()));
    // Of each vote, the hospital before and after the block.
    let (read, hospital) = ("chain_getBlock", "HospitalsApi_hospital");
    let announcement = [read, hospital, hospital];
    let votes = [read, hospital, hospital, hospital, hospital, read, hospital, hospital];
    assert_eq!(requests, [&announcement[..], &votes].concat());
}

#[tokio::test]
async fn a_hospital_that_rotates_its_accounts_in_a_block_has_two_agents_there() {
    let chain = node().connect().await;
    for (block, expected) in [
        (8, vec![agent(1)]),
        (9, vec![agent(1), agent(2)]),
        (10, vec![agent(2)]),
        (0, vec![agent(1)]),
        // Beyond the newest block.
        (20, vec![agent(2)]),
        (21, vec![]),
    ] {
        let found = agents_around(&chain, HospitalId(1), block).await.unwrap();
        assert_eq!(found, expected, "{block}");
    }
}

#[test]
fn a_hospital_that_rotates_its_agent_twice_in_a_block_has_three_agents_there() {
    let rotated = |of, to| BlockEvent {
        extrinsic: Some(3),
        event: ChainEvent::AccountsRotated {
            hospital: HospitalId(of),
            governance: agent(0),
            agent: agent(to),
        },
    };
    let around = || vec![agent(1), agent(2)];
    // The last rotation is the one of the governance account alone: its event names the same agent again.
    let events = [rotated(1, 3), rotated(4, 9), rotated(1, 2), rotated(1, 2)];
    let all = with_those_between(around(), HospitalId(1), &events);
    assert_eq!(all, [agent(1), agent(2), agent(3)]);
    assert_eq!(with_those_between(around(), HospitalId(7), &events), around());
    assert_eq!(with_those_between(around(), HospitalId(1), &[]), around());
}
