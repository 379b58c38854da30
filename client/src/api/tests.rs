use epione_primitives::access::Purpose;
use serde_json::json;

use super::*;
use crate::Account;

const GENESIS: Hash = Hash::repeat_byte(9);
const DOCTOR: UserId = UserId([3; 32]);
const HOSPITAL: HospitalId = HospitalId(2);

fn doctor() -> Account {
    Account::development("//Doctor").unwrap()
}

/// A request for all sections of one record, and for one section of another.
fn request() -> Request {
    let mut one = SectionSet::default();
    assert!(one.insert(4));
    let record =
        |index, sections| ReleasedRecord { pointer: RecordPointer { height: 7, index }, sections };
    Request {
        requester: DOCTOR,
        patient: UserId([1; 32]),
        hospital: HOSPITAL,
        records: vec![record(0, SectionSet::ALL), record(1, one)].try_into().unwrap(),
        purpose: Purpose::Treatment,
        emergency: None,
        at: 1_790_000_000_000,
        nonce: [0xab; 16],
    }
}

fn signed() -> GrantRequest {
    let request = request();
    GrantRequest::signed(&request, &doctor().sign(&request.signed_bytes(GENESIS)))
}

#[test]
fn the_worker_rebuilds_what_the_requester_signed() {
    let json = serde_json::to_value(signed()).unwrap();
    assert_eq!(json["records"][0], json!({ "pointer": { "height": 7, "index": 0 } }));
    assert_eq!(json["records"][1]["sections"], json!([4]));
    assert_eq!(json["nonce"], json!("ab".repeat(16)));

    let received: GrantRequest = serde_json::from_value(json).unwrap();
    let (rebuilt, signature) = received.to_request(DOCTOR, HOSPITAL).unwrap();
    assert_eq!(rebuilt, request());
    assert!(rebuilt.is_signed_by(GENESIS, &doctor().id(), &signature));
}

#[test]
fn a_signature_is_not_valid_for_another_requester_hospital_or_content() {
    let holds = |request: &GrantRequest, requester, hospital| {
        let (request, signature) = request.to_request(requester, hospital).unwrap();
        request.is_signed_by(GENESIS, &doctor().id(), &signature)
    };
    assert!(holds(&signed(), DOCTOR, HOSPITAL));
    assert!(!holds(&signed(), UserId([4; 32]), HOSPITAL));
    assert!(!holds(&signed(), DOCTOR, HospitalId(3)));

    let alterations: [fn(&mut GrantRequest); 7] = [
        |it| it.patient = UserId([2; 32]),
        |it| it.records[1].sections = None,
        |it| drop(it.records.pop()),
        |it| it.purpose = Purpose::Research,
        |it| it.emergency = Some(EmergencyReason::PublicHealth),
        |it| it.at += 1,
        |it| it.nonce = "00".repeat(16),
    ];
    for alter in alterations {
        let mut altered = signed();
        alter(&mut altered);
        assert!(!holds(&altered, DOCTOR, HOSPITAL), "{altered:?}");
    }
}

#[test]
fn a_malformed_request_for_a_grant_is_refused_with_what_is_wrong() {
    let refused = |alter: fn(&mut GrantRequest)| {
        let mut request = signed();
        alter(&mut request);
        request.to_request(DOCTOR, HOSPITAL).unwrap_err()
    };
    assert_eq!(refused(|it| it.nonce = "ab".repeat(15)), GrantRequestError::Nonce);
    assert_eq!(refused(|it| it.nonce = "zz".repeat(16)), GrantRequestError::Nonce);
    assert_eq!(refused(|it| it.signature.push_str("00")), GrantRequestError::Signature);
    assert_eq!(refused(|it| it.signature = "zz".into()), GrantRequestError::Signature);
    let many = refused(|it| it.records = vec![it.records[0]; MAX_GRANT_RECORDS + 1]);
    assert_eq!(many, GrantRequestError::TooManyRecords(MAX_GRANT_RECORDS + 1));
}

#[test]
fn an_unsigned_request_for_a_grant_is_not_read() {
    for field in ["at", "nonce", "signature"] {
        let mut json = serde_json::to_value(signed()).unwrap();
        json.as_object_mut().unwrap().remove(field);
        let error = serde_json::from_value::<GrantRequest>(json).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn a_visit_that_got_too_old_has_a_stage_of_its_own() {
    assert_eq!(serde_json::to_value(VisitStage::Outdated).unwrap(), json!("outdated"));
}
