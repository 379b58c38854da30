//! The committed vectors of grants, of queries' grants, and of the terms of queries. See [`crate::vectors`].

use codec::Encode;
use epione_envelope::{
    grant::{AccessGrant, Expected, GrantTerms, GrantedSection},
    keys::ContentKey,
    query::{ExpectedQuery, QueryGrant, QueryTerms, SealedTerms},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{AccountId, RecordId, RecordPointer, access::Purpose, query::QueryId};
use serde_json::json;

use crate::{
    fixture::{DOCTOR, HOSPITAL, PATIENT, genesis},
    oracle,
    vectors::{agent, array, bytes, signers, vector},
};

fn terms() -> GrantTerms {
    GrantTerms {
        genesis: genesis(),
        hospital: HOSPITAL,
        patient: PATIENT,
        requester: DOCTOR,
        audience: AccountId::new([0x91; 32]),
        purpose: Purpose::Treatment,
        issued: 1_770_000_000_000,
        expires: 1_770_000_600_000,
        nonce: [0x92; 16],
    }
}

#[test]
fn grants() {
    let make = || {
        let pointer = RecordPointer { height: 7, index: 3 };
        let section = GrantedSection { pointer, record: RecordId([0x93; 16]), section: 2 };
        let keys = [(section, ContentKey::from_bytes([0x94; 32]))];
        let recipient = SealingKeyPair::from_seed(SealingSuite::XWing, &[0x95; 32]);
        let grant = AccessGrant::seal(terms(), &keys, recipient.public(), &agent()).unwrap();
        json!({
            "agent": hex::encode(agent().public()), "recipient_seed": hex::encode([0x95; 32]),
            "grant": hex::encode(grant.encode()), "hash": hex::encode(grant.hash()),
            "section": [7, 3, section.record, 2], "content_key": hex::encode([0x94; 32]),
        })
    };
    let vector = vector("grant.json", make);
    let encoded = bytes(&vector["grant"]);
    let grant = AccessGrant::decode_exactly(&encoded).unwrap();
    assert_eq!(grant.encode(), encoded);
    assert_eq!(grant.hash().0, array(&vector["hash"]));
    let agent = AccountId::new(array(&vector["agent"]));
    let GrantTerms { genesis, hospital, patient, audience, nonce, issued: now, .. } = terms();
    let expected =
        Expected { genesis, hospital, agent: &agent, audience: &audience, patient, nonce, now };
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &array(&vector["recipient_seed"]));
    let opened = grant.open(&expected, &keys).unwrap();
    let (section, key) = &opened[0];
    let shown =
        json!([section.pointer.height, section.pointer.index, section.record, section.section]);
    assert_eq!(shown, vector["section"]);
    assert_eq!(key.as_bytes(), &array(&vector["content_key"]));

    let (clear, wrap) = encoded.split_at(1 + terms().encoded_size() + 1 + section.encoded_size());
    let context = oracle::grant_context(&terms(), clear);
    assert_eq!(oracle::open_wrap(&keys, &context, &agent, wrap).unwrap(), key.as_bytes());
}

fn query_terms() -> QueryTerms {
    QueryTerms {
        genesis: genesis(),
        query: QueryId(0x0102_0304),
        patient: PATIENT,
        requester: DOCTOR,
        audience: AccountId::new([0x96; 32]),
        purpose: Purpose::Research,
        issued: 1_770_000_000_000,
        until: 1_780_000_000_000,
    }
}

