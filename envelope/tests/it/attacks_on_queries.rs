//! Only the patient reads the terms of a query, and only the requester uses the patient's grant, for that query.

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    account::Signer,
    grant::{AccessGrant, GrantError, GrantTerms, GrantedSection},
    keys::ContentKey,
    query::{ExpectedQuery, MAX_TERMS_BYTES, QueryGrant, QueryTerms, SealedTerms},
    sealing_keys::{SealingKeyPair, SealingSuite, Wrap},
};
use epione_primitives::{
    AccountId, Hash, Moment, RecordId, RecordPointer, UserId, access::Purpose,
    limits::MAX_SEALED_TERMS_BYTES, query::QueryId,
};

use crate::fixture::{DOCTOR, HOSPITAL, PATIENT, account, account_id, genesis, sealing_keys};

const ISSUED: Moment = 1_000_000;
const UNTIL: Moment = 9_000_000;
const QUERY: QueryId = QueryId(7);

fn terms() -> QueryTerms {
    QueryTerms {
        genesis: genesis(),
        query: QUERY,
        patient: PATIENT,
        requester: DOCTOR,
        audience: account_id("doctor"),
        purpose: Purpose::Research,
        issued: ISSUED,
        until: UNTIL,
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

fn grant() -> QueryGrant {
    let doctor = sealing_keys("doctor");
    QueryGrant::seal(terms(), &keys(), doctor.public(), &account("patient")).unwrap()
}

fn open_with(
    grant: &QueryGrant,
    keys: &SealingKeyPair,
    edit: impl FnOnce(&mut ExpectedQuery),
) -> Result<Vec<(GrantedSection, ContentKey)>, GrantError> {
    let (patient, audience) = (account_id("patient"), account_id("doctor"));
    let mut expected = ExpectedQuery {
        genesis: genesis(),
        query: QUERY,
        patient: PATIENT,
        acceptor: &patient,
        audience: &audience,
        purpose: Purpose::Research,
        until: UNTIL,
        now: UNTIL - 1,
    };
    edit(&mut expected);
    grant.open(&expected, keys)
}

fn refused(grant: &QueryGrant, edit: impl FnOnce(&mut ExpectedQuery)) -> GrantError {
    open_with(grant, &sealing_keys("doctor"), edit).map(|keys| keys.len()).unwrap_err()
}

#[test]
fn a_patients_grant_gives_exactly_its_keys_to_the_requester() {
    let grant = QueryGrant::decode_exactly(&grant().encode()).unwrap();
    let opened = open_with(&grant, &sealing_keys("doctor"), |_| ()).unwrap();
    assert_eq!(opened.len(), 3);
    for ((section, key), (granted, sealed)) in opened.iter().zip(keys()) {
        assert_eq!(*section, granted);
        assert_eq!(key.as_bytes(), sealed.as_bytes());
    }
    assert_eq!(grant.terms(), &terms());
}

#[test]
fn a_patients_grant_opens_for_what_the_chain_states_only() {
    type Edit = fn(&mut ExpectedQuery);
    let edits: [(&str, Edit); 5] = [
        ("chain", |expected| expected.genesis = Hash::zero()),
        ("query", |expected| expected.query = QueryId(8)),
        ("patient", |expected| expected.patient = UserId([0; 32])),
        ("purpose", |expected| expected.purpose = Purpose::Audit),
        ("end", |expected| expected.until = UNTIL + 1),
    ];
    for (what, edit) in edits {
        assert_eq!(refused(&grant(), edit), GrantError::Mismatch { what });
    }
    for now in [UNTIL, Moment::MAX] {
        let ended = GrantError::Ended { until: UNTIL };
        assert_eq!(refused(&grant(), |expected| expected.now = now), ended);
    }
}

#[test]
fn another_account_does_not_open_a_patients_grant() {
    let other = account_id("other");
    let (patient, audience) = (account_id("patient"), account_id("doctor"));
    let expected = ExpectedQuery {
        genesis: genesis(),
        query: QUERY,
        patient: PATIENT,
        acceptor: &patient,
        audience: &other,
        purpose: Purpose::Research,
        until: UNTIL,
        now: ISSUED,
    };
    let opened = grant().open(&expected, &sealing_keys("doctor")).map(|_| ());
    assert_eq!(opened, Err(GrantError::Mismatch { what: "account" }));
    // A claim to be the audience does not help.
    let expected = ExpectedQuery { audience: &audience, ..expected };
    let opened = grant().open(&expected, &sealing_keys("other")).map(|_| ());
    assert_eq!(opened, Err(GrantError::Open(OpenError)));
}

#[test]
fn a_grant_that_the_patient_did_not_sign_is_refused() {
    let doctor = sealing_keys("doctor");
    let forged = QueryGrant::seal(terms(), &keys(), doctor.public(), &account("agent")).unwrap();
    assert_eq!(refused(&forged, |_| ()), GrantError::Open(OpenError));
}

#[test]
fn no_byte_of_a_patients_grant_can_be_edited() {
    let encoded = grant().encode();
    let patient: AccountId = account_id("patient");
    // All of terms and sections, and every 13th byte of the wrap.
    let clear = encoded.len() - 1120 - 3 * 32 - 16 - 65 - 3;
    for position in (0..clear).chain((clear..encoded.len()).step_by(13)) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(grant) = QueryGrant::decode_exactly(&edited) else { continue };
        // As a requester who trusts the grant's own terms.
        let terms = grant.terms().clone();
        let expected = ExpectedQuery {
            genesis: terms.genesis,
            query: terms.query,
            patient: terms.patient,
            acceptor: &patient,
            audience: &terms.audience,
            purpose: terms.purpose,
            until: terms.until,
            now: 0,
        };
        let opened = grant.open(&expected, &sealing_keys("doctor")).map(|_| ());
        assert!(opened.is_err(), "byte {position} is not bound");
    }
}

#[test]
fn a_patients_grant_without_sections_with_one_twice_or_without_duration_cannot_be_sealed() {
    let doctor = sealing_keys("doctor");
    let seal = |terms, keys: &[_]| {
        QueryGrant::seal(terms, keys, doctor.public(), &account("patient")).err()
    };
    assert!(matches!(seal(terms(), &[]), Some(SealError::Refused(_))));
    let twice = [keys(), keys()].concat();
    assert!(matches!(seal(terms(), &twice), Some(SealError::Refused(_))));
    let ended = QueryTerms { until: ISSUED, ..terms() };
    assert!(matches!(seal(ended, &keys()), Some(SealError::Refused(_))));
}

/// Both kinds of grants begin with the same suite byte, and have the same sections.
#[test]
fn the_grants_of_hospitals_and_patients_are_not_interchangeable() {
    let of_hospital = GrantTerms {
        genesis: genesis(),
        hospital: HOSPITAL,
        patient: PATIENT,
        requester: DOCTOR,
        audience: account_id("doctor"),
        purpose: Purpose::Research,
        issued: ISSUED,
        expires: UNTIL,
        nonce: [7; 16],
    };
    let doctor = sealing_keys("doctor");
    let of_hospital =
        AccessGrant::seal(of_hospital, &keys(), doctor.public(), &account("patient")).unwrap();
    // The wrap of the one in the other: each is as long as the other.
    let (ours, theirs) = (grant().encode(), of_hospital.encode());
    let wrap = 1 + 1120 + 2 + 3 * 32 + 16 + 65;
    let spliced = [&ours[..ours.len() - wrap], &theirs[theirs.len() - wrap..]].concat();
    let spliced = QueryGrant::decode_exactly(&spliced).unwrap();
    assert_eq!(refused(&spliced, |_| ()), GrantError::Open(OpenError));
    assert!(QueryGrant::decode_exactly(&theirs).is_err());
    assert!(AccessGrant::decode_exactly(&ours).is_err());
}

fn sealed(text: &str) -> Result<SealedTerms, SealError> {
    let (patient, doctor) = (sealing_keys("patient"), account("doctor"));
    SealedTerms::seal(genesis(), DOCTOR, PATIENT, text, patient.public(), &doctor)
}

#[test]
fn the_patient_reads_the_terms_and_the_chain_has_room_for_the_longest() {
    // Letters of two bytes each.
    for text in ["a".to_owned(), "ß".repeat(MAX_TERMS_BYTES / 2)] {
        let encoded = sealed(&text).unwrap().encode();
        assert!(encoded.len() <= MAX_SEALED_TERMS_BYTES as usize, "{} bytes", encoded.len());
        let terms = SealedTerms::decode_exactly(&encoded).unwrap();
        let (doctor, keys) = (account_id("doctor"), sealing_keys("patient"));
        let opened = terms.open(genesis(), DOCTOR, PATIENT, &doctor, &keys).unwrap();
        assert_eq!(*opened, text);
    }
}

#[test]
fn the_sealed_terms_do_not_show_how_long_the_text_is() {
    let lengths: Vec<_> = [1, 2, 100, MAX_TERMS_BYTES]
        .map(|length| sealed(&"a".repeat(length)).unwrap().encode().len())
        .into();
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

/// What a requester with another program may have sealed.
#[test]
fn terms_whose_padding_is_not_canonical_are_refused() {
    let (patient, doctor) = (sealing_keys("patient"), account("doctor"));
    let context = (b"epione/query-terms", genesis(), DOCTOR, PATIENT);
    let open = |plaintext: &[u8]| {
        let wrap = Wrap::seal(patient.public(), &context, plaintext, &doctor).unwrap();
        let terms = SealedTerms::decode_exactly(&[&[1_u8][..], &wrap.encode()].concat()).unwrap();
        terms.open(genesis(), DOCTOR, PATIENT, &doctor.account(), &patient)
    };
    let padded = |text: &[u8]| {
        let mut padded = text.to_vec();
        padded.resize(MAX_TERMS_BYTES, 0);
        padded
    };
    assert_eq!(open(&padded(b"why")).unwrap().as_str(), "why");
    for plaintext in [
        b"why".to_vec(),
        padded(b""),
        padded(b"why\0not"),
        padded(b"\xff"),
        [padded(b"why"), vec![0]].concat(),
    ] {
        assert_eq!(open(&plaintext), Err(OpenError), "{plaintext:?}");
    }
}

#[test]
fn terms_that_are_empty_too_long_or_with_a_nul_are_refused() {
    for text in ["", "a\0b", "a\0"] {
        assert!(matches!(sealed(text), Err(SealError::Refused(_))), "{text:?}");
    }
    let long = sealed(&"a".repeat(MAX_TERMS_BYTES + 1));
    let too_large = matches!(
        long,
        Err(SealError::Format(FormatError::TooLarge { actual: 1025, limit: 1024, .. }))
    );
    assert!(too_large, "{long:?}");
    let padded = vec![1; MAX_SEALED_TERMS_BYTES as usize + 1];
    let padded = SealedTerms::decode_exactly(&padded);
    assert!(matches!(padded, Err(FormatError::TooLarge { .. })), "{padded:?}");
}

#[test]
fn terms_open_for_their_patient_from_their_requester_on_their_chain_only() {
    let terms = sealed("why").unwrap();
    let (doctor, other) = (account_id("doctor"), account_id("other"));
    let keys = sealing_keys("patient");
    let open = |genesis, requester, patient, account: &AccountId, keys: &SealingKeyPair| {
        terms.open(genesis, requester, patient, account, keys).map(|_| ())
    };
    assert_eq!(open(genesis(), DOCTOR, PATIENT, &doctor, &keys), Ok(()));
    let refused = [
        open(Hash::zero(), DOCTOR, PATIENT, &doctor, &keys),
        open(genesis(), UserId([0; 32]), PATIENT, &doctor, &keys),
        open(genesis(), DOCTOR, UserId([0; 32]), &doctor, &keys),
        open(genesis(), PATIENT, DOCTOR, &doctor, &keys),
        open(genesis(), DOCTOR, PATIENT, &other, &keys),
        open(genesis(), DOCTOR, PATIENT, &doctor, &sealing_keys("other")),
        open(genesis(), DOCTOR, PATIENT, &doctor, &SealingKeyPair::generate(SealingSuite::X25519)),
    ];
    for (case, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused, Err(OpenError), "case {case}");
    }
}

#[test]
fn every_changed_byte_of_sealed_terms_is_refused() {
    let encoded = sealed("why").unwrap().encode();
    let (doctor, keys) = (account_id("doctor"), sealing_keys("patient"));
    for position in (0..encoded.len()).filter(|position| position % 13 == 0 || *position > 1100) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(terms) = SealedTerms::decode_exactly(&edited) else { continue };
        let opened = terms.open(genesis(), DOCTOR, PATIENT, &doctor, &keys).map(|_| ());
        assert_eq!(opened, Err(OpenError), "byte {position}");
    }
}
