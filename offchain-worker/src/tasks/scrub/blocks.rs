//! What a scrub must know of the chain: which segments the lite blocks need.

use std::sync::Arc;

use epione_primitives::{
    AnnouncementId,
    block::{Segment, Stage},
};
use futures::{FutureExt, future::BoxFuture};

use crate::tasks::{Context, TaskError, committed};

/// A committed lite block's segments.
#[derive(Clone, Debug)]
pub struct Needed {
    pub announcement: AnnouncementId,
    pub segments: Vec<Segment>,
}

/// The chain of lite blocks at the newest finalized block that was processed.
pub trait Blocks: Send + Sync {
    /// Height of the newest committed block.
    fn height(&self) -> Result<u32, TaskError>;
    /// The announcements whose ballots are open.
    fn open(&self) -> Arc<[AnnouncementId]>;
    /// A committed block, read from its body; none if the body contradicts the chain.
    fn block(&self, height: u32) -> BoxFuture<'_, Result<Option<Needed>, TaskError>>;
    /// Whether an announcement was rejected or withdrawn, or has expired.
    fn has_failed(&self, id: AnnouncementId) -> BoxFuture<'_, Result<bool, TaskError>>;
}

impl Blocks for Context {
    fn height(&self) -> Result<u32, TaskError> {
        self.processed
            .borrow()
            .as_ref()
            .map(|processed| processed.height)
            .ok_or(TaskError::NodeAway)
    }

    fn open(&self) -> Arc<[AnnouncementId]> {
        let processed = self.processed.borrow();
        processed.as_ref().map(|processed| Arc::clone(&processed.open)).unwrap_or_default()
    }

    fn block(&self, height: u32) -> BoxFuture<'_, Result<Option<Needed>, TaskError>> {
        async move {
            let (chain, snapshot) = self.look()?;
            let block = committed::read(&chain, &snapshot, height).await?;
            Ok(block.map(|block| Needed {
                announcement: block.header.announcement,
                segments: block.segments,
            }))
        }
        .boxed()
    }

    fn has_failed(&self, id: AnnouncementId) -> BoxFuture<'_, Result<bool, TaskError>> {
        async move {
            let (_, snapshot) = self.look()?;
            let Some((announcement, _)) = snapshot.announcement(id).await? else {
                // The chain removes announcements that were not committed. Without the comparison, an announcement in a
                // block that this worker has not processed yet would count as failed.
                return Ok(id < snapshot.next_announcement().await?);
            };
            let failed =
                matches!(announcement.stage, Stage::Rejected | Stage::Expired | Stage::Withdrawn);
            Ok(failed)
        }
        .boxed()
    }
}
