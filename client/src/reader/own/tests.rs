use epione_envelope::{
    account::Signer, development, profile::Recipient, sealing_keys::SealingSuite,
};

use super::*;
use crate::reader::tests::{GENESIS, POINTER, sealed};

const CONTEXT: ProfileContext =
    ProfileContext { genesis: GENESIS, hospital: HospitalId(0), user: UserId([1; 32]) };

/// A profile that is sealed to this key.
fn profile(key: &PatientKey, sealing: &SealingKeyPair) -> ProfileBody {
    let (agent, patient) = (
        development::keys("//Alice//agent").unwrap(),
        development::keys("//Patient").unwrap().account(),
    );
    let user = Recipient { account: &patient, key: sealing.public() };
    let hospital = agent.sealing.public();
    ProfileBody::for_patient(&CONTEXT, "Zoë", key, user, hospital, &agent).unwrap()
}

#[test]
fn a_profile_from_before_a_rotation_opens_with_the_key_of_that_time() {
    let before = SealingKeyPair::generate(SealingSuite::XWing);
    let now = SealingKeyPair::generate(SealingSuite::X25519);
    let key = PatientKey::generate();
    let old = profile(&key, &before);

    let found = opened(&old, &CONTEXT, [&now, &before].into_iter()).unwrap();
    assert_eq!(found.as_bytes(), key.as_bytes());
    let found = opened(&profile(&key, &now), &CONTEXT, [&now, &before].into_iter()).unwrap();
    assert_eq!(found.as_bytes(), key.as_bytes());

    let error = opened(&old, &CONTEXT, [&now].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::OtherSealingKey { hospital: HospitalId(0) }), "{error}");
    assert!(error.to_string().contains("before the keys were changed"), "{error}");
}

#[test]
fn a_profile_of_another_patient_or_of_a_professional_has_no_key() {
    let sealing = SealingKeyPair::generate(SealingSuite::X25519);
    let body = profile(&PatientKey::generate(), &sealing);
    let other = ProfileContext { user: UserId([9; 32]), ..CONTEXT };
    let error = opened(&body, &other, [&sealing].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::PatientKey { .. }), "{error}");

    let agent = development::keys("//Alice//agent").unwrap();
    let account = development::keys("//Doctor").unwrap().account();
    let user = Recipient { account: &account, key: sealing.public() };
    let hospital = agent.sealing.public();
    let body = ProfileBody::for_professional(&CONTEXT, "Dr", user, hospital, &agent).unwrap();
    let error = opened(&body, &CONTEXT, [&sealing].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::PatientKey { .. }), "{error}");
}

#[test]
fn a_patient_key_gives_the_keys_of_every_section_of_its_records_only() {
    let sealed = sealed(10);
    let keys = content_keys(GENESIS, POINTER, &sealed.record, &sealed.key).unwrap();
    assert_eq!(keys.len(), 2);
    let refused = content_keys(GENESIS, POINTER, &sealed.record, &PatientKey::generate());
    assert!(matches!(refused, Err(ReadError::Open { pointer: POINTER, section: 0, .. })));
    let elsewhere = content_keys(Hash::zero(), POINTER, &sealed.record, &sealed.key);
    assert!(elsewhere.is_err());
}
