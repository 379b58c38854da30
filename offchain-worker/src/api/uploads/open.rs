//! The visits whose media are awaited: few, each bound to its author's account, none for long.

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
    time::{Instant, sleep_until},
};

use super::Course;
use crate::{
    api::{ApiError, AppState, caller::Caller, ingest::Ingest, limits::Slot, visits::Terms},
    metrics::Metrics,
};

/// Parts of one visit that are taken at once: one is sealed while the next comes in.
const PARTS: usize = 2;
/// How far ahead of its turn a part may be: as far as the one before it may be long.
const WINDOW: u64 = MAX_PART_BYTES as u64;
/// When all places are taken, an upload gives way that was idle for this part of the time that it may be.
const GIVES_WAY_AFTER: u32 = 10;

/// A place among the visits whose media are awaited.
pub(in crate::api) type Place = Slot;

/// All of them, by record. Clones share them.
#[derive(Clone, Default)]
pub(in crate::api) struct Uploads {
    open: Arc<Mutex<HashMap<RecordId, Arc<Upload>>>>,
}

/// A visit whose media are awaited.
pub(in crate::api) struct Upload {
    pub(in crate::api) terms: Terms,
    pub(super) course: Course,
    begun: Moment,
    /// Bytes of the media that were taken; none once the upload has ended.
    received: watch::Sender<Option<u64>>,
    parts: Arc<Semaphore>,
    /// When somebody last had to do with it.
    touched: Mutex<Instant>,
    place: Mutex<Option<Place>>,
    /// How many there are of its kind.
    open: IntGauge,
    /// None once the upload has ended. Held while a part is sealed.
    pub(super) ingest: AsyncMutex<Option<Ingest>>,
}

/// A part that is being taken.
pub(super) struct InFlight {
    upload: Arc<Upload>,
    held: IntGauge,
    bytes: i64,
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// Notes how many bytes of memory the part takes.
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
    /// The visits whose media are awaited.
    pub(in crate::api) fn uploads(&self) -> &Uploads {
        &self.shared.uploads
    }
}

impl Uploads {
    /// A place for one more. If there is none, the upload that has been idle for longest gives way, unless
    /// all of them were busy of late.
    pub async fn place(&self, state: &AppState) -> Result<Place, ApiError> {
        if let Ok(place) = state.upload_slot() {
            return Ok(place);
        }
        let patience = state.limits.upload_idle() / GIVES_WAY_AFTER;
        let uploads: Vec<_> = self.lock().values().cloned().collect();
        let idle = uploads.into_iter().map(|upload| (upload.idle(), upload));
        match idle.max_by_key(|(idle, _)| *idle).filter(|(idle, _)| *idle > patience) {
            Some((_, upload)) => self.end(&upload, "it was idle, and its place is wanted").await,
            None => return Err(ApiError::busy()),
        }
        state.upload_slot()
    }

    pub fn find(&self, record: RecordId) -> Option<Arc<Upload>> {
        self.lock().get(&record).cloned()
    }

    /// Begins to await the media of a visit, and sees to it that this ends. Gives the upload back if there
    /// is one of this record already.
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
        let (idle, limit) = (state.limits.upload_idle(), state.limits.upload_timeout());
        tokio::spawn(watch(self.clone(), upload, idle, limit));
        Ok(status)
    }

    /// Awaits nothing of an upload any more. False if that was so already.
    pub(super) fn forget(&self, upload: &Arc<Upload>) -> bool {
        let mut open = self.lock();
        let record = upload.terms.record;
        let known = open.get(&record).is_some_and(|known| Arc::ptr_eq(known, upload));
        if known {
            open.remove(&record);
            upload.open.dec();
            upload.received.send_replace(None);
            *lock(&upload.place) = None;
        }
        known
    }

    /// Ends an upload, and removes what was stored of it.
    pub(super) async fn end(&self, upload: &Arc<Upload>, why: &str) {
        if self.forget(upload) {
            tracing::info!(record = %upload.terms.record, why, "an upload was given up");
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
            uploads.end(&upload, "no part of it came any more").await;
        }
    }
}

impl Upload {
    pub(super) fn new(
        terms: Terms,
        course: Course,
        ingest: Ingest,
        place: Place,
        metrics: &Metrics,
    ) -> Self {
        Self {
            terms,
            course,
            begun: crate::now(),
            received: watch::Sender::new(Some(0)),
            parts: Arc::new(Semaphore::new(PARTS)),
            touched: Mutex::new(Instant::now()),
            place: Mutex::new(Some(place)),
            open: metrics.uploads_open.clone(),
            ingest: AsyncMutex::new(Some(ingest)),
        }
    }

    pub(super) fn into_parts(self) -> (Terms, Option<Ingest>) {
        (self.terms, self.ingest.into_inner())
    }

    /// Whether this caller sends its media.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        caller.user == Some(self.terms.author) && caller.request.account == self.terms.account
    }

    /// How far it is; none once it has ended.
    pub(in crate::api) fn status(&self) -> Option<VisitStatus> {
        self.received().map(|received| self.status_at(received))
    }

    fn status_at(&self, received: u64) -> VisitStatus {
        VisitStatus {
            record_id: self.terms.record,
            stage: VisitStage::Uploading,
            queued_at: None,
            since: self.begun,
            media: self.course.progress(received),
            last_failure: None,
        }
    }

    /// Bytes of the media that were taken; none once it has ended.
    pub(super) fn received(&self) -> Option<u64> {
        *self.received.borrow()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received() == Some(self.course.total())
    }

    /// Notes that everything before a position was taken.
    pub(super) fn took(&self, end: u64) {
        self.received.send_if_modified(|received| {
            let goes_on = received.is_some();
            *received = received.map(|_| end);
            goes_on
        });
    }

    /// A turn to bring a part, if not too many are under way.
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

    /// Returns when everything before a position was taken, or the upload has ended.
    pub(super) async fn turn(&self, start: u64, limit: Duration) -> Result<(), ApiError> {
        let early = |received: u64| start > received.saturating_add(WINDOW);
        if self.received().is_some_and(early) {
            return Err(out_of_order());
        }
        let mut received = self.received.subscribe();
        let ready = received.wait_for(|received| received.is_none_or(|received| received >= start));
        match tokio::time::timeout(limit, ready).await {
            Ok(_) => Ok(()),
            Err(_) => Err(out_of_order()),
        }
    }

    pub(super) fn touch(&self) {
        *lock(&self.touched) = Instant::now();
    }

    /// For how long nobody had to do with it.
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
        "What comes before this part is not here",
        "Ask how far the visit is (GET /v1/visits/<record id>), and go on from there.",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
