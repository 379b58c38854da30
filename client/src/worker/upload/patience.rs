//! When an interrupted upload is retried, and when it fails.

use std::time::{Duration, Instant};

use crate::worker::WorkerError;

/// An upload fails after this time without progress.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Pause after the first failure; it doubles with each further failure, five times.
const PAUSE: Duration = Duration::from_millis(250);
const DOUBLINGS: u32 = 5;
/// How often a worker may lose what it received of one visit.
const MAX_BEGINNINGS: u32 = 8;

/// The failures so far.
#[derive(Default)]
pub(super) struct Patience {
    /// Failures since the last progress, and the time of the first of them.
    failures: u32,
    since: Option<Instant>,
    beginnings: u32,
}

impl Patience {
    /// Waits before the next attempt; returns the error if there is no point in one.
    pub(super) async fn bear(&mut self, error: WorkerError) -> Result<(), WorkerError> {
        let pause = self.pause(error)?;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn pause(&mut self, error: WorkerError) -> Result<Duration, WorkerError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !is_passing(&error) || since.elapsed() > GIVE_UP {
            return Err(error);
        }
        let pause = PAUSE * 2_u32.pow(self.failures.min(DOUBLINGS));
        self.failures += 1;
        tracing::debug!(%error, ?pause, "an upload was interrupted");
        Ok(pause)
    }

    /// There was progress.
    pub(super) fn rewarded(&mut self) {
        self.failures = 0;
        self.since = None;
    }

    /// Allows the upload to begin again; returns the error if it did so too often.
    pub(super) fn begin_anew(&mut self, error: WorkerError) -> Result<(), WorkerError> {
        self.beginnings += 1;
        if self.beginnings > MAX_BEGINNINGS { Err(error) } else { Ok(()) }
    }
}

fn kind(error: &WorkerError) -> Option<&str> {
    error.problem()?.kind.rsplit(':').next()
}

/// Whether the worker is busy.
pub(super) fn is_turned_away(error: &WorkerError) -> bool {
    kind(error) == Some("busy")
}

/// Whether the worker does not know the visit.
pub(super) fn is_forgotten(error: &WorkerError) -> bool {
    error.problem().is_some_and(|problem| problem.status == 404)
}

/// Whether an upload may resume after this error.
fn is_passing(error: &WorkerError) -> bool {
    let of_the_connection = ["offset", "no-upload", "silent", "truncated"];
    error.is_transient() || kind(error).is_some_and(|kind| of_the_connection.contains(&kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::Problem;

    fn problem(status: u16, kind: &str) -> WorkerError {
        WorkerError::Problem(Box::new(Problem {
            kind: format!("urn:epione:problem:{kind}"),
            title: String::new(),
            status,
            detail: None,
            denial: None,
        }))
    }

    #[test]
    fn transient_errors_are_retried_after_growing_pauses_which_progress_resets() {
        let mut patience = Patience::default();
        let pauses: Vec<_> =
            (0..8).map(|_| patience.pause(problem(503, "storage")).unwrap()).collect();
        assert!(pauses.is_sorted() && pauses[0] == PAUSE);
        assert_eq!(pauses[7], PAUSE * 32);
        patience.rewarded();
        assert_eq!(patience.pause(problem(409, "offset")).unwrap(), PAUSE);
    }

    #[test]
    fn a_refusal_is_not_retried() {
        for (status, kind) in [(400, "content"), (403, "denied"), (507, "storage")] {
            Patience::default().pause(problem(status, kind)).unwrap_err();
        }
    }

    #[test]
    fn an_upload_without_progress_fails() {
        let Some(long_ago) = Instant::now().checked_sub(GIVE_UP + PAUSE) else { return };
        let mut patience = Patience { since: Some(long_ago), ..Patience::default() };
        patience.pause(problem(503, "busy")).unwrap_err();
    }

    #[test]
    fn an_upload_that_the_worker_loses_too_often_fails() {
        let mut patience = Patience::default();
        for _ in 0..MAX_BEGINNINGS {
            patience.begin_anew(problem(404, "not-found")).unwrap();
        }
        patience.begin_anew(problem(404, "not-found")).unwrap_err();
    }
}
