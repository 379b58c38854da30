//! Records, which are checked by the hashes in their entries.

use codec::Encode;
use epione_primitives::{
    Hash, RecordId, RecordPointer, UserId,
    block::{Entry, Header, Range, Segments, record_hash},
    rpc::{RecordReply, UNKNOWN_RECORD},
};
use serde_json::json;
use sp_core::Bytes;

use super::{Doubt, HOSPITAL, USER, doubt, honest, keys, network, node::Network};
use crate::chain::Chain;

fn pointer(height: u32) -> RecordPointer {
    RecordPointer { height, index: 0 }
}

/// The record at this height of [`with_records`], as an honest node sends it.
fn served(height: u32) -> RecordReply {
    let text = Bytes(format!("the sealed text of record {height}").into_bytes());
    let entry = Entry {
        record: RecordId([height as u8; 16]),
        hash: record_hash(&text),
        patient: USER,
        text: Range { offset: 0, length: text.len() as u32 },
        media: Range::default(),
        previous: (height > 1).then(|| pointer(height - 1)),
    };
    RecordReply { pointer: pointer(height), entry, text }
}

/// A network with so many records of the user, each at the beginning of the body of a lite block.
fn with_records(count: u32) -> Network {
    let mut network = network();
    for height in 1..=count {
        let reply = served(height);
        let header = Header {
            height,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer: HOSPITAL,
            announcement: Default::default(),
            time: 1,
            records: 1,
            body_hash: Hash::repeat_byte(5),
            body_bytes: 2 * 1024 * 1024,
            segments: Segments::default(),
        };
        network.put(keys::header(height), &header);
        network.put(keys::entries(height), &vec![reply.entry.clone()]);
        network.serve(reply);
    }
    network.put(keys::latest_record(USER), &pointer(count));
    network.push();
    network
}

/// The user's records, read in pages.
async fn all_records(chain: &Chain) -> Vec<RecordReply> {
    let mut records: Vec<RecordReply> = Vec::new();
    loop {
        let before = records.last().map(|last| last.pointer);
        let page = chain.lite_history(USER, before, 10).await.unwrap();
        if page.is_empty() {
            return records;
        }
        records.extend(page);
    }
}

/// The node of these tests serves no bodies.
#[tokio::test]
async fn a_record_is_checked_by_its_own_bytes_without_its_body() {
    let (node, chain) = honest(with_records(3)).await;
    assert_eq!(chain.lite_record(pointer(2)).await.unwrap(), Some(served(2)));
    assert_eq!(chain.lite_record(pointer(4)).await.unwrap(), None);
    assert_eq!(all_records(&chain).await, [3, 2, 1].map(served));
    assert_eq!(chain.lite_history(UserId([9; 32]), None, 10).await.unwrap(), []);

    // The entry is the proven one, whatever the node says.
    node.lie(|method, _, mut truth| {
        if method == "liteBlocks_record" {
            truth["entry"]["previous"] = json!(pointer(9));
        }
        truth
    });
    assert_eq!(chain.lite_record(pointer(1)).await.unwrap(), Some(served(1)));
}

#[tokio::test]
async fn the_bytes_of_another_record_and_altered_bytes_are_refused() {
    let (node, chain) = honest(with_records(2)).await;
    let mut altered = served(2).text;
    altered.0[3] ^= 1;
    let longer = Bytes([&served(2).text[..], b"."].concat());
    for text in [served(1).text, altered, longer, Bytes(Vec::new())] {
        node.lie(move |method, _, mut truth| {
            match method {
                "liteBlocks_record" => truth["text"] = json!(text),
                "liteBlocks_history" => truth[0]["text"] = json!(text),
                _ => {}
            }
            truth
        });
        let expected = Doubt::OtherRecord { pointer: pointer(2) };
        assert_eq!(doubt(chain.lite_record(pointer(2)).await.unwrap_err()), expected);
        assert_eq!(doubt(chain.lite_history(USER, None, 10).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_record_that_the_node_denies_is_not_taken_for_absent() {
    let (node, chain) = honest(with_records(1)).await;
    node.refuse("liteBlocks_record", UNKNOWN_RECORD);
    let refused = doubt(chain.lite_record(pointer(1)).await.unwrap_err());
    assert_eq!(refused, Doubt::NoRecord { pointer: pointer(1) });
}

#[tokio::test]
async fn a_history_that_the_node_shortens_is_complete_nevertheless() {
    let (node, chain) = honest(with_records(3)).await;
    for kept in [vec![], vec![1], vec![2], vec![3, 1]] {
        node.lie(move |method, _, truth| match method {
            // The runtime's answer: the patient has no records.
            "state_call" => json!(Bytes(Vec::<(RecordPointer, Entry, Hash)>::new().encode())),
            "liteBlocks_history" => {
                json!(kept.iter().map(|height| served(*height)).collect::<Vec<_>>())
            }
            _ => truth,
        });
        let state = chain.finalized().await.unwrap();
        assert_eq!(state.history(USER, None, 10).await.unwrap().len(), 3);
        assert_eq!(all_records(&chain).await, [3, 2, 1].map(served));
    }
}
