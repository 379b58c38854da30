//! A part of media: a range of bytes, or a frame of an image. Only the chunks that contain it are fetched.
//!
//! A partial read proves that every byte is as the hospital sealed it, for this record, this section and this place in
//! it: each chunk has a tag under the content key, to which the object's header is bound by its commitment. It does
//! **not** prove that the author signed these bytes: the author's signature covers the BLAKE3 of the whole content,
//! which can be computed from the whole content only. The hospital checked that once, when it sealed the record; a
//! reader of the whole content checks it, too. The frame index is the author's statement, signed with the description.

use std::{borrow::Cow, ops::Range, path::Path};

use epione_envelope::frames::{Extent, Form, ITEM_HEADER_BYTES};
use tokio::{
    fs,
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{
    OpenRecord, ReadError, Reader, SavedMedia,
    fetcher::{Fetcher, Scope},
    partial::Partial,
};
use crate::Progress;

/// A part of a section's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes of the content.
    Range(Range<u64>),
    /// A frame of an image, counted from 1.
    Frame(u32),
}

impl Reader {
    /// Writes a range of a section's media into a sink, and returns the number of bytes. What was written before an
    /// error is right, but incomplete.
    pub async fn read_range(
        &self,
        record: &OpenRecord,
        section: usize,
        range: Range<u64>,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<u64, ReadError> {
        let fetcher = self.fetcher(record, section, &progress)?;
        fetcher.read(&Part::Range(range), sink, |_| {}).await
    }

    /// Writes a frame of a section's image into a sink, and returns the number of bytes. Native pixels are written as
    /// they are stored, from their first bit on if a pixel has a single bit; of a compressed frame the codestream is
    /// written, without the item tags between its fragments.
    pub async fn read_frame(
        &self,
        record: &OpenRecord,
        section: usize,
        frame: u32,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<u64, ReadError> {
        let fetcher = self.fetcher(record, section, &progress)?;
        fetcher.read(&Part::Frame(frame), sink, |_| {}).await
    }

    /// Saves a part of a section's media in a new file, which gets its name when it is complete. The returned BLAKE3 is
    /// that of the part.
    pub async fn save_part(
        &self,
        record: &OpenRecord,
        section: usize,
        part: &Part,
        to: &Path,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<SavedMedia, ReadError> {
        self.fetcher(record, section, &progress)?.save_part(part, to).await
    }
}

impl Fetcher<'_> {
    pub(super) async fn save_part(&self, part: &Part, to: &Path) -> Result<SavedMedia, ReadError> {
        let failed = |source| ReadError::File { path: to.into(), source };
        if fs::try_exists(to).await.map_err(failed)? {
            return Err(ReadError::Exists(to.into()));
        }
        self.located(part)?;
        let mut partial = Partial::fresh(to)?;
        let mut hasher = blake3::Hasher::new();
        let written = self.read(part, partial.sink(), |bytes| {
            hasher.update(bytes);
        });
        let bytes = match written.await {
            Err(ReadError::Sink(source)) => {
                return Err(ReadError::File { path: to.into(), source });
            }
            written => written?,
        };
        partial.publish().await?;
        Ok(SavedMedia { path: to.into(), bytes, blake3: hasher.finalize().into() })
    }

    /// Writes a part into a sink; calls `digest` for the same bytes.
    pub(super) async fn read(
        &self,
        part: &Part,
        sink: &mut (impl AsyncWrite + Unpin),
        mut digest: impl FnMut(&[u8]),
    ) -> Result<u64, ReadError> {
        let content = &self.content;
        let (range, mut frame) = self.located(part)?;
        let layout = content.layout();
        let wanted = layout.chunks_of(range.clone());
        let begin = layout.chunk(wanted.start).map_or(0, |chunk| chunk.start);
        let end = layout.chunk(wanted.end.saturating_sub(1)).map_or(0, |chunk| chunk.end);
        self.tally.begin(0, end.saturating_sub(begin));
        let mut chunks = self.chunks(wanted, Scope::Chunks);
        let mut written = 0;
        while let Some((chunk, plain)) = chunks.next().await? {
            let start = layout.chunk(chunk).map_or(0, |chunk| chunk.start);
            let within = |offset: u64| (offset.saturating_sub(start) as usize).min(plain.len());
            let bytes = &plain[within(range.start)..within(range.end)];
            let bytes = match &mut frame {
                Pieces::Plain => Cow::Borrowed(bytes),
                Pieces::Packed(packed) => packed.unpack(bytes).into(),
                Pieces::Fragments(fragments) => {
                    fragments.strip(bytes).ok_or_else(|| self.no_frame(part))?.into()
                }
            };
            digest(&bytes);
            sink.write_all(&bytes).await.map_err(ReadError::Sink)?;
            written += bytes.len() as u64;
        }
        if !frame.is_whole() {
            return Err(self.no_frame(part));
        }
        sink.flush().await.map_err(ReadError::Sink)?;
        Ok(written)
    }

    /// The range of a part, and how to convert the bytes there.
    fn located(&self, part: &Part) -> Result<(Range<u64>, Pieces), ReadError> {
        let (pointer, section) = (self.content.pointer, self.content.section);
        let described = &self.content.description;
        let bytes = described.content_length;
        match part {
            Part::Range(range) if range.start < range.end && range.end <= bytes => {
                Ok((range.clone(), Pieces::Plain))
            }
            Part::Range(range) => {
                Err(ReadError::BeyondEnd { pointer, section, range: range.clone(), bytes })
            }
            Part::Frame(frame) => {
                let no_frame =
                    |reason| ReadError::NoFrame { pointer, section, frame: *frame, reason };
                let Extent { bytes, form } = described.frames.extent(*frame).map_err(no_frame)?;
                Ok((bytes, Pieces::of(form)))
            }
        }
    }

    fn no_frame(&self, part: &Part) -> ReadError {
        let (pointer, section) = (self.content.pointer, self.content.section);
        let frame = if let Part::Frame(frame) = part { *frame } else { 0 };
        ReadError::NotFragments { pointer, section, frame }
    }
}

/// Converts the bytes of a range into the part, piece by piece.
enum Pieces {
    Plain,
    Packed(Packed),
    Fragments(Fragments),
}

impl Pieces {
    fn of(form: Form) -> Self {
        match form {
            Form::Plain => Self::Plain,
            Form::Packed { skip, bits } => Self::Packed(Packed { skip, left: bits, held: None }),
            Form::Fragments => Self::Fragments(Fragments::default()),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Packed(packed) => packed.left == 0,
            Self::Fragments(fragments) => fragments.are_whole(),
        }
    }
}

/// Shifts bits so that the first of them becomes the first bit of a byte, which is the least significant one (PS3.5,
/// 8.1.1). The remaining bits of the last byte are zero.
struct Packed {
    /// Number of bits before the first, 0 to 7.
    skip: u8,
    /// Number of bits that are still to be returned.
    left: u64,
    /// The last byte, some of whose bits are still to be returned.
    held: Option<u8>,
}

impl Packed {
    fn unpack(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::with_capacity(bytes.len() + 1);
        for byte in bytes.iter().copied() {
            if let Some(held) = self.held.replace(byte) {
                unpacked.extend(self.put(u16::from_le_bytes([held, byte])));
            }
            if self.left <= u64::from(8 - self.skip) {
                unpacked.extend(self.put(byte.into()));
            }
        }
        unpacked
    }

    /// The next byte; none if no bits are left.
    fn put(&mut self, both: u16) -> Option<u8> {
        let bits = self.left.min(8);
        self.left -= bits;
        (bits > 0).then(|| ((both >> self.skip) as u8) & (0xff_u8 >> (8 - bits)))
    }
}

const HEADER: usize = ITEM_HEADER_BYTES as usize;
/// Group and element of an item, little endian (PS3.5, A.4).
const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];

/// Removes the item tags and lengths from a frame that consists of fragments.
#[derive(Default)]
struct Fragments {
    /// The bytes of the next fragment's header so far.
    header: Vec<u8>,
    /// Number of bytes of this fragment that are still to come.
    left: u64,
}

impl Fragments {
    /// The content of fragments; none if these are not fragments.
    fn strip(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        let mut payload = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
                self.header.extend_from_slice(head);
                bytes = rest;
                if self.header.len() == HEADER {
                    let (tag, length) = self.header.split_at(ITEM.len());
                    if tag != ITEM {
                        return None;
                    }
                    self.left = u32::from_le_bytes(length.try_into().ok()?).into();
                    self.header.clear();
                }
            } else {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (part, rest) = bytes.split_at(here);
                payload.extend_from_slice(part);
                self.left -= here as u64;
                bytes = rest;
            }
        }
        Some(payload)
    }

    fn are_whole(&self) -> bool {
        self.left == 0 && self.header.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(bytes: &[u8]) -> Vec<u8> {
        [&ITEM[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    #[test]
    fn fragments_are_joined_wherever_chunks_cut_them() {
        let whole = [fragment(b"one"), fragment(b""), fragment(b"two and more")].concat();
        for piece in 1..whole.len() {
            let mut fragments = Fragments::default();
            let parts = whole.chunks(piece).map(|piece| fragments.strip(piece).unwrap());
            assert_eq!(parts.collect::<Vec<_>>().concat(), b"onetwo and more", "{piece}");
            assert!(fragments.are_whole());
        }
    }

    #[test]
    fn packed_bits_are_moved_to_a_bytes_beginning_wherever_chunks_cut_them() {
        let bytes: Vec<u8> = (1..=40_u8).map(|n| n.wrapping_mul(73) ^ 0x5a).collect();
        let bit = |at: usize| (bytes[at / 8] >> (at % 8)) & 1;
        for (skip, bits) in (0..8).flat_map(|skip| (1..60).map(move |bits| (skip, bits))) {
            let mut expected = vec![0; usize::div_ceil(bits, 8)];
            for at in 0..bits {
                expected[at / 8] |= bit(usize::from(skip) + at) << (at % 8);
            }
            let covering = &bytes[..usize::div_ceil(usize::from(skip) + bits, 8)];
            for piece in 1..=covering.len() {
                let mut packed = Packed { skip, left: bits as u64, held: None };
                let parts = covering.chunks(piece).map(|piece| packed.unpack(piece));
                assert_eq!(parts.collect::<Vec<_>>().concat(), expected, "{skip} {bits} {piece}");
                assert_eq!(packed.left, 0);
            }
        }
    }

    #[test]
    fn other_bytes_and_incomplete_fragments_are_detected() {
        assert!(Fragments::default().strip(b"not an item, certainly").is_none());
        let whole = fragment(b"one");
        for length in 1..whole.len() {
            let mut fragments = Fragments::default();
            fragments.strip(&whole[..length]).unwrap();
            assert!(!fragments.are_whole(), "{length}");
        }
    }
}
