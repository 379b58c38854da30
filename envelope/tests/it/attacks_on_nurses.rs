//! A nurse's signature is valid for the record that the nurse signed, if its author named this nurse. A swapped block
//! is refused, too.

use codec::Encode;
use epione_envelope::{
    SealError, SignatureError,
    account::AccountKey,
    keys::PatientKeys,
    record::{Record, SignedDraft},
    record_sealer::RecordSealer,
};
use epione_primitives::{Hash, Signature, UserId};

use crate::fixture::{
    NURSE, account, account_id, cosigned, draft, genesis, nursed, seal_draft, signed_at, visit,
};

const INVALID: Result<(), SignatureError> = Err(SignatureError::Invalid);

fn nurse() -> AccountKey {
    account("nurse")
}

fn sealed(signed: SignedDraft) -> Record {
    seal_draft(signed, &visit(), &PatientKeys::generate()).0
}

/// A record with its nurse's signature replaced.
fn with_nurse_signature(record: &Record, signature: &Signature) -> Record {
    let encoded = record.encode();
    let end = encoded.len() - record.nurse_signature().encode().len();
    Record::decode_exactly(&[&encoded[..end], &Some(signature).encode()].concat()).unwrap()
}

fn refused_by_the_sealer(signed: SignedDraft) -> String {
    let keys = PatientKeys::generate();
    let sealer = RecordSealer::new(genesis(), signed, &account_id("doctor"), &keys);
    let error = sealer.err().unwrap();
    assert!(matches!(error, SealError::Format(_)), "{error}");
    error.to_string()
}

#[test]
fn a_nurses_signature_verifies_for_the_nurses_account_only() {
    let signed = nursed(&visit());
    assert_eq!(signed.verify_nurse(genesis(), &account_id("nurse")), Ok(()));
    assert_eq!(signed.verify_nurse(genesis(), &account_id("doctor")), INVALID);
    assert_eq!(signed.verify_nurse(Hash::zero(), &account_id("nurse")), INVALID);
    let record = sealed(signed);
    assert_eq!(record.verify_nurse(genesis(), &account_id("nurse")), Ok(()));
    assert_eq!(record.verify_nurse(genesis(), &account_id("other")), INVALID);
    assert_eq!(record.verify_nurse(Hash::zero(), &account_id("nurse")), INVALID);
}

#[test]
fn a_record_without_a_nurse_has_no_nurses_signature() {
    let none = Err(SignatureError::NotSignedByNurse);
    let signed = cosigned(&visit());
    assert_eq!(signed.verify_nurse(genesis(), &account_id("nurse")), none);
    let record = sealed(signed);
    assert_eq!(record.verify_nurse(genesis(), &account_id("nurse")), none);
    assert_eq!((record.nurse(), record.nurse_signature()), (None, None));
}

#[test]
fn a_draft_whose_nurse_did_not_sign_is_not_sealed() {
    let mut signed = nursed(&visit());
    signed.nurse_signature = None;
    // Such a draft can be on its way to the nurse.
    assert_eq!(SignedDraft::from_json(&signed.to_json()).unwrap(), signed);
    assert!(refused_by_the_sealer(signed).contains("nurse who did not sign"));
}

#[test]
fn a_signature_of_a_nurse_whom_the_author_did_not_name_is_not_sealed() {
    let signed = cosigned(&visit()).sign_as_nurse(genesis(), &nurse());
    assert_eq!(signed.verify_nurse(genesis(), &account_id("nurse")), Ok(()));
    assert!(refused_by_the_sealer(signed).contains("names no nurse"));
}

#[test]
fn a_nurse_who_was_replaced_by_another_is_refused() {
    let mut replaced = nursed(&visit());
    replaced.draft.nurse = Some(UserId([7; 32]));
    let replaced = replaced.sign_as_nurse(genesis(), &account("other"));
    assert_eq!(replaced.verify_nurse(genesis(), &account_id("other")), Ok(()));
    assert_eq!(replaced.verify(genesis(), &account_id("doctor")), INVALID);
    assert_eq!(replaced.verify_cosignature(genesis(), &account_id("patient")), INVALID);
}

#[test]
fn a_nurses_signature_of_another_record_is_refused() {
    let (one, other) = (sealed(nursed(&visit())), sealed(nursed(&visit())));
    let moved = with_nurse_signature(&one, other.nurse_signature().unwrap());
    assert_eq!(moved.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(moved.verify_cosignature(genesis(), &account_id("patient")), Ok(()));
    assert_eq!(moved.verify_nurse(genesis(), &account_id("nurse")), INVALID);
}

#[test]
fn no_signature_can_be_used_as_another_even_of_the_same_account() {
    // The same account signs as author, patient and nurse.
    let all = account("doctor");
    let signed = draft(&visit()).with_nurse(NURSE).sign(genesis(), &all);
    let signed = signed.cosign(genesis(), &all).sign_as_nurse(genesis(), &all);
    let doctor = account_id("doctor");
    let of_author = signed.signature.clone();
    let of_patient = signed.patient_signature.clone().unwrap();
    let of_nurse = signed.nurse_signature.clone().unwrap();
    for signature in [&of_author, &of_patient] {
        let record = with_nurse_signature(&sealed(signed.clone()), signature);
        assert_eq!(record.verify_nurse(genesis(), &doctor), INVALID);
    }
    let mut edited = signed.clone();
    edited.patient_signature = Some(of_nurse.clone());
    assert_eq!(edited.verify_cosignature(genesis(), &doctor), INVALID);
    edited.signature = of_nurse;
    assert_eq!(edited.verify(genesis(), &doctor), INVALID);
}

#[test]
fn a_swapped_signed_block_is_refused_by_all_three_signatures() {
    let record = sealed(nursed(&visit()));
    let encoded = record.encode();
    let block = signed_at().encode();
    let at = encoded.windows(block.len()).position(|window| window == block).unwrap();
    let later = [signed_at().number + 1, signed_at().number - 28_800];
    let numbers = later.map(|number| [&number.to_le_bytes()[..], &signed_at().hash.0].concat());
    let fork = [&signed_at().number.to_le_bytes()[..], &[0x78; 32]].concat();
    for swapped in [&numbers[0], &numbers[1], &fork] {
        let mut edited = encoded.clone();
        edited[at..at + block.len()].copy_from_slice(swapped);
        let edited = Record::decode_exactly(&edited).unwrap();
        assert_ne!(edited.signed_at(), record.signed_at());
        assert_eq!(edited.verify(genesis(), &account_id("doctor")), INVALID);
        assert_eq!(edited.verify_cosignature(genesis(), &account_id("patient")), INVALID);
        assert_eq!(edited.verify_nurse(genesis(), &account_id("nurse")), INVALID);
    }
}
