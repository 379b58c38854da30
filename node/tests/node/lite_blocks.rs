//! `liteBlocks_*` with a body of the maximum size, from transaction to slice.

use codec::Encode;
use epione_primitives::{
    RecordId, RecordPointer, UserId,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments, cloud_hash,
        record_hash, segments_root,
    },
    limits::{MAX_BODY_BYTES, MAX_ENTRIES, MAX_HISTORY},
    rpc::{HeaderReply, MAX_READ_BYTES, RecordReply, UNKNOWN_HEIGHT, UNKNOWN_RECORD},
};
use epione_runtime::Runtime;
use jsonrpsee::{core::client::ClientT, rpc_params};
use sp_core::Bytes;
use sp_io::hashing::{blake2_128, blake2_256};

use crate::{
    process::{Node, development},
    rpc::{AGENT, HOSPITAL, Rpc, assert_no_failure, patient, refusal},
};

/// The numbers of two patients.
const PATIENT: u8 = 3;
const OTHER: u8 = 4;
const RECORD_BYTES: u32 = MAX_BODY_BYTES / MAX_ENTRIES;

/// Bytes that differ from record to record.
fn largest_body() -> Vec<u8> {
    (0..MAX_BODY_BYTES / 4)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// Announces a body whose records have these patients and ranges.
pub fn announcement(
    records: impl Iterator<Item = (UserId, Range)>,
    body: Vec<u8>,
) -> pallet_lite_blocks::Call<Runtime> {
    let hash = blake2_256(&body);
    let entries: Vec<_> = records
        .map(|(patient, text)| AnnouncedEntry {
            record: RecordId((hash, text.offset).using_encoded(blake2_128)),
            hash: record_hash(bytes_at(&body, text)),
            patient,
            text,
            media: Range::default(),
        })
        .collect();
    pallet_lite_blocks::Call::announce {
        header: AnnouncedHeader {
            announcer: HOSPITAL,
            segments: Segments { root: segments_root(&[]), count: 0, bytes: 0 },
        },
        entries: AnnouncedEntries::try_from(entries).unwrap(),
        body,
    }
}

fn bytes_at(body: &[u8], range: Range) -> &[u8] {
    &body[range.offset as usize..range.end().unwrap() as usize]
}

fn announce(body: Vec<u8>) -> pallet_lite_blocks::Call<Runtime> {
    let patient = patient(PATIENT);
    let record =
        |index: u32| (patient, Range { offset: index * RECORD_BYTES, length: RECORD_BYTES });
    announcement((0..MAX_ENTRIES).map(record), body)
}

fn record_of(body: &[u8], index: u16) -> &[u8] {
    let start = usize::from(index) * RECORD_BYTES as usize;
    &body[start..start + RECORD_BYTES as usize]
}

/// The content identifier of a body for `bitswap_v1_get`: version 1, raw bytes, Blake2b-256.
fn cid(hash: [u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bytes = [&[0x01, 0x55, 0xa0, 0xe4, 0x02, 0x20][..], &hash].concat();
    let bits: Vec<u8> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digits = bits.chunks(5).map(|five| {
        let value = (0..5).fold(0, |value, at| value << 1 | five.get(at).copied().unwrap_or(0));
        char::from(ALPHABET[usize::from(value)])
    });
    std::iter::once('b').chain(digits).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_lite_block_is_committed_and_read_back() {
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    let unknown = rpc.client.request::<HeaderReply, _>("liteBlocks_header", rpc_params![1]).await;
    assert_eq!(refusal(unknown).0, UNKNOWN_HEIGHT);

    rpc.register(PATIENT).await;
    let body = largest_body();
    assert_no_failure(&rpc.finalize(AGENT, announce(body.clone())).await.unwrap());

    let reply: HeaderReply = rpc.client.request("liteBlocks_header", rpc_params![1]).await.unwrap();
    assert_eq!(reply.header.body_hash.0, blake2_256(&body));
    assert_eq!(u32::from(reply.header.records), MAX_ENTRIES);
    assert_eq!(reply.hashes.cloud, cloud_hash(reply.hashes.lite, reply.header.segments.root));

    let last = RecordPointer { height: 1, index: 511 };
    let record: RecordReply =
        rpc.client.request("liteBlocks_record", rpc_params![last]).await.unwrap();
    assert_eq!(record.text.0, record_of(&body, 511));
    assert_eq!(record.entry.hash, record_hash(&record.text));
    assert_eq!(record.entry.previous, Some(RecordPointer { height: 1, index: 510 }));

    let beyond = RecordPointer { height: 1, index: 512 };
    let unknown =
        rpc.client.request::<RecordReply, _>("liteBlocks_record", rpc_params![beyond]).await;
    let (code, message) = refusal(unknown);
    assert_eq!(code, UNKNOWN_RECORD);
    assert!(message.contains("1/512"), "{message}");

    reads_a_history_in_pages(&rpc, &body).await;

    let kept: Bytes =
        rpc.client.request("bitswap_v1_get", rpc_params![cid(blake2_256(&body))]).await.unwrap();
    assert!(kept.0 == body, "the node keeps the body byte for byte");
}

/// One short record of the patient at the front of the largest body; the rest belongs to another patient.
fn announce_needle(seed: u8) -> pallet_lite_blocks::Call<Runtime> {
    const LENGTH: u32 = 16;
    let texts = [(PATIENT, 0, LENGTH), (OTHER, LENGTH, MAX_BODY_BYTES - LENGTH)];
    let records = texts.map(|(number, offset, length)| (patient(number), Range { offset, length }));
    announcement(records.into_iter(), vec![seed; MAX_BODY_BYTES as usize])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_of_short_records_in_large_bodies_is_answered_in_pages() {
    const BLOCKS: u8 = 6;
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    for number in [PATIENT, OTHER] {
        rpc.register(number).await;
    }
    for seed in 0..BLOCKS {
        assert_no_failure(&rpc.finalize(AGENT, announce_needle(seed)).await.unwrap());
    }
    let most = MAX_READ_BYTES / MAX_BODY_BYTES as usize;
    let mut pages = Vec::new();
    let mut before: Option<RecordPointer> = None;
    loop {
        let page: Vec<RecordReply> = rpc
            .client
            .request("liteBlocks_history", rpc_params![patient(PATIENT), before, 1_000])
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.pointer);
        pages.push(page.len());
    }
    assert_eq!(pages, [most, usize::from(BLOCKS) - most]);
}

async fn reads_a_history_in_pages(rpc: &Rpc, body: &[u8]) {
    let mut before: Option<RecordPointer> = None;
    let mut expected = (0..MAX_ENTRIES as u16).rev();
    loop {
        let page: Vec<RecordReply> = rpc
            .client
            .request("liteBlocks_history", rpc_params![patient(PATIENT), before, 1_000])
            .await
            .unwrap();
        assert!(page.len() <= MAX_HISTORY as usize);
        for record in &page {
            assert_eq!(Some(record.pointer.index), expected.next());
            assert_eq!(record.text.0, record_of(body, record.pointer.index));
        }
        match page.last() {
            Some(last) => before = Some(last.pointer),
            None => break,
        }
    }
    assert_eq!(expected.next(), None, "every record was in one page");
}
