//! Sealing a visit and reading it back.

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    frames::{Frames, MAX_LISTED_FRAMES},
    keys::{ContentKey, PatientKey, PatientKeys},
    object::CHUNK_BYTES,
    record::{
        Description, Draft, Extraction, MAX_SECTIONS, MAX_TEXT_BYTES, Payload, Record, SectionKind,
        SignedDraft, UnknownSectionKind,
    },
    record_sealer::RecordSealer,
};
use epione_primitives::{Word, limits::SEGMENT_BYTES, release::SectionSet};

use crate::fixture::{
    DOCTOR, FHIR, HOSPITAL, NURSE, PATIENT, Stated, account, account_id, content, cosigned, draft,
    genesis, nursed, seal_draft, seal_visit, signed, signed_at, stated, visit,
};

fn read_media(record: &Record, section: u16, key: &ContentKey, stored: &[u8]) -> Vec<u8> {
    let description = record.describe(genesis(), section, key).unwrap();
    let opener = record.open_media(genesis(), section, key).unwrap();
    let layout = opener.layout();
    let (mut check, mut content) = (description.check(), Vec::new());
    let slice = |range: std::ops::Range<u64>| &stored[range.start as usize..range.end as usize];
    for index in 0..layout.chunks() {
        let tag = slice(layout.tag(index).unwrap()).try_into().unwrap();
        let chunk = opener.open_chunk(index, slice(layout.chunk(index).unwrap()), tag).unwrap();
        check.update(&chunk);
        content.extend(chunk);
    }
    check.finish().unwrap();
    content
}

#[test]
fn a_visit_is_read_back_byte_for_byte() {
    let (visit, patient_keys) = (visit(), PatientKeys::generate());
    let (record, stored) = seal_visit(&visit, &patient_keys);
    let record = Record::decode_exactly(&record.encode()).unwrap();
    assert_eq!((record.patient(), record.hospital(), record.author()), (PATIENT, HOSPITAL, DOCTOR));
    assert_eq!((record.signed_at(), record.nurse(), record.key_version()), (signed_at(), None, 1));
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    for (section, stated) in (0_u16..).zip(&visit) {
        let key = record.content_key(genesis(), section, &patient_keys).unwrap();
        let description = record.describe(genesis(), section, &key).unwrap();
        assert_eq!(description, stated.description);
        let content = match record.sections()[usize::from(section)].payload {
            Payload::Text(_) => record.open_text(genesis(), section, &key).unwrap().1.to_vec(),
            Payload::Media { .. } => read_media(&record, section, &key, &stored),
        };
        assert_eq!(content, stated.content);
    }
}

#[test]
fn media_longer_than_a_segment_are_cut_and_read_back() {
    let length = 2 * SEGMENT_BYTES as usize + 12_345;
    let visit = vec![stated(SectionKind::Media, &content(length))];
    let patient_keys = PatientKeys::generate();
    let (record, stored) = seal_visit(&visit, &patient_keys);
    let segments = record.segments();
    let lengths: Vec<_> = segments.iter().map(|segment| segment.length).collect();
    assert_eq!(lengths, [SEGMENT_BYTES, SEGMENT_BYTES, 12_345 + 9 * 16]);
    let mut rest = stored.as_slice();
    for segment in &segments {
        let (bytes, later) = rest.split_at(segment.length as usize);
        epione_envelope::segment::verify(segment, bytes).unwrap();
        rest = later;
    }
    let key = record.content_key(genesis(), 0, &patient_keys).unwrap();
    assert!(read_media(&record, 0, &key, &stored) == visit[0].content);
}

#[test]
fn sealing_media_buffers_at_most_a_chunk() {
    let visit = [stated(SectionKind::Media, &content(5_000_000))];
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    let mut media = sealer.start_media(0).unwrap();
    let mut given_back = 0;
    for (pushed, piece) in visit[0].content.chunks(70_000).enumerate() {
        let parts = media.push(piece).unwrap();
        given_back += parts.iter().map(|part| part.bytes.len()).sum::<usize>();
        let taken = pushed * 70_000 + piece.len();
        assert!(given_back <= taken && taken - given_back < 1 << 20);
    }
    sealer.end_media(media).unwrap();
    sealer.finish().unwrap();
}

#[test]
fn empty_content_is_sealed_and_read_back() {
    let visit = vec![stated(SectionKind::Report, b""), stated(SectionKind::Media, b"")];
    let patient_keys = PatientKeys::generate();
    let (record, stored) = seal_visit(&visit, &patient_keys);
    assert_eq!(stored.len(), 16);
    let key = record.content_key(genesis(), 0, &patient_keys).unwrap();
    assert!(record.open_text(genesis(), 0, &key).unwrap().1.is_empty());
    let key = record.content_key(genesis(), 1, &patient_keys).unwrap();
    assert!(read_media(&record, 1, &key, &stored).is_empty());
}

