//! The patient's cosignature is valid for the record that the patient signed, and for nothing assembled from its parts.

use codec::Encode;
use epione_envelope::{
    SignatureError,
    keys::PatientKey,
    record::{Authorship, Draft, Record, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
};
use epione_primitives::{Hash, HospitalId, RecordId, Signature, UserId, access::SectionClass};
use proptest::prelude::*;

use crate::{
    fixture::{PATIENT, account, account_id, cosigned, draft, genesis, seal_draft, signed, visit},
    oracle,
};

const INVALID: Result<(), SignatureError> = Err(SignatureError::Invalid);
const NOT_COSIGNED: Result<(), SignatureError> = Err(SignatureError::NotCosigned);
/// An encoded sr25519 signature.
const SIGNATURE_BYTES: usize = 65;

fn sealed(signed: SignedDraft) -> Record {
    seal_draft(signed, &visit(), &PatientKey::generate()).0
}

/// A record with its cosignature replaced.
fn with_cosignature(record: &Record, cosignature: Option<&Signature>) -> Record {
    let encoded = record.encode();
    let end = encoded.len() - record.patient_signature().encode().len();
    Record::decode_exactly(&[&encoded[..end], &cosignature.encode()].concat()).unwrap()
}

#[test]
fn a_cosigned_record_verifies_for_its_author_and_its_patient() {
    let draft = cosigned(&visit());
    assert_eq!(draft.verify_cosignature(genesis(), &account_id("patient")), Ok(()));
    let record = Record::decode_exactly(&sealed(draft).encode()).unwrap();
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("patient")), Ok(()));
    assert!(record.patient_signature().is_some());
}

#[test]
fn without_the_patients_signature_a_record_is_not_cosigned() {
    let draft = signed(&visit());
    assert_eq!(draft.verify_cosignature(genesis(), &account_id("patient")), NOT_COSIGNED);
    let record = sealed(draft);
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("patient")), NOT_COSIGNED);
    assert_eq!(record.patient_signature(), None);
}

#[test]
fn a_record_without_its_cosignature_still_verifies_for_its_author() {
    let record = with_cosignature(&sealed(cosigned(&visit())), None);
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("patient")), NOT_COSIGNED);
}

#[test]
fn a_cosignature_of_another_account_is_refused() {
    let by_other = signed(&visit()).cosign(genesis(), &account("other"));
    assert_eq!(by_other.verify_cosignature(genesis(), &account_id("patient")), INVALID);
    let record = sealed(by_other);
    assert_eq!(record.verify_cosignature(genesis(), &account_id("patient")), INVALID);
    let record = sealed(cosigned(&visit()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("other")), INVALID);
    assert_eq!(record.verify_cosignature(genesis(), &account_id("doctor")), INVALID);
}

#[test]
fn neither_signature_can_be_used_as_the_other_even_of_the_same_account() {
    // The doctor is the patient, with the same account.
    let both = account("doctor");
    let draft = draft(&visit()).sign(genesis(), &both).cosign(genesis(), &both);
    let (author, patient) = (draft.signature.clone(), draft.patient_signature.clone().unwrap());
    assert_ne!(author, patient);

    let mut author_for_patient = draft.clone();
    author_for_patient.patient_signature = Some(author.clone());
    assert_eq!(author_for_patient.verify(genesis(), &account_id("doctor")), Ok(()));
    let refused = author_for_patient.verify_cosignature(genesis(), &account_id("doctor"));
    assert_eq!(refused, INVALID);
    let mut patient_for_author = draft.clone();
    patient_for_author.signature = patient;
    assert_eq!(patient_for_author.verify(genesis(), &account_id("doctor")), INVALID);
    let key = PatientKey::generate();
    let sealer =
        RecordSealer::new(genesis(), patient_for_author, &account_id("doctor"), &key).err();
    assert!(sealer.is_some());

    let record = with_cosignature(&sealed(draft), Some(&author));
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("doctor")), INVALID);
}

#[test]
fn a_cosignature_moved_to_another_context_is_refused() {
    type Edit = fn(&mut Draft);
    let original = cosigned(&visit());
    let patient = account_id("patient");
    let edits: [(&str, Edit); 9] = [
        ("record", |draft| draft.record = RecordId([7; 16])),
        ("patient", |draft| draft.patient = UserId([7; 32])),
        ("hospital", |draft| draft.hospital = HospitalId(7)),
        ("author", |draft| draft.author = PATIENT),
        ("kind", |draft| draft.sections[0].kind = SectionKind::History),
        ("class", |draft| draft.sections[0].class = SectionClass::Shared),
        ("content", |draft| draft.sections[1].description.content_root[0] ^= 1),
        ("order", |draft| draft.sections.swap(0, 1)),
        ("number of sections", |draft| drop(draft.sections.pop())),
    ];
    for (what, edit) in edits {
        let mut moved = original.clone();
        edit(&mut moved.draft);
        // The author signs again, but cannot sign for the patient.
        let resigned = moved.draft.clone().sign(genesis(), &account("doctor"));
        let moved = SignedDraft { patient_signature: moved.patient_signature, ..resigned };
        assert_eq!(moved.verify(genesis(), &account_id("doctor")), Ok(()), "{what}");
        assert_eq!(moved.verify_cosignature(genesis(), &patient), INVALID, "{what}");
    }
    assert_eq!(original.verify_cosignature(Hash::zero(), &patient), INVALID);
}

