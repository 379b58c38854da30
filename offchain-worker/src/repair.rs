//! Repair of segments that are damaged or missing here, from hospitals that have them. The API and scrubs request it,
//! and `transfer` implements it.

use futures::future::BoxFuture;

use crate::store::StoreError;

/// Why a segment could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("no lite block that this hospital knows contains the segment")]
    UnknownSegment,
    #[error("no other hospital could supply the segment: retry later")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches segments from other hospitals.
pub trait Repair: Send + Sync {
    /// Fetches the segment of this hash, verifies and stores it. Concurrent calls for one segment
    /// share one fetch.
    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>>;
}
