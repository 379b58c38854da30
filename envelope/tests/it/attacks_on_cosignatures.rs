//! The patient's cosignature is valid for the record that the patient signed, and for nothing assembled from its parts.

use codec::Encode;
use epione_envelope::{
    SignatureError,
    keys::PatientKeys,
    record::{Authorship, Draft, Extraction, Record, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
};
use epione_primitives::{
    Hash, HospitalId, RecordId, Signature, UserId, block::SignedAt, release::SectionSet,
};
use proptest::prelude::*;

use crate::{
    fixture::{
        NURSE, PATIENT, account, account_id, cosigned, draft, genesis, seal_draft, signed, visit,
    },
    oracle,
};

const INVALID: Result<(), SignatureError> = Err(SignatureError::Invalid);
const NOT_COSIGNED: Result<(), SignatureError> = Err(SignatureError::NotCosigned);
/// An encoded sr25519 signature.
const SIGNATURE_BYTES: usize = 65;

fn sealed(signed: SignedDraft) -> Record {
    seal_draft(signed, &visit(), &PatientKeys::generate()).0
}

/// A record without a nurse, with its cosignature replaced.
fn with_cosignature(record: &Record, cosignature: Option<&Signature>) -> Record {
    let encoded = record.encode();
    let end = encoded.len() - record.patient_signature().encode().len() - 1;
    Record::decode_exactly(&[&encoded[..end], &cosignature.encode(), &[0]].concat()).unwrap()
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
    let keys = PatientKeys::generate();
    let sealer =
        RecordSealer::new(genesis(), patient_for_author, &account_id("doctor"), &keys).err();
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
    let edits: [(&str, Edit); 11] = [
        ("record", |draft| draft.record = RecordId([7; 16])),
        ("patient", |draft| draft.patient = UserId([7; 32])),
        ("hospital", |draft| draft.hospital = HospitalId(7)),
        ("author", |draft| draft.author = PATIENT),
        ("block", |draft| draft.signed_at.number += 1),
        ("fork", |draft| draft.signed_at.hash = Hash::zero()),
        ("rules", |draft| draft.extraction.never = SectionSet(1)),
        ("kind", |draft| draft.sections[0].kind = SectionKind::History),
        ("content", |draft| draft.sections[1].content_root[0] ^= 1),
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
fn a_cosignature_does_not_cover_a_nurse_who_was_named_afterwards() {
    let SignedDraft { draft, patient_signature, .. } = cosigned(&visit());
    let resigned = draft.with_nurse(NURSE).sign(genesis(), &account("doctor"));
    let renamed = SignedDraft { patient_signature, ..resigned };
    assert_eq!(renamed.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(renamed.verify_cosignature(genesis(), &account_id("patient")), INVALID);
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
    // The option, and the signature. The last byte says that there is no nurse's signature.
    for position in encoded.len() - SIGNATURE_BYTES - 2..encoded.len() - 1 {
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
    let (record, absent) = encoded.split_at(encoded.len() - 2);
    assert_eq!(absent, [0, 0]);
    for tail in [&[][..], &[0], &[1, 0], &[2, 0], &[0xff, 0], &[0, 1], &[0, 2], &[0, 0, 0]] {
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

    fn nursed(&self) -> Vec<u8> {
        self.about.nursed_bytes(self.genesis, &self.leaves)
    }

    /// Changes one bit of one field.
    fn altered(&self, what: usize, byte: usize, bit: u8) -> Self {
        let mut other = self.clone();
        let leaf = byte % other.leaves.len();
        let about = &mut other.about;
        let flip = |bytes: &mut [u8]| bytes[byte % bytes.len()] ^= 1 << bit;
        match what {
            0 => flip(&mut other.genesis.0),
            1 => flip(&mut about.record.0),
            2 => flip(&mut about.patient.0),
            3 => flip(&mut about.author.0),
            4 => flip(&mut other.leaves[leaf].0),
            5 => flip(&mut about.signed_at.hash.0),
            6 => about.signed_at.number ^= 1 << bit,
            7 => about.extraction.mandatory.0 ^= 1 << bit,
            8 => about.extraction.never.0 ^= 1 << bit,
            9 => {
                let groups = about.extraction.together.len() + 1;
                about.extraction.together = vec![SectionSet(3); groups].try_into().unwrap();
            }
            10 => about.nurse = about.nurse.xor(Some(UserId([bit; 32]))),
            _ => about.hospital.0 ^= 1 << bit,
        }
        other
    }
}

prop_compose! {
    /// Any rules, sensible or not.
    fn rules()(
        mandatory: u64,
        never: u64,
        together in prop::collection::vec(any::<u64>(), 0..8),
    ) -> Extraction {
        let together: Vec<_> = together.into_iter().map(SectionSet).collect();
        let (mandatory, never) = (SectionSet(mandatory), SectionSet(never));
        Extraction { mandatory, never, together: together.try_into().unwrap() }
    }
}

prop_compose! {
    fn subjects()(
        genesis: [u8; 32],
        record: [u8; 16],
        patient: [u8; 32],
        hospital: u16,
        author: [u8; 32],
        nurse: Option<[u8; 32]>,
        at: (u32, [u8; 32]),
        extraction in rules(),
        leaves in prop::collection::vec(any::<[u8; 32]>(), 1..6),
    ) -> Subject {
        let about = Authorship {
            record: RecordId(record),
            patient: UserId(patient),
            hospital: HospitalId(hospital),
            author: UserId(author),
            nurse: nurse.map(UserId),
            signed_at: SignedAt { number: at.0, hash: Hash::from(at.1) },
            extraction,
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
        prop_assert_eq!(subject.nursed(), oracle::nursed_bytes(*genesis, about, leaves));
    }

    #[test]
    fn every_change_changes_the_signed_bytes(
        subject in subjects(),
        what in 0..12_usize,
        byte: usize,
        bit in 0..8_u8,
    ) {
        let other = subject.altered(what, byte, bit);
        prop_assert_ne!(subject.cosigned(), other.cosigned());
        prop_assert_ne!(subject.nursed(), other.nursed());
        prop_assert_ne!(subject.signed(), other.signed());
        prop_assert_ne!(subject.cosigned(), subject.signed());
        prop_assert_ne!(subject.nursed(), subject.signed());
        prop_assert_ne!(subject.nursed(), subject.cosigned());
        prop_assert_ne!(subject.cosigned(), other.signed());
        prop_assert_ne!(subject.nursed(), other.signed());
        let mut fewer = subject.clone();
        fewer.leaves.pop();
        prop_assert_ne!(subject.cosigned(), fewer.cosigned());
        prop_assert_ne!(subject.signed(), fewer.signed());
    }
}
