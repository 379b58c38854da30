//! A lite block is committed: its visits are on chain for good, and every hospital holds its segments.

use epione_client::chain::{Chain, Snapshot};
use epione_envelope::{
    body::{self, CheckedBody},
    record::Record,
};
use epione_primitives::{
    AnnouncementId, RecordPointer,
    block::{AnnouncedEntry, AnnouncedHeader, Entry, Header, Segment},
};

use super::{
    Context, TaskError,
    pack::BlockBounds,
    task_journal::{Batch, Next},
};
use crate::{
    journal::{CommittedVisit, Owner},
    now,
};

/// This hospital's own batch: its visits are committed.
pub async fn settle(
    context: &Context,
    batch: &Batch,
    id: AnnouncementId,
    height: u32,
) -> Result<(), TaskError> {
    let visits = context.task_journal.committed(batch.id, id, height, now()).await?;
    context.caution().committed(&BlockBounds::from(&context.config.pack));
    tracing::info!(
        height,
        announcement = id.0,
        visits,
        "a lite block of this hospital is committed"
    );
    Ok(())
}

/// A committed lite block: what the chain says, and what its body comes to.
pub struct Block {
    pub header: Header,
    pub records: Vec<Record>,
    /// Of all records, in order.
    pub segments: Vec<Segment>,
}

impl Block {
    pub fn owner(&self) -> Owner {
        Owner::Announcement(self.header.announcement)
    }
}

/// The block of a height; none if it contradicts itself, so that its segments are not known.
pub async fn read(
    chain: &Chain,
    snapshot: &Snapshot,
    height: u32,
) -> Result<Option<Block>, TaskError> {
    let (header, _) = snapshot
        .header(height)
        .await?
        .ok_or(TaskError::Inconsistent("a committed lite block without header"))?;
    let entries: Vec<AnnouncedEntry> =
        snapshot.entries(height).await?.into_iter().map(as_announced).collect();
    let body = chain.body(header.body_hash).await?.ok_or(TaskError::NoBody(header.body_hash))?;
    let announced = AnnouncedHeader { announcer: header.announcer, segments: header.segments };
    match body::check(&announced, &entries, &body) {
        Ok(CheckedBody { records, segments }) => Ok(Some(Block { header, records, segments })),
        Err(error) => {
            tracing::error!(
                height, %error,
                "a committed lite block contradicts itself: its segments cannot be kept. \
                 The hospitals that approved it must be asked why"
            );
            Ok(None)
        }
    }
}

/// Anybody's block: brings every segment that is not here.
pub async fn keep(context: &Context, height: u32) -> Result<Next, TaskError> {
    let (chain, snapshot) = context.look()?;
    let Some(block) = read(&chain, &snapshot, height).await? else {
        return Ok(Next::Done);
    };
    let segments = &block.segments;
    let announcer = block.header.announcer;
    context.journal.reference_announced(block.owner(), announcer, segments, now()).await?;
    context.fetcher.fetch(segments, Some(announcer)).await?;
    context.metrics.blocks_committed.inc();
    tracing::info!(
        height,
        segments = segments.len(),
        "every segment of a committed lite block is here"
    );
    Ok(Next::Done)
}

/// A journal that was lost knows nothing of the visits that were committed before: their blocks tell.
/// Then none of them is announced, and committed, a second time. Called before anything is packed.
pub async fn remember(
    context: &Context,
    chain: &Chain,
    snapshot: &Snapshot,
    height: u32,
) -> Result<(), TaskError> {
    let header = snapshot.header(height).await?.map(|(header, _)| header);
    if header.is_none_or(|header| header.announcer != context.hospital) {
        return Ok(());
    }
    let Some(block) = read(chain, snapshot, height).await? else {
        return Ok(());
    };
    let Header { announcement, time, .. } = block.header;
    let visit = |(index, record): (u16, &Record)| {
        CommittedVisit::new(RecordPointer { height, index }, announcement, record, time)
    };
    let visits = (0..).zip(&block.records).map(visit).collect();
    let restored = context.journal.restore_committed(visits).await?;
    if restored > 0 {
        tracing::info!(
            height,
            visits = restored,
            "visits that the journal did not know are committed"
        );
    }
    Ok(())
}

fn as_announced(entry: Entry) -> AnnouncedEntry {
    AnnouncedEntry { patient: entry.patient, text: entry.text, media: entry.media }
}
