//! What the chain says is needed, as a scrub asks for it.

use std::sync::Arc;

use epione_primitives::{
    AnnouncementId,
    block::{Segment, Stage},
};
use futures::{FutureExt, future::BoxFuture};

use super::super::{Context, TaskError, committed};

/// A committed lite block's segments.
#[derive(Clone, Debug)]
pub struct Needed {
    pub announcement: AnnouncementId,
    pub segments: Vec<Segment>,
}

/// The chain of lite blocks at the newest final block that was acted upon.
pub trait Blocks: Send + Sync {
    /// The newest committed block's.
    fn height(&self) -> Result<u32, TaskError>;
    /// The announcements whose ballots are open.
    fn open(&self) -> Arc<[AnnouncementId]>;
    /// By the block's body; none if that contradicts the chain.
    fn block(&self, height: u32) -> BoxFuture<'_, Result<Option<Needed>, TaskError>>;
    /// Whether an announcement was rejected, withdrawn, or expired.
    fn came_to_nothing(&self, id: AnnouncementId) -> BoxFuture<'_, Result<bool, TaskError>>;
}

impl Blocks for Context {
    fn height(&self) -> Result<u32, TaskError> {
        self.seen.borrow().as_ref().map(|seen| seen.height).ok_or(TaskError::NodeAway)
    }

    fn open(&self) -> Arc<[AnnouncementId]> {
        self.seen.borrow().as_ref().map(|seen| Arc::clone(&seen.open)).unwrap_or_default()
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

    fn came_to_nothing(&self, id: AnnouncementId) -> BoxFuture<'_, Result<bool, TaskError>> {
        async move {
            let (_, snapshot) = self.look()?;
            let found = snapshot.announcement(id).await?;
            Ok(found.is_some_and(|(announcement, _)| {
                matches!(announcement.stage, Stage::Rejected | Stage::Expired | Stage::Withdrawn)
            }))
        }
        .boxed()
    }
}
