//! The committed test vectors of what is hashed for the chain or signed, but not sealed: the ids of users, requests for
//! records, and the subject of a vote. They are in `vectors/*.json`, too, and are the same each time that they are
//! written.

use codec::{Decode, Encode};
use epione_envelope::account::{Signer, verify};
use epione_primitives::{
    AccountId, Hash, RecordId, RecordPointer, Signature, UserId,
    access::Purpose,
    block::{AnnouncedEntry, AnnouncedHeader, Range, Segments},
    release::{EmergencyReason, ReleasedRecord, Request, SectionSet},
};
use serde_json::json;

use crate::{
    fixture::{DOCTOR, HOSPITAL, PATIENT, genesis},
    oracle,
    vectors::{array, bytes, parsed, signers, vector},
};

#[test]
fn users() {
    let make = || {
        let (account, key) = (AccountId::new([0xc1; 32]), Hash::repeat_byte(0xc2));
        json!({
            "account": hex::encode(&account), "sealing_key_hash": hex::encode(key),
            "user": UserId::of(&account, key),
        })
    };
    let vector = vector("user.json", make);
    let (account, key) =
        (array::<32>(&vector["account"]), array::<32>(&vector["sealing_key_hash"]));
    let user = UserId::of(&AccountId::new(account), Hash::from(key));
    assert_eq!(user, parsed::<UserId>(&vector["user"]));
    let by_hand = [&b"epione/user"[..], &account, &key].concat();
    assert_eq!(user.0, oracle::blake2_256(&by_hand));
}

fn request() -> Request {
    let record = |height, sections| ReleasedRecord {
        pointer: RecordPointer { height, index: 3 },
        sections: SectionSet(sections),
    };
    Request {
        requester: DOCTOR,
        patient: PATIENT,
        hospital: HOSPITAL,
        records: vec![record(7, 0b101), record(8, u64::MAX)].try_into().unwrap(),
        purpose: Purpose::Emergency,
        emergency: Some(EmergencyReason::UnableToConsent),
        at: 1_770_000_000_000,
        nonce: [0xd1; 16],
    }
}

#[test]
fn requests() {
    let make = || {
        let (request, [signer, ..]) = (request(), signers());
        let signed = request.signed_bytes(genesis());
        json!({
            "genesis": hex::encode(genesis()), "account": hex::encode(signer.public()),
            "request": hex::encode(request.encode()), "hash": hex::encode(request.hash()),
            "signed_bytes": hex::encode(&signed),
            "signature": hex::encode(signer.sign(&signed).encode()),
        })
    };
    let vector = vector("request.json", make);
    let genesis = Hash::from(array::<32>(&vector["genesis"]));
    let account = AccountId::new(array(&vector["account"]));
    let encoded = bytes(&vector["request"]);
    let decoded = Request::decode(&mut encoded.as_slice()).unwrap();
    assert_eq!(decoded, request());
    let signature = Signature::decode(&mut bytes(&vector["signature"]).as_slice()).unwrap();
    assert!(decoded.is_signed_by(genesis, &account, &signature));
    assert_eq!(decoded.hash().0, array(&vector["hash"]));

    let pointer = |height: u32| [&height.to_le_bytes()[..], &3_u16.to_le_bytes()].concat();
    let by_hand = [
        &DOCTOR.0[..],
        &PATIENT.0,
        &HOSPITAL.0.to_le_bytes(),
        &[2 << 2],
        &pointer(7),
        &0b101_u64.to_le_bytes(),
        &pointer(8),
        &u64::MAX.to_le_bytes(),
        // The purpose emergency, and a reason: unable to consent.
        &[4, 1, 1],
        &1_770_000_000_000_u64.to_le_bytes(),
        &[0xd1; 16],
    ]
    .concat();
    assert_eq!(encoded, by_hand);
    assert_eq!(oracle::blake2_256(&by_hand), array(&vector["hash"]));
    let signed = [&b"epione/request"[..], &genesis.0, &by_hand].concat();
    assert_eq!(signed, bytes(&vector["signed_bytes"]));
    assert!(verify(&signature, &signed, &account));
}

#[test]
fn announcements() {
    let make = || {
        let header = AnnouncedHeader {
            announcer: HOSPITAL,
            segments: Segments { root: Hash::repeat_byte(0xe1), count: 2, bytes: 5_000_000 },
        };
        let entry = |record, offset, length| AnnouncedEntry {
            record: RecordId([record; 16]),
            hash: Hash::repeat_byte(record + 0x10),
            patient: PATIENT,
            text: Range { offset, length },
            media: Range { offset: 0, length: 2 },
        };
        let entries = vec![entry(0xe2, 0, 63), entry(0xe3, 63, 70_000)];
        let body_hash = Hash::repeat_byte(0xe4);
        json!({
            "header": hex::encode(header.encode()), "entries": hex::encode(entries.encode()),
            "body_hash": hex::encode(body_hash),
            "subject": hex::encode(header.subject(&entries, body_hash)),
        })
    };
    let vector = vector("announcement.json", make);
    let [header, entries] = ["header", "entries"].map(|name| bytes(&vector[name]));
    let body_hash: [u8; 32] = array(&vector["body_hash"]);
    let decoded = AnnouncedHeader::decode(&mut header.as_slice()).unwrap();
    let list = Vec::<AnnouncedEntry>::decode(&mut entries.as_slice()).unwrap();
    let subject = decoded.subject(&list, Hash::from(body_hash));
    assert_eq!(subject.0, array(&vector["subject"]));
    let by_hand = oracle::blake2_256(&[&header[..], &entries, &body_hash].concat());
    assert_eq!(subject.0, by_hand);

    // Each entry: record, hash, patient, and two ranges of compact numbers.
    let ranges: [&[u8]; 2] =
        [&[0, 63 << 2, 0, 2 << 2], &[63 << 2, 0xc2, 0x45, 0x04, 0x00, 0, 2 << 2]];
    let entry = |record: u8, ranges: &[u8]| {
        [&[record; 16][..], &[record + 0x10; 32], &PATIENT.0, ranges].concat()
    };
    let by_hand = [&[2_u8 << 2][..], &entry(0xe2, ranges[0]), &entry(0xe3, ranges[1])].concat();
    assert_eq!(entries, by_hand);
    let counts = [&2_u32.to_le_bytes()[..], &5_000_000_u64.to_le_bytes()].concat();
    let by_hand = [&HOSPITAL.0.to_le_bytes()[..], &[0xe1; 32], &counts].concat();
    assert_eq!(header, by_hand);
}