#[test]
fn a_cosignature_moved_to_another_sealed_record_is_refused() {
    let (one, other) = (sealed(cosigned(&visit())), sealed(signed(&visit())));
    let moved = with_cosignature(&other, one.patient_signature());
    assert_eq!(moved.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(moved.verify_cosignature(genesis(), &account_id("patient")), INVALID);
    assert_eq!(one.verify_cosignature(Hash::zero(), &account_id("patient")), INVALID);
}

#[test]
fn no_bit_of_a_cosignature_can_be_changed() {
    let record = sealed(cosigned(&visit()));
    let encoded = record.encode();
    for position in encoded.len() - SIGNATURE_BYTES - 1..encoded.len() {
        for bit in 0..8 {
            let mut edited = encoded.clone();
            edited[position] ^= 1 << bit;
            let Ok(edited) = Record::decode_exactly(&edited) else { continue };
            assert_eq!(edited.verify(genesis(), &account_id("doctor")), Ok(()));
            let verified = edited.verify_cosignature(genesis(), &account_id("patient"));
            assert_eq!(verified, INVALID, "byte {position}, bit {bit}");
        }
    }
}

#[test]
fn the_option_byte_of_a_cosignature_is_zero_or_one() {
    let encoded = sealed(signed(&visit())).encode();
    let (absent, record) = encoded.split_last().unwrap();
    assert_eq!(*absent, 0);
    for tail in [&[][..], &[1], &[2], &[0xff], &[0, 0], &[1, 1]] {
        assert!(Record::decode_exactly(&[record, tail].concat()).is_err(), "{tail:?}");
    }
}

#[test]
fn signing_again_replaces_the_cosignature() {
    let twice = cosigned(&visit()).cosign(genesis(), &account("other"));
    assert_eq!(twice.verify_cosignature(genesis(), &account_id("other")), Ok(()));
    assert_eq!(twice.verify_cosignature(genesis(), &account_id("patient")), INVALID);
    assert_eq!(twice.verify(genesis(), &account_id("doctor")), Ok(()));
}

/// What a cosignature covers.
#[derive(Clone, Debug)]
struct Subject {
    genesis: Hash,
    about: Authorship,
    leaves: Vec<Hash>,
}

impl Subject {
    fn cosigned(&self) -> Vec<u8> {
        self.about.cosigned_bytes(self.genesis, &self.leaves)
    }

    fn signed(&self) -> Vec<u8> {
        self.about.signed_bytes(self.genesis, &self.leaves)
    }

    /// Changes one bit of one field.
    fn altered(&self, what: usize, byte: usize, bit: u8) -> Self {
        let mut other = self.clone();
        let leaf = byte % other.leaves.len();
        let bytes: &mut [u8] = match what {
            0 => &mut other.genesis.0,
            1 => &mut other.about.record.0,
            2 => &mut other.about.patient.0,
            3 => &mut other.about.author.0,
            4 => &mut other.leaves[leaf].0,
            _ => {
                other.about.hospital.0 ^= 1 << bit;
                return other;
            }
        };
        bytes[byte % bytes.len()] ^= 1 << bit;
        other
    }
}

prop_compose! {
    fn subjects()(
        genesis: [u8; 32],
        record: [u8; 16],
        patient: [u8; 32],
        hospital: u16,
        author: [u8; 32],
        leaves in prop::collection::vec(any::<[u8; 32]>(), 1..6),
    ) -> Subject {
        let about = Authorship {
            record: RecordId(record),
            patient: UserId(patient),
            hospital: HospitalId(hospital),
            author: UserId(author),
        };
        let leaves = leaves.into_iter().map(Hash::from).collect();
        Subject { genesis: Hash::from(genesis), about, leaves }
    }
}

proptest! {
    #[test]
    fn both_implementations_sign_the_same_bytes(subject in subjects()) {
        let Subject { genesis, about, leaves } = &subject;
        prop_assert_eq!(subject.cosigned(), oracle::cosigned_bytes(*genesis, about, leaves));
        prop_assert_eq!(subject.signed(), oracle::signed_bytes(*genesis, about, leaves));
    }

    #[test]
    fn every_change_changes_the_signed_bytes(
        subject in subjects(),
        what in 0..6_usize,
        byte: usize,
        bit in 0..8_u8,
    ) {
        let other = subject.altered(what, byte, bit);
        prop_assert_ne!(subject.cosigned(), other.cosigned());
        prop_assert_ne!(subject.cosigned(), subject.signed());
        prop_assert_ne!(subject.cosigned(), other.signed());
        let mut fewer = subject.clone();
        fewer.leaves.pop();
        prop_assert_ne!(subject.cosigned(), fewer.cosigned());
    }
}