#[test]
fn a_key_of_another_section_or_patient_opens_nothing() {
    let (visit, patient_keys) = (visit(), PatientKeys::generate());
    let (record, _) = seal_visit(&visit, &patient_keys);
    let other = record.content_key(genesis(), 1, &patient_keys).unwrap();
    assert_eq!(record.open_text(genesis(), 0, &other).err(), Some(OpenError));
    assert_eq!(record.describe(genesis(), 2, &other).err(), Some(OpenError));
    assert!(record.open_media(genesis(), 2, &other).is_err());
    assert!(record.content_key(genesis(), 0, &PatientKeys::generate()).is_err());
    assert!(record.content_key(genesis(), 3, &patient_keys).is_err());
    assert!(record.open_media(genesis(), 0, &other).is_err());
}

#[test]
fn content_that_differs_from_the_signed_description_is_refused() {
    let visit = visit();
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    let error = sealer.seal_text(0, b"something else");
    assert_eq!(error, Err(SealError::ContentDiffers { section: 0 }));

    let mut media = sealer.start_media(2).unwrap();
    media.push(&vec![0; visit[2].content.len()]).unwrap();
    let error = sealer.end_media(media).err();
    assert_eq!(error, Some(SealError::ContentDiffers { section: 2 }));
}

#[test]
fn truncated_or_too_long_media_are_refused() {
    let visit = visit();
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    let declared = visit[2].content.len() as u64;
    let mut media = sealer.start_media(2).unwrap();
    media.push(&visit[2].content[1..]).unwrap();
    let error = sealer.end_media(media).err();
    assert_eq!(error, Some(SealError::TooShort { declared, given: declared - 1 }));

    let mut media = sealer.start_media(2).unwrap();
    media.push(&visit[2].content).unwrap();
    assert_eq!(media.push(b"x"), Err(SealError::TooLong { declared }));
}

#[test]
fn every_section_is_sealed_exactly_once() {
    let visit = visit();
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    sealer.seal_text(0, &visit[0].content).unwrap();
    let again = sealer.seal_text(0, &visit[0].content);
    assert_eq!(again, Err(SealError::AlreadySealed { section: 0 }));
    let beyond = sealer.seal_text(3, b"");
    assert_eq!(beyond, Err(SealError::NoSuchSection { section: 3 }));
    assert_eq!(sealer.finish().err(), Some(SealError::NotSealed { section: 1 }));
}

#[test]
fn a_visit_without_sections_or_with_too_many_is_refused() {
    let draft = |sections| Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at(), sections);
    assert_eq!(draft(Vec::new()).err(), Some(FormatError::NoSections));
    let section = || stated(SectionKind::Report, b"").description;
    let sections: Vec<_> = (0..=MAX_SECTIONS).map(|_| section()).collect();
    assert!(matches!(draft(sections), Err(FormatError::TooLarge { .. })));
}

#[test]
fn a_visit_with_the_maximum_of_sections_is_sealed() {
    let visit: Vec<_> = (0..MAX_SECTIONS).map(|_| stated(SectionKind::Report, b"text")).collect();
    let (record, _) = seal_visit(&visit, &PatientKeys::generate());
    assert_eq!(Record::decode_exactly(&record.encode()).unwrap(), record);
}

#[test]
fn a_text_over_the_limit_is_refused() {
    let long = vec![b'x'; MAX_TEXT_BYTES as usize + 1];
    let visit = [stated(SectionKind::Report, &long)];
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    assert!(matches!(
        sealer.seal_text(0, &long),
        Err(SealError::Format(FormatError::TooLarge { .. }))
    ));
}

#[test]
fn texts_that_together_exceed_a_body_are_refused() {
    let visit: Vec<_> = (0..3).map(|_| stated(SectionKind::Report, &content(1 << 20))).collect();
    let doctor = account_id("doctor");
    let mut sealer =
        RecordSealer::new(genesis(), signed(&visit), &doctor, &PatientKeys::generate()).unwrap();
    for (section, stated) in (0..).zip(&visit) {
        sealer.seal_text(section, &stated.content).unwrap();
    }
    assert!(matches!(
        sealer.finish().err(),
        Some(SealError::Format(FormatError::TooLarge { what: "the sealed record", .. }))
    ));
}

