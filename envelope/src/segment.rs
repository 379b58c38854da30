//! Segments: the pieces in which the sealed bytes of media are transferred and stored. The name of a segment is the
//! BLAKE3 hash of its (sealed) bytes.
//!
//! # Example
//!
//! ```
//! use epione_envelope::{
//!     keys::{ContentKey, SectionContext},
//!     object::{ObjectContext, ObjectOpener, ObjectSealer, Part},
//!     segment::{SegmentCutter, verify},
//! };
//! use epione_primitives::{Hash, HospitalId, RecordId, UserId};
//!
//! let section = SectionContext {
//!     genesis: Hash::repeat_byte(1),
//!     hospital: HospitalId(0),
//!     patient: UserId([2; 32]),
//!     record: RecordId([3; 16]),
//!     section: 0,
//! };
//! let context = ObjectContext { section, part: Part::Media, version: 1 };
//! let key = ContentKey::generate();
//!
//! // Seal content, and cut the sealed bytes into segments. This content needs only one.
//! let content = b"the pixels of an image";
//! let mut sealer = ObjectSealer::new(&key, &context, content.len() as u64)?;
//! let mut cutter = SegmentCutter::new();
//! let mut parts = cutter.push(sealer.push(content)?);
//! let (parameters, tags) = sealer.finish()?;
//! parts.extend(cutter.push(tags));
//! parts.extend(cutter.finish());
//! let segment = parts.iter().find_map(|part| part.ends).expect("one segment ends");
//! let stored: Vec<u8> = parts.into_iter().flat_map(|part| part.bytes).collect();
//!
//! // A reader verifies the segment by its name, then opens a chunk of the object.
//! verify(&segment, &stored)?;
//! let opener = ObjectOpener::new(&key, &context, &parameters)?;
//! let bytes = |range: std::ops::Range<u64>| &stored[range.start as usize..range.end as usize];
//! let layout = opener.layout();
//! let chunk = bytes(layout.chunk(0).expect("every object has a first chunk"));
//! let tag: &[u8; 16] = bytes(layout.tag(0).expect("every chunk has a tag")).try_into()?;
//! assert_eq!(opener.open_chunk(0, chunk, tag)?, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use thiserror::Error;

/// The key of a segment in an object store.
pub fn object_key(hash: &[u8; 32]) -> String {
    format!("segments/{}", hex::encode(hash))
}

/// The bytes are not those of the named segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are not those of segment {}", hex::encode(.name))]
pub struct WrongSegment {
    pub name: [u8; 32],
}

/// Checks bytes against a segment's name and length before they are stored, served or opened.
pub fn verify(segment: &Segment, bytes: &[u8]) -> Result<(), WrongSegment> {
    let mut check = SegmentCheck::new(segment);
    check.update(bytes);
    check.finish()
}

/// [`verify`] for a stream of bytes.
pub struct SegmentCheck {
    segment: Segment,
    hasher: blake3::Hasher,
}

impl SegmentCheck {
    pub fn new(segment: &Segment) -> Self {
        Self { segment: *segment, hasher: blake3::Hasher::new() }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Number of bytes so far.
    pub fn seen(&self) -> u64 {
        self.hasher.count()
    }

    pub fn finish(self) -> Result<(), WrongSegment> {
        let right = self.hasher.count() == u64::from(self.segment.length)
            && self.hasher.finalize() == self.segment.hash;
        if right { Ok(()) } else { Err(WrongSegment { name: self.segment.hash }) }
    }
}

/// Consecutive bytes of a sealed object, all of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPart {
    pub bytes: Vec<u8>,
    /// The segment's hash and length, on its last part only.
    pub ends: Option<Segment>,
}

/// Cuts the stream of a sealed object into segments.
pub struct SegmentCutter {
    hasher: blake3::Hasher,
    /// Bytes of the current segment so far, less than a whole segment.
    length: u32,
}

impl Default for SegmentCutter {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentCutter {
    pub fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), length: 0 }
    }

    /// Accepts the next bytes, and returns them split where segments end.
    pub fn push(&mut self, mut bytes: Vec<u8>) -> Vec<SegmentPart> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let room = (SEGMENT_BYTES - self.length) as usize;
            let rest = if bytes.len() > room { bytes.split_off(room) } else { Vec::new() };
            self.hasher.update(&bytes);
            self.length += u32::try_from(bytes.len()).expect("at most the room in a segment");
            let ends = (self.length == SEGMENT_BYTES).then(|| self.end());
            parts.push(SegmentPart { bytes, ends });
            bytes = rest;
        }
        parts
    }

    /// Ends the last segment, unless it ended with the last pushed bytes.
    pub fn finish(mut self) -> Option<SegmentPart> {
        (self.length > 0).then(|| SegmentPart { bytes: Vec::new(), ends: Some(self.end()) })
    }

    fn end(&mut self) -> Segment {
        let segment = Segment { hash: self.hasher.finalize().into(), length: self.length };
        self.hasher.reset();
        self.length = 0;
        segment
    }
}
