//! Refusals by policy. The chain records each before it is answered, up to its bound for a requester's
//! day; where the chain cannot, the refusal stands all the same, and is logged and counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use epione_client::chain::calls::releases;
use epione_primitives::{UserId, access::Purpose, limits::MAX_REFUSALS_PER_DAY, profile::Role};
use tokio::time::timeout;

use super::{AppState, problem::Chained};
use crate::chain::CallError;

/// Who was refused what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub requester: UserId,
    pub patient: UserId,
    pub purpose: Purpose,
    pub emergency: bool,
}

/// What became of a refusal on its way to the chain.
enum Noted {
    Recorded,
    /// The requester's day has as many as the chain takes.
    Enough,
    /// There is no such patient, whose list it could be on.
    NoPatient,
    /// Too many transactions are waited for.
    Busy,
}

/// Recordings under way, by requester: the chain's tally does not show them yet.
#[derive(Default)]
pub(super) struct Underway(Mutex<HashMap<UserId, u8>>);

/// Counts while it lives.
struct Recording {
    underway: Arc<Underway>,
    requester: UserId,
}

impl Underway {
    fn counts(&self) -> MutexGuard<'_, HashMap<UserId, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to record one more, beside those that the chain has recorded today.
    fn begin(self: &Arc<Self>, requester: UserId, recorded: u8) -> Option<Recording> {
        let mut counts = self.counts();
        let underway = counts.get(&requester).copied().unwrap_or(0);
        if recorded.saturating_add(underway) >= MAX_REFUSALS_PER_DAY {
            return None;
        }
        counts.insert(requester, underway + 1);
        Some(Recording { underway: Arc::clone(self), requester })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut counts = self.underway.counts();
        match counts.get_mut(&self.requester) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.requester);
            }
        }
    }
}

/// Returns when the chain has recorded a refusal, or when it is clear that it does not.
pub(super) async fn record(state: &AppState, refusal: Refusal) {
    // In a task of its own: who hangs up at once is recorded all the same.
    if let Err(error) = tokio::spawn(note(state.clone(), refusal)).await {
        tracing::error!(%error, "recording a refusal failed in an unforeseen way");
    }
}

async fn note(state: AppState, refusal: Refusal) {
    let noted = timeout(state.limits.transaction_timeout, submit(&state, refusal))
        .await
        .unwrap_or(Err(CallError::TimedOut));
    let result = match noted {
        Ok(Noted::Recorded) => "recorded",
        Ok(Noted::Enough) => "beyond-limit",
        Ok(Noted::NoPatient) => "no-patient",
        Ok(Noted::Busy) => {
            tracing::warn!("a refusal was not recorded: too many transactions are waited for");
            "failed"
        }
        Err(error) => {
            tracing::warn!(error = %Chained(&error), "a refusal was not recorded on chain");
            "failed"
        }
    };
    state.metrics.refusals.with_label_values(&[result]).inc();
}

async fn submit(state: &AppState, refusal: Refusal) -> Result<Noted, CallError> {
    let Refusal { requester, patient, purpose, emergency } = refusal;
    let Ok(_slot) = state.transaction_slot() else { return Ok(Noted::Busy) };
    let hospital = state.view.identity().await?.hospital;
    let finalized = state.view.finalized().await?;
    let profile = finalized.profile(patient).await?;
    if profile.is_none_or(|profile| profile.role != Role::Patient) {
        return Ok(Noted::NoPatient);
    }
    let tally = finalized.tally(hospital, requester).await?;
    let Some(_recording) = state.shared.refusals.begin(requester, tally.refusals) else {
        return Ok(Noted::Enough);
    };
    let call = releases::refuse(requester, patient, purpose, emergency);
    match state.calls.submit(call).await {
        Ok(()) => Ok(Noted::Recorded),
        Err(CallError::Failed(failure)) if failure.is("Releases", "TooManyRefusals") => {
            Ok(Noted::Enough)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: UserId = UserId([1; 32]);

    #[test]
    fn no_more_are_under_way_than_the_chain_would_take() {
        let underway = Arc::new(Underway::default());
        let mut recordings: Vec<_> = (0..3)
            .map(|_| underway.begin(SOMEBODY, MAX_REFUSALS_PER_DAY - 3))
            .collect::<Option<_>>()
            .unwrap();
        assert!(underway.begin(SOMEBODY, MAX_REFUSALS_PER_DAY - 3).is_none());
        assert!(underway.begin(UserId([2; 32]), 0).is_some());
        recordings.pop();
        assert!(underway.begin(SOMEBODY, MAX_REFUSALS_PER_DAY - 3).is_some());
        drop(recordings);
        assert!(underway.counts().is_empty());
        assert!(underway.begin(SOMEBODY, MAX_REFUSALS_PER_DAY).is_none());
    }
}
