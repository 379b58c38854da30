//! Looks after what is stored: all that is needed is here and intact, and the rest is deleted.

mod blocks;
mod pass;
mod report;
mod schedule;

pub use blocks::{Blocks, Needed};
pub use pass::Scrubber;
pub use report::{Names, ScrubProgress, ScrubReport};
pub use schedule::{ScrubRequest, pause, run};

use std::{sync::Arc, time::Duration};

use epione_primitives::{Moment, limits::DAY_MILLIS};
use rusqlite::Transaction;
use tokio::time::{MissedTickBehavior, interval};

use super::{Context, TaskError, own_blocks};
use crate::{
    journal::{self, Journal, visits},
    metrics::Metrics,
    now,
    store::{Store, StoreError},
};

const SWEEP: Duration = Duration::from_secs(60);
/// How long the media of a visit are kept that was set aside, in milliseconds: two weeks.
const ASIDE_KEPT: Moment = 14 * DAY_MILLIS;
/// Such visits whose media are released in one sweep.
const RELEASED_AT_ONCE: u32 = 100;
/// Sweeps between two checks of the quarantine.
const SWEEPS_PER_PURGE: u32 = 60;

/// Deletes what is not needed any more.
pub struct Sweeper {
    pub context: Arc<Context>,
    pub store: Store,
    /// How long a segment is kept after it was last needed, in milliseconds.
    pub garbage_grace: Moment,
    /// How long a damaged object is kept, in milliseconds.
    pub quarantine: Moment,
}

impl Sweeper {
    /// Deletes what is not needed, tests whether storage and journal accept writes, and counts queued visits and open
    /// jobs. Never returns.
    pub async fn run(&self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in (0..SWEEPS_PER_PURGE).cycle() {
            ticks.tick().await;
            if let Err(error) = self.collect().await {
                self.fail(&error);
            }
            if let Err(error) = self.examine().await {
                self.fail(&error);
            }
            if tick == 0
                && let Err(error) = self.purge().await
            {
                self.fail(&error);
            }
        }
    }

    fn fail(&self, error: &dyn std::error::Error) {
        self.context.metrics.task_failures.with_label_values(&["sweep"]).inc();
        tracing::warn!(task = "sweep", %error, "a task failed; it will be retried");
    }

    async fn collect(&self) -> Result<(), journal::SweepError> {
        let Context { journal, metrics, .. } = self.context.as_ref();
        release_aside(journal, self.head_time().await, now()).await?;
        let deleted = journal::sweep(journal, &self.store, self.garbage_grace, now()).await?;
        if deleted > 0 {
            metrics.segments_collected.inc_by(deleted);
            tracing::info!(deleted, "deleted segments that nothing needs any more");
        }
        Ok(())
    }

    /// The time of the newest finalized block; none while the node is away.
    async fn head_time(&self) -> Option<Moment> {
        let (_, snapshot) = self.context.look().ok()?;
        snapshot.time().await.ok()
    }

    async fn examine(&self) -> Result<(), TaskError> {
        let Context { journal, task_journal, metrics, .. } = self.context.as_ref();
        let (store, written) = tokio::join!(self.store.probe(), journal.probe());
        note_storage(metrics, &store);
        metrics.journal_writable.set(written.is_ok().into());
        count_visits(metrics, journal, now()).await?;
        metrics.jobs.set(task_journal.open_jobs().await?);
        written?;
        Ok(store?)
    }

    /// Deletes damaged objects that have been in quarantine for long enough.
    async fn purge(&self) -> Result<(), TaskError> {
        let before = now().saturating_sub(self.quarantine);
        let (deleted, left) = self.store.purge_quarantine(before).await?;
        self.context.metrics.quarantined.set(i64::try_from(left).unwrap_or(i64::MAX));
        if deleted > 0 {
            tracing::info!(deleted, "deleted damaged objects whose time in quarantine has ended");
        }
        Ok(())
    }
}

/// Releases the media of visits that were set aside long ago. Their authors were told to submit them again. The worker
/// believes its machine's clock only if the newest finalized block agrees: a clock that is ahead deletes nothing.
async fn release_aside(
    journal: &Journal,
    head_time: Option<Moment>,
    now: Moment,
) -> Result<(), journal::JournalError> {
    if !head_time.is_some_and(|time| own_blocks::is_of_now(time, now)) {
        return Ok(());
    }
    let before = now.saturating_sub(ASIDE_KEPT);
    let release =
        move |tx: &Transaction<'_>| visits::release_aside(tx, before, RELEASED_AT_ONCE, now);
    let released = journal.write(release).await?;
    if released > 0 {
        tracing::warn!(
            visits = released,
            "the worker keeps the media of visits no longer that were set aside two weeks ago"
        );
    }
    Ok(())
}

/// Counts the visits that wait, and those that were set aside within a day.
async fn count_visits(metrics: &Metrics, journal: &Journal, now: Moment) -> Result<(), TaskError> {
    let counts = journal.read(visits::counts).await?;
    let waiting = counts.queued + counts.packed + counts.announced;
    metrics.queued_visits.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    let since = now.saturating_sub(DAY_MILLIS);
    let aside = journal.read(move |tx| visits::set_aside_since(tx, since)).await?;
    metrics.visits_set_aside.set(i64::try_from(aside).unwrap_or(i64::MAX));
    Ok(())
}

/// Notes whether the storage accepted a test write, or belongs to another worker.
fn note_storage(metrics: &Metrics, probed: &Result<(), StoreError>) {
    metrics.store_writable.set(probed.is_ok().into());
    metrics.store_lost.set(matches!(probed, Err(StoreError::Foreign { .. })).into());
}

#[cfg(test)]
mod tests;
