//! A part of media: a range of bytes, or a frame of an image. Only the chunks that hold it are fetched.
//!
//! What a partial read proves: every byte is as the hospital sealed it, for this record, this section
//! and this place in it. Each chunk has a tag under the content key, to which the object's header is
//! bound by its commitment. What it does **not** prove is that the author signed these bytes: their
//! signature covers the BLAKE3 of the whole content, which only the whole content shows. The hospital that sealed the record checked that once, when it sealed; so does
//! everybody who reads all of it. The frame index itself is the author's word, signed with the
//! description.

use std::{ops::Range, path::Path};

use epione_envelope::frames::{FrameIndex, ITEM_HEADER_BYTES};
use tokio::{
    fs,
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{
    OpenRecord, ReadError, Reader, SavedMedia,
    fetcher::{Fetcher, Wanted},
    partial::Partial,
};
use crate::Progress;

/// Which part of a section's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the content.
    Range(Range<u64>),
    /// A frame of a multi-frame image, counted from 1.
    Frame(u32),
}

impl Reader {
    /// Writes bytes of a section's media into a sink, and returns how many: all of the range, or an
    /// error. What was written before an error is right, but not all there is.
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

    /// Writes a frame of a section's image into a sink, and returns its bytes: pixels as they are if
    /// they are native, and else the codestream, without the item tags between its fragments.
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

    /// Saves a part of a section's media under a name that nothing has yet, when all of it is there.
    /// The BLAKE3 that it returns is the part's.
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
        if fs::try_exists(to).await.unwrap_or(true) {
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

    /// Hands out a part, and shows it to `digest` on its way.
    pub(super) async fn read(
        &self,
        part: &Part,
        sink: &mut (impl AsyncWrite + Unpin),
        mut digest: impl FnMut(&[u8]),
    ) -> Result<u64, ReadError> {
        let content = &self.content;
        let (range, mut fragments) = self.located(part)?;
        let layout = content.layout();
        let wanted = layout.chunks_of(range.clone());
        let begin = layout.chunk(wanted.start).map_or(0, |chunk| chunk.start);
        let end = layout.chunk(wanted.end.saturating_sub(1)).map_or(0, |chunk| chunk.end);
        self.tally.begin(0, end.saturating_sub(begin));
        let mut chunks = self.chunks(wanted, Wanted::Parts);
        let mut written = 0;
        while let Some((chunk, plain)) = chunks.next().await? {
            let start = layout.chunk(chunk).map_or(0, |chunk| chunk.start);
            let within = |offset: u64| (offset.saturating_sub(start) as usize).min(plain.len());
            let bytes = &plain[within(range.start)..within(range.end)];
            let payload;
            let bytes = match &mut fragments {
                None => bytes,
                Some(fragments) => {
                    payload = fragments.strip(bytes).ok_or_else(|| self.no_frame(part))?;
                    payload.as_slice()
                }
            };
            digest(bytes);
            sink.write_all(bytes).await.map_err(ReadError::Sink)?;
            written += bytes.len() as u64;
        }
        if fragments.is_some_and(|fragments| !fragments.are_whole()) {
            return Err(self.no_frame(part));
        }
        sink.flush().await.map_err(ReadError::Sink)?;
        Ok(written)
    }

    /// Where a part lies, and how to take fragments apart if it consists of them.
    fn located(&self, part: &Part) -> Result<(Range<u64>, Option<Fragments>), ReadError> {
        let (pointer, section) = (self.content.pointer, self.content.section);
        let described = &self.content.description;
        let bytes = described.content_length;
        match part {
            Part::Range(range) if range.start < range.end && range.end <= bytes => {
                Ok((range.clone(), None))
            }
            Part::Range(range) => {
                Err(ReadError::BeyondEnd { pointer, section, range: range.clone(), bytes })
            }
            Part::Frame(frame) => {
                let media_type = described.media_type.clone();
                let index = described.frames.as_ref();
                let index = index.ok_or(ReadError::NoFrames { pointer, section, media_type })?;
                let (frame, count) = (*frame, index.count());
                let beyond = ReadError::NoSuchFrame { pointer, section, frame, count };
                let range = index.frame(frame).filter(|it| it.end <= bytes).ok_or(beyond)?;
                let encapsulated = matches!(index, FrameIndex::Encapsulated { .. });
                Ok((range, encapsulated.then(Fragments::default)))
            }
        }
    }

    fn no_frame(&self, part: &Part) -> ReadError {
        let (pointer, section) = (self.content.pointer, self.content.section);
        let frame = if let Part::Frame(frame) = part { *frame } else { 0 };
        ReadError::NotFragments { pointer, section, frame }
    }
}

const HEADER: usize = ITEM_HEADER_BYTES as usize;
/// Group and element of an item, little endian (PS3.5, A.4).
const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];

/// Takes the item tags and lengths out of a frame that consists of fragments.
#[derive(Default)]
struct Fragments {
    /// Of the next fragment's header.
    header: Vec<u8>,
    /// Bytes of this fragment that are still to come.
    left: u64,
}

impl Fragments {
    /// The bytes within fragments; none if they are no fragments.
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
    fn what_is_no_fragment_or_half_of_one_is_noticed() {
        assert!(Fragments::default().strip(b"not an item, certainly").is_none());
        let whole = fragment(b"one");
        for length in 1..whole.len() {
            let mut fragments = Fragments::default();
            fragments.strip(&whole[..length]).unwrap();
            assert!(!fragments.are_whole(), "{length}");
        }
    }
}
