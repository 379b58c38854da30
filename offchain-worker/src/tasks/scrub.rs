//! Looks after what is stored: everything needed is there and intact, and nothing else stays.

use std::{sync::Arc, time::Duration};

use epione_primitives::block::Segment;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{Context, TaskError};
use crate::{journal, now, repair::Repair, store::StoreError};

const SWEEP: Duration = Duration::from_secs(60);
/// Segments listed at once.
const PAGE: u32 = 256;
/// How long other jobs may fetch what is missing, before the first look whether something is.
const GRACE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(2);

/// Deletes what nobody needs, and counts what is under way, for ever.
pub async fn sweep(context: &Context) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let grace = context.config.store.garbage_grace_ms;
        match journal::sweep(&context.journal, &context.store, grace, now()).await {
            Ok(0) => {}
            Ok(deleted) => {
                context.metrics.segments_collected.inc_by(deleted);
                tracing::info!(deleted, "deleted segments that nothing needs any more");
            }
            Err(error) => fail(context, "sweep", &error),
        }
        if let Err(error) = count(context).await {
            fail(context, "sweep", &error);
        }
    }
}

fn fail(context: &Context, task: &str, error: &dyn std::error::Error) {
    context.metrics.task_failures.with_label_values(&[task]).inc();
    tracing::warn!(task, %error, "a task did not succeed; it will be tried again");
}

async fn count(context: &Context) -> Result<(), TaskError> {
    let counts = context.journal.read(journal::visits::counts).await?;
    let waiting = counts.queued + counts.packed + counts.announced;
    context.metrics.queued_visits.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    context.metrics.jobs.set(context.ledger.open_jobs().await?);
    Ok(())
}

/// First looks whether every needed segment is there; then reads one after the other, slowly, for
/// ever. What is missing or damaged is fetched from other hospitals.
pub async fn run(context: &Context) {
    settle(context).await;
    loop {
        match presence(context).await {
            Ok(()) => break,
            Err(error) => {
                fail(context, "scrub", &error);
                sleep(SWEEP).await;
            }
        }
    }
    let pause = Duration::from_secs(60) / context.config.scrub.segments_per_minute.max(1);
    let mut after = None;
    loop {
        sleep(pause).await;
        match verify_next(context, after).await {
            Ok(Some(segment)) => after = Some(segment.hash),
            // From the beginning, after a while, since there may be nothing at all.
            Ok(None) => {
                after = None;
                sleep(SWEEP).await;
            }
            Err(error) => fail(context, "scrub", &error),
        }
    }
}

/// Waits until the chain was looked at, and until the jobs that came of it have had their time.
async fn settle(context: &Context) {
    context.reached(0).await;
    let jobs_done = async {
        loop {
            sleep(POLL).await;
            if matches!(context.ledger.open_jobs().await, Ok(0)) {
                return;
            }
        }
    };
    // Late or not: what is still missing then is looked for here too.
    let _ = tokio::time::timeout(GRACE, jobs_done).await;
}

async fn presence(context: &Context) -> Result<(), TaskError> {
    let (mut after, mut missing) = (None, 0_u64);
    loop {
        let page = context.journal.all_referenced(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.hash);
        for segment in &page {
            if !context.store.contains(segment).await? {
                missing += 1;
                restore(context, segment).await;
            }
        }
    }
    if missing > 0 {
        tracing::warn!(missing, "segments were missing from the store");
    }
    Ok(())
}

/// Reads and checks the next segment; none at the end.
async fn verify_next(
    context: &Context,
    after: Option<[u8; 32]>,
) -> Result<Option<Segment>, TaskError> {
    let Some(segment) = context.journal.all_referenced(after, 1).await?.pop() else {
        return Ok(None);
    };
    match context.store.read(&segment).await {
        Ok(_) => {}
        Err(StoreError::Missing) => restore(context, &segment).await,
        Err(StoreError::Damaged) => {
            context.metrics.segments_damaged.inc();
            restore(context, &segment).await;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Some(segment))
}

async fn restore(context: &Context, segment: &Segment) {
    let open = context.seen.borrow().as_ref().map(|seen| Arc::clone(&seen.open));
    match context.ledger.is_due(segment.hash, open.unwrap_or_default()).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return fail(context, "scrub", &error),
    }
    match context.repair.repair(segment.hash).await {
        Ok(()) => context.metrics.segments_repaired.inc(),
        Err(error) => fail(context, "scrub", &error),
    }
}
