//! The sealed media of one section: their description, and which bytes of which segments contain a chunk.

use std::ops::Range;

use epione_envelope::{
    OpenError,
    object::{Layout, ObjectOpener, TAG_BYTES},
    record::{Description, Payload},
};
use epione_primitives::{RecordPointer, block::Segment, limits::SEGMENT_BYTES};

use super::{OpenRecord, ReadError};

pub(super) const TAG: usize = TAG_BYTES as usize;

/// A media section that is being read.
pub(super) struct Content<'r> {
    pub(super) pointer: RecordPointer,
    pub(super) section: usize,
    pub(super) description: Description,
    pub(super) segments: &'r [Segment],
    /// The id of the sealed object; no other object has the same.
    pub(super) object_id: [u8; 16],
    opener: ObjectOpener,
}

/// Consecutive chunks within one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) segment: usize,
    pub(super) chunks: Range<u32>,
    /// The range of their ciphertext in the segment.
    pub(super) bytes: Range<u32>,
}

impl OpenRecord {
    pub(super) fn content_of(&self, section: usize) -> Result<Content<'_>, ReadError> {
        let pointer = self.summary.pointer;
        let Some(Payload::Media { manifest, .. }) =
            self.record.sections().get(section).map(|section| &section.payload)
        else {
            return Err(ReadError::NotMedia { pointer, section });
        };
        // A record has at most 64 sections.
        let index = section as u16;
        let key = self.access.keys.get(&index).ok_or(ReadError::NotGranted { pointer, section })?;
        let failed = |source| ReadError::Open { pointer, section, source };
        let opener = self.record.open_media(self.genesis, index, key).map_err(failed)?;
        let description = self.record.describe(self.genesis, index, key).map_err(failed)?;
        let object_id = *manifest.parameters().object_id();
        let segments = manifest.segments();
        Ok(Content { pointer, section, description, segments, object_id, opener })
    }
}

impl Content<'_> {
    pub(super) fn layout(&self) -> Layout {
        self.opener.layout()
    }

    /// The error for content that does not open.
    pub(super) fn failed(&self, source: OpenError) -> ReadError {
        ReadError::Open { pointer: self.pointer, section: self.section, source }
    }

    /// Divides chunks into spans, which end where segments end, and after `most` bytes; a longer chunk is a span of its
    /// own.
    pub(super) fn spans(
        &self,
        chunks: Range<u32>,
        most: u32,
    ) -> impl Iterator<Item = Span> + use<> {
        let layout = self.layout();
        // A chunk's length is a power of two up to that of a segment, so no chunk lies in two segments.
        let in_segment = SEGMENT_BYTES / layout.chunk_size();
        let at_once = (most / layout.chunk_size()).max(1);
        let mut next = chunks.start;
        std::iter::from_fn(move || {
            let start = next;
            let segment = start / in_segment;
            let ends = [(segment + 1).saturating_mul(in_segment), start.saturating_add(at_once)];
            let end = ends.into_iter().fold(chunks.end, u32::min);
            if start >= end {
                return None;
            }
            next = end;
            let base = u64::from(segment) * u64::from(SEGMENT_BYTES);
            let within = |offset: u64| u32::try_from(offset - base).ok();
            let bytes = within(layout.chunk(start)?.start)?..within(layout.chunk(end - 1)?.end)?;
            Some(Span { segment: segment as usize, chunks: start..end, bytes })
        })
    }

    pub(super) fn open(
        &self,
        chunk: u32,
        sealed: &[u8],
        tag: &[u8; TAG],
    ) -> Result<Vec<u8>, OpenError> {
        self.opener.open_chunk(chunk, sealed, tag)
    }

    /// Whether plaintext from an earlier run is this chunk.
    pub(super) fn is_chunk(&self, chunk: u32, plaintext: &[u8], tag: &[u8; TAG]) -> bool {
        self.opener.is_chunk(chunk, plaintext, tag)
    }
}
