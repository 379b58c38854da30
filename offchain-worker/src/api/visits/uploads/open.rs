//! Open uploads: visits whose media the worker awaits. They are few, each belongs to its author's account, and each
//! ends after a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use epione_client::api::{MAX_PART_BYTES, VisitStage, VisitStatus};
use epione_primitives::{Moment, RecordId};
use prometheus::IntGauge;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};

use super::MediaLayout;
use crate::{
    api::{
        ApiError, AppState, caller::Caller, ingest::Ingest, limits::Slot, visits::terms::VisitTerms,
    },
    metrics::Metrics,
    shares::Refused,
};

/// Parts of one visit in flight at once: one is sealed while the next is received.
const PARTS: usize = 2;
/// How far ahead of the received bytes a part may begin: by the longest part that may precede it.
const WINDOW: u64 = MAX_PART_BYTES as u64;
/// How often a part that waits for the ones before it looks whether others need its memory.
const LOOK: Duration = Duration::from_millis(100);
/// When all slots are taken, an upload that was idle for this fraction of its idle limit gives up its slot.
const GIVES_WAY_AFTER: u32 = 10;

/// All open uploads, by record. Clones share them.
#[derive(Clone, Default)]
pub(in crate::api) struct Uploads {
    open: Arc<Mutex<HashMap<RecordId, Arc<Upload>>>>,
}

/// A visit whose media the worker awaits.
pub(in crate::api::visits) struct Upload {
    pub(in crate::api::visits) terms: VisitTerms,
    pub(super) layout: MediaLayout,
    begun: Moment,
    /// Bytes of the media that were received and sealed; none once the upload has ended.
    received: watch::Sender<Option<u64>>,
    parts: Arc<Semaphore>,
    /// When a request last concerned it.
    touched: Mutex<Instant>,
    /// Given back when the upload ends.
    slot: Mutex<Option<Slot>>,
    /// Counts the open uploads.
    open: IntGauge,
    /// None once the upload has ended. Locked while a part is sealed.
    pub(super) ingest: AsyncMutex<Option<Ingest>>,
}

/// A part that is being received or sealed.
pub(super) struct InFlight {
    upload: Arc<Upload>,
    held: IntGauge,
    bytes: i64,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// Counts the bytes of memory that the part occupies.
    pub(super) fn holds(&mut self, bytes: usize) {
        self.bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.held.add(self.bytes);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.held.sub(self.bytes);
        self.upload.touch();
    }
}

impl AppState {
    /// The visits whose media the worker awaits.
    pub(in crate::api) fn uploads(&self) -> &Uploads {
        &self.shared.uploads
    }
}

impl Uploads {
    /// A slot for one more upload of a caller. If the caller has used up its share, its upload that was idle for
    /// longest gives up its slot; if all slots are taken, that of any caller. Uploads that were active recently keep
    /// theirs.
    pub async fn slot(&self, state: &AppState, caller: &Caller) -> Result<Slot, ApiError> {
        let refused = match state.upload_slot(caller.holder()) {
            Ok(slot) => return Ok(slot),
            Err(refused) => refused,
        };
        let patience = state.limits.upload_idle / GIVES_WAY_AFTER;
        let uploads: Vec<_> = self.lock().values().cloned().collect();
        let may_end = |upload: &Arc<Upload>| refused == Refused::All || upload.is_of(caller);
        let idle = uploads.into_iter().filter(may_end).map(|upload| (upload.idle(), upload));
        match idle.max_by_key(|(idle, _)| *idle).filter(|(idle, _)| *idle > patience) {
            Some((_, upload)) => self.end(&upload, "it was idle, and its slot is needed").await,
            None => return Err(refused.into()),
        }
        state.upload_slot(caller.holder()).map_err(ApiError::from)
    }

    pub(in crate::api::visits) fn find(&self, record: RecordId) -> Option<Arc<Upload>> {
        self.lock().get(&record).cloned()
    }

    /// Opens an upload, and makes sure that it ends. Returns the upload if one of this record is open already.
    pub(super) fn admit(
        &self,
        state: &AppState,
        upload: Upload,
    ) -> Result<VisitStatus, Box<Upload>> {
        let mut open = self.lock();
        if open.contains_key(&upload.terms.record) {
            return Err(Box::new(upload));
        }
        let status = upload.status_at(0);
        let upload = Arc::new(upload);
        open.insert(upload.terms.record, Arc::clone(&upload));
        upload.open.inc();
        let (idle, limit) = (state.limits.upload_idle, state.limits.upload_timeout);
        tokio::spawn(watch(self.clone(), upload, idle, limit));
        Ok(status)
    }

    /// Removes an upload from the open ones. False if it was removed before.
    pub(super) fn forget(&self, upload: &Arc<Upload>) -> bool {
        let mut open = self.lock();
        let record = upload.terms.record;
        let known = open.get(&record).is_some_and(|known| Arc::ptr_eq(known, upload));
        if known {
            open.remove(&record);
            upload.open.dec();
            upload.received.send_replace(None);
            *lock(&upload.slot) = None;
        }
        known
    }

