use epione_envelope::{
    account::Signer, development, profile::Recipient, sealing_keys::SealingSuite,
};

use super::*;
use crate::reader::tests::{GENESIS, POINTER, sealed};

const CONTEXT: ProfileContext =
    ProfileContext { genesis: GENESIS, hospital: HospitalId(0), user: UserId([1; 32]) };

/// A profile that is sealed to this key.
fn profile(keys: &PatientKeys, sealing: &SealingKeyPair) -> ProfileBody {
    let (agent, patient) = (
        development::keys("//Alice//agent").unwrap(),
        development::keys("//Patient").unwrap().account(),
    );
    let user = Recipient { account: &patient, key: sealing.public() };
    let hospital = agent.sealing.public();
    ProfileBody::for_patient(&CONTEXT, "Zoë", keys, user, hospital, &agent).unwrap()
}

/// Whether both have the same keys of the same versions.
fn same(one: &PatientKeys, other: &PatientKeys) -> bool {
    one.versions() == other.versions()
        && (1..=one.versions()).all(|version| {
            let bytes = |keys: &PatientKeys| keys.get(version).map(|key| *key.as_bytes());
            bytes(one).is_some() && bytes(one) == bytes(other)
        })
}

#[test]
fn a_profile_from_before_a_rotation_opens_with_the_key_of_that_time() {
    let before = SealingKeyPair::generate(SealingSuite::XWing);
    let now = SealingKeyPair::generate(SealingSuite::X25519);
    let keys = PatientKeys::generate();
    let old = profile(&keys, &before);

    let found = opened(&old, &CONTEXT, [&now, &before].into_iter()).unwrap();
    assert!(same(&found, &keys));
    let renewed = keys.renewed().unwrap();
    let found = opened(&profile(&renewed, &now), &CONTEXT, [&now, &before].into_iter()).unwrap();
    assert!(same(&found, &renewed) && found.versions() == 2);

    let error = opened(&old, &CONTEXT, [&now].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::OtherSealingKey { hospital: HospitalId(0) }), "{error}");
    assert!(error.to_string().contains("before the keys were changed"), "{error}");
    assert!(may_be_earlier(&error));
}

#[test]
fn a_thief_of_the_earlier_sealing_key_does_not_open_the_profile_after_the_rotation() {
    let stolen = SealingKeyPair::generate(SealingSuite::XWing);
    let now = SealingKeyPair::generate(SealingSuite::XWing);
    let keys = PatientKeys::generate();
    let after = profile(&keys.renewed().unwrap(), &now);
    let error = opened(&after, &CONTEXT, [&stolen].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::OtherSealingKey { .. }), "{error}");
}

#[test]
fn a_profile_of_another_patient_or_of_a_professional_has_no_key() {
    let sealing = SealingKeyPair::generate(SealingSuite::X25519);
    let body = profile(&PatientKeys::generate(), &sealing);
    let other = ProfileContext { user: UserId([9; 32]), ..CONTEXT };
    let error = opened(&body, &other, [&sealing].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::PatientKeys { .. }), "{error}");

    let agent = development::keys("//Alice//agent").unwrap();
    let account = development::keys("//Doctor").unwrap().account();
    let user = Recipient { account: &account, key: sealing.public() };
    let hospital = agent.sealing.public();
    let body = ProfileBody::for_professional(&CONTEXT, "Dr", user, hospital, &agent).unwrap();
    let error = opened(&body, &CONTEXT, [&sealing].into_iter()).unwrap_err();
    assert!(matches!(error, ReadError::PatientKeys { .. }), "{error}");
}

#[test]
fn patient_keys_give_the_keys_of_every_section_of_their_records_only() {
    let sealed = sealed(10);
    for keys in [sealed.keys.clone(), sealed.keys.renewed().unwrap()] {
        assert_eq!(content_keys(GENESIS, POINTER, &sealed.record, &keys).unwrap().len(), 2);
    }
    let refused = content_keys(GENESIS, POINTER, &sealed.record, &PatientKeys::generate());
    let Err(error) = refused else { panic!("other keys open nothing") };
    assert!(matches!(error, ReadError::Open { pointer: POINTER, section: 0, .. }), "{error}");
    assert!(may_be_earlier(&error));
    let elsewhere = content_keys(Hash::zero(), POINTER, &sealed.record, &sealed.keys);
    assert!(elsewhere.is_err());
}
