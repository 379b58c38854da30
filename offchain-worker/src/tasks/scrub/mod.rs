//! Looks after what is stored: everything needed is there and intact, and nothing else stays.

mod blocks;
mod pass;
mod report;
mod schedule;

pub use blocks::{Blocks, Needed};
pub use pass::Scrubber;
pub use report::{Names, Progress, Report};
pub use schedule::{Request, pause, run};

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Context, TaskError};
use crate::{journal, now};

const SWEEP: Duration = Duration::from_secs(60);
/// Sweeps from one look at the quarantine to the next.
const SWEEPS_PER_PURGE: u32 = 60;

/// Deletes what nobody needs, sees whether storage and journal take writes, and counts what is under
/// way, for ever.
pub async fn sweep(context: &Context) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in (0..SWEEPS_PER_PURGE).cycle() {
        ticks.tick().await;
        if let Err(error) = collect(context).await {
            fail(context, &error);
        }
        if let Err(error) = examine(context).await {
            fail(context, &error);
        }
        if tick == 0
            && let Err(error) = purge(context).await
        {
            fail(context, &error);
        }
    }
}

fn fail(context: &Context, error: &dyn std::error::Error) {
    context.metrics.task_failures.with_label_values(&["sweep"]).inc();
    tracing::warn!(task = "sweep", %error, "a task did not succeed; it will be tried again");
}

async fn collect(context: &Context) -> Result<(), journal::SweepError> {
    let grace = context.config.store.garbage_grace_ms;
    let deleted = journal::sweep(&context.journal, &context.store, grace, now()).await?;
    if deleted > 0 {
        context.metrics.segments_collected.inc_by(deleted);
        tracing::info!(deleted, "deleted segments that nothing needs any more");
    }
    Ok(())
}

async fn examine(context: &Context) -> Result<(), TaskError> {
    let (store, journal) = tokio::join!(context.store.probe(), context.journal.probe());
    context.metrics.store_writable.set(store.is_ok().into());
    context.metrics.journal_writable.set(journal.is_ok().into());
    let counts = context.journal.read(journal::visits::counts).await?;
    let waiting = counts.queued + counts.packed + counts.announced;
    context.metrics.queued_visits.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    context.metrics.jobs.set(context.task_journal.open_jobs().await?);
    journal?;
    Ok(store?)
}

/// Nobody looked at a damaged object for long enough.
async fn purge(context: &Context) -> Result<(), TaskError> {
    let before = now().saturating_sub(context.config.scrub.quarantine_ms);
    let (deleted, left) = context.store.purge_quarantine(before).await?;
    context.metrics.quarantined.set(i64::try_from(left).unwrap_or(i64::MAX));
    if deleted > 0 {
        tracing::info!(deleted, "deleted damaged objects that nobody looked at");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
