//! How much the API takes on at once, and for how long.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ApiError, AppState};
use crate::config::Limits;

/// Places for requests under way. A place is given back when dropped.
pub(super) struct Slots {
    uploads: Arc<Semaphore>,
    segment_reads: Arc<Semaphore>,
    transactions: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

pub(super) type Slot = OwnedSemaphorePermit;

impl Slots {
    pub fn new(limits: &Limits) -> Self {
        Self {
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            segment_reads: Arc::new(Semaphore::new(limits.segment_reads)),
            transactions: Arc::new(Semaphore::new(limits.transactions)),
            requests: Arc::new(Semaphore::new(limits.requests)),
        }
    }
}

impl AppState {
    /// A place for an upload, if one is free.
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
        let wait = Duration::from_millis(self.limits.request_timeout_ms);
        let slots = Arc::clone(&self.shared.slots.segment_reads);
        match tokio::time::timeout(wait, slots.acquire_owned()).await {
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
