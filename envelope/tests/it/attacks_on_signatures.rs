//! The author's signature is valid for the record as signed, and for nothing assembled from its parts.

use codec::Encode;
use epione_envelope::{
    OpenError, SealError, SignatureError,
    keys::PatientKeys,
    record::{Description, Disclosure, Draft, Record, Salt, SectionKind},
    record_sealer::RecordSealer,
};
use epione_primitives::{Hash, HospitalId, UserId, release::SectionSet};

use crate::fixture::{
    FHIR, NURSE, PATIENT, account_id, draft, genesis, seal_draft, signed, signed_at, stated, visit,
};

const INVALID: Result<(), SignatureError> = Err(SignatureError::Invalid);

#[test]
fn a_signed_draft_verifies_for_its_author_only() {
    let signed = signed(&visit());
    assert_eq!(signed.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(signed.verify(genesis(), &account_id("other")), INVALID);
    assert_eq!(signed.verify(Hash::zero(), &account_id("doctor")), INVALID);
}

#[test]
fn any_edit_of_a_signed_draft_is_refused() {
    let original = signed(&visit());
    let edits: [fn(&mut Draft); 14] = [
        |draft| draft.patient = UserId([0; 32]),
        |draft| draft.hospital = HospitalId(0),
        |draft| draft.author = PATIENT,
        |draft| draft.record.0[0] ^= 1,
        |draft| draft.signed_at.number += 1,
        |draft| draft.signed_at.hash.0[31] ^= 1,
        |draft| draft.extraction.mandatory = SectionSet(1),
        |draft| draft.extraction.never = SectionSet(1),
        |draft| draft.extraction.together = vec![SectionSet(3)].try_into().unwrap(),
        |draft| draft.sections[0].kind = SectionKind::History,
        |draft| draft.sections[0].media_type.push('x'),
        |draft| draft.sections[2].file_name.push('x'),
        |draft| draft.sections[0].content_root[31] ^= 1,
        |draft| draft.sections[1].salt = Salt::generate(),
    ];
    for edit in edits {
        let mut signed = original.clone();
        edit(&mut signed.draft);
        assert_eq!(signed.verify(genesis(), &account_id("doctor")), INVALID);
        let sealer =
            RecordSealer::new(genesis(), signed, &account_id("doctor"), &PatientKeys::generate());
        assert_eq!(sealer.err(), Some(SealError::Signature(SignatureError::Invalid)));
    }
}

#[test]
fn a_nurse_who_was_named_after_the_author_signed_is_refused() {
    let mut signed = signed(&visit());
    signed.draft.nurse = Some(NURSE);
    assert_eq!(signed.verify(genesis(), &account_id("doctor")), INVALID);
    let signed = signed.sign_as_nurse(genesis(), &crate::fixture::account("nurse"));
    assert_eq!(signed.verify_nurse(genesis(), &account_id("nurse")), Ok(()));
    assert_eq!(signed.verify(genesis(), &account_id("doctor")), INVALID);
}

#[test]
fn reordered_sections_are_refused() {
    let mut signed = signed(&visit());
    signed.draft.sections.swap(0, 1);
    assert_eq!(signed.verify(genesis(), &account_id("doctor")), INVALID);
}

#[test]
fn another_number_of_sections_is_refused() {
    let original = signed(&visit());
    let mut fewer = original.clone();
    fewer.draft.sections.pop();
    assert_eq!(fewer.verify(genesis(), &account_id("doctor")), INVALID);
    let mut more = original;
    more.draft.sections.push(stated(SectionKind::Report, b"x").description);
    assert_eq!(more.verify(genesis(), &account_id("doctor")), INVALID);
}

#[test]
fn a_leaf_depends_on_the_number_of_sections_and_its_position() {
    let section = &draft(&visit()).sections[0];
    let record = draft(&visit()).record;
    let leaf = section.leaf(&record, 0, 3);
    assert_ne!(leaf, section.leaf(&record, 1, 3));
    assert_ne!(leaf, section.leaf(&record, 0, 2));
}

#[test]
fn a_leaf_is_no_root_and_a_signature_covers_one_record_only() {
    let one = draft(&visit()[..1]);
    let leaf = one.leaves()[0];
    let signed_bytes = one.authorship().signed_bytes(genesis(), &one.leaves());
    assert_ne!(&signed_bytes[signed_bytes.len() - 32..], leaf.as_bytes());

    // A record whose only leaf is another record's root, or two leaves in one.
    let doctor = account_id("doctor");
    let root = Hash::from_slice(&signed_bytes[signed_bytes.len() - 32..]);
    let forged = Disclosure::new(
        one.authorship(),
        vec![root],
        Vec::new(),
        one.clone().sign(genesis(), &crate::fixture::account("doctor")).signature,
    );
    assert_eq!(forged.unwrap().verify(genesis(), &doctor), Err(SignatureError::Invalid));
}

#[test]
fn any_subset_of_sections_can_be_shown_and_verified() {
    let signed = signed(&visit());
    let (draft, doctor) = (&signed.draft, account_id("doctor"));
    for subset in 0_u16..8 {
        let shown: Vec<_> = (0_u16..3)
            .filter(|index| subset >> index & 1 == 1)
            .map(|index| (index, draft.sections[usize::from(index)].clone()))
            .collect();
        let leaves = draft.leaves();
        let disclosure =
            Disclosure::new(draft.authorship(), leaves, shown.clone(), signed.signature.clone());
        let bytes = disclosure.unwrap().encode();
        let disclosure = Disclosure::decode_exactly(&bytes).unwrap();
        assert_eq!(disclosure.verify(genesis(), &doctor), Ok(&shown[..]));
    }
}

#[test]
fn a_disclosure_of_a_changed_moved_or_repeated_section_is_refused() {
    let signed = signed(&visit());
    let (draft, doctor) = (&signed.draft, account_id("doctor"));
    let section = |index: usize| draft.sections[index].clone();
    let disclose = |shown| {
        Disclosure::new(draft.authorship(), draft.leaves(), shown, signed.signature.clone())
            .unwrap()
    };
    let mut changed = section(1);
    changed.content_root[0] ^= 1;
    for shown in [
        vec![(1, changed)],
        vec![(0, section(1))],
        vec![(3, section(1))],
        vec![(u16::MAX, section(1))],
        vec![(1, section(1)), (1, section(1))],
        vec![(2, section(2)), (1, section(1))],
    ] {
        let refused = disclose(shown).verify(genesis(), &doctor).map(<[_]>::len);
        assert!(matches!(refused, Err(SignatureError::Leaf { .. })));
    }
    let mut leaves = draft.leaves();
    leaves.swap(0, 1);
    let reordered =
        Disclosure::new(draft.authorship(), leaves, Vec::new(), signed.signature.clone());
    assert_eq!(reordered.unwrap().verify(genesis(), &doctor), Err(SignatureError::Invalid));
}

#[test]
fn a_section_is_not_guessed_from_its_leaf() {
    let visit = visit();
    let signed = signed(&visit);
    let section = &signed.draft.sections[1];
    let leaf = signed.draft.leaves()[1];
    // The guess is right except for the salt.
    for salt in [Salt::from_bytes([0; 32]), Salt::generate()] {
        let mut guess = section.clone();
        guess.salt = salt;
        assert_ne!(guess.leaf(&signed.draft.record, 1, 3), leaf);
    }
    // The record contains nothing helpful outside its sealed parts.
    let salt = *section.salt.as_bytes();
    let root = section.content_root;
    let (record, media) = seal_draft(signed, &visit, &PatientKeys::generate());
    for public in [record.encode(), media] {
        for secret in [&salt[..], &root[..], FHIR.as_bytes(), b"scan.dcm", b"Condition"] {
            assert!(!public.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[test]
fn a_record_verifies_for_its_author_and_no_edited_record_does() {
    let visit = visit();
    let (record, _) = seal_draft(signed(&visit), &visit, &PatientKeys::generate());
    let doctor = account_id("doctor");
    assert_eq!(record.verify(genesis(), &doctor), Ok(()));
    assert_eq!(record.verify(genesis(), &account_id("other")), INVALID);

    let encoded = record.encode();
    // Suite, record, patient, hospital, author; the option of a nurse; the signed block, and the rules of extraction.
    let nurse = 1 + 16 + 32 + 2 + 32;
    let mut decoded = 0;
    for position in (1..nurse + 1 + 4 + 32 + 8 + 8 + 1).filter(|position| *position != nurse) {
        let mut edited = encoded.clone();
        edited[position] ^= 1;
        // Rules about sections that do not exist are not decoded.
        let Ok(edited) = Record::decode_exactly(&edited) else { continue };
        assert_eq!(edited.verify(genesis(), &doctor), INVALID);
        decoded += 1;
    }
    assert_eq!(decoded, 16 + 32 + 2 + 32 + 4 + 32 + 1 + 1);
}

#[test]
fn a_section_whose_kind_was_changed_in_its_description_does_not_open() {
    let (visit, keys) = (visit(), PatientKeys::generate());
    let (record, _) = seal_draft(signed(&visit), &visit, &keys);
    let mut described = visit[1].description.clone();
    assert_eq!(record.check_leaf(1, &described), Ok(()));
    described.kind = SectionKind::History;
    assert_eq!(record.check_leaf(1, &described), Err(OpenError));
    described.kind = SectionKind::Diagnosis;
    assert_eq!(record.check_leaf(0, &described), Err(OpenError));
    assert_eq!(record.check_leaf(3, &described), Err(OpenError));
}

#[test]
fn a_leaf_that_was_exchanged_after_signing_is_refused() {
    let (visit, keys) = (visit(), PatientKeys::generate());
    let (record, _) = seal_draft(signed(&visit), &visit, &keys);
    let encoded = record.encode();
    let leaf = record.sections()[1].leaf;
    let at = encoded.windows(32).position(|window| window == leaf.as_bytes()).unwrap();
    let mut edited = encoded.clone();
    edited[at] ^= 1;
    let edited = Record::decode_exactly(&edited).unwrap();
    assert_eq!(edited.verify(genesis(), &account_id("doctor")), INVALID);
    let key = edited.content_key(genesis(), 1, &keys).unwrap();
    assert_eq!(edited.describe(genesis(), 1, &key), Err(OpenError));
    assert_eq!(edited.open_text(genesis(), 1, &key).err(), Some(OpenError));
}

#[test]
fn two_sections_with_the_same_salt_are_refused() {
    let mut visit = visit();
    visit[1].description.salt = visit[0].description.salt.clone();
    let sections = visit.into_iter().map(|stated| stated.description).collect();
    let draft = Draft::new(PATIENT, HospitalId(3), PATIENT, signed_at(), sections);
    assert!(draft.is_err());
}

#[test]
fn equal_contents_have_different_leaves() {
    let described = || Description::of(SectionKind::Gender, FHIR, "", b"same").unwrap();
    let record = draft(&visit()).record;
    assert_ne!(described(), described());
    assert_ne!(described().leaf(&record, 0, 1), described().leaf(&record, 0, 1));
}
