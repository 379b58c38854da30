//! Repair of segments that are damaged or missing here, from hospitals that have them. The API and scrubs request it,
//! and `transfer` implements it.

use bytes::Bytes;
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
    /// Fetches the segment of this hash and stores it, so that it is verified: see
    /// [`journal::verified`](crate::journal::verified). Concurrent calls for one segment share one fetch.
    fn repair(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<(), RepairError>>;

    /// Fetches the segment of this hash and verifies it, without the storage: for a reader who waits while the storage
    /// fails. At most 4 MiB.
    fn obtain(&self, segment: [u8; 32]) -> BoxFuture<'_, Result<Bytes, RepairError>>;

    /// Those of these segments of which no other hospital says that it stores them. Asks a few hospitals at once, and
    /// only for some seconds.
    fn missing_elsewhere(&self, segments: Vec<[u8; 32]>) -> BoxFuture<'_, Vec<[u8; 32]>>;
}