    /// Ends an upload, and removes what was stored of it.
    pub(super) async fn end(&self, upload: &Arc<Upload>, why: &str) {
        if self.forget(upload) {
            tracing::info!(record = %upload.terms.record, why, "an upload was ended before it was complete");
            let ingest = upload.ingest.lock().await.take();
            if let Some(ingest) = ingest {
                ingest.abandon().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordId, Arc<Upload>>> {
        lock(&self.open)
    }
}

/// Ends an upload that is idle or takes too long.
async fn watch(uploads: Uploads, upload: Arc<Upload>, idle: Duration, limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut received = upload.received.subscribe();
    loop {
        let rest = idle.saturating_sub(upload.idle()).max(Duration::from_millis(10));
        tokio::select! {
            _ = received.wait_for(Option::is_none) => return,
            () = sleep_until(deadline.min(Instant::now() + rest)) => {}
        }
        if Instant::now() >= deadline {
            uploads.end(&upload, "it took too long").await;
        } else if upload.idle() >= idle {
            uploads.end(&upload, "it was idle for too long").await;
        }
    }
}

impl Upload {
    pub(super) fn new(
        terms: VisitTerms,
        layout: MediaLayout,
        ingest: Ingest,
        slot: Slot,
        metrics: &Metrics,
    ) -> Self {
        Self {
            terms,
            layout,
            begun: crate::now(),
            received: watch::Sender::new(Some(0)),
            parts: Arc::new(Semaphore::new(PARTS)),
            touched: Mutex::new(Instant::now()),
            slot: Mutex::new(Some(slot)),
            open: metrics.uploads_open.clone(),
            ingest: AsyncMutex::new(Some(ingest)),
        }
    }

    pub(super) fn into_inner(self) -> (VisitTerms, Option<Ingest>) {
        (self.terms, self.ingest.into_inner())
    }

    /// Whether this caller is the one who uploads the media.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        caller.user == Some(self.terms.author) && caller.request.account == self.terms.sender
    }

    /// Its status; none once it has ended.
    pub(in crate::api::visits) fn status(&self) -> Option<VisitStatus> {
        self.received().map(|received| self.status_at(received))
    }

    fn status_at(&self, received: u64) -> VisitStatus {
        VisitStatus {
            record_id: self.terms.record,
            stage: VisitStage::Uploading,
            queued_at: None,
            since: self.begun,
            media: self.layout.progress(received),
            last_failure: None,
        }
    }

    /// Bytes of the media that were received and sealed; none once it has ended.
    pub(super) fn received(&self) -> Option<u64> {
        *self.received.borrow()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received() == Some(self.layout.total())
    }

    /// Records that all bytes before a position were sealed.
    pub(super) fn advance_to(&self, end: u64) {
        self.received.send_if_modified(|received| {
            let is_open = received.is_some();
            *received = received.map(|_| end);
            is_open
        });
    }

    /// Begins to receive a part, unless too many are in flight.
    pub(super) fn begin_part(self: &Arc<Self>, metrics: &Metrics) -> Result<InFlight, ApiError> {
        let permit = Arc::clone(&self.parts).try_acquire_owned().map_err(|_| ApiError::busy())?;
        self.touch();
        Ok(InFlight {
            upload: Arc::clone(self),
            held: metrics.upload_bytes_held.clone(),
            bytes: 0,
            _permit: permit,
        })
    }

    /// Waits until all bytes before a position were sealed, or the upload has ended. The part does not wait while
    /// others need its memory.
    pub(super) async fn reach(
        &self,
        start: u64,
        limit: Duration,
        is_needed: impl Fn() -> bool,
    ) -> Result<(), ApiError> {
        let early = |received: u64| start > received.saturating_add(WINDOW);
        if self.received().is_some_and(early) {
            return Err(out_of_order());
        }
        let mut received = self.received.subscribe();
        let ready = async {
            let reached =
                |received: &Option<u64>| received.is_none_or(|received| received >= start);
            received.wait_for(reached).await.map(drop).ok();
        };
        let needed = async {
            while !is_needed() {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            () = ready => Ok(()),
            () = needed => Err(out_of_order()),
            () = sleep(limit) => Err(out_of_order()),
        }
    }

    pub(super) fn touch(&self) {
        *lock(&self.touched) = Instant::now();
    }

    /// How long no request has concerned it.
    fn idle(&self) -> Duration {
        if self.parts.available_permits() < PARTS {
            return Duration::ZERO;
        }
        lock(&self.touched).elapsed()
    }
}

fn out_of_order() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "offset",
        "The parts before this one have not arrived",
        "Request the visit's status (GET /v1/visits/<record id>), and resume from its offset.",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
