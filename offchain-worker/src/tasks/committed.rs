//! A lite block is committed: its visits are on chain for good, and every hospital holds its segments.

use epione_envelope::body;
use epione_primitives::{
    AnnouncementId,
    block::{AnnouncedEntry, AnnouncedHeader, Entry},
};

use super::{Context, TaskError, jobs::Next, ledger::Batch, pack::Bounds};
use crate::{journal::Owner, now};

/// This hospital's own batch: its visits are committed.
pub async fn settle(
    context: &Context,
    batch: &Batch,
    id: AnnouncementId,
    height: u32,
) -> Result<(), TaskError> {
    let visits = context.ledger.committed(batch.id, id, height, now()).await?;
    context.caution().committed(&Bounds::from(&context.config.pack));
    tracing::info!(
        height,
        announcement = id.0,
        visits,
        "a lite block of this hospital is committed"
    );
    Ok(())
}

/// Anybody's block: brings every segment that is not here.
pub async fn keep(context: &Context, height: u32) -> Result<Next, TaskError> {
    let (chain, snapshot) = context.look()?;
    let (header, _) = snapshot
        .header(height)
        .await?
        .ok_or(TaskError::Inconsistent("a committed lite block without header"))?;
    let entries: Vec<AnnouncedEntry> =
        snapshot.entries(height).await?.into_iter().map(as_announced).collect();
    let body = chain.body(header.body_hash).await?.ok_or(TaskError::NoBody(header.body_hash))?;
    let announced = AnnouncedHeader { announcer: header.announcer, segments: header.segments };
    let segments = match body::check(&announced, &entries, &body) {
        Ok(checked) => checked.segments,
        Err(error) => {
            tracing::error!(
                height, %error,
                "a committed lite block contradicts itself: its segments cannot be kept. \
                 The hospitals that approved it must be asked why"
            );
            return Ok(Next::Done);
        }
    };
    context.journal.reference(Owner::Announcement(header.announcement), &segments).await?;
    context.fetcher.fetch(&segments, Some(header.announcer)).await?;
    context.metrics.blocks_committed.inc();
    tracing::info!(
        height,
        segments = segments.len(),
        "every segment of a committed lite block is here"
    );
    Ok(Next::Done)
}

fn as_announced(entry: Entry) -> AnnouncedEntry {
    AnnouncedEntry { patient: entry.patient, text: entry.text, media: entry.media }
}
