//! Whole media: fetched segment by segment, opened chunk by chunk, and verified as a whole before the file gets its
//! name.

use std::path::{Path, PathBuf};

use epione_envelope::record::ContentCheck;
use epione_primitives::{Moment, RecordPointer, block::Segment};
use tokio::{
    fs,
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{
    FetchRight, Intent, OpenRecord, ReadError, Reader, Source,
    fetcher::{Fetcher, Scope, Tags},
    partial::Partial,
};
use crate::Progress;

/// A link that expires within this time is replaced before it is used.
pub(super) const LINK_MARGIN_MILLIS: u64 = 5_000;

/// A file with the content that the author signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMedia {
    pub path: PathBuf,
    pub bytes: u64,
    pub blake3: [u8; 32],
}

impl Reader {
    /// Saves the media of a section in a new file. The bytes are written to a partial file in the same folder, which
    /// only its owner may read, and which gets the name when all of them are verified. No wrong byte is ever under that
    /// name.
    ///
    /// Resumes where an earlier call was interrupted, even by the end of its process: each chunk of the partial file
    /// that still matches the tag with which it was sealed is kept. After an error that another attempt may overcome,
    /// the partial file stays; after any other error it is removed.
    ///
    /// Four segments are fetched concurrently. The memory in use does not depend on the length of the content.
    pub async fn save_media(
        &self,
        record: &OpenRecord,
        section: usize,
        to: &Path,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<SavedMedia, ReadError> {
        self.fetcher(record, section, &progress)?.save(to).await
    }

    /// Writes the media of a section into a sink, and returns its length and BLAKE3. Every chunk is verified to be
    /// authentic and in its place. Only at the end is it known that they are what the author signed, so after an error
    /// the caller must discard what was written.
    pub async fn copy_media(
        &self,
        record: &OpenRecord,
        section: usize,
        sink: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<(u64, [u8; 32]), ReadError> {
        self.fetcher(record, section, &progress)?.copy(sink).await
    }

    pub(super) fn fetcher<'a>(
        &'a self,
        record: &'a OpenRecord,
        section: usize,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Result<Fetcher<'a>, ReadError> {
        Fetcher::new(&self.worker, Some(self), record, section, progress)
    }
}

impl FetchRight {
    /// Where to request new links to segments; none while the present links are valid.
    pub(super) fn renewal(
        &self,
        pointer: RecordPointer,
        segments: &[Segment],
        now: Moment,
    ) -> Result<Option<Source>, ReadError> {
        let Self::Links { links, source } = self else { return Ok(None) };
        let soon = now.saturating_add(LINK_MARGIN_MILLIS);
        let ends =
            |segment: &Segment| links.get(&segment.hash).is_some_and(|link| link.expires <= soon);
        let is_emergency = matches!(source, Source::Request(Intent { emergency: Some(_), .. }));
        match segments.iter().any(ends) {
            false => Ok(None),
            true if is_emergency => Err(ReadError::LinksEnded { pointer }),
            true => Ok(Some(*source)),
        }
    }
}

impl Fetcher<'_> {
    pub(super) async fn save(&self, to: &Path) -> Result<SavedMedia, ReadError> {
        let failed = |source| ReadError::File { path: to.into(), source };
        if fs::try_exists(to).await.map_err(failed)? {
            return Err(ReadError::Exists(to.into()));
        }
        let mut partial = Partial::resume(to, &self.content.object_id).await?;
        match self.fill(&mut partial).await {
            Ok(()) => partial.publish().await?,
            Err(error) => {
                if error.may_pass() {
                    partial.keep().await;
                } else {
                    partial.discard();
                }
                return Err(error);
            }
        }
        let described = &self.content.description;
        let (bytes, blake3) = (described.content_length, described.content_root);
        Ok(SavedMedia { path: to.into(), bytes, blake3 })
    }

    /// Appends what is missing to a partial file, and verifies the whole.
    async fn fill(&self, partial: &mut Partial) -> Result<(), ReadError> {
        let content = &self.content;
        let mut check = content.description.check();
        let kept = self.confirm(partial, &mut check).await?;
        let layout = content.layout();
        let done = layout.chunk(kept).map_or(layout.plaintext_length(), |chunk| chunk.start);
        self.tally.begin(done, layout.plaintext_length());
        let mut chunks = self.chunks(kept..layout.chunks(), Scope::WholeSegments);
        while let Some((_, plain)) = chunks.next().await? {
            check.update(&plain);
            partial.write(&plain).await?;
        }
        check.finish().map_err(|source| content.failed(source))
    }

    /// How many chunks of a partial file are right. Cuts off what comes after them.
    async fn confirm(
        &self,
        partial: &mut Partial,
        check: &mut ContentCheck,
    ) -> Result<u32, ReadError> {
        let (content, layout) = (&self.content, self.content.layout());
        let length = partial.length().await?;
        let mut tags = Tags::of(layout.chunks());
        let mut confirmed = 0;
        while let Some(range) = layout.chunk(confirmed).filter(|range| range.end <= length) {
            let tag = tags.get(self, confirmed).await?;
            // At most the length of a segment.
            let kept = partial.read((range.end - range.start) as usize).await?;
            if !content.is_chunk(confirmed, &kept, &tag) {
                break;
            }
            check.update(&kept);
            partial.confirm(kept.len());
            confirmed += 1;
        }
        partial.cut().await?;
        Ok(confirmed)
    }

    pub(super) async fn copy(
        &self,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(u64, [u8; 32]), ReadError> {
        let content = &self.content;
        let mut check = content.description.check();
        let mut chunks = self.chunks(0..content.layout().chunks(), Scope::WholeSegments);
        while let Some((_, plain)) = chunks.next().await? {
            check.update(&plain);
            sink.write_all(&plain).await.map_err(ReadError::Sink)?;
        }
        check.finish().map_err(|source| content.failed(source))?;
        sink.flush().await.map_err(ReadError::Sink)?;
        Ok((content.description.content_length, content.description.content_root))
    }
}
