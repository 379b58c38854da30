//! Decoders of untrusted bytes return, without panic, and without allocating memory that the input does not justify.

use codec::Encode;
use epione_envelope::{
    FormatError, body,
    custody::{ClaimPartContext, SealedClaimPart},
    dealing::{SealedShares, SharePart},
    grant::AccessGrant,
    keys::{ContentKey, PatientKeys},
    object::SealedObject,
    opening::{PartialContent, PartialContext, SealedPartial},
    profile::{ProfileBody, ProfileContext, Recipient},
    query::{QueryGrant, QueryTerms, SealedTerms},
    record::{Disclosure, Extraction, Record, SectionKind, SignedDraft},
    record_sealer::RecordSealer,
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    Hash, HospitalId, RecordId, RecordPointer, UserId,
    access::Purpose,
    block::{AnnouncedEntry, AnnouncedHeader, Range, record_hash},
    consortium::{CeremonyId, EpochId},
    custody::ClaimId,
    limits::MAX_PATIENT_KEYS,
    opening::OpeningId,
    query::QueryId,
    release::SectionSet,
};
use proptest::prelude::*;

use crate::fixture::{
    DOCTOR, HOSPITAL, NURSE, PATIENT, account, account_id, cosigned, draft, genesis, media_context,
    nursed, seal_draft, seal_visit, sealing_keys, signed, stated, visit,
};

type Decode = fn(&[u8]) -> Result<Vec<u8>, FormatError>;

/// Every decoder, with valid input.
fn formats() -> Vec<(&'static str, Vec<u8>, Decode)> {
    let signed = signed(&visit());
    let shown = vec![(1, signed.draft.sections[1].clone())];
    let authorship = signed.draft.authorship();
    let disclosure =
        Disclosure::new(authorship, signed.draft.leaves(), shown, signed.signature.clone());
    let object = SealedObject::seal(&ContentKey::generate(), &media_context(), b"text").unwrap();
    let record = seal_visit(&visit(), &PatientKeys::generate()).0;
    let visit = visit();
    let cosigned = seal_draft(cosigned(&visit), &visit, &PatientKeys::generate()).0;
    let nursed = seal_draft(nursed(&visit), &visit, &PatientKeys::generate()).0;
    let ruled = draft(&visit).with_extraction(rules()).unwrap();
    let ruled = ruled.sign(genesis(), &account("doctor"));
    let ruled = seal_draft(ruled, &visit, &PatientKeys::generate()).0;
    vec![
        ("record", record.encode(), |b| Ok(Record::decode_exactly(b)?.encode())),
        ("co-signed record", cosigned.encode(), |b| Ok(Record::decode_exactly(b)?.encode())),
        ("record with a nurse", nursed.encode(), |b| Ok(Record::decode_exactly(b)?.encode())),
        ("record with rules", ruled.encode(), |b| Ok(Record::decode_exactly(b)?.encode())),
        ("object", object.encode(), |b| Ok(SealedObject::decode_exactly(b)?.encode())),
        ("disclosure", disclosure.unwrap().encode(), |b| {
            Ok(Disclosure::decode_exactly(b)?.encode())
        }),
        ("profile", profile().encode(), |b| Ok(ProfileBody::decode_exactly(b)?.encode())),
        ("grant", grant().encode(), |b| Ok(AccessGrant::decode_exactly(b)?.encode())),
        ("grant of a query", query_grant().encode(), |b| {
            Ok(QueryGrant::decode_exactly(b)?.encode())
        }),
        ("terms of a query", sealed_terms().encode(), |b| {
            Ok(SealedTerms::decode_exactly(b)?.encode())
        }),
        ("sealed shares", sealed_shares().encode(), |b| {
            Ok(SealedShares::decode_exactly(b)?.encode())
        }),
        ("part of an opening", sealed_partial().encode(), |b| {
            Ok(SealedPartial::decode_exactly(b)?.encode())
        }),
        ("part of a claim", sealed_claim_part().encode(), |b| {
            Ok(SealedClaimPart::decode_exactly(b)?.encode())
        }),
        ("sealing key", sealing_keys("patient").public().encode(), |b| {
            Ok(SealingPublicKey::from_bytes(b)?.encode())
        }),
    ]
}

