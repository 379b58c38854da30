//! Lite blocks: announced, committed (a single hospital needs no approval), read back and verified.

use codec::Encode;
use epione_client::{
    chain::{Call, Chain, ChainEvent, Included, SigningFault, calls::lite_blocks},
    reader::{self, ReadError, RecordSummary},
    verify,
};
use epione_envelope::{
    account::Signer,
    body::{BodyBuilder, Packed},
    development,
    keys::{PatientKey, PatientKeys},
    profile::{ProfileBody, ProfileContext, Recipient},
    record::{Description, Draft, Record, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    Hash, HospitalId, RecordId, RecordPointer, UserId,
    block::{AnnouncedEntry, AnnouncedHeader, Range, Segments, segments_root},
    limits::MAX_BODY_BYTES,
    profile::Role,
};

use crate::{account, agent, hash, node::Node, register, register_under, user};

pub fn patient() -> UserId {
    user("//Patient")
}

pub fn doctor() -> UserId {
    user("//Doctor")
}

/// The patient keys of the only patient.
pub fn patient_keys() -> PatientKeys {
    PatientKeys::from_keys(vec![PatientKey::from_bytes([7; 32])]).unwrap()
}

/// A record of one text.
pub async fn record(chain: &Chain, text: &str, signer: &str) -> Record {
    cosigned(chain, text, signer, None).await
}

async fn cosigned(chain: &Chain, text: &str, signer: &str, cosigner: Option<&str>) -> Record {
    let (genesis, keys) = (chain.genesis_hash(), development::keys(signer).unwrap());
    let signed_at = chain.finalized_head().await.unwrap().into();
    let section = Description::of(SectionKind::Report, "text/plain", "", text.as_bytes()).unwrap();
    let draft = Draft::new(patient(), HospitalId(0), doctor(), signed_at, vec![section]).unwrap();
    let mut signed = draft.sign(genesis, &keys);
    if let Some(uri) = cosigner {
        signed = signed.cosign(genesis, &account(uri));
    }
    let (account, keys) = (keys.account(), patient_keys());
    let mut sealer = RecordSealer::new(genesis, signed, &account, &keys).unwrap();
    sealer.seal_text(0, text.as_bytes()).unwrap();
    sealer.finish().unwrap()
}

pub async fn commit(chain: &Chain, records: &[Record]) -> (u32, Included) {
    announce(chain, &announcing(records)).await
}

/// The call that announces these records.
pub fn announcing(records: &[Record]) -> Call {
    let mut builder = BodyBuilder::new(HospitalId(0));
    for record in records {
        builder.push(record).unwrap();
    }
    let Packed { header, entries, body } = builder.finish().unwrap();
    lite_blocks::announce(&header, &entries, &body)
}

pub async fn announce(chain: &Chain, call: &Call) -> (u32, Included) {
    let included = chain.submit(call, &agent()).await.unwrap();
    let height = included.events.iter().find_map(|event| match event {
        ChainEvent::Committed { height, .. } => Some(*height),
        _ => None,
    });
    (height.unwrap(), included)
}

pub async fn ready(node: &Node) -> Chain {
    let chain = node.connect().await;
    let body = profile(chain.genesis_hash()).encode();
    tokio::join!(
        register_under(&chain, Role::Patient, "//Patient", &body),
        register(&chain, Role::Doctor, "//Doctor"),
    );
    chain
}

/// The patient's profile, with the patient keys sealed to the patient.
fn profile(genesis: Hash) -> ProfileBody {
    let context = ProfileContext { genesis, hospital: HospitalId(0), user: patient() };
    let sealing = development::sealing_key("//Patient");
    let user = Recipient { account: &account("//Patient").id(), key: sealing.public() };
    let hospital = development::sealing_key("//Alice");
    let hospital = hospital.public();
    ProfileBody::for_patient(&context, "Zoë", &patient_keys(), user, hospital, &agent()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_read_back_and_verified() {
    let node = Node::start();
    let chain = ready(&node).await;
    let record = async |text| record(&chain, text, "//Doctor").await;
    let (first, _) = commit(&chain, &[record("one").await, record("two").await]).await;
    let (second, included) = commit(&chain, &[record("three").await]).await;
    assert_eq!((first, second), (1, 2));
    let announced = matches!(&included.events[..], events if events.iter().any(|event| {
        matches!(event, ChainEvent::Announced { announcer: HospitalId(0), .. })
    }));
    assert!(announced);

    let listed = reader::list(&chain, patient(), None, 10).await.unwrap();
    let pointers: Vec<RecordPointer> = listed.iter().map(|(pointer, _)| *pointer).collect();
    let at = |height, index| RecordPointer { height, index };
    assert_eq!(pointers, [at(2, 0), at(1, 1), at(1, 0)]);
    let newest: &RecordSummary = listed[0].1.as_ref().unwrap();
    assert_eq!(newest.previous, Some(at(1, 1)));
    assert_eq!(newest.author, doctor());
    assert_eq!(reader::list(&chain, patient(), Some(at(1, 1)), 10).await.unwrap().len(), 1);
    assert_eq!(reader::list(&chain, patient(), None, 2).await.unwrap().len(), 2);

    for height in [1, 2] {
        let evidence = verify::gather(&chain, height).await.unwrap();
        let report = verify::check(&evidence);
        assert!(report.passed(), "{report:#?}");
        assert!(report.check("announcer's signature").is_some(), "{report:#?}");
    }
    let missing = verify::gather(&chain, 3).await.unwrap_err();
    assert!(missing.to_string().contains("the newest has height 2"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signature_of_author_or_patient_is_detected() {
    let node = Node::start();
    let chain = ready(&node).await;
    let with = async |cosigner| cosigned(&chain, "true", "//Doctor", Some(cosigner)).await;
    let alone = record(&chain, "true", "//Doctor").await;
    let forged = record(&chain, "forged", "//Forger").await;
    let records = [alone, with("//Patient").await, with("//Forger").await, forged];
    commit(&chain, &records).await;

    let pointer = |index| RecordPointer { height: 1, index };
    for (index, cosigned) in [(0, false), (1, true), (2, false)] {
        let (summary, _) = reader::verified(&chain, pointer(index)).await.unwrap();
        assert_eq!((summary.author, summary.cosigned), (doctor(), cosigned), "record {index}");
    }
    let forged = reader::verified(&chain, pointer(3)).await.unwrap_err();
    let ReadError::Signers { fault, .. } = &forged else { panic!("{forged}") };
    assert_eq!(*fault, SigningFault::AuthorSignature(doctor()));
    let missing = reader::verified(&chain, pointer(4)).await.unwrap_err();
    assert!(matches!(missing, ReadError::UnknownRecord(_)), "{missing}");

    let report = verify::check(&verify::gather(&chain, 1).await.unwrap());
    let failed: Vec<_> =
        report.checks.iter().filter(|it| !it.passed).map(|it| it.name.as_str()).collect();
    assert_eq!(failed, ["signatures of record 1/2", "signatures of record 1/3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_is_submitted_and_read_back() {
    let node = Node::start();
    let chain = ready(&node).await;
    let body: Vec<u8> = (0..MAX_BODY_BYTES).map(|i| ((i * 7) >> 3) as u8).collect();
    let whole = Range { offset: 0, length: MAX_BODY_BYTES };
    let record = RecordId([9; 16]);
    let entry = AnnouncedEntry {
        record,
        hash: hash(&body),
        patient: patient(),
        text: whole,
        media: Range::default(),
    };
    let segments = Segments { root: segments_root(&[]), count: 0, bytes: 0 };
    let header = AnnouncedHeader { announcer: HospitalId(0), segments };
    let call = lite_blocks::announce(&header, &vec![entry].try_into().unwrap(), &body);
    let (height, _) = announce(&chain, &call).await;

    assert_eq!(chain.body(hash(&body)).await.unwrap(), Some(body.clone()));
    let reply = chain.lite_record(RecordPointer { height, index: 0 }).await.unwrap().unwrap();
    assert_eq!(reply.text.0, body);
}
