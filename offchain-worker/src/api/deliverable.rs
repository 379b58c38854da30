//! Whether the worker can hand out the media that it is about to grant. A receipt says that a requester got access, so
//! the chain records none for segments that no hospital has.

use std::{collections::HashSet, time::Duration};

use axum::http::StatusCode;
use epione_primitives::RecordPointer;
use tokio::time::timeout;

use super::{ApiError, AppState};

/// How long the hospital's storage may take to say which segments it has. Then the other hospitals are asked.
const STORAGE_PATIENCE: Duration = Duration::from_secs(5);

/// A segment of a section that is to be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub pointer: RecordPointer,
    pub section: u16,
    pub segment: [u8; 32],
}

/// Checks that each segment is stored here, or that another hospital says that it has the segment.
pub(super) async fn check(state: &AppState, needed: &[Needed]) -> Result<(), ApiError> {
    let missing = not_here(state, needed).await;
    if missing.is_empty() {
        return Ok(());
    }
    let missing: HashSet<_> = state.repair.missing_elsewhere(missing).await.into_iter().collect();
    match needed.iter().find(|needed| missing.contains(&needed.segment)) {
        None => Ok(()),
        Some(needed) => Err(unavailable(needed)),
    }
}

/// The segments that the hospital's storage does not say that it has; all of them if the storage fails.
async fn not_here(state: &AppState, needed: &[Needed]) -> Vec<[u8; 32]> {
    let mut known = HashSet::new();
    let segments = needed.iter().map(|needed| needed.segment);
    let segments: Vec<_> = segments.filter(|segment| known.insert(*segment)).collect();
    match timeout(STORAGE_PATIENCE, state.holdings.held(&segments)).await {
        Ok(Ok(held)) => {
            let each = segments.into_iter().zip(held);
            each.filter(|(_, held)| !held).map(|(segment, _)| segment).collect()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the storage does not say whether it has what is to be granted");
            segments
        }
        Err(_) => segments,
    }
}

fn unavailable(needed: &Needed) -> ApiError {
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
