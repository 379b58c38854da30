//! Getting a segment again that is damaged or missing here, from hospitals that have it. Asked by the
//! API, answered by `transfer`.

use futures::future::BoxFuture;

use crate::store::StoreError;

/// Why a segment could not be had again.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("no lite block that this hospital knows names the segment")]
    UnknownSegment,
    #[error("no other hospital could give the segment: try again later")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whoever can fetch segments from other hospitals.
pub trait Repair: Send + Sync {
    /// Fetches the segment of this hash, verifies and stores it. Concurrent calls for one segment
    /// share one fetch.
    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>>;
}
