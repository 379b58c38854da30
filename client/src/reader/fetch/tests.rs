use codec::{Decode, Encode};
use epione_envelope::{
    account::Signer,
    development,
    keys::PatientKeys,
    record::{Description, Draft, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    AnnouncementId, Hash, RecordId,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header, Range, SignedAt, Stage},
    limits::MAX_SIGNING_AGE_BLOCKS,
    profile::{Profile, Registration, RegistrationStatus, Role},
    release::SectionSet,
    sharing::{Placements, SlotId},
};
use serde_json::{Value, json};
use sp_core::Bytes;

use super::*;
use crate::{
    Account,
    chain::{SigningFault, fake::FakeNode},
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

/// The slot of the sections that the patient placed.
const SLOT: SlotId = SlotId(3);

/// The placement of these sections.
fn in_slot(bits: u64) -> Placements {
    Placements::truncate_from(vec![Placement { slot: SLOT, sections: SectionSet(bits) }])
}

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
        "SharingApi_placements" => {
            let pointers: Vec<RecordPointer> = argument(params);
            // Of every second record, its second section.
            let placed = |it: RecordPointer| {
                if it.height.is_multiple_of(2) { in_slot(0b10) } else { Placements::default() }
            };
            scale(pointers.into_iter().map(placed).collect::<Vec<_>>())
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

/// A node that answers every request for a patient's records with these.
fn repeating(pointers: Vec<RecordPointer>) -> FakeNode {
    let record = sealed(10).record;
    let (text, entry) = (Bytes(record.encode()), entry_of(&record));
    FakeNode::new(move |method, params| match method {
        "chain_getFinalizedHead" => json!(Hash::zero()),
        "SharingApi_placements" => {
            let pointers: Vec<RecordPointer> = argument(params);
            scale(vec![Placements::default(); pointers.len()])
        }
        "liteBlocks_header" => {
            let height = params[0].as_u64().unwrap() as u32;
            json!({ "header": header(height), "hashes": BlockHashes::default() })
        }
        "liteBlocks_history" => {
            let reply = |pointer: &RecordPointer| RecordReply {
                pointer: *pointer,
                entry: entry.clone(),
                text: text.clone(),
            };
            json!(pointers.iter().map(reply).collect::<Vec<_>>())
        }
        other => panic!("{other} is not served"),
    })
}

#[tokio::test]
async fn a_node_that_repeats_a_page_does_not_keep_the_client_in_a_loop() {
    let at = |height, index| RecordPointer { height, index };
    let (three, before) = (vec![at(9, 1), at(9, 0), at(4, 0)], Some(at(9, 1)));
    for (page, before, wrong) in [
        (three.clone(), None, at(9, 1)),
        // Not before the given record.
        (three.clone(), before, at(9, 1)),
        (vec![at(10, 0)], before, at(10, 0)),
        // Within a page.
        (vec![at(4, 0), at(9, 0)], None, at(9, 0)),
        (vec![at(9, 0), at(9, 1)], None, at(9, 1)),
        (vec![at(4, 0), at(4, 0)], None, at(4, 0)),
    ] {
        let chain = repeating(page).connect().await;
        let refused = list(&chain, PATIENT, before, u32::MAX).await.unwrap_err();
        let ReadError::Inconsistent { pointer, what } = refused else { panic!("{refused}") };
        assert_eq!(pointer, wrong);
        assert!(what.contains("order"), "{what}");
    }
    // More records than the client asked for.
    let chain = repeating(three).connect().await;
    assert_eq!(list(&chain, PATIENT, None, 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_slots_of_a_section_are_those_in_which_the_patient_placed_it() {
    let chain = node().connect().await;
    for (pointer, summary) in list(&chain, PATIENT, None, 20).await.unwrap() {
        let sections = summary.unwrap().sections;
        let slots: Vec<_> = sections.into_iter().map(|section| section.slots).collect();
        let second = if pointer.height % 2 == 0 { vec![SLOT] } else { vec![] };
        assert_eq!(slots, [vec![], second], "{pointer}");
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

/// A user's role, and the status of the user's registration at the hospital.
type Standing = (Role, Option<RegistrationStatus>);

const ACTIVE: Option<RegistrationStatus> = Some(RegistrationStatus::Active);

fn role_of(user: UserId) -> Role {
    match user {
        DOCTOR => Role::Doctor,
        NURSE => Role::Nurse,
        _ => Role::Patient,
    }
}

/// Reads a record that was announced in this block. At block [`SIGNED`], doctor, nurse and patient had the accounts
/// `//Doctor`, `//Nurse` and `//Patient`; at all other blocks they had others.
async fn read(record: Record, announced_at: BlockNumber) -> Result<RecordSummary, ReadError> {
    read_among(record, announced_at, |user, _| (role_of(user), ACTIVE)).await
}

/// As [`read`]. `standing` says what a user is, at block [`SIGNED`] if it is given `true`, and otherwise at the others.
async fn read_among(
    record: Record,
    announced_at: BlockNumber,
    standing: impl Fn(UserId, bool) -> Standing + Send + Sync + 'static,
) -> Result<RecordSummary, ReadError> {
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
            let user = argument(params);
            let uri = match user {
                DOCTOR => "//Doctor",
                NURSE => "//Nurse",
                _ => "//Patient",
            };
            let then = params[2] == json!(hash_of(SIGNED));
            let uri = if then { uri.to_owned() } else { format!("{uri}//other") };
            scale(Some(Profile {
                role: standing(user, then).0,
                account: account(&uri).id(),
                sealing_key_hash: Hash::zero(),
                version: 1,
                since: 1,
            }))
        }
        "ProfilesApi_registration" => {
            let (hospital, user): (HospitalId, UserId) = argument(params);
            let (_, status) = standing(user, params[2] == json!(hash_of(SIGNED)));
            let status = status.filter(|_| hospital == HOSPITAL);
            let (periods, body_hash) = (Default::default(), Hash::zero());
            scale(status.map(|status| Registration { status, periods, version: 1, body_hash }))
        }
        "SharingApi_placements" => scale(vec![in_slot(1)]),
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
        assert_eq!(summary.sections[0].slots, [SLOT]);
    }
    let summary = read(record(at, "//Doctor", None, None), SIGNED).await.unwrap();
    assert_eq!((summary.nurse, summary.cosigned), (None, false));
    let summary = read(record(at, "//Doctor", None, Some("//Forger")), SIGNED).await.unwrap();
    assert!(!summary.cosigned);
}

/// Why the signatures of a record do not count.
fn fault(refused: ReadError) -> SigningFault {
    match refused {
        ReadError::Signers { pointer: FIRST, fault } => fault,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_retired_or_later_account_key_signs_no_record() {
    // The account of another time.
    let record = |uri| record(signed_at(SIGNED), uri, None, None);
    for uri in ["//Doctor//other", "//Nurse", "//Patient"] {
        let refused = read(record(uri), SIGNED + 1).await.unwrap_err();
        assert_eq!(fault(refused), SigningFault::AuthorSignature(DOCTOR), "{uri}");
    }
    let elsewhere = self::record(signed_at(SIGNED + 1), "//Doctor", None, None);
    let refused = read(elsewhere, SIGNED + 2).await.unwrap_err();
    assert_eq!(fault(refused), SigningFault::AuthorSignature(DOCTOR));
}

#[tokio::test]
async fn a_record_that_names_a_nurse_who_did_not_sign_is_refused() {
    for uri in ["//Doctor", "//Nurse//other"] {
        let record = record(signed_at(SIGNED), "//Doctor", Some(uri), None);
        let refused = read(record, SIGNED).await.unwrap_err();
        assert_eq!(fault(refused), SigningFault::NurseSignature(NURSE), "{uri}");
    }
}

#[tokio::test]
async fn a_record_whose_author_is_neither_doctor_nor_nurse_is_refused() {
    for (role, may_write) in [
        (Role::Doctor, true),
        (Role::Nurse, true),
        (Role::Patient, false),
        (Role::Researcher, false),
        (Role::Auditor, false),
        (Role::Insurer, false),
        (Role::Pharmacist, false),
        (Role::PublicAuthority, false),
        (Role::AlliedProfessional, false),
    ] {
        let record = record(signed_at(SIGNED), "//Doctor", None, None);
        let standing = move |user: UserId, _: bool| match user {
            DOCTOR => (role, ACTIVE),
            other => (role_of(other), ACTIVE),
        };
        match read_among(record, SIGNED, standing).await {
            Ok(_) => assert!(may_write, "{role:?}"),
            Err(refused) => {
                assert!(!may_write, "{role:?}");
                assert_eq!(fault(refused), SigningFault::Author(DOCTOR));
            }
        }
    }
}

#[tokio::test]
async fn a_record_whose_nurse_is_not_a_nurse_is_refused() {
    for role in [Role::Doctor, Role::Patient, Role::Pharmacist, Role::AlliedProfessional] {
        let record = record(signed_at(SIGNED), "//Doctor", Some("//Nurse"), None);
        let standing = move |user: UserId, _: bool| match user {
            NURSE => (role, ACTIVE),
            other => (role_of(other), ACTIVE),
        };
        let refused = read_among(record, SIGNED, standing).await.unwrap_err();
        assert_eq!(fault(refused), SigningFault::Nurse(NURSE), "{role:?}");
    }
}

#[tokio::test]
async fn a_record_of_somebody_without_a_registration_in_force_when_it_was_signed_is_refused() {
    for (whose, expected) in [
        (DOCTOR, SigningFault::Author(DOCTOR)),
        (NURSE, SigningFault::Nurse(NURSE)),
        (PATIENT, SigningFault::Patient(PATIENT)),
    ] {
        for status in [None, Some(RegistrationStatus::Suspended), Some(RegistrationStatus::Ended)] {
            let record = || record(signed_at(SIGNED), "//Doctor", Some("//Nurse"), None);
            let when = move |at_signing: bool| {
                move |user: UserId, then: bool| {
                    let is_it = user == whose && then == at_signing;
                    (role_of(user), if is_it { status } else { ACTIVE })
                }
            };
            let refused = read_among(record(), SIGNED, when(true)).await.unwrap_err();
            assert_eq!(fault(refused), expected, "{status:?}");
            // What changed later changes nothing.
            read_among(record(), SIGNED, when(false)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_old_record_cannot_be_announced_as_a_new_one() {
    let record = || record(signed_at(SIGNED), "//Doctor", None, None);
    for announced_at in [SIGNED - 1, SIGNED + MAX_SIGNING_AGE_BLOCKS + 1, HEAD] {
        let refused = read(record(), announced_at).await.unwrap_err();
        assert_eq!(fault(refused), SigningFault::Block { signed_at: SIGNED, announced_at });
    }
}

#[tokio::test]
async fn a_record_signed_at_a_block_of_a_fork_is_refused() {
    let fork = SignedAt { number: SIGNED, hash: Hash::repeat_byte(9) };
    let refused = read(record(fork, "//Doctor", None, None), SIGNED).await.unwrap_err();
    assert!(matches!(fault(refused), SigningFault::Block { .. }));
    // A block that the chain does not have yet.
    let future = record(signed_at(HEAD + 1), "//Doctor", None, None);
    let refused = read(future, HEAD + 1).await.unwrap_err();
    assert!(matches!(fault(refused), SigningFault::Block { .. }));
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
