//! Component A of a lite block: the records of its visits, encoded one directly after the other.

use codec::Encode;
use epione_primitives::{
    HospitalId, RecordId,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segment, Segments, record_hash,
        segments_root,
    },
    limits::{MAX_BODY_BYTES, MAX_ENTRIES, MAX_SEGMENTS},
};
use std::collections::{HashMap, HashSet};
use thiserror::Error;

use crate::{FormatError, record::Record};

/// A body disagrees with its announcement, or a record does not fit into it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    #[error("the block is full; put the record into the next one")]
    Full,
    #[error("a block needs at least one record")]
    Empty,
    #[error("record {index}: {error}")]
    Record { index: u16, error: FormatError },
    #[error(
        "record {index} does not begin where the previous record ends, or extends beyond the body"
    )]
    Range { index: u16 },
    #[error("the bytes of record {index} have another hash than its entry names")]
    Hash { index: u16 },
    #[error("record {index} has another id than its entry names")]
    Id { index: u16 },
    #[error("record {index} belongs to another patient than its entry names")]
    Patient { index: u16 },
    #[error(
        "record {index} belongs to hospital {hospital}, which is not the announcer of this block"
    )]
    Hospital { index: u16, hospital: HospitalId },
    #[error("record {index} appears in the block twice")]
    Repeated { index: u16 },
    #[error("the segments of record {index} differ from those in its entry")]
    Media { index: u16 },
    #[error("{extra} bytes of the body belong to no record")]
    Uncovered { extra: u64 },
    #[error("the announced segments differ from the segments of the records")]
    Segments,
    #[error("the block names segment {} with two lengths", hex::encode(hash))]
    Lengths { hash: [u8; 32] },
}

/// A block that is ready to be announced: the arguments of the `announce` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    pub header: AnnouncedHeader,
    pub entries: AnnouncedEntries,
    pub body: Vec<u8>,
}

/// Packs records into a body.
pub struct BodyBuilder {
    announcer: HospitalId,
    body: Vec<u8>,
    entries: Vec<AnnouncedEntry>,
    segments: Vec<Segment>,
    records: HashSet<RecordId>,
}

impl BodyBuilder {
    pub fn new(announcer: HospitalId) -> Self {
        let (body, entries, segments) = (Vec::new(), Vec::new(), Vec::new());
        Self { announcer, body, entries, segments, records: HashSet::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of records so far.
    pub fn records(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of media so far.
    pub fn media_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.length)).sum()
    }

    /// Whether the record fits within the limits of a block.
    pub fn fits(&self, record: &Record) -> bool {
        self.entries.len() < MAX_ENTRIES as usize
            && self.body.len() + record.encoded_size() <= MAX_BODY_BYTES as usize
            && self.segments.len() + record.segments().len() <= MAX_SEGMENTS as usize
    }

    pub fn push(&mut self, record: &Record) -> Result<(), BodyError> {
        let index = self.entries.len() as u16;
        if !self.fits(record) {
            return Err(BodyError::Full);
        }
        if record.hospital() != self.announcer {
            return Err(BodyError::Hospital { index, hospital: record.hospital() });
        }
        if !self.records.insert(record.id()) {
            return Err(BodyError::Repeated { index });
        }
        let (text, media) = (self.body.len() as u32, self.segments.len() as u32);
        record.encode_to(&mut self.body);
        self.segments.extend(record.segments());
        self.entries.push(AnnouncedEntry {
            record: record.id(),
            hash: record_hash(&self.body[text as usize..]),
            patient: record.patient(),
            text: Range { offset: text, length: self.body.len() as u32 - text },
            media: Range { offset: media, length: self.segments.len() as u32 - media },
        });
        Ok(())
    }

    pub fn finish(self) -> Result<Packed, BodyError> {
        if self.entries.is_empty() {
            return Err(BodyError::Empty);
        }
        let segments = summary(&self.segments);
        let header = AnnouncedHeader { announcer: self.announcer, segments };
        let entries = self.entries.try_into().map_err(|_| BodyError::Full)?;
        Ok(Packed { header, entries, body: self.body })
    }
}

