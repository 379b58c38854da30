//! Seals a visit while it is received: texts at once, media part by part, through the sealer and the segment cutter
//! into the store.
//!
//! Memory: the part that is being sealed, the store's buffer of the segment being written (1 MiB on a disk, the segment
//! on S3), a chunk of 1 MiB, and 16 bytes for each MiB of media so far.

use bytes::Bytes;
use epione_client::api::{ContentUpload, VisitRequest};
use epione_envelope::{
    FormatError, SealError,
    record::Record,
    record_sealer::{MediaSealer, RecordSealer},
    segment::SegmentPart,
};
use epione_primitives::block::Segment;

use super::{ApiError, AppState};
use crate::{
    journal::{self, Journal, Owner},
    metrics::Metrics,
    store::{SegmentWriter, Store},
};

/// Bytes of content that one call seals.
const BATCH_BYTES: usize = 1024 * 1024;

/// The segments of a visit that is not acknowledged yet. It removes them when dropped, unless the visit was kept
/// ([`Ingest::keep`]).
struct Claim {
    journal: Journal,
    store: Store,
    owner: Option<Owner>,
}

impl Claim {
    fn begin(state: &AppState) -> Self {
        let journal = state.journal.clone();
        let owner = Some(journal.begin_upload());
        Self { journal, store: state.store.clone(), owner }
    }

    /// References a segment before it becomes visible, so that no sweep deletes it.
    async fn reference(&self, segment: &Segment) -> Result<(), ApiError> {
        match self.owner {
            Some(owner) => Ok(self.journal.reference(owner, &[*segment]).await?),
            None => Ok(()),
        }
    }

    /// Removes the segments.
    async fn abandon(&mut self) {
        if let Some(owner) = self.owner.take() {
            remove(&self.journal, &self.store, owner).await;
        }
    }
}

impl Drop for Claim {
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
        // They are garbage now, or will be when the journal is next opened.
        tracing::warn!(%error, "segments of an ended upload could not be removed yet");
    }
}

/// A visit that is being sealed. After an error of [`push`](Self::push) it must be abandoned: the sealer does not
/// produce the same bytes twice.
pub(super) struct Ingest {
    claim: Claim,
    store: Store,
    metrics: Metrics,
    /// None once every section is sealed.
    sealer: Option<RecordSealer>,
    media: Option<MediaSealer>,
    writer: Option<SegmentWriter>,
    record: Option<Record>,
}

impl Ingest {
    /// Seals the texts of a visit.
    pub async fn begin(
        state: &AppState,
        sealer: RecordSealer,
        visit: VisitRequest,
    ) -> Result<Self, ApiError> {
        let sealer = blocking(move || seal_texts(sealer, &visit)).await?;
        Ok(Self {
            claim: Claim::begin(state),
            store: state.store.clone(),
            metrics: state.metrics.clone(),
            sealer: Some(sealer),
            media: None,
            writer: None,
            record: None,
        })
    }

    /// Seals and stores the next content of a media section. With `is_last`, the section is complete.
    pub async fn push(
        &mut self,
        section: u16,
        content: &Bytes,
        is_last: bool,
    ) -> Result<(), ApiError> {
        let mut media = match self.media.take() {
            Some(media) => media,
            None => self.sealer()?.start_media(section).map_err(refused)?,
        };
        for begin in (0..content.len()).step_by(BATCH_BYTES) {
            let batch = content.slice(begin..content.len().min(begin + BATCH_BYTES));
            let (sealing, parts) = blocking(move || {
                let mut media = media;
                let parts = media.push(&batch).map_err(refused)?;
                Ok((media, parts))
            })
            .await?;
            media = sealing;
            self.write(parts).await?;
        }
        if is_last {
            let parts = self.sealer()?.end_media(media).map_err(refused)?;
            return self.write(parts).await;
        }
        self.media = Some(media);
        Ok(())
    }

    /// The sealed record, once every section is complete.
    pub fn record(&mut self) -> Result<&Record, ApiError> {
        if let Some(sealer) = self.sealer.take() {
            self.record = Some(sealer.finish().map_err(refused)?);
        }
        self.record.as_ref().ok_or_else(spent)
    }

    /// The owner of the segments.
    pub fn owner(&self) -> Result<Owner, ApiError> {
        self.claim.owner.ok_or_else(spent)
    }

    /// Keeps the segments: a queued visit owns them now.
    pub fn keep(&mut self) {
        self.claim.owner = None;
    }

    /// Removes the segments that were stored.
    pub async fn abandon(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abort().await;
        }
        self.claim.abandon().await;
    }

    fn sealer(&mut self) -> Result<&mut RecordSealer, ApiError> {
        self.sealer.as_mut().ok_or_else(spent)
    }

    async fn write(&mut self, parts: Vec<SegmentPart>) -> Result<(), ApiError> {
        for SegmentPart { bytes, ends } in parts {
            let mut writer = match self.writer.take() {
                Some(writer) => writer,
                None => self.store.writer().await?,
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
        self.claim.reference(&segment).await?;
        // No other hospital has these bytes yet.
        let write = writer.finish(&segment);
        journal::complete_write(&self.claim.journal, &self.store, write).await?;
        self.metrics.segments_stored.inc();
        self.metrics.segment_bytes_stored.inc_by(u64::from(segment.length));
        Ok(())
    }
}

fn seal_texts(mut sealer: RecordSealer, visit: &VisitRequest) -> Result<RecordSealer, ApiError> {
    for (section, upload) in (0..).zip(&visit.sections) {
        if let ContentUpload::Text(text) = &upload.content {
            sealer.seal_text(section, text.as_bytes()).map_err(refused)?;
        }
    }
    Ok(sealer)
}

/// Why content was not sealed, in terms of the upload. The error names sections, never their contents.
pub(super) fn refused(error: SealError) -> ApiError {
    let detail = format!("{error}. Nothing was acknowledged.");
    match error {
        SealError::Signature(_) => ApiError::bad_request(
            "author-signature",
            "The author's signature is not valid",
            "Sign the visit's sections with the author's account, for this hospital and chain.",
        ),
        SealError::ContentDiffers { .. }
        | SealError::TooLong { .. }
        | SealError::TooShort { .. } => ApiError::bad_request(
            "content",
            "A section's content differs from the description that its author signed",
            detail,
        ),
        SealError::Format(FormatError::TooLarge { .. }) => ApiError::too_large(detail),
        SealError::Format(_) | SealError::Refused(_) => {
            ApiError::bad_request("visit", "The visit cannot be sealed", detail)
        }
        error => ApiError::internal(&error),
    }
}

/// An error in the worker's own code: an upload that has failed was used again.
fn spent() -> ApiError {
    ApiError::internal(&std::io::Error::other("an upload was used after it had failed"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(&error))?
}