#[test]
fn a_draft_round_trips_as_json() {
    let together = vec![SectionSet(0b011)].try_into().unwrap();
    let rules = Extraction { mandatory: SectionSet(1), never: SectionSet(4), together };
    let ruled = draft(&visit()).with_extraction(rules).unwrap();
    let ruled = ruled.sign(genesis(), &account("doctor"));
    for signed in [signed(&visit()), cosigned(&visit()), nursed(&visit()), ruled] {
        assert_eq!(SignedDraft::from_json(&signed.to_json()).unwrap(), signed);
    }
}

#[test]
fn a_draft_in_json_states_its_rules_of_extraction_as_lists_of_sections() {
    let mut json: serde_json::Value = serde_json::from_slice(&signed(&visit()).to_json()).unwrap();
    assert!(json["draft"].get("extraction").is_none() && json["draft"].get("nurse").is_none());
    assert_eq!(json["draft"]["signed_at"]["number"], signed_at().number);
    let mut with = |rules: serde_json::Value| {
        json["draft"]["extraction"] = rules;
        SignedDraft::from_json(json.to_string().as_bytes()).map(|signed| signed.draft.extraction)
    };
    let rules = with(serde_json::json!({ "never": [1, 2], "together": [[0, 1, 2]] })).unwrap();
    assert_eq!((rules.mandatory.0, rules.never.0, rules.together[0].0), (0, 0b110, 0b111));
    for wrong in [
        serde_json::json!({ "mandatory": [3] }),
        serde_json::json!({ "mandatory": [64] }),
        serde_json::json!({ "mandatory": [1], "never": [1] }),
        serde_json::json!({ "together": vec![[0, 1]; 9] }),
        serde_json::json!({ "sometimes": [1] }),
    ] {
        assert!(with(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn every_kind_of_section_is_read_as_it_is_written() {
    let message = UnknownSectionKind.to_string();
    for kind in SectionKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(*kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.spelled());
        assert!(message.contains(kind.spelled()), "{message}");
    }
    let last: Vec<_> = SectionKind::ALL[7..].iter().map(|kind| kind.encode()).collect();
    assert_eq!(last, [[7], [8], [9], [10], [11]]);
    assert_eq!("gossip".parse::<SectionKind>(), Err(UnknownSectionKind));
}

/// The encoding of a payload, field by field: all that it shows is its form, and sealed objects.
fn payload_bytes(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Text(object) => (0_u8, object).encode(),
        Payload::Media { description, manifest } => {
            (1_u8, description, manifest.parameters(), manifest.segments()).encode()
        }
    }
}

#[test]
fn neither_kinds_nor_classes_of_sections_are_visible_in_a_record() {
    let keys = PatientKeys::generate();
    for (kind, other) in
        [(SectionKind::Symptoms, SectionKind::IdNumber), (SectionKind::Media, SectionKind::Media)]
    {
        let visit = [stated(kind, b"the same content"), stated(other, b"the same content")];
        let (record, _) = seal_visit(&visit, &keys);
        let sections = record.sections();
        for section in sections {
            let payload = payload_bytes(&section.payload);
            let fields = [section.leaf.as_bytes(), &section.wrap.encode(), &payload].concat();
            assert_eq!(section.encode(), fields, "{kind}");
            assert_eq!(section.wrap.encoded_size(), 40);
        }
        // What is sealed has the same length.
        assert_eq!(sections[0].encoded_size(), sections[1].encoded_size(), "{kind}");
        let key = record.content_key(genesis(), 0, &keys).unwrap();
        assert_eq!(record.describe(genesis(), 0, &key).unwrap().kind, kind);
    }
}

#[test]
fn a_visit_with_a_nurse_is_sealed_with_both_signatures() {
    let visit = visit();
    let (record, _) = seal_draft(nursed(&visit), &visit, &PatientKeys::generate());
    let record = Record::decode_exactly(&record.encode()).unwrap();
    assert_eq!(record.nurse(), Some(NURSE));
    assert_eq!(record.verify(genesis(), &account_id("doctor")), Ok(()));
    assert_eq!(record.verify_nurse(genesis(), &account_id("nurse")), Ok(()));
    assert_eq!(record.verify_cosignature(genesis(), &account_id("patient")), Ok(()));
}

#[test]
fn invalid_json_is_refused_without_quoting_it() {
    let json = String::from_utf8(signed(&visit()).to_json()).unwrap();
    let edits = [
        json.replace("\"patient\"", "\"Mrs Smith\""),
        json.replacen("scan.dcm", &"x".repeat(256), 1),
        json[..json.len() - 1].to_owned(),
        format!("{json}x"),
        "[]".into(),
        String::new(),
        " ".repeat(1 << 20),
    ];
    for edited in edits {
        let error = SignedDraft::from_json(edited.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("Smith"));
    }
}

#[test]
fn logs_show_neither_names_nor_keys() {
    let Stated { description, .. } = stated(SectionKind::Media, b"x");
    let salt = hex::encode(description.salt.as_bytes());
    let patient_key = PatientKey::from_bytes([0xab; 32]);
    let patient_keys = PatientKeys::from_keys(vec![patient_key.clone(); 3]).unwrap();
    let content_key = ContentKey::from_bytes([0xab; 32]);
    let shown = format!("{description:?} {patient_key:?} {patient_keys:?} {content_key:?}");
    assert!(!shown.contains("scan") && !shown.contains(&salt[..8]) && !shown.contains("Media"));
    assert!(shown.contains("3 versions"));
    assert!(!shown.contains("171") && !shown.contains("ab, ab") && !shown.contains("abab"));
}

#[test]
fn a_description_that_is_over_a_limit_or_has_frames_beyond_its_content_is_refused() {
    let media = SectionKind::Media;
    assert!(Description::of(media, &"x".repeat(128), "", b"").is_err());
    assert!(Description::of(media, FHIR, &"x".repeat(256), b"").is_err());
    let frames = |count| Frames::Native { first: 10, bits: 240, count, stated: count };
    let described =
        |count| Description::new(media, "application/dicom", "", 100, [0; 32], frames(count));
    assert!(described(3).is_ok());
    assert!(described(4).is_err());
    let section = |count| {
        let mut section = stated(SectionKind::Media, &[0; 100]).description;
        section.frames = frames(count);
        vec![section]
    };
    assert!(Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at(), section(3)).is_ok());
    assert!(Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at(), section(4)).is_err());
}