/// Rules for the fixture's visit.
fn rules() -> Extraction {
    let together = vec![SectionSet(0b011)].try_into().unwrap();
    Extraction { mandatory: SectionSet(0b001), never: SectionSet(0b100), together }
}

fn profile() -> ProfileBody {
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: PATIENT };
    let (user, hospital) = (sealing_keys("patient"), sealing_keys("hospital"));
    let user = Recipient { account: &account_id("patient"), key: user.public() };
    let (keys, agent) = (PatientKeys::generate().renewed().unwrap(), account("agent"));
    ProfileBody::for_patient(&context, "name", &keys, user, hospital.public(), &agent).unwrap()
}

fn grant() -> AccessGrant {
    use epione_envelope::grant::{GrantTerms, GrantedSection};
    let terms = GrantTerms {
        genesis: genesis(),
        hospital: HOSPITAL,
        patient: PATIENT,
        requester: DOCTOR,
        audience: account_id("doctor"),
        purpose: Purpose::Treatment,
        issued: 1,
        expires: 2,
        nonce: [0; 16],
    };
    let pointer = RecordPointer { height: 1, index: 0 };
    let section = GrantedSection { pointer, record: RecordId([0; 16]), section: 0 };
    let keys = [(section, ContentKey::generate())];
    AccessGrant::seal(terms, &keys, sealing_keys("doctor").public(), &account("agent")).unwrap()
}

fn query_grant() -> QueryGrant {
    use epione_envelope::grant::GrantedSection;
    let terms = QueryTerms {
        genesis: genesis(),
        query: QueryId(5),
        patient: PATIENT,
        requester: DOCTOR,
        audience: account_id("doctor"),
        purpose: Purpose::Research,
        issued: 1,
        until: 2,
    };
    let pointer = RecordPointer { height: 1, index: 0 };
    let section = GrantedSection { pointer, record: RecordId([0; 16]), section: 0 };
    let keys = [(section, ContentKey::generate())];
    QueryGrant::seal(terms, &keys, sealing_keys("doctor").public(), &account("patient")).unwrap()
}

fn sealed_shares() -> SealedShares {
    let seats = [(HOSPITAL, sealing_keys("hospital").public().clone())];
    let given = |_| SharePart { share: [1; 32], part: [2; 32], earlier: None };
    let agent = account("agent");
    SealedShares::seal(&seats, genesis(), CeremonyId(1), HOSPITAL, given, &agent).unwrap()
}

fn sealed_partial() -> SealedPartial {
    let (opening, epoch) = (OpeningId(1), EpochId(2));
    let wraps = Hash::repeat_byte(3);
    let context = PartialContext { genesis: genesis(), opening, hospital: HOSPITAL, epoch, wraps };
    let (values, mixing) = (vec![[1; 32]; 2], vec![[2; 32]; 2]);
    let content = PartialContent { values, proof: [3; 64], mixing };
    let doctor = sealing_keys("doctor");
    SealedPartial::seal(&context, &content, doctor.public(), &account("agent")).unwrap()
}

fn sealed_claim_part() -> SealedClaimPart {
    let (claim, departed, epoch) = (ClaimId(1), HospitalId(7), EpochId(2));
    let (genesis, hospital) = (genesis(), HOSPITAL);
    let context = ClaimPartContext { genesis, claim, departed, hospital, epoch };
    let (values, mixing) = (vec![[1; 32]; 2], vec![[2; 32]; 2]);
    let content = PartialContent { values, proof: [3; 64], mixing };
    let custodian = sealing_keys("custodian");
    SealedClaimPart::seal(&context, &content, custodian.public(), &account("agent")).unwrap()
}

fn sealed_terms() -> SealedTerms {
    let (patient, doctor) = (sealing_keys("patient"), account("doctor"));
    SealedTerms::seal(genesis(), DOCTOR, PATIENT, "why", patient.public(), &doctor).unwrap()
}

