//! Seals a visit while it streams in: texts at once, media through the sealer and the segment cutter
//! into the store. What is held in memory does not depend on the size of the media.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use epione_client::api::{ContentUpload, VisitRequest};
use epione_envelope::{
    FormatError, SealError,
    record::Record,
    sealer::{MediaSealer, RecordSealer},
    segment::SegmentPart,
};
use epione_primitives::{block::Segment, limits::MAX_SEGMENTS};

use super::{
    ApiError, AppState,
    intake::{Form, Part},
};
use crate::{
    journal::{Journal, Owner},
    store::{SegmentWriter, Store},
};

/// Content that is sealed in one go.
const BATCH_BYTES: usize = 1024 * 1024;

/// The segments of an upload that is not acknowledged yet. Dropped before [`keep`](Self::keep), it
/// removes them.
pub(super) struct Upload {
    journal: Journal,
    store: Store,
    owner: Option<Owner>,
}

impl Upload {
    pub fn begin(state: &AppState) -> Self {
        let journal = state.journal.clone();
        let owner = Some(journal.begin_upload());
        Self { journal, store: state.store.clone(), owner }
    }

    /// Who needs the segments.
    pub fn owner(&self) -> Option<Owner> {
        self.owner
    }

    /// Somebody else sees to the segments from here on.
    pub fn keep(mut self) {
        self.owner = None;
    }

    /// Makes a segment needed before it becomes visible.
    async fn reference(&self, segment: &Segment) -> Result<(), ApiError> {
        match self.owner {
            Some(owner) => Ok(self.journal.reference(owner, &[*segment]).await?),
            None => Ok(()),
        }
    }

    /// Removes the segments.
    pub async fn abandon(mut self) {
        if let Some(owner) = self.owner.take() {
            remove(&self.journal, &self.store, owner).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(owner), Ok(runtime)) = (self.owner.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (journal, store) = (self.journal.clone(), self.store.clone());
        runtime.spawn(async move { remove(&journal, &store, owner).await });
    }
}

async fn remove(journal: &Journal, store: &Store, owner: Owner) {
    if let Err(error) = crate::journal::discard_owner(journal, store, owner, crate::now()).await {
        // They are garbage by now, or will be when the journal is next opened.
        tracing::warn!(%error, "segments of an upload were not removed yet");
    }
}

/// Seals the sections of a visit. The media come from the form, which has given its part `visit`.
pub(super) async fn seal(
    state: &AppState,
    sealer: RecordSealer,
    visit: Arc<VisitRequest>,
    form: &mut Form,
    upload: &Upload,
) -> Result<Record, ApiError> {
    let texts = Arc::clone(&visit);
    let mut sealer = blocking(move || seal_texts(sealer, &texts)).await?;
    let mut segments = 0;
    for (section, content) in (0..).zip(visit.sections.iter().map(|section| &section.content)) {
        if let ContentUpload::Media { .. } = content {
            let part = form.part(&format!("media-{section}")).await?;
            let media = Media { state, upload, writer: None, segments };
            (sealer, segments) = media.seal(sealer, section, part).await?;
        }
    }
    blocking(move || sealer.finish().map_err(refused)).await
}

fn seal_texts(mut sealer: RecordSealer, visit: &VisitRequest) -> Result<RecordSealer, ApiError> {
    for (section, upload) in (0..).zip(&visit.sections) {
        if let ContentUpload::Text(text) = &upload.content {
            sealer.seal_text(section, text.as_bytes()).map_err(refused)?;
        }
    }
    Ok(sealer)
}

/// One media section on its way into the store.
struct Media<'a> {
    state: &'a AppState,
    upload: &'a Upload,
    writer: Option<SegmentWriter>,
    /// Segments of the visit so far.
    segments: u32,
}

impl Media<'_> {
    async fn seal(
        mut self,
        sealer: RecordSealer,
        section: u16,
        mut part: Part<'_>,
    ) -> Result<(RecordSealer, u32), ApiError> {
        let mut media = sealer.start_media(section).map_err(refused)?;
        let mut batch = BytesMut::new();
        while let Some(chunk) = part.chunk().await? {
            batch.extend_from_slice(&chunk);
            if batch.len() >= BATCH_BYTES {
                media = self.push(media, batch.split().freeze()).await?;
            }
        }
        media = self.push(media, batch.freeze()).await?;
        let (sealer, parts) = blocking(move || {
            let mut sealer = sealer;
            let parts = sealer.end_media(media).map_err(refused)?;
            Ok((sealer, parts))
        })
        .await?;
        self.store(parts).await?;
        Ok((sealer, self.segments))
    }

    async fn push(&mut self, media: MediaSealer, content: Bytes) -> Result<MediaSealer, ApiError> {
        let (media, parts) = blocking(move || {
            let mut media = media;
            let parts = media.push(&content).map_err(refused)?;
            Ok((media, parts))
        })
        .await?;
        self.store(parts).await?;
        Ok(media)
    }

    async fn store(&mut self, parts: Vec<SegmentPart>) -> Result<(), ApiError> {
        for SegmentPart { bytes, ends } in parts {
            let mut writer = match self.writer.take() {
                Some(writer) => writer,
                None => self.state.store.writer().await?,
            };
            if let Err(error) = writer.write(bytes.into()).await {
                writer.abort().await;
                return Err(error.into());
            }
            match ends {
                Some(segment) => self.finish(writer, segment).await?,
                None => self.writer = Some(writer),
            }
        }
        Ok(())
    }

    async fn finish(&mut self, writer: SegmentWriter, segment: Segment) -> Result<(), ApiError> {
        self.segments += 1;
        if self.segments > MAX_SEGMENTS {
            writer.abort().await;
            return Err(ApiError::too_large("A visit's media are too large: submit two visits."));
        }
        self.upload.reference(&segment).await?;
        writer.finish(&segment).await?;
        self.state.metrics.segments_stored.inc();
        self.state.metrics.segment_bytes_stored.inc_by(u64::from(segment.length));
        Ok(())
    }
}

/// Why something was not sealed, in terms of the upload. Names sections, never their contents.
pub(super) fn refused(error: SealError) -> ApiError {
    let detail = format!("{error}. Nothing was acknowledged.");
    match error {
        SealError::Signature(_) => ApiError::bad_request(
            "author-signature",
            "The author's signature does not hold",
            "Sign the visit's sections with the author's account, for this hospital and chain.",
        ),
        SealError::ContentDiffers { .. }
        | SealError::TooLong { .. }
        | SealError::TooShort { .. } => ApiError::bad_request(
            "content",
            "A section's content is not what its author described and signed",
            detail,
        ),
        SealError::Format(FormatError::TooLarge { .. }) => ApiError::too_large(detail),
        SealError::Format(_) | SealError::Refused(_) => {
            ApiError::bad_request("visit", "The visit cannot be sealed", detail)
        }
        error => ApiError::internal(&error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error))?
}
