use epione_envelope::{
    frames::{Frames, MAX_LISTED_FRAMES, NoFrames},
    record::SectionKind::{Media, Report, Summary},
};
use epione_primitives::release::SectionSet;

use super::*;

const GENESIS: Hash = Hash::repeat_byte(9);
const SIGNED_AT: SignedAt = SignedAt { number: 40, hash: Hash::repeat_byte(4) };
const NURSE: UserId = UserId([5; 32]);

fn builder() -> VisitBuilder {
    VisitBuilder::new(GENESIS, UserId([1; 32]), HospitalId(2), UserId([3; 32]))
}

fn author() -> Account {
    Account::development("//Doctor").unwrap()
}

fn sections(indices: &[u16]) -> SectionSet {
    let mut set = SectionSet::default();
    assert!(indices.iter().all(|index| set.insert(*index)));
    set
}

fn never_the_first() -> Extraction {
    Extraction { never: sections(&[0]), ..Extraction::default() }
}

fn written(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn dicom() -> Vec<u8> {
    include_bytes!("../../../samples/dicom/single.dcm").to_vec()
}

#[tokio::test]
async fn the_worker_rebuilds_what_the_author_signed() {
    let folder = tempfile::tempdir().unwrap();
    let scan = written(&folder, "CT_small.dcm", &dicom());
    let visit = builder()
        .text(Summary, r#"{"resourceType":"Condition"}"#)
        .file(Media, &scan)
        .build(&author(), SIGNED_AT)
        .await
        .unwrap();

    let json = serde_json::to_vec(&visit.request).unwrap();
    let request: VisitRequest = serde_json::from_slice(&json).unwrap();
    let signed = signed_draft(&request).unwrap();

    signed.verify(GENESIS, &author().id()).unwrap();
    assert_eq!(visit.media[0].section, 1);
    assert_eq!(visit.media[0].bytes, dicom().len() as u64);
    assert_eq!(request.sections[0].media_type, "application/fhir+json");
    assert_eq!(request.sections[1].media_type, "application/dicom");
    assert_eq!(request.sections[1].name.as_deref(), Some("CT_small.dcm"));
}

#[tokio::test]
async fn a_visit_that_was_signed_earlier_needs_the_same_number_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let scan = written(&folder, "CT_small.dcm", &dicom());
    let visit = builder()
        .text(Summary, "all well")
        .file(Media, &scan)
        .build(&author(), SIGNED_AT)
        .await
        .unwrap();
    let again = |files| Visit::signed_earlier(visit.request.clone(), files);
    assert_eq!(again(vec![scan.clone()]), Some(visit.clone()));
    assert_eq!(again(vec![]), None);
    assert_eq!(again(vec![scan.clone(), scan.clone()]), None);
}

#[tokio::test]
async fn the_patient_signs_what_the_author_signed() {
    let patient = Account::development("//Patient").unwrap();
    let visit = async |cosigner| {
        let builder = builder().text(Report, "all well");
        builder.cosigned_by(cosigner).build(&author(), SIGNED_AT).await.unwrap()
    };
    let json = serde_json::to_vec(&visit(Some(patient.clone())).await.request).unwrap();
    let signed = signed_draft(&serde_json::from_slice(&json).unwrap()).unwrap();
    signed.verify(GENESIS, &author().id()).unwrap();
    signed.verify_cosignature(GENESIS, &patient.id()).unwrap();
    assert!(signed.verify_cosignature(GENESIS, &author().id()).is_err());

    let alone = visit(None).await.request;
    let json = serde_json::to_string(&alone).unwrap();
    assert!(!json.contains("patientSignature"), "{json}");
    let signed = signed_draft(&alone).unwrap();
    signed.verify(GENESIS, &author().id()).unwrap();
    assert!(signed.verify_cosignature(GENESIS, &patient.id()).is_err());
}

#[tokio::test]
async fn a_nurse_signs_what_the_author_signed() {
    let nurse = Account::development("//Nurse").unwrap();
    let builder = builder().text(Report, "all well").nursed_by(Some((NURSE, nurse.clone())));
    let visit = builder.build(&author(), SIGNED_AT).await.unwrap();
    let json = serde_json::to_vec(&visit.request).unwrap();
    let request: VisitRequest = serde_json::from_slice(&json).unwrap();
    let signed = signed_draft(&request).unwrap();
    assert_eq!(signed.draft.nurse, Some(NURSE));
    signed.verify(GENESIS, &author().id()).unwrap();
    signed.verify_nurse(GENESIS, &nurse.id()).unwrap();
    assert!(signed.verify_nurse(GENESIS, &author().id()).is_err());

    // Neither can be taken away, and no other nurse be named.
    let altered = |alter: fn(&mut VisitRequest)| {
        let mut request = request.clone();
        alter(&mut request);
        signed_draft(&request)
    };
    let halves: [fn(&mut VisitRequest); 2] = [|it| it.nurse = None, |it| it.nurse_signature = None];
    for half in halves {
        assert!(matches!(altered(half), Err(VisitError::NurseSignature)));
    }
    let without = altered(|it| (it.nurse, it.nurse_signature) = (None, None)).unwrap();
    assert!(without.verify(GENESIS, &author().id()).is_err());
    let other = altered(|it| it.nurse = Some(UserId([6; 32]))).unwrap();
    assert!(other.verify(GENESIS, &author().id()).is_err());
}

#[tokio::test]
async fn an_author_or_a_patient_is_not_the_nurse_of_the_same_visit() {
    let nurse = Account::development("//Nurse").unwrap();
    for user in [UserId([3; 32]), UserId([1; 32])] {
        let builder = builder().text(Report, "all well").nursed_by(Some((user, nurse.clone())));
        let refused = builder.build(&author(), SIGNED_AT).await.unwrap_err();
        assert!(matches!(refused, VisitError::Format(_)), "{refused}");
    }
}

#[tokio::test]
async fn what_may_be_disclosed_is_signed_and_must_fit_the_sections() {
    let build = async |extraction| {
        let two = builder().text(Report, "all well").text(Summary, "well");
        two.with_extraction(extraction).build(&author(), SIGNED_AT).await
    };
    let mandatory = Extraction { mandatory: sections(&[1]), ..Extraction::default() };
    let visit = build(mandatory.clone()).await.unwrap();
    let json = serde_json::to_string(&visit.request).unwrap();
    let signed = signed_draft(&serde_json::from_str(&json).unwrap()).unwrap();
    signed.verify(GENESIS, &author().id()).unwrap();
    assert_eq!(signed.draft.extraction, mandatory);

    let plain = build(Extraction::default()).await.unwrap();
    assert!(!serde_json::to_string(&plain.request).unwrap().contains("extraction"));

    let beyond = Extraction { never: sections(&[2]), ..Extraction::default() };
    assert!(matches!(build(beyond.clone()).await, Err(VisitError::Format(_))));
    let forged = VisitRequest { extraction: beyond, ..plain.request };
    assert!(matches!(signed_draft(&forged), Err(VisitError::Format(_))));
}

#[tokio::test]
async fn a_visit_names_the_block_at_which_it_was_signed_and_gets_too_old() {
    let visit = builder().text(Report, "all well").build(&author(), SIGNED_AT).await.unwrap();
    let json = serde_json::to_value(&visit.request).unwrap();
    assert_eq!(json["signedAt"]["number"], serde_json::json!(40));
    assert_eq!(signed_draft(&visit.request).unwrap().draft.signed_at, SIGNED_AT);
    let last = SIGNED_AT.number + MAX_SUBMISSION_AGE_BLOCKS;
    for (newest, fresh) in [(0, true), (40, true), (last, true), (last + 1, false)] {
        assert_eq!(visit.is_fresh_at(newest), fresh, "{newest}");
    }
    let mut old = serde_json::to_value(&visit.request).unwrap();
    old.as_object_mut().unwrap().remove("signedAt");
    assert!(serde_json::from_value::<VisitRequest>(old).is_err());
}

#[tokio::test]
async fn the_frames_of_an_image_are_signed_and_sent_with_the_visit() {
    let folder = tempfile::tempdir().unwrap();
    let (cine, _) = crate::dicom::samples::cine(12, 2);
    let path = written(&folder, "cine.dcm", &cine);
    let visit = builder().file(Media, path).build(&author(), SIGNED_AT).await.unwrap();

    let json = serde_json::to_vec(&visit.request).unwrap();
    let signed = signed_draft(&serde_json::from_slice(&json).unwrap()).unwrap();
    signed.verify(GENESIS, &author().id()).unwrap();
    let frames = &signed.draft.sections[0].frames;
    assert_eq!(frames.count(), 12);
    assert_eq!(frames.extent(12).unwrap().bytes.end, cine.len() as u64);

    let altered = |change: fn(&mut Frames)| {
        let mut request = visit.request.clone();
        let ContentUpload::Media { frames, .. } = &mut request.sections[0].content else {
            panic!()
        };
        change(frames);
        signed_draft(&request)
    };
    let other =
        altered(|frames| *frames = Frames::Native { first: 1, bits: 8, count: 1, stated: 1 });
    assert!(other.unwrap().verify(GENESIS, &author().id()).is_err());
    let none = altered(|frames| *frames = Frames::None(NoFrames::Video));
    assert!(none.unwrap().verify(GENESIS, &author().id()).is_err());
    let beyond = altered(|frames| {
        *frames = Frames::Native { first: 1, bits: 8, count: u32::MAX, stated: u32::MAX };
    });
    assert!(beyond.unwrap_err().to_string().contains("frame index"));
}

#[test]
fn frames_are_listed_up_to_the_limit_of_the_record() {
    let described = |count: u32| {
        let lengths = vec![9; count as usize];
        let frames = Frames::Encapsulated { first: 0, lengths, stated: count };
        Description::new(Media, "application/dicom", "", 1 << 30, [0; 32], frames).unwrap()
    };
    let mut sections = [MAX_LISTED_FRAMES - 10, 20, 10, 1].map(described);
    bound_frames(&mut sections);
    let counts = sections.each_ref().map(|section| section.frames.count());
    assert_eq!(counts, [MAX_LISTED_FRAMES - 10, 0, 10, 0]);
    assert_eq!(sections[1].frames, Frames::None(NoFrames::TooMany));
}

#[tokio::test]
async fn a_visit_that_was_altered_after_signing_does_not_verify() {
    let visit = builder().text(Report, "all well").build(&author(), SIGNED_AT).await.unwrap();
    let holds = |request: &VisitRequest| {
        signed_draft(request).unwrap().verify(GENESIS, &author().id()).is_ok()
    };
    assert!(holds(&visit.request));

    let alterations: [fn(&mut VisitRequest); 9] = [
        |request| request.patient = UserId([8; 32]),
        |request| request.hospital = HospitalId(8),
        |request| request.record_id = RecordId([8; 16]),
        |request| request.sections[0].content = ContentUpload::Text("not well".into()),
        |request| request.signed_at.number += 1,
        |request| request.signed_at.hash = Hash::zero(),
        |request| request.extraction = never_the_first(),
        |request| request.author = UserId([8; 32]),
        |request| request.sections[0].kind = "summary".into(),
    ];
    for alter in alterations {
        let mut request = visit.request.clone();
        alter(&mut request);
        assert!(!holds(&request));
    }
}

#[tokio::test]
async fn a_visit_without_sections_is_refused() {
    let error = builder().build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(matches!(error, VisitError::NoSections));
}

#[tokio::test]
async fn empty_texts_and_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let empty = written(&folder, "empty.dcm", b"");
    let error = builder().file(Media, &empty).build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(error.to_string().contains("empty.dcm"), "{error}");

    let error = builder().text(Report, "  \n").build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(matches!(error, VisitError::EmptyText { section: 0 }));
}

