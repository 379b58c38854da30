//! How many requests the API accepts at once, and for how long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use epione_primitives::HospitalId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ApiError, AppState};
use crate::config::Limits;

/// Slots for requests in progress. A slot is given back when dropped.
pub(super) struct Slots {
    visits: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    segment_reads: Arc<Semaphore>,
    peer_reads: PeerReads,
    transactions: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

pub(super) type Slot = OwnedSemaphorePermit;

/// Slots for serving other hospitals. No hospital gets all of them, so that one which reads slowly leaves some for the
/// others.
struct PeerReads {
    all: Arc<Semaphore>,
    each: usize,
    /// One entry for each active hospital, so not many.
    of: Mutex<HashMap<HospitalId, Arc<Semaphore>>>,
}

impl PeerReads {
    fn new(slots: usize) -> Self {
        let each = slots.saturating_sub(1).max(1);
        Self { all: Arc::new(Semaphore::new(slots)), each, of: Mutex::default() }
    }

    fn take(&self, hospital: HospitalId) -> Result<(Slot, Slot), ApiError> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let own = of.entry(hospital).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Ok((take(own)?, take(&self.all)?))
    }
}

impl Slots {
    /// `peer_reads` are segments served to other hospitals at once.
    pub fn new(limits: &Limits, peer_reads: usize) -> Self {
        Self {
            visits: Arc::new(Semaphore::new(limits.visits)),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            segment_reads: Arc::new(Semaphore::new(limits.segment_reads)),
            peer_reads: PeerReads::new(peer_reads),
            transactions: Arc::new(Semaphore::new(limits.transactions)),
            requests: Arc::new(Semaphore::new(limits.requests)),
        }
    }
}

impl AppState {
    /// A slot for receiving a visit without its media; waits for one.
    pub(super) async fn visit_slot(&self) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.visits).await
    }

    /// A slot for an upload, if one is free.
    pub(super) fn upload_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.uploads)
    }

    /// A slot for waiting until a transaction is finalized, if one is free.
    pub(super) fn transaction_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.transactions)
    }

    /// A slot for any other request, if one is free.
    pub(super) fn request_slot(&self) -> Result<Slot, ApiError> {
        take(&self.shared.slots.requests)
    }

    /// A slot for serving a segment to a reader; waits for one.
    pub(super) async fn segment_slot(&self) -> Result<Slot, ApiError> {
        self.wait_for(&self.shared.slots.segment_reads).await
    }

    /// A slot for serving a segment to another hospital, if one is free. It does not wait, because the other hospital
    /// can ask elsewhere meanwhile.
    pub(super) fn peer_slot(&self, hospital: HospitalId) -> Result<(Slot, Slot), ApiError> {
        let slots = self.shared.slots.peer_reads.take(hospital);
        slots.inspect_err(|_| self.metrics.peers_put_off.inc())
    }

    async fn wait_for(&self, slots: &Arc<Semaphore>) -> Result<Slot, ApiError> {
        match tokio::time::timeout(self.limits.request_timeout, Arc::clone(slots).acquire_owned())
            .await
        {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(ApiError::busy()),
        }
    }
}

fn take(slots: &Arc<Semaphore>) -> Result<Slot, ApiError> {
    Arc::clone(slots).try_acquire_owned().map_err(|_| ApiError::busy())
}

/// Ends work that takes longer than a time limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(ApiError::timed_out()))
}
