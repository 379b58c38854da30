//! Bodies of lite blocks: packed by one hospital, checked by the others.

use codec::Encode;
use epione_envelope::{
    body::{self, BodyBuilder, BodyError, Packed},
    keys::PatientKeys,
    record::{Record, SectionKind},
};
use epione_primitives::{
    Hash, HospitalId, RecordId, UserId,
    block::{AnnouncedEntry, record_hash, segments_root},
    limits::{MAX_BODY_BYTES, MAX_ENTRIES},
};

use crate::fixture::{HOSPITAL, content, seal_visit, stated, visit};

fn record() -> Record {
    seal_visit(&visit(), &PatientKeys::generate()).0
}

fn packed(records: &[Record]) -> Packed {
    let mut builder = BodyBuilder::new(HOSPITAL);
    records.iter().for_each(|record| builder.push(record).unwrap());
    builder.finish().unwrap()
}

/// Makes the entries state the hashes of what the body contains.
fn state_hashes(entries: &mut [AnnouncedEntry], body: &[u8]) {
    for entry in entries {
        let (start, end) = (entry.text.offset as usize, entry.text.end().unwrap() as usize);
        entry.hash = record_hash(&body[start..end]);
    }
}

#[test]
fn a_packed_body_passes_the_check() {
    let text = stated(SectionKind::Report, b"text");
    let records = [record(), seal_visit(&[text], &PatientKeys::generate()).0, record()];
    let Packed { header, entries, body } = packed(&records);
    let checked = body::check(&header, &entries, &body).unwrap();
    assert_eq!(checked.records, records);
    assert_eq!(header.segments.root, segments_root(&checked.segments));
    assert_eq!(header.segments.count, 2);
    assert_eq!(entries[1].media.length, 0);
    for (entry, record) in entries.iter().zip(&records) {
        assert_eq!((entry.record, entry.patient), (record.id(), record.patient()));
        assert_eq!(entry.hash, record_hash(&record.encode()));
    }
    assert_eq!(body::record_at(entries[2].text, &body).unwrap(), records[2]);
    assert_eq!(body, records.iter().flat_map(Encode::encode).collect::<Vec<_>>());
}

