use epione_envelope::{account::Signer, development, grant::GrantTerms};
use epione_primitives::{
    HospitalId, RecordId,
    access::Purpose,
    limits::MAX_RELEASED_RECORDS,
    release::{EmergencyReason, Release},
};
use url::Url;

use super::*;
use crate::{
    Account, Endpoint,
    reader::tests::{GENESIS, POINTER, sealed},
    worker::WorkerClient,
};

const DOCTOR: UserId = UserId([2; 32]);
const PATIENT: UserId = UserId([1; 32]);
const TREATMENT: Intent = Intent { purpose: Purpose::Treatment, emergency: None };
const OTHER: RecordPointer = RecordPointer { height: 2, index: 1 };

/// A grant of sections 0 and 2 of one record, and 5 of another.
fn grant() -> AccessGrant {
    granting(&[(POINTER, 0), (POINTER, 2), (OTHER, 5)])
}

fn granting(places: &[(RecordPointer, u16)]) -> AccessGrant {
    let doctor = development::keys("//Doctor").unwrap();
    let terms = GrantTerms {
        genesis: GENESIS,
        hospital: HospitalId(0),
        patient: PATIENT,
        requester: DOCTOR,
        audience: doctor.account(),
        purpose: Purpose::Treatment,
        issued: 1,
        expires: 2,
        nonce: [0; 16],
    };
    let keys: Vec<_> = places
        .iter()
        .map(|(pointer, section)| {
            let record = RecordId([pointer.height as u8; 16]);
            let place = GrantedSection { pointer: *pointer, record, section: *section };
            (place, ContentKey::generate())
        })
        .collect();
    let agent = development::keys("//Alice//agent").unwrap();
    AccessGrant::seal(terms, &keys, doctor.sealing.public(), &agent).unwrap()
}

fn set(sections: &[u16]) -> SectionSet {
    let mut set = SectionSet::default();
    assert!(sections.iter().all(|section| set.insert(*section)));
    set
}

fn doctor() -> Account {
    Account::development("//Doctor").unwrap()
}

fn worker() -> WorkerClient {
    let url = Url::parse("http://127.0.0.1:1").unwrap();
    let endpoint = Endpoint::new(url, [0; 32]).unwrap();
    WorkerClient::new(&endpoint, HospitalId(0), GENESIS, doctor()).unwrap()
}

fn wanted(pointer: RecordPointer, sections: &[u16]) -> WantedRecord {
    WantedRecord { pointer, sections: Some(set(sections)) }
}

/// A doctor's request for one section more than [`grant`] gives, and for all sections of the other record.
fn asked() -> SignedRequest {
    signed(&[wanted(POINTER, &[0, 1, 2]), OTHER.into()], TREATMENT).unwrap()
}

fn signed(records: &[WantedRecord], intent: Intent) -> Result<SignedRequest, ReadError> {
    SignedRequest::new(GENESIS, &worker(), DOCTOR, PATIENT, records, intent)
}

fn receipt(grant: &AccessGrant, asked: &SignedRequest) -> Receipt {
    let SignedRequest { request, signature } = asked.clone();
    let records = vec![
        ReleasedRecord { pointer: OTHER, sections: set(&[5]) },
        ReleasedRecord { pointer: POINTER, sections: set(&[2, 0]) },
    ];
    Receipt {
        release: Release {
            request,
            signature,
            records: records.try_into().unwrap(),
            rights: Default::default(),
            grant: grant.hash(),
        },
        hospital: HospitalId(0),
        version: 0,
        policies: Default::default(),
        block: 1,
        at: 1,
        review: None,
    }
}

fn differs(receipt: &Receipt, grant: &AccessGrant, asked: &SignedRequest) -> Option<&'static str> {
    disagreement(receipt, grant, &asked.request, (GENESIS, &doctor().id()))
}

#[test]
fn a_receipt_that_agrees_with_grant_and_request_is_accepted() {
    let (grant, asked) = (grant(), asked());
    assert_eq!(differs(&receipt(&grant, &asked), &grant, &asked), None);
    // The worker answers an equal request with the grant that it gave before.
    assert_eq!(differs(&receipt(&grant, &asked), &grant, &self::asked()), None);
}

#[test]
fn a_receipt_that_differs_from_grant_or_request_is_rejected_with_what_differs() {
    type Alter = fn(&mut Receipt);
    let cases: [(&str, Alter); 16] = [
        ("grant", |it| it.release.grant = Hash::zero()),
        ("requester", |it| it.release.request.requester = UserId([9; 32])),
        ("patient", |it| it.release.request.patient = UserId([9; 32])),
        ("hospital", |it| it.hospital = HospitalId(1)),
        ("hospital", |it| it.release.request.hospital = HospitalId(1)),
        ("purpose", |it| it.release.request.purpose = Purpose::Research),
        ("purpose", |it| it.release.request.emergency = Some(EmergencyReason::PublicHealth)),
        ("request", |it| it.release.request.records[0].sections = SectionSet::ALL),
        ("request", |it| it.release.request.records.truncate(1)),
        ("signature", |it| it.release.request.at += 1),
        ("signature", |it| it.release.request.nonce[0] ^= 1),
        ("sections", |it| it.release.records[1].sections = set(&[0])),
        ("sections", |it| it.release.records[1].sections = set(&[0, 1, 2])),
        ("sections", |it| it.release.records[0].pointer.index = 0),
        ("sections", |it| it.release.records.truncate(1)),
        ("sections", |it| {
            let pointer = RecordPointer { height: 3, index: 0 };
            let more = ReleasedRecord { pointer, sections: set(&[0]) };
            it.release.records.try_push(more).unwrap();
        }),
    ];
    let (grant, asked) = (grant(), asked());
    for (index, (expected, alter)) in cases.into_iter().enumerate() {
        let mut receipt = receipt(&grant, &asked);
        alter(&mut receipt);
        assert_eq!(differs(&receipt, &grant, &asked), Some(expected), "{index}");
    }
}

