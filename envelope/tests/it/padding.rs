//! Sealed texts and descriptions have few lengths, and one padded form.

use codec::Encode;
use epione_envelope::{
    FormatError, OpenError, SealError,
    keys::{ContentKey, PatientKeys},
    object::{ObjectContext, Part, SealedObject},
    record::{
        Description, MAX_FILE_NAME_BYTES, MAX_TEXT_BYTES, Payload, Record, Section, SectionKind,
    },
};
use epione_primitives::limits::MAX_BODY_BYTES;
use proptest::prelude::*;

use crate::{
    fixture::{Stated, content, genesis, seal_visit, section_context, stated, visit},
    oracle,
};

/// The longest plaintext that is sealed in padded form: with the next one, the sealed bytes exceed the limit of a body.
const LIMIT: usize = 63 * 32_768 - 4;

fn text_context() -> ObjectContext {
    ObjectContext { section: section_context(), part: Part::Text, version: 1 }
}

fn text(kind: SectionKind, content: &[u8]) -> Stated {
    let description = Description::of(kind, "text/plain", "", content).unwrap();
    Stated { description, content: content.to_vec() }
}

/// The object with a section's text, or with the description of its media.
fn object(section: &Section) -> (&SealedObject, Part) {
    match &section.payload {
        Payload::Text(object) => (object, Part::Text),
        Payload::Media { description, .. } => (description, Part::Description),
    }
}

#[test]
fn short_texts_cannot_be_told_apart_by_their_sealed_lengths() {
    let texts = [
        text(SectionKind::Gender, b"male"),
        text(SectionKind::Gender, b"female"),
        text(SectionKind::BirthDate, b"1970-01-01"),
        text(SectionKind::IdNumber, b"756.1234.5678.97"),
        text(SectionKind::Name, b""),
        stated(SectionKind::Diagnosis, b"{\"resourceType\":\"Condition\"}"),
        stated(SectionKind::Report, &content(150)),
    ];
    let (record, _) = seal_visit(&texts, &PatientKeys::generate());
    let sizes: Vec<_> = record.sections().iter().map(Encode::encoded_size).collect();
    assert_eq!(sizes, [sizes[0]; 7]);
    assert_eq!(object(&record.sections()[0]).0.parameters().layout().plaintext_length(), 256);
}

#[test]
fn file_names_cannot_be_told_apart_by_the_sealed_lengths_of_descriptions() {
    let image = |name: &str| {
        let media = SectionKind::Media;
        let description = Description::of(media, "application/dicom", name, b"image").unwrap();
        Stated { description, content: b"image".to_vec() }
    };
    let uid = format!("1.2.826.0.1.{}.dcm", "7".repeat(52));
    assert_eq!(uid.len(), 68);
    let images = [image("a.dcm"), image("smith-zoe-hiv-clinic.dcm"), image(&uid), image("")];
    let (record, _) = seal_visit(&images, &PatientKeys::generate());
    let sizes: Vec<_> = record.sections().iter().map(Encode::encoded_size).collect();
    assert_eq!(sizes, [sizes[0]; 4]);
}

#[test]
fn texts_of_every_size_round_trip_up_to_the_limit() {
    let keys = PatientKeys::generate();
    for length in [0, 1, 255, 256, 257, 70_000, MAX_TEXT_BYTES as usize] {
        // It does not compress, and its description is as long as a text's can be.
        let content = content(length);
        let name = "n".repeat(MAX_FILE_NAME_BYTES as usize);
        let kind = SectionKind::Report;
        let description = Description::of(kind, &"m".repeat(127), &name, &content).unwrap();
        let visit = [Stated { description, content }];
        let (record, _) = seal_visit(&visit, &keys);
        let record = Record::decode_exactly(&record.encode()).unwrap();
        let key = record.content_key(genesis(), 0, &keys).unwrap();
        let (description, opened) = record.open_text(genesis(), 0, &key).unwrap();
        assert_eq!(description, visit[0].description);
        assert!(*opened == visit[0].content, "{length}");
        assert_eq!(record.describe(genesis(), 0, &key).unwrap(), description);
    }
}

