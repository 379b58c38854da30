use codec::{Decode, Encode};
use epione_envelope::{
    account::Signer,
    development,
    keys::PatientKeys,
    record::{Description, Draft, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    AnnouncementId, RecordId,
    block::{
        AnnouncedEntry, Announcement, BlockHashes, Entry, Header, Range, SignedAt, Stage,
        record_hash,
    },
    profile::{Profile, Role},
};
use serde_json::{Value, json};
use sp_core::Bytes;

use super::*;
use crate::{
    Account,
    chain::fake::FakeNode,
    reader::{list, tests::sealed},
};

const PATIENT: UserId = UserId([1; 32]);
const DOCTOR: UserId = UserId([2; 32]);
const NURSE: UserId = UserId([3; 32]);
const HOSPITAL: HospitalId = HospitalId(0);
const FIRST: RecordPointer = RecordPointer { height: 1, index: 0 };
/// One in each block. The node sends them in pages of ten.
const RECORDS: u32 = 71;
/// Number of the newest finalized block.
const HEAD: BlockNumber = 100_000;
/// At which the tests' records are signed.
const SIGNED: BlockNumber = 1_000;

fn entry() -> Entry {
    let range = |length| Range { offset: 0, length };
    let record = RecordId([0; 16]);
    let hash = record_hash(&[0; 9]);
    Entry { record, hash, patient: PATIENT, text: range(9), media: range(0), previous: None }
}

/// The entry of a record.
fn entry_of(record: &Record) -> Entry {
    let range = |length| Range { offset: 0, length };
    let bytes = record.encode();
    Entry {
        record: record.id(),
        hash: record_hash(&bytes),
        text: range(bytes.len() as u32),
        media: range(record.segments().len() as u32),
        ..entry()
    }
}

fn header(height: u32) -> Header {
    Header {
        height,
        previous_lite: Hash::zero(),
        previous_cloud: Hash::zero(),
        announcer: HOSPITAL,
        announcement: AnnouncementId(0),
        time: 1,
        records: 1,
        body_hash: Hash::zero(),
        body_bytes: 9,
        segments: Default::default(),
    }
}

/// A node that has all of the patient's records.
fn node() -> FakeNode {
    node_with(None)
}

/// As [`node`], but the record at the height `damaged` is not one.
fn node_with(damaged: Option<u32>) -> FakeNode {
    let record = sealed(10).record;
    let (text, whole) = (Bytes(record.encode()), entry_of(&record));
    FakeNode::new(move |method, params| match method {
        "LiteBlocksApi_record" => {
            let pointer: RecordPointer = argument(params);
            let exists = pointer.height <= RECORDS && pointer.index == 0;
            scale(exists.then(|| (entry(), Hash::zero())))
        }
        "LiteBlocksApi_header" => scale(Some((header(argument(params)), BlockHashes::default()))),
        "chain_getFinalizedHead" => json!(Hash::zero()),
        "SharingApi_shared" => {
            let pointers: Vec<RecordPointer> = argument(params);
            // Of every second record, its second section.
            let shared =
                |it: RecordPointer| SectionSet(if it.height.is_multiple_of(2) { 2 } else { 0 });
            scale(pointers.into_iter().map(shared).collect::<Vec<_>>())
        }
        "liteBlocks_header" => {
            let height = params[0].as_u64().unwrap() as u32;
            json!({ "header": header(height), "hashes": BlockHashes::default() })
        }
        "liteBlocks_history" => {
            let before = params[1]["height"].as_u64().map_or(RECORDS + 1, |height| height as u32);
            let page = (1..before).rev().take(10).map(|height| {
                let pointer = RecordPointer { height, index: 0 };
                let (mut entry, mut text) = (whole.clone(), text.clone());
                if damaged == Some(height) {
                    text = Bytes(vec![0xff; 9]);
                    entry.hash = record_hash(&text);
                }
                RecordReply { pointer, entry, text }
            });
            json!(page.collect::<Vec<_>>())
        }
        other => panic!("{other} is not served"),
    })
}

/// The argument of a call of the runtime.
fn argument<T: Decode>(params: &[Value]) -> T {
    let Bytes(bytes) = serde_json::from_value(params[1].clone()).unwrap();
    T::decode(&mut bytes.as_slice()).unwrap()
}

fn scale(answer: impl Encode) -> Value {
    json!(Bytes(answer.encode()))
}

#[tokio::test]
async fn the_hospital_of_a_record_is_found_without_reading_the_other_records() {
    let node = node();
    let state = node.connect().await.at(Hash::zero());
    assert_eq!(hospital_of(&state, PATIENT, FIRST).await.unwrap(), Some(HOSPITAL));
    assert_eq!(node.requests(), ["LiteBlocksApi_record", "LiteBlocksApi_header"]);
}

#[tokio::test]
async fn one_record_that_cannot_be_decoded_does_not_hide_the_others() {
    let chain = node_with(Some(7)).connect().await;
    let listed = list(&chain, PATIENT, None, u32::MAX).await.unwrap();
    let heights: Vec<u32> = listed.iter().map(|(pointer, _)| pointer.height).collect();
    assert_eq!(heights, (1..=RECORDS).rev().collect::<Vec<_>>());
    for (pointer, summary) in listed {
        match summary {
            Ok(summary) => assert_eq!((summary.pointer, pointer.height == 7), (pointer, false)),
            Err(error) => {
                assert!(matches!(error, ReadError::Format { .. }), "{error}");
                assert_eq!(pointer.height, 7);
            }
        }
    }
}

#[tokio::test]
async fn the_class_of_a_section_is_what_the_patient_shares_and_nothing_else() {
    let chain = node().connect().await;
    for (pointer, summary) in list(&chain, PATIENT, None, 20).await.unwrap() {
        let classes: Vec<_> = summary.unwrap().sections.iter().map(|it| it.class).collect();
        let second =
            if pointer.height % 2 == 0 { SectionClass::Shared } else { SectionClass::Private };
        assert_eq!(classes, [SectionClass::Private, second], "{pointer}");
    }
}

#[tokio::test]
async fn a_record_that_the_patient_does_not_have_has_no_hospital() {
    let node = node();
    let state = node.connect().await.at(Hash::zero());
    let other = UserId([9; 32]);
    assert_eq!(hospital_of(&state, other, FIRST).await.unwrap(), None);
    for (height, index) in [(RECORDS + 1, 0), (1, 1)] {
        let absent = RecordPointer { height, index };
        assert_eq!(hospital_of(&state, PATIENT, absent).await.unwrap(), None);
    }
}

fn hash_of(number: BlockNumber) -> Hash {
    Hash::from_low_u64_be(number.into())
}

fn signed_at(number: BlockNumber) -> SignedAt {
    SignedAt { number, hash: hash_of(number) }
}

fn account(uri: &str) -> Account {
    Account::development(uri).unwrap()
}

/// A record that these keys signed: the author's, the nurse's if there is one, and the patient's if the patient signed.
fn record(at: SignedAt, author: &str, nurse: Option<&str>, cosigner: Option<&str>) -> Record {
    let (genesis, author) = (Hash::zero(), development::keys(author).unwrap());
    let text = Description::of(SectionKind::Report, "text/plain", "", b"all well").unwrap();
    let mut draft = Draft::new(PATIENT, HOSPITAL, DOCTOR, at, vec![text]).unwrap();
    if nurse.is_some() {
        draft = draft.with_nurse(NURSE);
    }
    let mut signed = draft.sign(genesis, &author);
    if let Some(uri) = nurse {
        signed = signed.sign_as_nurse(genesis, &account(uri));
    }
    if let Some(uri) = cosigner {
        signed = signed.cosign(genesis, &account(uri));
    }
    let keys = PatientKeys::generate();
    let mut sealer = RecordSealer::new(genesis, signed, &author.account(), &keys).unwrap();
    sealer.seal_text(0, b"all well").unwrap();
    sealer.finish().unwrap()
}

/// Reads a record that was announced in this block. At block [`SIGNED`], doctor, nurse and patient had the accounts
/// `//Doctor`, `//Nurse` and `//Patient`; at all other blocks they had others.
async fn read(record: Record, announced_at: BlockNumber) -> Result<RecordSummary, ReadError> {
    let (text, entry) = (Bytes(record.encode()), entry_of(&record));
    let announcement = Announcement {
        announcer: HOSPITAL,
        body_hash: Hash::zero(),
        body_bytes: 9,
        records: 1,
        segments: Default::default(),
        announced_at,
        stage: Stage::Committed { height: 1 },
    };
    let node = FakeNode::new(move |method, params| match method {
        "liteBlocks_record" => {
            json!(RecordReply { pointer: FIRST, entry: entry.clone(), text: text.clone() })
        }
        "chain_getFinalizedHead" => json!(hash_of(HEAD)),
        "chain_getHeader" => json!({ "number": format!("{HEAD:#x}"), "digest": {} }),
        "chain_getBlockHash" => json!(hash_of(params[0].as_u64().unwrap() as BlockNumber)),
        "LiteBlocksApi_record" => scale(Some((entry.clone(), Hash::zero()))),
        "LiteBlocksApi_header" => scale(Some((header(1), BlockHashes::default()))),
        "LiteBlocksApi_announcement" => {
            scale(Some((announcement.clone(), Vec::<AnnouncedEntry>::new())))
        }
        "ProfilesApi_profile" => {
            let (role, uri) = match argument(params) {
                DOCTOR => (Role::Doctor, "//Doctor"),
                NURSE => (Role::Nurse, "//Nurse"),
                _ => (Role::Patient, "//Patient"),
            };
            let then = params[2] == json!(hash_of(SIGNED));
            let uri = if then { uri.to_owned() } else { format!("{uri}//other") };
            scale(Some(Profile {
                role,
                account: account(&uri).id(),
                sealing_key_hash: Hash::zero(),
                version: 1,
                since: 1,
            }))
        }
        "SharingApi_shared" => scale(vec![SectionSet(1)]),
        other => panic!("{other} is not served"),
    });
    Ok(verified(&node.connect().await, FIRST).await?.0)
}

#[tokio::test]
async fn signatures_count_by_the_accounts_that_their_signers_had_at_the_signed_block() {
    let at = signed_at(SIGNED);
    for announced_at in [SIGNED, SIGNED + 1, SIGNED + MAX_SIGNING_AGE_BLOCKS] {
        let record = record(at, "//Doctor", Some("//Nurse"), Some("//Patient"));
        let summary = read(record, announced_at).await.unwrap();
        assert_eq!((summary.author, summary.nurse, summary.cosigned), (DOCTOR, Some(NURSE), true));
        assert_eq!(summary.signed_at, at);
        assert_eq!(summary.sections[0].class, SectionClass::Shared);
    }
    let summary = read(record(at, "//Doctor", None, None), SIGNED).await.unwrap();
    assert_eq!((summary.nurse, summary.cosigned), (None, false));
    let summary = read(record(at, "//Doctor", None, Some("//Forger")), SIGNED).await.unwrap();
    assert!(!summary.cosigned);
}

#[tokio::test]
async fn a_retired_or_later_account_key_signs_no_record() {
    // The account of another time.
    let record = |uri| record(signed_at(SIGNED), uri, None, None);
    for uri in ["//Doctor//other", "//Nurse", "//Patient"] {
        let refused = read(record(uri), SIGNED + 1).await.unwrap_err();
        assert!(matches!(refused, ReadError::Author { author: DOCTOR, .. }), "{refused}");
    }
    let elsewhere = self::record(signed_at(SIGNED + 1), "//Doctor", None, None);
    let refused = read(elsewhere, SIGNED + 2).await.unwrap_err();
    assert!(matches!(refused, ReadError::Author { .. }), "{refused}");
}

#[tokio::test]
async fn a_record_that_names_a_nurse_who_did_not_sign_is_refused() {
    for uri in ["//Doctor", "//Nurse//other"] {
        let record = record(signed_at(SIGNED), "//Doctor", Some(uri), None);
        let refused = read(record, SIGNED).await.unwrap_err();
        assert!(matches!(refused, ReadError::Nurse { nurse: NURSE, .. }), "{refused}");
    }
}

#[tokio::test]
async fn an_old_record_cannot_be_announced_as_a_new_one() {
    let record = || record(signed_at(SIGNED), "//Doctor", None, None);
    for announced_at in [SIGNED - 1, SIGNED + MAX_SIGNING_AGE_BLOCKS + 1, HEAD] {
        let refused = read(record(), announced_at).await.unwrap_err();
        assert!(matches!(refused, ReadError::SignedAt { signed_at: SIGNED, .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_record_signed_at_a_block_of_a_fork_is_refused() {
    let fork = SignedAt { number: SIGNED, hash: Hash::repeat_byte(9) };
    let refused = read(record(fork, "//Doctor", None, None), SIGNED).await.unwrap_err();
    assert!(matches!(refused, ReadError::SignedAt { .. }), "{refused}");
    // A block that the chain does not have yet.
    let future = record(signed_at(HEAD + 1), "//Doctor", None, None);
    let refused = read(future, HEAD + 1).await.unwrap_err();
    assert!(matches!(refused, ReadError::SignedAt { .. }), "{refused}");
}

#[test]
fn a_record_under_the_id_of_another_is_refused() {
    let (one, other) = (sealed(10).record, sealed(10).record);
    let (text, entry) = (Bytes(one.encode()), entry_of(&other));
    let entry = Entry { hash: entry_of(&one).hash, ..entry };
    let reply = RecordReply { pointer: FIRST, entry, text };
    let refused = decode(&reply).unwrap_err();
    assert!(matches!(refused, ReadError::Inconsistent { what: "its id", .. }), "{refused}");
}

#[test]
fn the_bytes_of_another_record_and_altered_bytes_are_refused() {
    let (record, other) = (sealed(10).record, sealed(10).record);
    let mut altered = record.encode();
    *altered.last_mut().unwrap() ^= 1;
    for text in [other.encode(), altered, Vec::new()] {
        let (text, entry) = (Bytes(text), entry_of(&record));
        let refused = decode(&RecordReply { pointer: FIRST, entry, text }).unwrap_err();
        assert!(matches!(refused, ReadError::Inconsistent { what: "its bytes", .. }), "{refused}");
    }
}