#[test]
fn query_grants() {
    let make = || {
        let pointer = RecordPointer { height: 7, index: 3 };
        let section = GrantedSection { pointer, record: RecordId([0x97; 16]), section: 2 };
        let keys = [(section, ContentKey::from_bytes([0x98; 32]))];
        let recipient = SealingKeyPair::from_seed(SealingSuite::XWing, &[0x99; 32]);
        let [_, patient, _] = signers();
        let grant = QueryGrant::seal(query_terms(), &keys, recipient.public(), &patient).unwrap();
        json!({
            "patient": hex::encode(patient.public()), "recipient_seed": hex::encode([0x99; 32]),
            "grant": hex::encode(grant.encode()), "hash": hex::encode(grant.hash()),
            "section": [7, 3, section.record, 2], "content_key": hex::encode([0x98; 32]),
        })
    };
    let vector = vector("query-grant.json", make);
    let encoded = bytes(&vector["grant"]);
    let grant = QueryGrant::decode_exactly(&encoded).unwrap();
    assert_eq!(grant.encode(), encoded);
    assert_eq!(grant.hash().0, array(&vector["hash"]));
    assert_eq!(oracle::blake2_256(&encoded), array(&vector["hash"]));
    let account = AccountId::new(array(&vector["patient"]));
    let QueryTerms { genesis, query, patient, audience, purpose, issued: now, until, .. } =
        query_terms();
    let (acceptor, audience) = (&account, &audience);
    let expected =
        ExpectedQuery { genesis, query, patient, acceptor, audience, purpose, until, now };
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &array(&vector["recipient_seed"]));
    let opened = grant.open(&expected, &keys).unwrap();
    let (section, key) = &opened[0];
    let shown =
        json!([section.pointer.height, section.pointer.index, section.record, section.section]);
    assert_eq!(shown, vector["section"]);
    assert_eq!(key.as_bytes(), &array(&vector["content_key"]));

    let by_hand = [
        &[1_u8][..],
        &genesis.0,
        &[4, 3, 2, 1],
        &PATIENT.0,
        &DOCTOR.0,
        &[0x96; 32],
        // Research.
        &[2],
        &1_770_000_000_000_u64.to_le_bytes(),
        &1_780_000_000_000_u64.to_le_bytes(),
        // One section.
        &[1 << 2],
        &7_u32.to_le_bytes(),
        &3_u16.to_le_bytes(),
        &[0x97; 16],
        &2_u16.to_le_bytes(),
    ]
    .concat();
    let (clear, wrap) = encoded.split_at(by_hand.len());
    assert_eq!(clear, by_hand);
    let context = oracle::query_grant_context(clear);
    assert_eq!(oracle::open_wrap(&keys, &context, &account, wrap).unwrap(), key.as_bytes());
}

#[test]
fn sealed_terms() {
    let text = "Does exercise lower the blood pressure? No name leaves the institute.";
    let make = || {
        let recipient = SealingKeyPair::from_seed(SealingSuite::XWing, &[0x9a; 32]);
        let [requester, ..] = signers();
        let sealed =
            SealedTerms::seal(genesis(), DOCTOR, PATIENT, text, recipient.public(), &requester);
        json!({
            "genesis": hex::encode(genesis()), "requester": DOCTOR, "patient": PATIENT,
            "requester_account": hex::encode(requester.public()),
            "recipient_seed": hex::encode([0x9a; 32]), "text": text,
            "sealed": hex::encode(sealed.unwrap().encode()),
        })
    };
    let vector = vector("query-terms.json", make);
    let encoded = bytes(&vector["sealed"]);
    let sealed = SealedTerms::decode_exactly(&encoded).unwrap();
    assert_eq!(sealed.encode(), encoded);
    let account = AccountId::new(array(&vector["requester_account"]));
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &array(&vector["recipient_seed"]));
    let opened = sealed.open(genesis(), DOCTOR, PATIENT, &account, &keys).unwrap();
    assert_eq!(opened.as_str(), vector["text"].as_str().unwrap());

    assert_eq!(encoded[0], 1);
    let context = oracle::query_terms_context(genesis(), DOCTOR, PATIENT);
    let by_oracle = oracle::open_wrap(&keys, &context, &account, &encoded[1..]).unwrap();
    let (text, padding) = by_oracle.split_at(vector["text"].as_str().unwrap().len());
    assert_eq!(text, vector["text"].as_str().unwrap().as_bytes());
    assert_eq!(padding, vec![0; 1_024 - text.len()]);
}
