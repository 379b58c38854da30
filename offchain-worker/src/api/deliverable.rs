//! Whether the worker can hand out the media that it is about to grant. A receipt says that a requester got access, so
//! the chain records none for segments that no hospital has.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use epione_primitives::RecordPointer;

use super::{ApiError, AppState};

/// How long the hospital's storage may take to say which segments it has.
const STORAGE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the other hospitals are not asked again for a segment that none of them had.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Missing segments remembered.
const REMEMBERED: usize = 65_536;

/// A segment of a section that is to be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub pointer: RecordPointer,
    pub section: u16,
    pub segment: [u8; 32],
}

/// Those of these segments that neither this hospital nor, as far as they say so in time, another one has.
pub(super) async fn missing(state: &AppState, needed: &[Needed]) -> HashSet<[u8; 32]> {
    let missing = not_here(state, needed).await;
    let (mut missing, asked) = state.shared.unavailable.part(missing, Instant::now());
    if !asked.is_empty() {
        let found_missing = state.repair.missing_elsewhere(asked).await;
        state.shared.unavailable.remember(&found_missing, Instant::now());
        missing.extend(found_missing);
    }
    missing
}

/// The segments that are not stored here. What the storage does not say in time is here if this worker has verified it
/// before.
async fn not_here(state: &AppState, needed: &[Needed]) -> Vec<[u8; 32]> {
    let mut known = HashSet::new();
    let segments = needed.iter().map(|needed| needed.segment);
    let segments: Vec<_> = segments.filter(|segment| known.insert(*segment)).collect();
    let held = state.holdings.held_within(&segments, STORAGE_PATIENCE).await;
    let of = |answer: Option<bool>| {
        let each = segments.iter().zip(&held);
        each.filter(move |(_, held)| **held == answer).map(|(segment, _)| *segment)
    };
    let (mut missing, unknown): (Vec<_>, Vec<_>) = (of(Some(false)).collect(), of(None).collect());
    if !unknown.is_empty() {
        tracing::info!(
            segments = unknown.len(),
            "the storage does not say in time whether it has what is to be granted"
        );
        missing.extend(not_verified(state, unknown).await);
    }
    missing
}

/// Those of these segments that this worker has not verified.
async fn not_verified(state: &AppState, segments: Vec<[u8; 32]>) -> Vec<[u8; 32]> {
    match state.journal.not_verified(segments.clone()).await {
        Ok(missing) => missing,
        Err(error) => {
            tracing::warn!(%error, "the journal does not say which segments were verified");
            segments
        }
    }
}

/// The segments that no other hospital had some seconds ago, so that requests for them do not keep asking.
#[derive(Default)]
pub(super) struct Unavailable(Mutex<HashMap<[u8; 32], Instant>>);

impl Unavailable {
    /// Parts these segments into those that are still known to be missing, and the others.
    fn part(&self, segments: Vec<[u8; 32]>, now: Instant) -> (HashSet<[u8; 32]>, Vec<[u8; 32]>) {
        let known = self.lock();
        let is_known = |segment: &[u8; 32]| {
            known.get(segment).is_some_and(|since| now < *since + ASKED_AGAIN_AFTER)
        };
        let (missing, asked): (Vec<_>, Vec<_>) = segments.into_iter().partition(is_known);
        (missing.into_iter().collect(), asked)
    }

    fn remember(&self, segments: &[[u8; 32]], now: Instant) {
        let mut known = self.lock();
        known.retain(|_, since| now < *since + ASKED_AGAIN_AFTER);
        let room = REMEMBERED.saturating_sub(known.len());
        known.extend(segments.iter().take(room).map(|segment| (*segment, now)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The response to a request for a section with a missing segment.
pub(super) fn unavailable(needed: &Needed) -> ApiError {
    let Needed { pointer, section, .. } = needed;
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "segment-unavailable",
        "A requested section is not available now",
        format!(
            "Neither this hospital nor another one that answers has all of section {section} of record {pointer} now. \
             Nothing was granted, and the chain has no receipt. Request the other sections, or retry in a minute."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_hospitals_are_asked_again_after_a_while() {
        let (unavailable, now) = (Unavailable::default(), Instant::now());
        let (lost, other) = ([1; 32], [2; 32]);
        unavailable.remember(&[lost], now);
        let (missing, asked) = unavailable.part(vec![lost, other], now);
        assert_eq!((missing, asked), (HashSet::from([lost]), vec![other]));
        let (missing, asked) = unavailable.part(vec![lost, other], now + ASKED_AGAIN_AFTER);
        assert_eq!((missing.len(), asked.len()), (0, 2));
        let many: Vec<_> = (0..REMEMBERED as u64 + 10)
            .map(|index| *blake3::hash(&index.to_le_bytes()).as_bytes())
            .collect();
        unavailable.remember(&many, now);
        assert!(unavailable.lock().len() <= REMEMBERED);
    }
}
