//! Wraps open only in their own context, for their own recipient.

use codec::{Decode, Encode};
use epione_envelope::{
    OpenError,
    account::Signer,
    keys::{ContentKey, PatientKey, WrappedKey},
    sealing_keys::{SealingKeyPair, SealingSuite, Wrap, WrapContext, WrapSubject},
};
use epione_primitives::{Hash, HospitalId, RecordId, UserId};

use crate::fixture::{
    HOSPITAL, PATIENT, account, account_id, genesis, other_contexts, sealing_keys, section_context,
};

fn wrap_context() -> WrapContext {
    WrapContext {
        genesis: genesis(),
        hospital: HOSPITAL,
        user: PATIENT,
        subject: WrapSubject::ContentKey { record: RecordId([5; 16]), section: 1 },
        recipient: account_id("patient"),
    }
}

fn wrap() -> Wrap {
    let keys = sealing_keys("patient");
    Wrap::seal(keys.public(), &wrap_context(), b"secret", &account("agent")).unwrap()
}

#[test]
fn a_wrapped_content_key_in_another_context_is_refused() {
    let (patient_key, key) = (PatientKey::generate(), ContentKey::generate());
    let wrapped = patient_key.wrap(2, &key, &section_context());
    let opened = patient_key.unwrap_key(2, &wrapped, &section_context()).unwrap();
    assert_eq!(opened.as_bytes(), key.as_bytes());
    for (what, context) in other_contexts() {
        let refused = patient_key.unwrap_key(2, &wrapped, &context);
        assert!(refused.is_err(), "the {what} is not bound");
    }
    for version in [0, 1, 3, 2 << 8, u32::MAX] {
        let refused = patient_key.unwrap_key(version, &wrapped, &section_context());
        assert!(refused.is_err(), "version {version} opens a wrap of version 2");
    }
    assert!(PatientKey::generate().unwrap_key(2, &wrapped, &section_context()).is_err());
}

#[test]
fn a_changed_wrapped_content_key_is_refused() {
    let patient_key = PatientKey::generate();
    let wrapped = patient_key.wrap(1, &ContentKey::generate(), &section_context()).encode();
    for position in 0..wrapped.len() {
        let mut edited = wrapped.clone();
        edited[position] ^= 0x80;
        let edited = WrappedKey::decode(&mut edited.as_slice()).unwrap();
        assert!(patient_key.unwrap_key(1, &edited, &section_context()).is_err());
    }
}

#[test]
fn a_wrap_opens_for_its_recipient_under_both_suites() {
    for suite in [SealingSuite::XWing, SealingSuite::X25519] {
        let keys = SealingKeyPair::generate(suite);
        let wrap =
            Wrap::seal(keys.public(), &wrap_context(), b"secret", &account("agent")).unwrap();
        let wrap = Wrap::decode(&mut wrap.encode().as_slice()).unwrap();
        let opened = wrap.open(&keys, &wrap_context(), &account_id("agent")).unwrap();
        assert_eq!(*opened, b"secret");
    }
}

#[test]
fn a_wrap_in_another_context_is_refused() {
    let here = wrap_context();
    let subject = |record, section| WrapSubject::ContentKey { record, section };
    let elsewhere = [
        ("chain", WrapContext { genesis: Hash::zero(), ..here.clone() }),
        ("hospital", WrapContext { hospital: HospitalId(9), ..here.clone() }),
        ("patient", WrapContext { user: UserId([9; 32]), ..here.clone() }),
        ("record", WrapContext { subject: subject(RecordId([6; 16]), 1), ..here.clone() }),
        ("section", WrapContext { subject: subject(RecordId([5; 16]), 2), ..here.clone() }),
        ("subject", WrapContext { subject: WrapSubject::Name, ..here.clone() }),
        ("recipient", WrapContext { recipient: account_id("other"), ..here }),
    ];
    for (what, context) in elsewhere {
        let opened = wrap().open(&sealing_keys("patient"), &context, &account_id("agent"));
        assert_eq!(opened, Err(OpenError), "the {what} is not bound");
    }
}

#[test]
fn a_patient_key_sealed_as_one_version_does_not_open_as_another() {
    let context =
        |version| WrapContext { subject: WrapSubject::PatientKey { version }, ..wrap_context() };
    let (keys, agent) = (sealing_keys("patient"), account("agent"));
    let wrap = Wrap::seal(keys.public(), &context(1), &[7; 32], &agent).unwrap();
    assert!(wrap.open(&keys, &context(1), &agent.account()).is_ok());
    for version in [0, 2, 256] {
        assert_eq!(wrap.open(&keys, &context(version), &agent.account()), Err(OpenError));
    }
}

#[test]
fn a_wrap_signed_by_somebody_else_is_refused() {
    let opened = wrap().open(&sealing_keys("patient"), &wrap_context(), &account_id("other"));
    assert_eq!(opened, Err(OpenError));
}

#[test]
fn a_wrap_does_not_open_with_a_key_that_replaced_the_recipients() {
    let opened = wrap().open(&sealing_keys("swapped"), &wrap_context(), &account_id("agent"));
    assert_eq!(opened, Err(OpenError));
}

#[test]
fn a_wrap_is_not_opened_under_another_suite() {
    let mut downgraded = wrap().encode();
    downgraded[0] = SealingSuite::X25519.byte();
    let keys = SealingKeyPair::from_seed(SealingSuite::X25519, sealing_keys("patient").seed());
    if let Ok(wrap) = Wrap::decode(&mut downgraded.as_slice()) {
        assert!(wrap.open(&keys, &wrap_context(), &account_id("agent")).is_err());
    }
}

#[test]
fn every_changed_byte_of_a_wrap_is_refused() {
    let encoded = wrap().encode();
    let keys = sealing_keys("patient");
    for position in (0..encoded.len()).filter(|position| position % 13 == 0 || *position > 1100) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        let Ok(wrap) = Wrap::decode(&mut edited.as_slice()) else { continue };
        let opened = wrap.open(&keys, &wrap_context(), &account("agent").account());
        assert_eq!(opened, Err(OpenError), "byte {position}");
    }
}
