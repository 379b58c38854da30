//! How much the API takes on at once, and for how long.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ApiError, AppState};
use crate::config::Limits;

/// Places for requests under way. A place is given back when dropped.
pub(super) struct Slots {
    visits: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    segment_reads: Arc<Semaphore>,
    /// Segments for other hospitals.
    peer_reads: Arc<Semaphore>,
    transactions: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

pub(super) type Slot = OwnedSemaphorePermit;

impl Slots {
    /// `peer_reads` are segments served to other hospitals at once.
    pub fn new(limits: &Limits, peer_reads: usize) -> Self {
        Self {
            visits: Arc::new(Semaphore::new(limits.visits)),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            segment_reads: Arc::new(Semaphore::new(limits.segment_reads)),
            peer_reads: Arc::new(Semaphore::new(peer_reads)),
            transactions: Arc::new(Semaphore::new(limits.transactions)),
            requests: Arc::new(Semaphore::new(limits.requests)),
        }
    }
}

impl AppState {
    /// A place to take a visit in, but for its media; waits for one.
    pub(super) async fn visit_slot(&self) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.visits).await
    }

    /// A place for a visit whose media are awaited, if one is free.
    pub(super) fn upload_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.uploads)
    }

    /// A place to wait in until a transaction is final, if one is free.
    pub(super) fn transaction_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.transactions)
    }

    /// A place for any other request, if one is free.
    pub(super) fn request_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.requests)
    }

    /// A place to serve a segment from; waits for one.
    pub(super) async fn segment_slot(&self) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.segment_reads).await
    }

    /// A place to serve another hospital from, if one is free. Who waited here would not ask another
    /// meanwhile.
    pub(super) fn peer_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.peer_reads).inspect_err(|_| self.metrics.peers_put_off.inc())
    }

    async fn wait_for(&self, slots: &Arc<Semaphore>) -> Result<Slot, ApiError> {
        let wait = Duration::from_millis(self.limits.request_timeout_ms);
        match tokio::time::timeout(wait, Arc::clone(slots).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(ApiError::busy()),
        }
    }
}

fn take(slots: &Arc<Semaphore>) -> Result<Slot, ApiError> {
    Arc::clone(slots).try_acquire_owned().map_err(|_| ApiError::busy())
}

/// Gives work up after so many milliseconds.
pub(super) async fn within<T>(
    milliseconds: u64,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(Duration::from_millis(milliseconds), work)
        .await
        .unwrap_or_else(|_| Err(ApiError::timed_out()))
}
