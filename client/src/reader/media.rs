//! Whole media: fetched segment by segment, opened chunk by chunk, and checked as a whole before the
//! file gets its name.

use std::path::{Path, PathBuf};

use epione_envelope::record::ContentCheck;
use epione_primitives::{Moment, RecordPointer, block::Segment};
use tokio::{
    fs,
    io::{AsyncWrite, AsyncWriteExt},
};

use super::{
    Intent, OpenRecord, ReadError, Reader, Source,
    fetcher::{Fetcher, Scope, Tags},
    partial::Partial,
};
use crate::Progress;

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
    /// it, for their owner only, and get the name when all of them were verified: no wrong byte is
    /// ever under that name.
    ///
    /// Where an earlier call was interrupted, even by the end of its process, this one goes on: what is
    /// there counts as far as each chunk of it still has the tag with which it was sealed. After an
    /// error that another try may mend, it is left for that; after any other it is removed.
    ///
    /// Three segments are fetched at once. 64 MiB of them are held in memory at most, however long the
    /// content is.
    pub async fn save_media(
        &self,
        record: &OpenRecord,
        section: usize,
        to: &Path,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<SavedMedia, ReadError> {
        self.fetcher(record, section, &progress)?.save(to).await
    }

    /// Writes the media of a section into a sink, and tells its length and BLAKE3. Every chunk is
    /// authentic and in its place; that they are all that the author signed is known at the end
    /// only, so on an error what was written must be thrown away.
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

impl Fetcher<'_> {
    pub(super) async fn save(&self, to: &Path) -> Result<SavedMedia, ReadError> {
        let failed = |source| ReadError::File { path: to.into(), source };
        if fs::try_exists(to).await.map_err(failed)? {
            return Err(ReadError::Exists(to.into()));
        }
        let mut partial = Partial::resume(to, &self.content.object_id)?;
        match self.fill(&mut partial).await {
            Ok(()) => partial.publish().await?,
            Err(error) => {
                if error.may_pass() {
                    partial.keep().await;
                }
                return Err(error);
            }
        }
        let described = &self.content.description;
        let (bytes, blake3) = (described.content_length, described.content_root);
        Ok(SavedMedia { path: to.into(), bytes, blake3 })
    }

    /// Puts into a file what it lacks.
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

    /// How many chunks a partial file holds already. What comes after them in it is cut off.
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
            // Not longer than a segment.
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