/// A visit with the maximum of sections, each an image that lists this many frames.
fn images(frames: u32) -> Vec<Stated> {
    let image = |_| {
        let mut stated = stated(SectionKind::Media, &[7; 40_000]);
        let lengths = vec![9; frames as usize];
        stated.description.frames = Frames::Encapsulated { first: 0, lengths, stated: frames };
        stated
    };
    (0..MAX_SECTIONS).map(image).collect()
}

#[test]
fn the_frame_lists_of_a_record_are_bounded_together() {
    let each = MAX_LISTED_FRAMES / u32::from(MAX_SECTIONS);
    let sections =
        |visit: Vec<Stated>| visit.into_iter().map(|stated| stated.description).collect();
    let refused = Draft::new(PATIENT, HOSPITAL, DOCTOR, signed_at(), sections(images(each + 1)));
    assert!(refused.unwrap_err().to_string().contains("frames"));

    let visit = images(each);
    let signed = signed(&visit);
    assert_eq!(SignedDraft::from_json(&signed.to_json()).unwrap(), signed);
    let patient_keys = PatientKeys::generate();
    let (record, _) = seal_visit(&visit, &patient_keys);
    let record = Record::decode_exactly(&record.encode()).unwrap();
    let key = record.content_key(genesis(), 5, &patient_keys).unwrap();
    let described = record.describe(genesis(), 5, &key).unwrap();
    assert_eq!(described, visit[5].description);
}

#[test]
fn stored_plaintext_is_recognized_by_its_chunks_tag() {
    let content = content(2 * CHUNK_BYTES as usize + 7);
    let visit = [stated(SectionKind::Media, &content)];
    let patient_keys = PatientKeys::generate();
    let (record, stored) = seal_visit(&visit, &patient_keys);
    let key = record.content_key(genesis(), 0, &patient_keys).unwrap();
    let opener = record.open_media(genesis(), 0, &key).unwrap();
    let layout = opener.layout();
    let slice = |bytes: &[u8], range: std::ops::Range<u64>| {
        bytes[range.start as usize..range.end as usize].to_vec()
    };
    let tag = |chunk| slice(&stored, layout.tag(chunk).unwrap()).try_into().unwrap();
    for chunk in 0..3 {
        let mut kept = slice(&content, layout.chunk(chunk).unwrap());
        assert!(opener.is_chunk(chunk, &kept, &tag(chunk)));
        assert!(!opener.is_chunk(chunk, &kept, &tag((chunk + 1) % 3)));
        assert!(!opener.is_chunk(chunk + 1, &kept, &tag(chunk)));
        assert!(!opener.is_chunk(chunk, &kept[1..], &tag(chunk)));
        kept[3] ^= 1;
        assert!(!opener.is_chunk(chunk, &kept, &tag(chunk)));
    }
    assert!(!opener.is_chunk(u32::MAX, &[], &[0; 16]));
}
