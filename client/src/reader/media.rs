//! Media: fetched segment by segment; opened chunk by chunk; checked as a whole before the file gets
//! its name.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use epione_envelope::{
    object::{Layout, Opener},
    record::{ContentCheck, Payload, Section},
};
use epione_primitives::{Moment, RecordPointer, block::Segment};
use futures::{StreamExt, stream};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{Intent, OpenRecord, ReadError, Reader, Source};
use crate::{Progress, now, worker::WorkerClient};

/// Segments that are fetched ahead, 16 MiB each.
const AHEAD: usize = 2;
const TAG_BYTES: usize = 16;
/// A link that ends sooner is replaced before it is used.
const LINK_MARGIN_MILLIS: u64 = 5_000;

/// A file that holds what the author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMedia {
    pub path: PathBuf,
    pub bytes: u64,
    pub blake3: [u8; 32],
}

impl Reader {
    /// Saves the media of a section under a name that nothing has yet. The bytes are written beside
    /// it, and get the name only when all of them were verified: no wrong byte is ever under that
    /// name.
    pub async fn save_media(
        &self,
        record: &OpenRecord,
        section: usize,
        to: &Path,
        progress: impl Fn(Progress) + Send,
    ) -> Result<SavedMedia, ReadError> {
        let source = self.source(record, section).await?;
        Fetcher { worker: &self.worker, source: &source }.save(record, section, to, progress).await
    }

    /// Writes the media of a section into a sink, and tells its length and BLAKE3. Every chunk is
    /// authentic and in its place; that they are all that the author signed is known at the end
    /// only, so on an error what was written must be thrown away.
    pub async fn copy_media(
        &self,
        record: &OpenRecord,
        section: usize,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(Progress) + Send,
    ) -> Result<(u64, [u8; 32]), ReadError> {
        let source = self.source(record, section).await?;
        Fetcher { worker: &self.worker, source: &source }
            .copy(record, section, sink, progress)
            .await
    }

    /// The links at hand, or new ones if they end soon.
    async fn source<'r>(
        &self,
        record: &'r OpenRecord,
        section: usize,
    ) -> Result<Cow<'r, Source>, ReadError> {
        let segments = record.record.sections().get(section).map_or(&[][..], Section::segments);
        let (pointer, at_hand) = (record.summary.pointer, &record.access.source);
        match at_hand.renewal(pointer, segments, now())? {
            None => Ok(Cow::Borrowed(at_hand)),
            Some(intent) => {
                let leave = self.ask(record.summary.patient, &[pointer], intent).await?;
                Ok(Cow::Owned(leave.of(pointer, &record.record)?.source))
            }
        }
    }
}

impl Source {
    /// With what intent to ask anew for links to segments; not at all while those at hand last.
    pub(super) fn renewal(
        &self,
        pointer: RecordPointer,
        segments: &[Segment],
        now: Moment,
    ) -> Result<Option<Intent>, ReadError> {
        let Self::Links { links, intent } = self else { return Ok(None) };
        let soon = now.saturating_add(LINK_MARGIN_MILLIS);
        let ends =
            |segment: &Segment| links.get(&segment.hash).is_some_and(|link| link.expires <= soon);
        match segments.iter().any(ends) {
            false => Ok(None),
            true if intent.emergency.is_some() => Err(ReadError::LinksEnded { pointer }),
            true => Ok(Some(*intent)),
        }
    }
}

/// Fetches and opens media from one worker.
pub(super) struct Fetcher<'a> {
    pub(super) worker: &'a WorkerClient,
    pub(super) source: &'a Source,
}

/// A media section on its way out.
struct Opening<'a> {
    pointer: RecordPointer,
    opener: Opener,
    layout: Layout,
    segments: &'a [Segment],
    /// BLAKE3 of the content.
    root: [u8; 32],
}

