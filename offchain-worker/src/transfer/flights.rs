//! Which segments are being downloaded, so that no segment is downloaded twice at once, unless the first download is
//! slow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use epione_primitives::HospitalId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A download: of which segment, and, if it is not the first one of it, for which announcer's blocks.
pub(super) type Download = ([u8; 32], Option<HospitalId>);
type Locks = HashMap<Download, Arc<AsyncMutex<()>>>;

/// The segments that are being downloaded.
#[derive(Default)]
pub(super) struct Flights(Mutex<Locks>);

/// The right to download a segment, or the wait for it, until dropped.
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    download: Download,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, Locks> {
        // No code under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Not begun. When it is dropped, nothing of it stays.
    fn prepare(&self, download: Download) -> Flight<'_> {
        Flight { flights: self, download, guard: None }
    }

    fn lock_of(&self, download: Download) -> Arc<AsyncMutex<()>> {
        Arc::clone(self.lock().entry(download).or_default())
    }

    pub fn try_begin(&self, download: Download) -> Option<Flight<'_>> {
        let mut flight = self.prepare(download);
        flight.guard = Some(self.lock_of(download).try_lock_owned().ok()?);
        Some(flight)
    }

    /// Waits for the first download of a segment.
    pub async fn wait(&self, hash: [u8; 32]) -> Flight<'_> {
        let mut flight = self.prepare((hash, None));
        flight.guard = Some(self.lock_of(flight.download).lock_owned().await);
        flight
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        self.guard = None;
        // If only the list refers to it, nobody waits for it.
        if flights.get(&self.download).is_some_and(|flight| Arc::strong_count(flight) == 1) {
            flights.remove(&self.download);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_stays_of_a_download_whose_waiters_have_left() {
        let flights = Flights::default();
        let flight = flights.try_begin(([1; 32], None)).unwrap();
        assert!(flights.try_begin(([1; 32], None)).is_none());
        let mut waiting = Box::pin(flights.wait([1; 32]));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(flight);
        assert_eq!(flights.lock().len(), 1);
        drop(waiting);
        assert!(flights.lock().is_empty());
    }
}