#[test]
fn objects_of_every_size_round_trip_up_to_the_limit() {
    let (key, context) = (ContentKey::generate(), text_context());
    for length in [0, 1, 251, 252, 253, 255, 256, 257, 65_536, 1 << 20, LIMIT] {
        let plaintext = content(length);
        let object = SealedObject::seal_padded(&key, &context, &plaintext).unwrap();
        let object = SealedObject::decode_exactly(&object.encode()).unwrap();
        assert!(object.bytes().len() <= MAX_BODY_BYTES as usize);
        assert!(*object.open_padded(&key, &context).unwrap() == plaintext, "{length}");
        assert!(*object.open(&key, &context).unwrap() == oracle::pad(&plaintext), "{length}");
    }
    for length in [LIMIT + 1, MAX_BODY_BYTES as usize, MAX_BODY_BYTES as usize + 1] {
        let refused = SealedObject::seal_padded(&key, &context, &content(length));
        let error = refused.err();
        assert!(
            matches!(error, Some(SealError::Format(FormatError::TooLarge { .. }))),
            "{length}: {error:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_implementations_pad_alike(
        plaintext in prop::collection::vec(any::<u8>(), 0..20_000),
        key: [u8; 32],
    ) {
        let (key, context) = (ContentKey::from_bytes(key), text_context());
        let padded = oracle::pad(&plaintext);
        prop_assert_eq!(oracle::unpad(&padded), Some(plaintext.clone()));
        let by_library = SealedObject::seal_padded(&key, &context, &plaintext).unwrap();
        let opened = by_library.open(&key, &context).unwrap();
        prop_assert_eq!(&*opened, &padded);
        let by_oracle = SealedObject::seal(&key, &context, &padded).unwrap();
        let opened = by_oracle.open_padded(&key, &context).unwrap();
        prop_assert_eq!(&*opened, &plaintext);
    }
}

/// The record with the padded plaintext of a section edited and sealed again, as a hostile hospital could do it.
fn resealed(record: &Record, section: u16, key: &ContentKey, edit: fn(&mut Vec<u8>)) -> Record {
    let old = &record.sections()[usize::from(section)];
    let (sealed, part) = object(old);
    let section = record.context(genesis(), section);
    let context = ObjectContext { section, part, version: 1 };
    let mut padded = sealed.open(key, &context).unwrap().to_vec();
    edit(&mut padded);
    let object = SealedObject::seal(key, &context, &padded).unwrap();
    let payload = match &old.payload {
        Payload::Text(_) => Payload::Text(object),
        Payload::Media { manifest, .. } => {
            Payload::Media { description: object, manifest: manifest.clone() }
        }
    };
    let new = Section { payload, ..old.clone() }.encode();
    let (encoded, old) = (record.encode(), old.encode());
    let at = encoded.windows(old.len()).position(|window| window == old).unwrap();
    let edited = [&encoded[..at], &new, &encoded[at + old.len()..]].concat();
    Record::decode_exactly(&edited).unwrap()
}

#[test]
fn a_section_with_other_padding_does_not_open() {
    let keys = PatientKeys::generate();
    let (record, _) = seal_visit(&visit(), &keys);
    type Edit = fn(&mut Vec<u8>);
    let edits: [(&str, Edit); 8] = [
        ("the last byte is not zero", |padded| padded[255] = 1),
        ("the first byte after the plaintext is not zero", |padded| {
            let length = u32::from_le_bytes(padded[..4].try_into().unwrap()) as usize;
            padded[4 + length] = 0x80;
        }),
        ("one zero less", |padded| padded.truncate(255)),
        ("one zero more", |padded| padded.push(0)),
        ("the next padded length", |padded| padded.resize(272, 0)),
        ("no padding, as sections had none before", |padded| {
            *padded = oracle::unpad(padded).unwrap();
        }),
        ("a zero belongs to the plaintext", |padded| padded[0] += 1),
        ("the plaintext ends beyond the padding", |padded| padded[3] = 1),
    ];
    // A short text, and the description of media.
    for section in [1, 2] {
        let key = record.content_key(genesis(), section, &keys).unwrap();
        let same = resealed(&record, section, &key, |_| ());
        assert_ne!(same, record);
        assert_eq!(
            same.describe(genesis(), section, &key),
            record.describe(genesis(), section, &key)
        );
        for (what, edit) in edits {
            let edited = resealed(&record, section, &key, edit);
            if section == 1 {
                let opened = edited.open_text(genesis(), section, &key);
                assert_eq!(opened.err(), Some(OpenError), "{what}");
            }
            // The description of a text is read without its content, and a zero more in the content is not noticed.
            if section == 2 || what != "a zero belongs to the plaintext" {
                assert_eq!(edited.describe(genesis(), section, &key), Err(OpenError), "{what}");
            }
        }
    }
}