#[test]
fn every_format_round_trips() {
    for (name, bytes, decode) in formats() {
        assert_eq!(decode(&bytes), Ok(bytes), "{name}");
    }
}

#[test]
fn unknown_suites_are_reported() {
    for (name, mut bytes, decode) in formats() {
        bytes[0] = 77;
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, FormatError::UnknownSuite { suite: 77, .. }), "{name}: {error}");
    }
}

#[test]
fn records_disclosures_and_profiles_of_format_1_are_refused_with_a_clear_error() {
    for (name, mut bytes, decode) in formats() {
        if bytes[0] != 2 {
            continue;
        }
        bytes[0] = 1;
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, FormatError::OldFormat { format: 1, .. }), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains("of format 1, which this version does not read"), "{text}");
    }
    let first: Vec<_> = formats().into_iter().map(|(name, bytes, _)| (name, bytes[0])).collect();
    let second = |name: &str| name.contains("record") || ["disclosure", "profile"].contains(&name);
    assert!(first.iter().all(|(name, suite)| *suite == if second(name) { 2 } else { 1 }));
}

#[test]
fn trailing_bytes_and_truncation_are_refused() {
    for (name, bytes, decode) in formats() {
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "{name}");
        for length in (0..bytes.len()).filter(|at| at % 7 == 0 || *at < 300) {
            assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn every_value_has_one_encoding() {
    for (name, bytes, decode) in formats() {
        for position in 0..bytes.len().min(3000) {
            for edit in [1, 2, 4, 0x80, 0xff] {
                let mut edited = bytes.clone();
                edited[position] ^= edit;
                if let Ok(again) = decode(&edited) {
                    assert_eq!(again, edited, "{name}, byte {position}");
                }
            }
        }
    }
}

#[test]
fn claims_of_great_length_are_refused_before_allocation() {
    let mut object =
        SealedObject::seal(&ContentKey::generate(), &media_context(), b"").unwrap().encode();
    // Compact lengths at the object's length: 1 GiB, and 2^62.
    for length in [codec::Compact(1_u64 << 30).encode(), codec::Compact(1_u64 << 62).encode()] {
        let claimed = [&object[..18], &length, &object[19..]].concat();
        assert!(SealedObject::decode_exactly(&claimed).is_err());
    }
    object.resize(3 << 20, 0);
    assert!(matches!(SealedObject::decode_exactly(&object), Err(FormatError::TooLarge { .. })));
}

#[test]
fn a_record_without_sections_or_with_one_twice_is_refused() {
    let one = [stated(SectionKind::Report, b"x")];
    let record = seal_visit(&one, &PatientKeys::generate()).0;
    let section = record.sections()[0].encode();
    let encoded = record.encode();
    let start = START_OF_SECTIONS;
    let (head, tail) = (&encoded[..start], &encoded[start + 1 + section.len()..]);
    let with = |sections: &[&[u8]]| {
        let count = codec::Compact(sections.len() as u32).encode();
        Record::decode_exactly(&[head, &count, &sections.concat(), tail].concat())
    };
    assert_eq!(with(&[&section]), Ok(record));
    assert!(with(&[]).unwrap_err().to_string().contains("no sections"));
    assert!(with(&[&section, &section]).unwrap_err().to_string().contains("twice"));
    // The same sealed object under another leaf.
    let mut other = section.clone();
    other[0] ^= 1;
    assert!(with(&[&section, &other]).unwrap_err().to_string().contains("twice"));
    assert!(with(&[section.as_slice(); 65]).is_err());
}

/// Suite; record, patient, hospital and author; no nurse; the signed block; an extraction policy without groups; the
/// version of the patient key.
const START_OF_SECTIONS: usize = 1 + (16 + 32 + 2 + 32) + 1 + (4 + 32) + (8 + 8 + 1) + 4;

#[test]
fn a_record_of_a_key_version_that_no_patient_has_is_refused() {
    let mut encoded = seal_visit(&visit(), &PatientKeys::generate()).0.encode();
    let at = START_OF_SECTIONS - 4;
    for (version, exists) in
        [(1, true), (2, true), (MAX_PATIENT_KEYS, true), (0, false), (MAX_PATIENT_KEYS + 1, false)]
    {
        encoded[at..at + 4].copy_from_slice(&version.to_le_bytes());
        assert_eq!(Record::decode_exactly(&encoded).is_ok(), exists, "version {version}");
    }
}

#[test]
fn a_record_with_contradicting_or_too_many_extraction_rules_is_refused() {
    let encoded = seal_visit(&visit(), &PatientKeys::generate()).0.encode();
    let at = START_OF_SECTIONS - 4 - 17;
    let with = |rules: &[u8]| {
        Record::decode_exactly(&[&encoded[..at], rules, &encoded[at + 17..]].concat())
    };
    let groups = |count| vec![SectionSet(0b011); count];
    let rules = |mandatory, never, together: Vec<SectionSet>| {
        (SectionSet(mandatory), SectionSet(never), together).encode()
    };
    assert!(with(&rules(0, 0, Vec::new())).is_ok());
    assert!(with(&rules(1, 4, groups(8))).is_ok());
    for (rules, reason) in [
        (rules(1, 1, Vec::new()), "mandatory and never"),
        (rules(0b1000, 0, Vec::new()), "does not exist"),
        (rules(0, 1 << 63, Vec::new()), "does not exist"),
        (rules(0, 0, vec![SectionSet(0b1001)]), "does not exist"),
        (rules(0, 0, vec![SectionSet(0b001)]), "fewer than two"),
        (rules(0, 0, vec![SectionSet(0)]), "fewer than two"),
        (rules(1, 2, groups(1)), "group with a mandatory"),
        (rules(0, 0, groups(9)), "malformed"),
    ] {
        let error = with(&rules).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_profile_body_without_a_key_for_each_version_is_refused() {
    let body = profile().encode();
    let at = 1 + 32 + 32 + sealing_keys("patient").public().encode().len() + 1;
    assert_eq!(body[at..at + 4], 2_u32.to_le_bytes());
    for version in [0_u32, 1, 3, u32::MAX] {
        let mut edited = body.clone();
        edited[at..at + 4].copy_from_slice(&version.to_le_bytes());
        assert!(ProfileBody::decode_exactly(&edited).is_err(), "version {version}");
    }
}

#[test]
fn a_nurses_signature_that_was_removed_or_added_is_refused() {
    let visit = visit();
    let encoded = seal_draft(nursed(&visit), &visit, &PatientKeys::generate()).0.encode();
    let (before, _signature) = encoded.split_at(encoded.len() - 66);
    let removed = Record::decode_exactly(&[before, &[0]].concat()).unwrap_err();
    assert!(removed.to_string().contains("nurse who did not sign"), "{removed}");
    // The nurse's id, after suite, record, patient, hospital and author.
    let at = 1 + 16 + 32 + 2 + 32;
    assert_eq!(encoded[at..at + 33], [&[1_u8][..], &NURSE.0].concat());
    let unnamed = [&encoded[..at], &[0], &encoded[at + 33..]].concat();
    let unnamed = Record::decode_exactly(&unnamed).unwrap_err();
    assert!(unnamed.to_string().contains("names no nurse"), "{unnamed}");
}

#[test]
fn a_record_whose_nurse_is_also_its_author_or_its_patient_is_refused() {
    let visit = visit();
    let encoded = seal_draft(nursed(&visit), &visit, &PatientKeys::generate()).0.encode();
    // The nurse's id, after suite, record, patient, hospital and author.
    let at = 1 + 16 + 32 + 2 + 32 + 1;
    assert_eq!(encoded[at..at + 32], NURSE.0);
    let naming = |nurse: UserId| {
        Record::decode_exactly(&[&encoded[..at], &nurse.0, &encoded[at + 32..]].concat())
    };
    assert!(naming(UserId([7; 32])).is_ok());
    for (nurse, reason) in [(DOCTOR, "also its author"), (PATIENT, "also its patient")] {
        let refused = naming(nurse).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
        let draft = draft(&visit).with_nurse(nurse);
        let refused = draft.validate().unwrap_err().to_string();
        assert!(refused.contains(reason) && refused.contains("name another nurse"), "{refused}");
        // The same in JSON, and signed by all.
        let signed = draft.sign(genesis(), &account("doctor"));
        let signed = signed.sign_as_nurse(genesis(), &account("doctor"));
        assert!(SignedDraft::from_json(&signed.to_json()).is_err());
        let keys = PatientKeys::generate();
        assert!(RecordSealer::new(genesis(), signed, &account_id("doctor"), &keys).is_err());
    }
}

#[test]
fn a_manifest_whose_segments_do_not_form_its_object_is_refused() {
    let record = seal_visit(&visit(), &PatientKeys::generate()).0;
    let encoded = record.encode();
    let segment = record.segments()[0].encode();
    let at = encoded.windows(36).position(|window| window == segment).unwrap();
    for edit in [1_u32, 0, u32::MAX, record.segments()[0].length - 1] {
        let mut edited = encoded.clone();
        edited[at + 32..at + 36].copy_from_slice(&edit.to_le_bytes());
        assert!(Record::decode_exactly(&edited).is_err());
    }
    let mut none = encoded.clone();
    none[at - 1] = 0;
    none.drain(at..at + 36);
    assert!(Record::decode_exactly(&none).is_err());
}

proptest! {
    #[test]
    fn decoders_return_for_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4000), suite in 1_u8..=2) {
        let tagged = [&[suite], bytes.as_slice()].concat();
        for bytes in [&bytes, &tagged] {
            let _ = Record::decode_exactly(bytes);
            let _ = SealedObject::decode_exactly(bytes);
            let _ = Disclosure::decode_exactly(bytes);
            let _ = ProfileBody::decode_exactly(bytes);
            let _ = AccessGrant::decode_exactly(bytes);
            let _ = QueryGrant::decode_exactly(bytes);
            let _ = SealedTerms::decode_exactly(bytes);
            let _ = SealedShares::decode_exactly(bytes);
            let _ = SealedPartial::decode_exactly(bytes);
            let _ = SealedClaimPart::decode_exactly(bytes);
            let _ = SealingPublicKey::from_bytes(bytes);
            let _ = SignedDraft::from_json(bytes);
        }
    }

    #[test]
    fn a_body_check_returns_for_any_ranges(
        body in prop::collection::vec(any::<u8>(), 0..200),
        ranges in prop::collection::vec(any::<(u32, u32, u32, u32)>(), 0..5),
    ) {
        let entries: Vec<_> = ranges
            .into_iter()
            .map(|(offset, length, first, count)| {
                let end = offset.saturating_add(length) as usize;
                let bytes = body.get(offset as usize..end).unwrap_or_default();
                AnnouncedEntry {
                    record: RecordId([0; 16]),
                    hash: record_hash(bytes),
                    patient: PATIENT,
                    text: Range { offset, length },
                    media: Range { offset: first, length: count },
                }
            })
            .collect();
        let header = AnnouncedHeader { announcer: HOSPITAL, segments: Default::default() };
        prop_assert!(body::check(&header, &entries, &body).is_err());
        for entry in entries {
            let _ = body::record_at(entry.text, &body);
        }
    }
}

#[test]
fn decoders_return_for_mutated_formats() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let formats = formats();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    let strategy = (0..formats.len(), edits, any::<prop::sample::Index>());
    runner
        .run(&strategy, |(format, edits, cut)| {
            let (_, bytes, decode) = &formats[format];
            let mut bytes = bytes.clone();
            for (position, value) in edits {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
            if let Ok(again) = decode(&bytes) {
                prop_assert_eq!(&again, &bytes);
            }
            bytes.truncate(cut.index(bytes.len()));
            let _ = decode(&bytes);
            Ok(())
        })
        .unwrap();
}
