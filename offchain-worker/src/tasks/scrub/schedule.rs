//! When passes run: slowly at regular intervals, and at once when an operator requests one.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{ScrubReport, Scrubber};
use crate::{
    config,
    tasks::{Context, TaskError},
};

/// How long jobs may fetch missing segments before the first pass looks for them.
const GRACE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(2);
/// After a pass that failed, and at least between passes.
const PAUSE: Duration = Duration::from_secs(60);

/// A request for a pass.
#[derive(Debug)]
pub struct ScrubRequest {
    /// Absent: as fast as the storage allows.
    pub segments_per_minute: Option<u32>,
    pub reply: oneshot::Sender<Result<ScrubReport, TaskError>>,
}

/// The pause after each segment.
pub fn pause(segments_per_minute: Option<u32>) -> Option<Duration> {
    segments_per_minute.map(|rate| Duration::from_secs(60) / rate.max(1))
}

/// Runs passes. Never returns. A requested pass interrupts a scheduled one, which then starts over.
pub async fn run(
    context: &Context,
    scrubber: &Scrubber,
    config: &config::Scrub,
    mut requests: mpsc::Receiver<ScrubRequest>,
) {
    let slowly = pause(Some(config.segments_per_minute));
    let mut next = None;
    loop {
        tokio::select! {
            biased;
            Some(request) = requests.recv() => {
                answer(context, scrubber, request).await;
                continue;
            }
            () = due(context, next) => {}
        }
        let begun = Instant::now();
        tokio::select! {
            biased;
            Some(request) = requests.recv() => answer(context, scrubber, request).await,
            done = scrubber.pass(slowly) => {
                let pause = match done {
                    Ok(_) => config.every.saturating_sub(begun.elapsed()).max(PAUSE),
                    Err(error) => {
                        report(context, &error);
                        PAUSE
                    }
                };
                next = Instant::now().checked_add(pause);
            }
        }
    }
}

async fn answer(context: &Context, scrubber: &Scrubber, request: ScrubRequest) {
    let done = scrubber.pass(pause(request.segments_per_minute)).await;
    if let Err(error) = &done {
        report(context, error);
    }
    // The client may have disconnected.
    request.reply.send(done).ok();
}

fn report(context: &Context, error: &TaskError) {
    context.metrics.task_failures.with_label_values(&["scrub"]).inc();
    tracing::warn!(%error, "a scrub failed; it will be retried");
}

/// Returns when the next pass is due. The first waits until a block was processed, and gives its jobs time to finish.
async fn due(context: &Context, next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => settle(context).await,
    }
}

async fn settle(context: &Context) {
    context.reached(0).await;
    let jobs_done = async {
        loop {
            sleep(POLL).await;
            if matches!(context.task_journal.open_jobs().await, Ok(0)) {
                return;
            }
        }
    };
    // After the time limit, the pass fetches what the jobs have not.
    let _ = timeout(GRACE, jobs_done).await;
}
