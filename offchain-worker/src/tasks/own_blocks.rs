//! What happens to this hospital's own lite blocks on their way to the chain: announced, committed, or failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use epione_primitives::{AnnouncementId, block::Stage};

use super::{
    Context, TaskError,
    pack::{self, BlockBounds, Caution},
    task_journal::Batch,
};
use crate::now;

/// This hospital's own lite blocks.
pub struct OwnBlocks {
    pub context: Arc<Context>,
    /// Of one block, as the configuration sets them.
    pub bounds: BlockBounds,
    caution: Mutex<Caution>,
}

/// Why one of them failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its content: the chain or other hospitals rejected it.
    Refused,
    /// Something else: too few hospitals decided in time.
    Unlucky,
}

impl OwnBlocks {
    pub fn new(context: Arc<Context>, bounds: BlockBounds) -> Self {
        Self { context, bounds, caution: Mutex::default() }
    }

    pub fn caution(&self) -> MutexGuard<'_, Caution> {
        self.caution.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a batch is on the chain and its ballot open.
    pub async fn announced(&self, batch: &Batch, id: AnnouncementId) -> Result<(), TaskError> {
        if self.context.task_journal.announced(batch.id, id, now()).await? {
            self.context.metrics.announcements.inc();
            tracing::info!(batch = batch.id, announcement = id.0, "a lite block is announced");
        }
        Ok(())
    }

    /// Records that a batch is committed, and so are its visits.
    pub async fn committed(
        &self,
        batch: &Batch,
        id: AnnouncementId,
        height: u32,
    ) -> Result<(), TaskError> {
        let visits = self.context.task_journal.committed(batch.id, id, height, now()).await?;
        self.caution().committed(&self.bounds);
        tracing::info!(
            height,
            announcement = id.0,
            visits,
            "a lite block of this hospital is committed"
        );
        Ok(())
    }

    /// Puts the visits of a batch that failed back into the queue. Nothing is lost.
    pub async fn requeue(
        &self,
        batch: &Batch,
        cause: Cause,
        reason: &str,
    ) -> Result<(), TaskError> {
        let moment = now();
        let (refused, records) = (cause == Cause::Refused, batch.entries.len());
        {
            let mut caution = self.caution();
            if refused { caution.refused(records, moment) } else { caution.delay(moment) }
        }
        let hold: Option<fn(u32) -> u64> = if refused { Some(pack::hold) } else { None };
        let visits =
            self.context.task_journal.failed(batch.id, reason.into(), moment, hold).await?;
        self.context.metrics.announcements_failed.inc();
        tracing::warn!(
            batch = batch.id,
            visits,
            reason,
            "a lite block of this hospital failed; its visits are queued again"
        );
        Ok(())
    }
}

/// Why an announcement in this stage has failed, and what its visits' status says about it; none while its ballot is
/// open, or once it is committed.
pub fn cause(stage: Stage) -> Option<(Cause, &'static str)> {
    match stage {
        Stage::Announced | Stage::Committed { .. } => None,
        Stage::Rejected => Some((
            Cause::Refused,
            "other hospitals rejected the lite block; the worker announces it again",
        )),
        Stage::Expired => Some((
            Cause::Unlucky,
            "too few hospitals verified the lite block in time; the worker announces it again",
        )),
        Stage::Withdrawn => Some((
            Cause::Unlucky,
            "this hospital withdrew the lite block; the worker announces it again",
        )),
    }
}
