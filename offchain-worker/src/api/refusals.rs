//! Refusals by policy. The chain records each refusal before the worker responds, with the request that the requester
//! signed, up to the daily limits of a requester and of the hospital. If the chain cannot, the request is refused all
//! the same, and the failure is logged and counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use epione_client::chain::calls::releases;
use epione_primitives::{
    AccountId, Signature, UserId,
    limits::{MAX_HOSPITAL_REFUSALS, MAX_REFUSALS_PER_DAY},
    profile::Role,
    release::{ReleasedRecord, Request},
};
use tokio::time::timeout;

use super::{AppState, limits::Holder, problem::Chained};
use crate::{
    chain::{CallError, FinalState, ViewError},
    custody_state::answers_for,
};

/// A refused request.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The account that signed the request.
    pub account: AccountId,
    pub request: Request,
    pub signature: Signature,
}

/// What happened to the record of a refusal.
enum Noted {
    Recorded,
    /// The chain has the request's answer already.
    Known,
    /// The requester has reached the daily limit.
    Enough,
    /// The hospital has reached its daily limit for all requesters together.
    HospitalLimit,
    /// No such patient exists, to whose list it could be added.
    NoPatient,
    /// A requested record is not one of this patient for which this hospital answers, so it had nothing to refuse.
    Elsewhere,
    /// Too many requests wait for transactions.
    Busy,
}

/// The number of recordings in progress, by requester. The chain's tally does not show them yet.
#[derive(Default)]
pub(super) struct Underway(Mutex<HashMap<UserId, u8>>);

/// A recording in progress. It counts until it is dropped.
struct Recording {
    underway: Arc<Underway>,
    requester: UserId,
}

impl Underway {
    fn counts(&self) -> MutexGuard<'_, HashMap<UserId, u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one more recording, in addition to those that the chain has recorded today; none beyond the limit.
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

/// Records a refusal. Returns when it is recorded, or when it is certain that it will not be.
pub(super) async fn record(state: &AppState, refusal: Refusal) {
    // In a separate task: a client that disconnects is recorded all the same.
    if let Err(error) = tokio::spawn(note(state.clone(), refusal)).await {
        tracing::error!(%error, "recording a refusal panicked");
    }
}

async fn note(state: AppState, refusal: Refusal) {
    let noted = timeout(state.limits.transaction_timeout, submit(&state, refusal))
        .await
        .unwrap_or(Err(CallError::TimedOut));
    let result = match noted {
        Ok(Noted::Recorded) => "recorded",
        Ok(Noted::Known) => "known",
        Ok(Noted::Enough) => "beyond-limit",
        Ok(Noted::HospitalLimit) => {
            tracing::warn!(
                "a refusal was not recorded: the hospital has reached its limit of {MAX_HOSPITAL_REFUSALS} in 24 hours"
            );
            "hospital-limit"
        }
        Ok(Noted::NoPatient) => "no-patient",
        Ok(Noted::Elsewhere) => "elsewhere",
        Ok(Noted::Busy) => {
            tracing::warn!("a refusal was not recorded: too many requests wait for transactions");
            "failed"
        }
        Err(error) => {
            tracing::warn!(error = %Chained(&error), "a refusal was not recorded on the chain");
            "failed"
        }
    };
    state.metrics.refusals.with_label_values(&[result]).inc();
}

async fn submit(state: &AppState, refusal: Refusal) -> Result<Noted, CallError> {
    let Refusal { account, request, signature } = refusal;
    let Request { requester, patient, hospital, .. } = request;
    let holder = Holder::Account(account);
    let Ok(_slot) = state.transaction_slot(holder).await else { return Ok(Noted::Busy) };
    let finalized = state.view.finalized().await?;
    let profile = finalized.profile(patient).await?;
    if profile.is_none_or(|profile| profile.role != Role::Patient) {
        return Ok(Noted::NoPatient);
    }
    if !are_here(finalized.as_ref(), &request).await? {
        return Ok(Noted::Elsewhere);
    }
    let tally = finalized.tally(hospital, requester).await?;
    let Some(_recording) = state.shared.refusals.begin(requester, tally.refusals) else {
        return Ok(Noted::Enough);
    };
    match state.calls.submit(releases::refuse(&request, &signature)).await {
        Ok(()) => Ok(Noted::Recorded),
        Err(CallError::Failed(failure)) if failure.is("Releases", "AlreadyAnswered") => {
            Ok(Noted::Known)
        }
        Err(CallError::Failed(failure)) if failure.is("Releases", "TooManyRefusals") => {
            Ok(Noted::Enough)
        }
        Err(CallError::Failed(failure)) if failure.is("Releases", "TooManyHospitalRefusals") => {
            Ok(Noted::HospitalLimit)
        }
        Err(error) => Err(error),
    }
}

/// Whether all requested records are of the requested patient, and of a hospital for which the requested one answers.
/// The chain records no other refusal.
async fn are_here(state: &dyn FinalState, request: &Request) -> Result<bool, ViewError> {
    for ReleasedRecord { pointer, .. } in &request.records {
        let entry = state.record(*pointer).await?;
        let header = state.header(pointer.height).await?;
        let is_patients = entry.is_some_and(|entry| entry.patient == request.patient);
        let Some(header) = header.filter(|_| is_patients) else { return Ok(false) };
        if !answers_for(state, request.hospital, header.announcer).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: UserId = UserId([1; 32]);

    #[test]
    fn no_more_are_in_progress_than_the_chain_accepts() {
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
