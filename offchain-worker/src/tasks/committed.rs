//! Reactions to committed lite blocks: every hospital stores their segments.

use epione_client::chain::{Chain, Snapshot};
use epione_envelope::{
    body::{self, CheckedBody},
    record::Record,
};
use epione_primitives::{
    RecordPointer,
    block::{AnnouncedEntry, AnnouncedHeader, Header, Segment},
};

use super::{Context, JobContext, TaskError, task_journal::Next};
use crate::{
    journal::{CommittedVisit, Owner},
    now,
    transfer::Arrivals,
};

/// A committed lite block: the chain's header, and what its body contains.
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

/// The block of a height; none if its body contradicts the chain, so that its segments are not known.
pub async fn read(
    chain: &Chain,
    snapshot: &Snapshot,
    height: u32,
) -> Result<Option<Block>, TaskError> {
    let (header, _) = snapshot
        .header(height)
        .await?
        .ok_or(TaskError::Inconsistent("a committed lite block has no header"))?;
    let entries: Vec<AnnouncedEntry> =
        snapshot.entries(height).await?.into_iter().map(AnnouncedEntry::from).collect();
    let body = chain.body(header.body_hash).await?.ok_or(TaskError::NoBody(header.body_hash))?;
    let announced = AnnouncedHeader { announcer: header.announcer, segments: header.segments };
    match body::check(&announced, &entries, &body) {
        Ok(CheckedBody { records, segments }) => Ok(Some(Block { header, records, segments })),
        Err(error) => {
            tracing::error!(
                height, %error,
                "the body of a committed lite block contradicts the chain: its segments cannot be \
                 stored. Call the operators of the hospitals that approved it"
            );
            Ok(None)
        }
    }
}

/// Fetches the segments of any hospital's committed block that are missing here.
pub async fn keep(jobs: &JobContext, height: u32) -> Result<Next, TaskError> {
    let context = &jobs.context;
    let (chain, snapshot) = context.look()?;
    let Some(block) = read(&chain, &snapshot, height).await? else {
        return Ok(Next::Done);
    };
    let segments = &block.segments;
    let announcer = block.header.announcer;
    context.journal.reference_announced(block.owner(), announcer, segments, now()).await?;
    let arrived = Arrivals::default();
    let fetching = jobs.fetcher.fetch_counting(segments, Some(announcer), &arrived);
    jobs.keeps.during(announcer, &arrived, fetching).await?;
    context.metrics.blocks_committed.inc();
    tracing::info!(
        height,
        segments = segments.len(),
        "every segment of a committed lite block is stored here"
    );
    Ok(Next::Done)
}

/// Restores this hospital's committed visits of a block that the journal does not know, because it was lost. So none of
/// them is announced and committed twice. To be called before anything is packed.
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
            "restored committed visits that the journal did not know"
        );
    }
    Ok(())
}