#[test]
fn a_receipt_of_a_request_that_somebody_else_signed_is_rejected() {
    let (grant, asked) = (grant(), asked());
    for uri in ["//Alice//agent", "//Patient"] {
        let other = Account::development(uri).unwrap();
        let mut receipt = receipt(&grant, &asked);
        receipt.release.signature = other.sign(&asked.request.signed_bytes(GENESIS));
        assert_eq!(differs(&receipt, &grant, &asked), Some("signature"), "{uri}");
    }
    // A signature for another chain.
    let mut receipt = receipt(&grant, &asked);
    receipt.release.signature = doctor().sign(&asked.request.signed_bytes(Hash::zero()));
    assert_eq!(differs(&receipt, &grant, &asked), Some("signature"));
}

#[test]
fn a_receipt_for_another_requester_or_purpose_is_rejected() {
    let (grant, asked) = (grant(), asked());
    let receipt = receipt(&grant, &asked);
    let mut stranger = asked.clone();
    stranger.request.requester = UserId([9; 32]);
    assert_eq!(differs(&receipt, &grant, &stranger), Some("requester"));
    let reason = Some(EmergencyReason::LifeThreatening);
    for (purpose, emergency) in
        [(Purpose::Audit, None), (Purpose::Emergency, reason), (Purpose::Treatment, reason)]
    {
        let mut other = asked.clone();
        (other.request.purpose, other.request.emergency) = (purpose, emergency);
        assert_eq!(differs(&receipt, &grant, &other), Some("purpose"));
    }
}

#[test]
fn a_request_is_sorted_and_signed_and_means_the_same_in_the_api() {
    let mixed = [OTHER.into(), wanted(POINTER, &[2]), wanted(POINTER, &[0])];
    let asked = signed(&mixed, TREATMENT).unwrap();
    let Request { hospital, records, .. } = &asked.request;
    assert_eq!(*hospital, HospitalId(0));
    assert_eq!(
        records.to_vec(),
        [
            ReleasedRecord { pointer: POINTER, sections: set(&[0, 2]) },
            ReleasedRecord { pointer: OTHER, sections: SectionSet::ALL },
        ]
    );
    assert!(asked.request.is_signed_by(GENESIS, &doctor().id(), &asked.signature));
    assert!(asked.wants(POINTER, 2) && !asked.wants(POINTER, 1) && asked.wants(OTHER, 63));

    let sent = asked.to_api();
    assert_eq!(sent.records, [wanted(POINTER, &[0, 2]), OTHER.into()]);
    let rebuilt = sent.to_request(DOCTOR, HospitalId(0)).unwrap();
    assert_eq!(rebuilt, (asked.request, asked.signature));
}

#[test]
fn two_requests_for_the_same_are_never_equal() {
    assert_ne!(asked().request.hash(), asked().request.hash());
}

#[test]
fn nothing_and_too_much_are_not_requested() {
    let many: Vec<WantedRecord> = (1..=MAX_RELEASED_RECORDS + 1)
        .map(|height| RecordPointer { height, index: 0 }.into())
        .collect();
    assert!(signed(&many[1..], TREATMENT).is_ok());
    for wrong in [&[][..], &[wanted(POINTER, &[])], &many] {
        let refused = signed(wrong, TREATMENT).unwrap_err();
        assert!(matches!(refused, ReadError::NotRequestable(_)), "{refused}");
    }
}

#[test]
fn a_grant_of_a_section_that_no_record_has_is_rejected() {
    let (grant, asked) = (granting(&[(POINTER, 64)]), asked());
    let mut receipt = receipt(&grant, &asked);
    receipt.release.records =
        vec![ReleasedRecord { pointer: POINTER, sections: SectionSet::default() }]
            .try_into()
            .unwrap();
    assert_eq!(differs(&receipt, &grant, &asked), Some("sections"));
}

#[test]
fn a_key_for_another_record_than_the_one_on_the_chain_is_rejected() {
    let sealed = sealed(10);
    let permission = |pointer, record| {
        let place = GrantedSection { pointer, record, section: 1 };
        let keys = vec![(place, ContentKey::generate())];
        Permission { keys, links: Links::new(), source: Source::Request(TREATMENT) }
    };
    let right = permission(POINTER, sealed.record.id()).of(POINTER, &sealed.record).unwrap();
    assert_eq!(right.keys.keys().collect::<Vec<_>>(), [&1]);
    let elsewhere = permission(OTHER, sealed.record.id()).of(POINTER, &sealed.record).unwrap();
    assert!(elsewhere.keys.is_empty());
    let wrong = permission(POINTER, RecordId([9; 16])).of(POINTER, &sealed.record).err().unwrap();
    let wanted = GrantError::Mismatch { what: "record" };
    assert!(matches!(&wrong, ReadError::Grant(found) if *found == wanted), "{wrong}");
}