#[tokio::test]
async fn folders_and_missing_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let build = |path: PathBuf| builder().file(Media, path);
    let error = build(folder.path().into()).build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(matches!(error, VisitError::NotFile(_)), "{error}");
    let error =
        build(folder.path().join("missing.dcm")).build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(error.to_string().contains("missing.dcm"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_dicom_is_kept_as_opaque_media() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("short.dcm", b"DICM".to_vec()), ("named-so.dcm", vec![b'x'; 500])] {
        let path = written(&folder, name, &content);
        let visit = builder().file(Media, path).build(&author(), SIGNED_AT).await.unwrap();
        assert_eq!(visit.media[0].media_type, "application/octet-stream", "{name}");
    }
}

#[tokio::test]
async fn texts_over_the_limits_are_refused() {
    let long = "x".repeat(MAX_TEXT_BYTES as usize + 1);
    let error = builder().text(Report, long).build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(matches!(error, VisitError::LongText { section: 0, .. }), "{error}");

    let full = "x".repeat(MAX_TEXT_BYTES as usize);
    let three = (0..3).fold(builder(), |builder, _| builder.text(Report, full.clone()));
    let error = three.build(&author(), SIGNED_AT).await.unwrap_err();
    assert!(matches!(error, VisitError::LongTexts { bytes: 3_145_728 }), "{error}");

    let many = (0..=MAX_SECTIONS).fold(builder(), |builder, _| builder.text(Report, "x"));
    assert!(matches!(many.build(&author(), SIGNED_AT).await, Err(VisitError::TooManySections(65))));
}

