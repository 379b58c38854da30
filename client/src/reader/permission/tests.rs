use epione_envelope::{account::Signer, development, grant::GrantTerms};
use epione_primitives::{
    HospitalId, RecordId,
    access::Purpose,
    release::{EmergencyReason, ReleasedRecord},
};

use super::*;
use crate::reader::tests::{GENESIS, POINTER, sealed};

const DOCTOR: UserId = UserId([2; 32]);
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
        patient: UserId([1; 32]),
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

fn receipt(grant: &AccessGrant) -> Receipt {
    let records = vec![
        ReleasedRecord { pointer: OTHER, sections: set(&[5]) },
        ReleasedRecord { pointer: POINTER, sections: set(&[2, 0]) },
    ];
    Receipt {
        release: Release {
            requester: DOCTOR,
            patient: UserId([1; 32]),
            records: records.try_into().unwrap(),
            rights: Default::default(),
            purpose: Purpose::Treatment,
            emergency: None,
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

#[test]
fn a_receipt_that_agrees_with_the_grant_is_accepted() {
    let grant = grant();
    assert_eq!(disagreement(&receipt(&grant), &grant, Some(DOCTOR), TREATMENT), None);
}

#[test]
fn a_receipt_that_differs_from_the_grant_is_rejected_with_what_differs() {
    type Alter = fn(&mut Receipt);
    let cases: [(&str, Alter); 11] = [
        ("grant", |it| it.release.grant = Hash::zero()),
        ("requester", |it| it.release.requester = UserId([9; 32])),
        ("patient", |it| it.release.patient = UserId([9; 32])),
        ("hospital", |it| it.hospital = HospitalId(1)),
        ("purpose", |it| it.release.purpose = Purpose::Research),
        ("purpose", |it| it.release.emergency = Some(EmergencyReason::PublicHealth)),
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
    let grant = grant();
    for (expected, alter) in cases {
        let mut receipt = receipt(&grant);
        alter(&mut receipt);
        let found = disagreement(&receipt, &grant, Some(DOCTOR), TREATMENT);
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn a_receipt_for_another_requester_or_purpose_is_rejected() {
    let grant = grant();
    let receipt = receipt(&grant);
    for requester in [None, Some(UserId([9; 32]))] {
        let found = disagreement(&receipt, &grant, requester, TREATMENT);
        assert_eq!(found, Some("requester"));
    }
    let reason = Some(EmergencyReason::LifeThreatening);
    for intent in [
        Intent { purpose: Purpose::Audit, emergency: None },
        Intent { purpose: Purpose::Emergency, emergency: reason },
        Intent { purpose: Purpose::Treatment, emergency: reason },
    ] {
        assert_eq!(disagreement(&receipt, &grant, Some(DOCTOR), intent), Some("purpose"));
    }
}

#[test]
fn a_grant_of_a_section_that_no_record_has_is_rejected() {
    let grant = granting(&[(POINTER, 64)]);
    let mut receipt = receipt(&grant);
    receipt.release.records =
        vec![ReleasedRecord { pointer: POINTER, sections: SectionSet::default() }]
            .try_into()
            .unwrap();
    let found = disagreement(&receipt, &grant, Some(DOCTOR), TREATMENT);
    assert_eq!(found, Some("sections"));
}

#[test]
fn a_key_for_another_record_than_the_one_on_the_chain_is_rejected() {
    let sealed = sealed(10);
    let permission = |pointer, record| {
        let place = GrantedSection { pointer, record, section: 1 };
        let keys = vec![(place, ContentKey::generate())];
        Permission { keys, links: Links::new(), intent: TREATMENT }
    };
    let right = permission(POINTER, sealed.record.id()).of(POINTER, &sealed.record).unwrap();
    assert_eq!(right.keys.keys().collect::<Vec<_>>(), [&1]);
    let elsewhere = permission(OTHER, sealed.record.id()).of(POINTER, &sealed.record).unwrap();
    assert!(elsewhere.keys.is_empty());
    let wrong = permission(POINTER, RecordId([9; 16])).of(POINTER, &sealed.record).err().unwrap();
    let wanted = GrantError::Mismatch { what: "record" };
    assert!(matches!(&wrong, ReadError::Grant(found) if *found == wanted), "{wrong}");
}
