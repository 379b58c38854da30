//! Where the chunks and tags of a sealed object are.

use std::ops::Range;

use epione_primitives::limits::SEGMENT_BYTES;

use super::TAG_BYTES;

/// Offsets within a sealed object, which is the concatenation of its segments. The ciphertext of a chunk has the same
/// offset as its plaintext in the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    chunk_size: u32,
    plaintext_length: u64,
    chunks: u32,
}

impl Layout {
    /// None if the object would be longer than [`super::MAX_SEALED_BYTES`], or would have more chunks than nonces.
    pub(super) fn new(chunk_size: u32, plaintext_length: u64) -> Option<Self> {
        let chunks = plaintext_length.div_ceil(u64::from(chunk_size)).max(1);
        let sealed = chunks.checked_mul(u64::from(TAG_BYTES))?.checked_add(plaintext_length)?;
        let chunks = u32::try_from(chunks).ok()?;
        (sealed <= super::MAX_SEALED_BYTES).then_some(Self { chunk_size, plaintext_length, chunks })
    }

    /// Number of chunks, at least one: empty content is one empty chunk.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    pub fn plaintext_length(&self) -> u64 {
        self.plaintext_length
    }

    /// Ciphertext and tags together.
    pub fn sealed_length(&self) -> u64 {
        self.tags().end
    }

    /// The range of a chunk's ciphertext; none after the last chunk.
    pub fn chunk(&self, index: u32) -> Option<Range<u64>> {
        let start = u64::from(index) * u64::from(self.chunk_size);
        let end = (start + u64::from(self.chunk_size)).min(self.plaintext_length);
        (index < self.chunks).then_some(start..end)
    }

    /// The range of a chunk's tag; none after the last chunk.
    pub fn tag(&self, index: u32) -> Option<Range<u64>> {
        let start = self.plaintext_length + u64::from(index) * u64::from(TAG_BYTES);
        (index < self.chunks).then_some(start..start + u64::from(TAG_BYTES))
    }

    /// The range of all tags, in the order of the chunks: the object's tail.
    pub fn tags(&self) -> Range<u64> {
        let start = self.plaintext_length;
        start..start + u64::from(self.chunks) * u64::from(TAG_BYTES)
    }

    /// The chunks that contain a range of the content. Positions beyond its end are ignored.
    pub fn chunks_of(&self, plaintext: Range<u64>) -> Range<u32> {
        let end = plaintext.end.min(self.plaintext_length);
        if plaintext.start >= end {
            return 0..0;
        }
        let size = u64::from(self.chunk_size);
        // Both are below the number of chunks, which is a u32.
        (plaintext.start / size) as u32..end.div_ceil(size) as u32
    }

    /// The segments that contain a range of the sealed object: the position of each segment in the manifest, and the
    /// range within it. Positions beyond the end are ignored.
    pub fn in_segments(&self, sealed: Range<u64>) -> Vec<(usize, Range<u32>)> {
        let size = u64::from(SEGMENT_BYTES);
        let end = sealed.end.min(self.sealed_length());
        let mut pieces = Vec::new();
        let mut at = sealed.start;
        while at < end {
            let segment = at / size;
            let base = segment * size;
            let piece_end = end.min(base + size);
            // Offsets within a segment fit u32, and an object has fewer segments than usize counts.
            pieces.push((segment as usize, (at - base) as u32..(piece_end - base) as u32));
            at = piece_end;
        }
        pieces
    }

    /// Bytes of a chunk.
    pub(super) fn chunk_length(&self, index: u32) -> Option<usize> {
        self.chunk(index).map(|range| (range.end - range.start) as usize)
    }

    pub(super) fn is_last(&self, index: u32) -> bool {
        index == self.chunks - 1
    }
}
