//! A grant is valid once, for its audience and its sections, until it expires.

use codec::Encode;
use epione_envelope::{
    OpenError, SealError,
    grant::{AccessGrant, Expected, GrantError, GrantTerms, GrantedSection},
    keys::ContentKey,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId, access::Purpose,
};

use crate::fixture::{DOCTOR, HOSPITAL, PATIENT, account, account_id, genesis, sealing_keys};

const ISSUED: Moment = 1_000_000;
const EXPIRES: Moment = 1_600_000;
const NONCE: [u8; 16] = [7; 16];

fn terms() -> GrantTerms {
    GrantTerms {
        genesis: genesis(),
        hospital: HOSPITAL,
        patient: PATIENT,
        requester: DOCTOR,
        audience: account_id("doctor"),
        purpose: Purpose::Treatment,
        issued: ISSUED,
        expires: EXPIRES,
        nonce: NONCE,
    }
}

fn keys() -> Vec<(GrantedSection, ContentKey)> {
    (0_u16..3)
        .map(|section| {
            let pointer = RecordPointer { height: 9, index: 4 };
            let granted = GrantedSection { pointer, record: RecordId([8; 16]), section };
            (granted, ContentKey::from_bytes([section as u8; 32]))
        })
        .collect()
}

fn grant() -> AccessGrant {
    let doctor = sealing_keys("doctor");
    AccessGrant::seal(terms(), &keys(), doctor.public(), &account("agent")).unwrap()
}

fn with_expected<T>(edit: impl FnOnce(&mut Expected), then: impl FnOnce(&Expected) -> T) -> T {
    let (agent, audience): (AccountId, AccountId) = (account_id("agent"), account_id("doctor"));
    let mut expected = Expected {
        genesis: genesis(),
        hospital: HOSPITAL,
        agent: &agent,
        audience: &audience,
        patient: PATIENT,
        nonce: NONCE,
        now: EXPIRES - 1,
    };
    edit(&mut expected);
    then(&expected)
}

fn open(grant: &AccessGrant, edit: impl FnOnce(&mut Expected)) -> Result<usize, GrantError> {
    with_expected(edit, |expected| {
        grant.open(expected, &sealing_keys("doctor")).map(|keys| keys.len())
    })
}

#[test]
fn a_grant_gives_exactly_its_keys_to_its_audience() {
    let grant = AccessGrant::decode_exactly(&grant().encode()).unwrap();
    let opened =
        with_expected(|_| (), |expected| grant.open(expected, &sealing_keys("doctor")).unwrap());
    assert_eq!(opened.len(), 3);
    for ((section, key), (granted, sealed)) in opened.iter().zip(keys()) {
        assert_eq!(*section, granted);
        assert_eq!(key.as_bytes(), sealed.as_bytes());
    }
    assert_eq!(grant.terms(), &terms());
}

#[test]
fn a_grant_used_by_another_account_is_refused() {
    let other = account_id("other");
    let refused = with_expected(
        |_| (),
        |expected| {
            let expected = Expected { audience: &other, ..*expected };
            grant().open(&expected, &sealing_keys("doctor")).map(|_| ())
        },
    );
    assert_eq!(refused, Err(GrantError::Mismatch { what: "account" }));
    // Claiming to be the audience does not help.
    let refused = with_expected(
        |_| (),
        |expected| grant().open(expected, &sealing_keys("other")).map(|_| ()),
    );
    assert_eq!(refused, Err(GrantError::Open(OpenError)));
}

#[test]
fn a_grant_is_refused_at_and_after_its_expiry() {
    assert_eq!(open(&grant(), |_| ()), Ok(3));
    let expired = Err(GrantError::Expired { expired: EXPIRES });
    assert_eq!(open(&grant(), |expected| expected.now = EXPIRES), expired);
    assert_eq!(open(&grant(), |expected| expected.now = Moment::MAX), expired);
}

#[test]
fn a_replayed_grant_does_not_answer_a_new_request() {
    let refused = open(&grant(), |expected| expected.nonce = [8; 16]);
    assert_eq!(refused, Err(GrantError::Mismatch { what: "request" }));
}

#[test]
fn a_grant_for_another_patient_hospital_or_chain_is_refused() {
    type Edit = fn(&mut Expected);
    let edits: [(&str, Edit); 3] = [
        ("patient", |expected| expected.patient = UserId([0; 32])),
        ("hospital", |expected| expected.hospital = HospitalId(0)),
        ("chain", |expected| expected.genesis = Hash::zero()),
    ];
    for (what, edit) in edits {
        assert_eq!(open(&grant(), edit), Err(GrantError::Mismatch { what }));
    }
}

#[test]
fn a_grant_not_signed_by_the_agent_is_refused() {
    let doctor = sealing_keys("doctor");
    let forged = AccessGrant::seal(terms(), &keys(), doctor.public(), &account("other")).unwrap();
    assert_eq!(open(&forged, |_| ()), Err(GrantError::Open(OpenError)));
}

#[test]
fn no_byte_of_a_grant_can_be_edited() {
    let encoded = grant().encode();
    // All of terms and sections, and every 13th byte of the wrap.
    let clear = encoded.len() - 1120 - 3 * 32 - 16 - 65 - 3;
    for position in (0..clear).chain((clear..encoded.len()).step_by(13)) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(grant) = AccessGrant::decode_exactly(&edited) else { continue };
        // As a requester who trusts the grant's own terms.
        let terms = grant.terms().clone();
        let agent = account_id("agent");
        let expected = Expected {
            genesis: terms.genesis,
            hospital: terms.hospital,
            agent: &agent,
            audience: &terms.audience,
            patient: terms.patient,
            nonce: terms.nonce,
            now: 0,
        };
        let opened = grant.open(&expected, &sealing_keys("doctor")).map(|_| ());
        assert!(opened.is_err(), "byte {position} is not bound");
    }
}

#[test]
fn a_grant_without_sections_with_one_twice_or_without_duration_cannot_be_sealed() {
    let doctor = sealing_keys("doctor");
    let seal = |terms, keys: &[_]| {
        AccessGrant::seal(terms, keys, doctor.public(), &account("agent")).err()
    };
    assert!(matches!(seal(terms(), &[]), Some(SealError::Refused(_))));
    let twice = [keys(), keys()].concat();
    assert!(matches!(seal(terms(), &twice), Some(SealError::Refused(_))));
    let late = GrantTerms { expires: ISSUED, ..terms() };
    assert!(matches!(seal(late, &keys()), Some(SealError::Refused(_))));
}

#[test]
fn each_grant_has_its_own_hash() {
    assert_ne!(grant().hash(), grant().hash());
}