/// JSON escapes each of these characters, some with three times their bytes.
#[tokio::test]
async fn the_limit_of_a_text_counts_the_bytes_of_its_author() {
    let ascii = |json: String| {
        let escaped = |c: char| match c {
            '\u{80}'.. => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        };
        json.chars().map(escaped).collect::<String>()
    };
    for character in ["\"", "\n", "\\", "ö", "漢"] {
        let count = MAX_TEXT_BYTES as usize / character.len() - 1;
        let text = format!("x{}", character.repeat(count));
        let (one, other) = (text.clone(), text);
        let visit = builder()
            .text(Report, one)
            .text(Report, other)
            .build(&author(), SIGNED_AT)
            .await
            .unwrap();
        let json = ascii(serde_json::to_string(&visit.request).unwrap());
        assert!(json.len() <= MAX_VISIT_JSON_BYTES, "{character:?}: {}", json.len());
        let request: VisitRequest = serde_json::from_str(&json).unwrap();
        signed_draft(&request).unwrap().verify(GENESIS, &author().id()).unwrap();
    }
    let mut request = builder()
        .text(Report, "x".repeat(MAX_TEXT_BYTES as usize))
        .build(&author(), SIGNED_AT)
        .await
        .unwrap()
        .request;
    let section = request.sections[0].clone();
    request.sections.extend([section.clone(), section]);
    let error = signed_draft(&request).unwrap_err();
    assert!(matches!(error, VisitError::LongTexts { .. }), "{error}");
}