/// The header's summary of a block's segments, given all of them in order.
pub fn summary(segments: &[Segment]) -> Segments {
    Segments {
        root: segments_root(segments),
        count: segments.len() as u32,
        bytes: segments.iter().map(|segment| u64::from(segment.length)).sum(),
    }
}

/// A body that agrees with its announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBody {
    /// One record for each entry, in order.
    pub records: Vec<Record>,
    /// The segments of the whole block, in order.
    pub segments: Vec<Segment>,
}

/// Checks what a hospital must verify before it approves. The entries cover the body without gap or overlap. Each
/// entry is one record, with the entry's hash, id and patient, of the announcing hospital. The records' segments are
/// those that the header commits to, and each segment has one length.
pub fn check(
    header: &AnnouncedHeader,
    entries: &[AnnouncedEntry],
    body: &[u8],
) -> Result<CheckedBody, BodyError> {
    if entries.is_empty() {
        return Err(BodyError::Empty);
    }
    let mut ids = HashSet::new();
    let (mut records, mut segments) = (Vec::new(), Vec::new());
    let mut end = 0;
    for (index, entry) in (0..).zip(entries) {
        if entry.text.offset != end {
            return Err(BodyError::Range { index });
        }
        end = entry.text.end().ok_or(BodyError::Range { index })?;
        let slice = slice(entry.text, body).ok_or(BodyError::Range { index })?;
        if record_hash(slice) != entry.hash {
            return Err(BodyError::Hash { index });
        }
        let record =
            Record::decode_exactly(slice).map_err(|error| BodyError::Record { index, error })?;
        check_record(&record, header.announcer, entry, segments.len() as u32, index)?;
        if !ids.insert(record.id()) {
            return Err(BodyError::Repeated { index });
        }
        segments.extend(record.segments());
        records.push(record);
    }
    if (end as usize) < body.len() {
        return Err(BodyError::Uncovered { extra: body.len() as u64 - u64::from(end) });
    }
    if segments.len() > MAX_SEGMENTS as usize || summary(&segments) != header.segments {
        return Err(BodyError::Segments);
    }
    check_lengths(&segments)?;
    Ok(CheckedBody { records, segments })
}

/// Segments with the same hash must have the same length.
fn check_lengths(segments: &[Segment]) -> Result<(), BodyError> {
    let mut lengths = HashMap::new();
    let wrong = segments
        .iter()
        .find(|segment| *lengths.entry(segment.hash).or_insert(segment.length) != segment.length);
    wrong.map_or(Ok(()), |segment| Err(BodyError::Lengths { hash: segment.hash }))
}

fn check_record(
    record: &Record,
    announcer: HospitalId,
    entry: &AnnouncedEntry,
    first_segment: u32,
    index: u16,
) -> Result<(), BodyError> {
    if record.id() != entry.record {
        return Err(BodyError::Id { index });
    }
    if record.patient() != entry.patient {
        return Err(BodyError::Patient { index });
    }
    if record.hospital() != announcer {
        return Err(BodyError::Hospital { index, hospital: record.hospital() });
    }
    let media = Range { offset: first_segment, length: record.segments().len() as u32 };
    if entry.media != media {
        return Err(BodyError::Media { index });
    }
    Ok(())
}

/// Decodes the record at a range of a body.
pub fn record_at(range: Range, body: &[u8]) -> Result<Record, FormatError> {
    let what = "the record's range";
    let slice = slice(range, body).ok_or_else(|| FormatError::Malformed {
        what,
        reason: "it extends beyond the body".into(),
    })?;
    Record::decode_exactly(slice)
}

fn slice(range: Range, body: &[u8]) -> Option<&[u8]> {
    body.get(range.offset as usize..range.end()? as usize)
}
