//! When passes are made: now and then, slowly, and at once when an operator asks.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Report, Scrubber};
use crate::tasks::{Context, TaskError};

/// How long jobs may fetch what is missing, before the first look whether something is.
const GRACE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(2);
/// After a pass that did not come to its end, and between passes at least.
const PAUSE: Duration = Duration::from_secs(60);

/// A pass that somebody waits for.
#[derive(Debug)]
pub struct Request {
    /// As fast as the storage allows, if absent.
    pub segments_per_minute: Option<u32>,
    pub reply: oneshot::Sender<Result<Report, TaskError>>,
}

/// The pause after each segment.
pub fn pause(segments_per_minute: Option<u32>) -> Option<Duration> {
    segments_per_minute.map(|rate| Duration::from_secs(60) / rate.max(1))
}

/// Makes passes, for ever. One that is asked for cuts a scheduled one short, which then begins anew.
pub async fn run(context: &Context, scrubber: &Scrubber, mut requests: mpsc::Receiver<Request>) {
    let slowly = pause(Some(context.config.scrub.segments_per_minute));
    let every = Duration::from_millis(context.config.scrub.every_ms);
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
                    Ok(_) => every.saturating_sub(begun.elapsed()).max(PAUSE),
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

async fn answer(context: &Context, scrubber: &Scrubber, request: Request) {
    let done = scrubber.pass(pause(request.segments_per_minute)).await;
    if let Err(error) = &done {
        report(context, error);
    }
    // Whoever asked may have gone.
    request.reply.send(done).ok();
}

fn report(context: &Context, error: &TaskError) {
    context.metrics.task_failures.with_label_values(&["scrub"]).inc();
    tracing::warn!(%error, "a scrub did not come to its end; it will be tried again");
}

/// The first pass waits until the chain was looked at, and until the jobs that came of it have had their
/// time.
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
    // Late or not: what is still missing then is looked for here too.
    let _ = timeout(GRACE, jobs_done).await;
}