#[test]
fn a_body_that_differs_from_its_announcement_is_refused() {
    type Edit = fn(&mut Packed);
    let edits: [(Edit, &str); 12] = [
        (|packed| packed.entries[0].text.length -= 1, "record 0"),
        (|packed| packed.entries[1].text.offset += 1, "does not begin"),
        (|packed| packed.entries[1].text.length = u32::MAX, "does not begin"),
        (|packed| packed.entries[1].hash = Hash::zero(), "the bytes of record 1"),
        (|packed| packed.entries[1].record = RecordId([0; 16]), "another id"),
        (|packed| packed.entries[1].patient = UserId([0; 32]), "another patient"),
        (|packed| packed.entries[1].media.offset = 0, "segments"),
        (|packed| packed.entries[1].media.length = 2, "segments"),
        (|packed| packed.header.announcer = HospitalId(9), "to hospital 3"),
        (|packed| packed.header.segments.bytes += 1, "segments"),
        (|packed| packed.header.segments.root.0[0] ^= 1, "segments"),
        (|packed| packed.body.push(0), "belong to no record"),
    ];
    let original = packed(&[record(), record()]);
    for (edit, expected) in edits {
        let mut packed = original.clone();
        edit(&mut packed);
        let error = body::check(&packed.header, &packed.entries, &packed.body).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_segment_with_two_lengths_is_refused() {
    let other = stated(SectionKind::Media, &content(50_000));
    let records = [record(), seal_visit(&[other], &PatientKeys::generate()).0];
    let Packed { mut header, mut entries, mut body } = packed(&records);
    let [first, mut second] = [records[0].segments()[0], records[1].segments()[0]];
    let at = body.windows(32).position(|bytes| bytes == second.hash).unwrap();
    body[at..at + 32].copy_from_slice(&first.hash);
    second.hash = first.hash;
    state_hashes(&mut entries[..], &body);
    header.segments = body::summary(&[first, second]);
    let refused = body::check(&header, &entries, &body);
    assert_eq!(refused, Err(BodyError::Lengths { hash: first.hash }));
}

#[test]
fn a_damaged_body_is_refused() {
    let original = packed(&[record()]);
    for position in 0..1000.min(original.body.len()) {
        let mut packed = original.clone();
        packed.body[position] ^= 0xff;
        let refused = body::check(&packed.header, &packed.entries, &packed.body);
        assert_eq!(refused, Err(BodyError::Hash { index: 0 }), "{position}");
    }
}

/// A hospital can state the hashes of whatever it announces.
#[test]
fn a_forged_body_with_its_own_hashes_is_refused_or_differs_only_in_sealed_bytes() {
    let original = packed(&[record()]);
    for position in 0..1000.min(original.body.len()) {
        let mut packed = original.clone();
        packed.body[position] ^= 0xff;
        state_hashes(&mut packed.entries[..], &packed.body);
        if let Ok(checked) = body::check(&packed.header, &packed.entries, &packed.body) {
            assert_eq!(checked.records[0].encode(), packed.body);
        }
    }
}

#[test]
fn a_repeated_record_is_refused() {
    let record = record();
    let mut builder = BodyBuilder::new(HOSPITAL);
    builder.push(&record).unwrap();
    assert_eq!(builder.push(&record), Err(BodyError::Repeated { index: 1 }));

    let Packed { mut header, entries, body } = packed(std::slice::from_ref(&record));
    let mut second = entries[0].clone();
    second.text.offset = body.len() as u32;
    second.media.offset = 1;
    let entries: Vec<AnnouncedEntry> = vec![entries[0].clone(), second];
    header.segments = body::summary(&[record.segments(), record.segments()].concat());
    let twice = [body.clone(), body].concat();
    assert_eq!(body::check(&header, &entries, &twice), Err(BodyError::Repeated { index: 1 }));
}

#[test]
fn an_entry_that_hides_a_record_behind_the_id_of_another_is_refused() {
    let Packed { header, mut entries, body } = packed(&[record(), record()]);
    let (first, second) = (entries[0].record, entries[1].record);
    (entries[0].record, entries[1].record) = (second, first);
    assert_eq!(body::check(&header, &entries, &body), Err(BodyError::Id { index: 0 }));
}

#[test]
fn an_entry_that_names_the_bytes_of_another_record_is_refused() {
    let Packed { header, mut entries, body } = packed(&[record(), record()]);
    let (first, second) = (entries[0].hash, entries[1].hash);
    (entries[0].hash, entries[1].hash) = (second, first);
    assert_eq!(body::check(&header, &entries, &body), Err(BodyError::Hash { index: 0 }));
    entries[0].hash = first;
    assert_eq!(body::check(&header, &entries, &body), Err(BodyError::Hash { index: 1 }));
}

#[test]
fn an_empty_block_is_refused() {
    assert_eq!(BodyBuilder::new(HOSPITAL).finish().err(), Some(BodyError::Empty));
    let Packed { header, body, .. } = packed(&[record()]);
    assert_eq!(body::check(&header, &[], &body), Err(BodyError::Empty));
}

#[test]
fn a_record_of_another_hospital_is_refused() {
    let mut builder = BodyBuilder::new(HospitalId(9));
    let error = builder.push(&record());
    assert_eq!(error, Err(BodyError::Hospital { index: 0, hospital: HOSPITAL }));
}

#[test]
fn a_block_accepts_records_until_its_body_is_full() {
    let mut builder = BodyBuilder::new(HOSPITAL);
    let large = stated(SectionKind::Report, &content(400_000));
    let large = [large];
    let error = loop {
        let record = seal_visit(&large, &PatientKeys::generate()).0;
        let fits = builder.fits(&record);
        let pushed = builder.push(&record);
        assert_eq!(fits, pushed.is_ok());
        if let Err(error) = pushed {
            break error;
        }
    };
    assert_eq!(error, BodyError::Full);
    assert_eq!(builder.records(), 5);
    let Packed { header, entries, body } = builder.finish().unwrap();
    assert!(body.len() <= MAX_BODY_BYTES as usize);
    assert!(body::check(&header, &entries, &body).is_ok());
}

#[test]
fn a_block_accepts_as_many_records_as_the_chain_allows() {
    let visit = [stated(SectionKind::Report, b"x")];
    let patient_keys = PatientKeys::generate();
    let mut builder = BodyBuilder::new(HOSPITAL);
    for _ in 0..MAX_ENTRIES {
        builder.push(&seal_visit(&visit, &patient_keys).0).unwrap();
    }
    assert_eq!(builder.push(&seal_visit(&visit, &patient_keys).0), Err(BodyError::Full));
    let Packed { header, entries, body } = builder.finish().unwrap();
    assert_eq!(body::check(&header, &entries, &body).unwrap().records.len(), MAX_ENTRIES as usize);
}