#[tokio::test]
async fn a_text_with_control_characters_is_refused() {
    for (text, odd) in [("a\0b", '\0'), ("\x1b[2Ja", '\x1b'), ("a\x7f", '\x7f')] {
        let error = builder().text(Report, text).build(&author(), SIGNED_AT).await.unwrap_err();
        let VisitError::ControlCharacter { section: 0, character } = error else {
            panic!("{error}");
        };
        assert_eq!(character, odd);
    }
    let text = "a\tb\r\nc\x0cd";
    builder().text(Report, text).build(&author(), SIGNED_AT).await.unwrap();
}

#[tokio::test]
async fn a_byte_order_mark_is_kept_but_does_not_count_as_text() {
    let text = "\u{feff}{\"resourceType\":\"Observation\"}";
    let visit = builder().text(Report, text).build(&author(), SIGNED_AT).await.unwrap();
    let section = &visit.request.sections[0];
    assert_eq!(section.media_type, FHIR_JSON);
    assert_eq!(section.content, ContentUpload::Text(text.into()));
    let empty = builder().text(Report, "\u{feff} \n").build(&author(), SIGNED_AT).await;
    assert!(matches!(empty, Err(VisitError::EmptyText { section: 0 })), "{empty:?}");
}

#[tokio::test]
async fn a_file_may_have_another_name_than_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "63", &dicom());
    let named = async |name: &str| {
        let builder = builder().file_named(Media, &path, name);
        builder.build(&author(), SIGNED_AT).await.unwrap().request.sections[0].name.clone()
    };
    assert_eq!(named("CT.dcm").await.as_deref(), Some("CT.dcm"));
    assert_eq!(named("").await, None);
}

#[test]
fn a_texts_media_type_follows_from_its_content() {
    for (text, media_type) in [
        (r#" {"resourceType": "Observation", "status": "final"}"#, FHIR_JSON),
        (r#"{"status": "final"}"#, JSON),
        ("[1, 2]", JSON),
        ("\u{feff}{\"resourceType\": \"Patient\"}", FHIR_JSON),
        ("\u{feff}\r\n[1]", JSON),
        ("{not json", PLAIN_TEXT),
        ("42", PLAIN_TEXT),
        ("blood pressure 120/80", PLAIN_TEXT),
    ] {
        assert_eq!(text_type(text), media_type, "{text}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_with_what_is_wrong() {
    let visit = builder().text(Report, "all well").build(&author(), SIGNED_AT).await.unwrap();
    let refused = |alter: fn(&mut VisitRequest)| {
        let mut request = visit.request.clone();
        alter(&mut request);
        signed_draft(&request).unwrap_err().to_string()
    };
    assert!(refused(|request| request.sections[0].salt = "00".into()).contains("salt"));
    assert!(refused(|request| request.sections[0].kind = "rumour".into()).contains("kind"));
    assert!(refused(|request| request.sections.clear()).contains("at least one"));
    assert!(refused(|request| request.author_signature = "zz".into()).contains("author's"));
    assert!(refused(|it| it.patient_signature = Some("00".into())).contains("patient's"));
    let nurse = |it: &mut VisitRequest| {
        (it.nurse, it.nurse_signature) = (Some(NURSE), Some("00".into()));
    };
    assert!(refused(nurse).contains("nurse's"));
    let empty = |request: &mut VisitRequest| {
        request.sections[0].content =
            ContentUpload::Media { bytes: 0, blake3: "00".repeat(32), frames: Frames::default() };
    };
    assert!(refused(empty).contains("length"));
}