impl Fetcher<'_> {
    pub(super) async fn save(
        &self,
        record: &OpenRecord,
        section: usize,
        to: &Path,
        progress: impl Fn(Progress) + Send,
    ) -> Result<SavedMedia, ReadError> {
        if fs::try_exists(to).await.unwrap_or(false) {
            return Err(ReadError::Exists(to.into()));
        }
        let partial = Partial::beside(to);
        let fail = |source| ReadError::File { path: to.into(), source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(&partial.0).await.map_err(fail)?;
        let (bytes, blake3) = match self.copy(record, section, &mut file, progress).await {
            Err(ReadError::Sink(source)) => return Err(fail(source)),
            copied => copied?,
        };
        publish(file, &partial.0, to).await.map_err(fail)?;
        Ok(SavedMedia { path: to.into(), bytes, blake3 })
    }

    async fn copy(
        &self,
        record: &OpenRecord,
        section: usize,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(Progress) + Send,
    ) -> Result<(u64, [u8; 32]), ReadError> {
        let (opening, mut check) = record.opening(section)?;
        let total = opening.layout.plaintext_length();
        let failed = |source| ReadError::Open { pointer: opening.pointer, section, source };

        let kept = self.tag_segments(&opening).await?;
        let tags = opening.tags(&kept);
        let mut arriving = stream::iter(opening.segments.iter().enumerate())
            .map(|(index, segment)| {
                let kept = kept.get(&index).cloned();
                let pointer = opening.pointer;
                async move {
                    match kept {
                        Some(bytes) => Ok(bytes),
                        None => self.segment(pointer, segment).await,
                    }
                }
            })
            .buffered(AHEAD);

        let (mut pending, mut chunk, mut done) = (BytesMut::new(), 0, 0);
        while let Some(bytes) = arriving.next().await {
            pending.extend_from_slice(&bytes?);
            while let Some(plain) = opening.next(chunk, &mut pending, &tags).map_err(failed)? {
                check.update(&plain);
                sink.write_all(&plain).await.map_err(ReadError::Sink)?;
                done += plain.len() as u64;
                chunk += 1;
                progress(Progress { done, total });
            }
        }
        drop(arriving);
        check.finish().map_err(failed)?;
        sink.flush().await.map_err(ReadError::Sink)?;
        Ok((total, opening.root))
    }

    /// The segments at the object's end, which hold its tags.
    async fn tag_segments(
        &self,
        opening: &Opening<'_>,
    ) -> Result<HashMap<usize, Bytes>, ReadError> {
        let mut kept = HashMap::new();
        for (index, _) in opening.layout.in_segments(opening.layout.tags()) {
            kept.insert(index, self.segment(opening.pointer, &opening.segments[index]).await?);
        }
        Ok(kept)
    }

    async fn segment(&self, pointer: RecordPointer, segment: &Segment) -> Result<Bytes, ReadError> {
        let fetched = match self.source {
            Source::Own => self.worker.segment_of(pointer, segment).await,
            Source::Links { links, .. } => {
                let no_link = ReadError::NoLink { segment: segment.hash };
                let link = links.get(&segment.hash).ok_or(no_link)?;
                self.worker.segment_by_link(segment, link).await
            }
        };
        fetched.map_err(|source| ReadError::Segment { segment: segment.hash, source })
    }
}

impl OpenRecord {
    fn opening(&self, section: usize) -> Result<(Opening<'_>, ContentCheck), ReadError> {
        let pointer = self.summary.pointer;
        let Some(Payload::Media { manifest, .. }) =
            self.record.sections().get(section).map(|section| &section.payload)
        else {
            return Err(ReadError::NotMedia { pointer, section });
        };
        // A record has no more sections than fit.
        let index = section as u16;
        let key = self.access.keys.get(&index).ok_or(ReadError::NotGranted { pointer, section })?;
        let failed = |source| ReadError::Open { pointer, section, source };
        let opener = self.record.open_media(self.genesis, index, key).map_err(failed)?;
        let description = self.record.describe(self.genesis, index, key).map_err(failed)?;
        let (layout, root) = (opener.layout(), description.content_root);
        let opening = Opening { pointer, opener, layout, segments: manifest.segments(), root };
        Ok((opening, description.check()))
    }
}

impl Opening<'_> {
    fn tags(&self, kept: &HashMap<usize, Bytes>) -> Vec<u8> {
        let pieces = self.layout.in_segments(self.layout.tags());
        let tags = pieces.into_iter().flat_map(|(index, range)| {
            let segment = kept.get(&index).cloned().unwrap_or_default();
            segment.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec()
        });
        tags.collect()
    }

    /// Opens the next chunk once all of its ciphertext is there; none after the last.
    fn next(
        &self,
        chunk: u32,
        pending: &mut BytesMut,
        tags: &[u8],
    ) -> Result<Option<Vec<u8>>, epione_envelope::OpenError> {
        let Some(range) = self.layout.chunk(chunk) else { return Ok(None) };
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if pending.len() < length {
            return Ok(None);
        }
        let at = chunk as usize * TAG_BYTES;
        let tag = tags.get(at..at + TAG_BYTES).and_then(|tag| tag.try_into().ok());
        let tag: &[u8; TAG_BYTES] = tag.ok_or(epione_envelope::OpenError)?;
        self.opener.open_chunk(chunk, &pending.split_to(length), tag).map(Some)
    }
}

/// A file that is removed unless it was renamed.
struct Partial(PathBuf);

impl Partial {
    fn beside(to: &Path) -> Self {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).expect("the operating system has randomness");
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", hex::encode(suffix)));
        Self(to.with_file_name(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already, if it was renamed.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn publish(file: File, partial: &Path, to: &Path) -> std::io::Result<()> {
    file.sync_all().await?;
    drop(file);
    // A link, unlike a renaming, does not replace what came to be there meanwhile.
    match fs::hard_link(partial, to).await {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            fs::rename(partial, to).await
        }
        linked => linked,
    }
}
