//! An announcement came to nothing: rejected, expired, withdrawn, or never accepted.

use epione_primitives::{AnnouncementId, block::Stage};

use super::{Context, TaskError, pack, task_journal::Batch};
use crate::{journal::Owner, now};

/// Why this hospital's own block came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// For what is in it: by the chain or by other hospitals.
    Refused,
    /// For a reason that is not the block's: nobody decided in time.
    Unlucky,
}

/// Puts the visits of this hospital's own block back into the queue. Nothing is lost.
pub async fn requeue(
    context: &Context,
    batch: &Batch,
    cause: Cause,
    reason: &str,
) -> Result<(), TaskError> {
    let moment = now();
    let (refused, records) = (cause == Cause::Refused, batch.entries.len());
    {
        let mut caution = context.caution();
        if refused { caution.refused(records, moment) } else { caution.delay(moment) }
    }
    let hold: Option<fn(u32) -> u64> = if refused { Some(pack::hold) } else { None };
    let visits = context.task_journal.undone(batch.id, reason.into(), moment, hold).await?;
    context.metrics.announcements_failed.inc();
    tracing::warn!(
        batch = batch.id,
        visits,
        reason,
        "a lite block came to nothing; its visits are queued again"
    );
    Ok(())
}

/// What to do about an own announcement of this stage, and what to tell of it; none while its ballot is
/// open or once it is committed.
pub fn cause(stage: Stage) -> Option<(Cause, &'static str)> {
    match stage {
        Stage::Announced | Stage::Committed { .. } => None,
        Stage::Rejected => {
            Some((Cause::Refused, "other hospitals rejected the lite block; it is announced again"))
        }
        Stage::Expired => Some((
            Cause::Unlucky,
            "too few hospitals verified the lite block in time; it is announced again",
        )),
        Stage::Withdrawn => {
            Some((Cause::Unlucky, "this hospital took the lite block back; it is announced again"))
        }
    }
}

/// Lets go of the segments of another hospital's block. Those that nothing else needs are deleted later.
pub async fn forget(context: &Context, id: AnnouncementId) -> Result<(), TaskError> {
    context.journal.release(Owner::Announcement(id), now()).await?;
    tracing::info!(announcement = id.0, "an announcement came to nothing; its segments are let go");
    Ok(())
}
