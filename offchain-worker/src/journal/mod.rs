//! What must outlive the process: acknowledged visits, who needs which segment, and whatever the
//! tasks keep of their own progress. An embedded SQLite database with one writer; a write is on disk
//! when it returns.

mod error;
pub mod nonces;
pub mod offers;
pub mod references;
mod schema;
mod sweep;
pub mod visits;

pub use error::JournalError;
pub use nonces::Nonces;
pub use references::Owner;
pub use sweep::{SweepError, discard_owner, sweep};
pub use visits::{
    CommittedVisit, Enqueued, NewVisit, QueuedVisit, SealedVisit, StageCounts, Visit, fingerprint,
};

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use epione_primitives::{AnnouncementId, Moment, RecordId, block::Segment};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Mutex as AsyncMutex, watch};

/// The worker's database. Clones share it.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Mutex<Connection>,
    arrivals: watch::Sender<u64>,
    uploads: AtomicI64,
    /// Held while segments gain owners and while the sweep deletes one, so that nothing is deleted
    /// that was just asked for.
    custody: AsyncMutex<()>,
}

impl Journal {
    /// Opens or makes the database, and keeps other processes out of it. What uploads of an earlier
    /// process left becomes garbage.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || Self::with(schema::open(&path)?)).await
    }

    /// A database that is gone when dropped, for tests.
    pub async fn in_memory() -> Result<Self, JournalError> {
        blocking(|| Self::with(Connection::open_in_memory()?)).await
    }

    fn with(mut connection: Connection) -> Result<Self, JournalError> {
        schema::prepare(&mut connection, "FULL")?;
        schema::migrate(&mut connection)?;
        let transaction = connection.transaction()?;
        references::release_uploads(&transaction, crate::now())?;
        transaction.commit()?;
        Ok(Self {
            shared: Arc::new(Shared {
                connection: Mutex::new(connection),
                arrivals: watch::Sender::new(0),
                uploads: AtomicI64::new(1),
                custody: AsyncMutex::new(()),
            }),
        })
    }

    /// One transaction, on disk when this returns. An error undoes all of it.
    pub async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut connection = lock(&shared.connection);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    /// Looks something up.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || Ok(look(&lock(&shared.connection))?)).await
    }

    /// Changes whenever the queue of visits grows.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.arrivals.subscribe()
    }

    /// Says that the queue of visits has grown.
    pub fn ring(&self) {
        self.shared.arrivals.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Queues a sealed visit; the segments of `upload` become the visit's. If a visit of its record id
    /// is known, nothing changes.
    pub async fn enqueue(&self, visit: NewVisit, upload: Owner) -> Result<Enqueued, JournalError> {
        let enqueued = self.write(move |tx| visits::enqueue(tx, &visit, upload)).await?;
        if matches!(enqueued, Enqueued::New(_)) {
            self.ring();
        }
        Ok(enqueued)
    }

    /// What is known of a visit.
    pub async fn visit(&self, id: RecordId) -> Result<Option<Visit>, JournalError> {
        self.read(move |connection| visits::find(connection, id)).await
    }

    /// A new owner for the segments of an upload.
    pub fn begin_upload(&self) -> Owner {
        Owner::Upload(self.shared.uploads.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes an owner need segments. Reference first, then see whether the store holds them.
    pub async fn reference(&self, owner: Owner, segments: &[Segment]) -> Result<(), JournalError> {
        let segments = segments.to_vec();
        let _custody = self.shared.custody.lock().await;
        self.write(move |tx| references::add(tx, owner, &segments)).await
    }

    /// Ends all needs of an owner. What nobody else needs is deleted after the grace period.
    pub async fn release(&self, owner: Owner, now: Moment) -> Result<(), JournalError> {
        self.write(move |tx| references::release(tx, owner, now)).await
    }

    /// Everybody who needs a segment, and which length each says it has; the most trustworthy first.
    pub async fn claims(&self, hash: [u8; 32]) -> Result<Vec<(Owner, u32)>, JournalError> {
        self.read(move |connection| references::claims(connection, &hash)).await
    }

    pub async fn references_of(&self, owner: Owner) -> Result<Vec<Segment>, JournalError> {
        self.read(move |connection| references::of(connection, owner)).await
    }

    /// Names of segments that anybody needs, ascending, from after `after` on.
    pub async fn all_referenced(
        &self,
        after: Option<[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, JournalError> {
        self.read(move |connection| references::all(connection, after, limit)).await
    }

    /// Lite blocks that need segments, whatever became of their ballots.
    pub async fn announcements(&self) -> Result<Vec<AnnouncementId>, JournalError> {
        self.read(references::announcements).await
    }

    /// Makes those of these stored segments that nothing is known of garbage, as if they were needed
    /// until `until`; returns them. Whoever needs one before its time is up keeps it.
    pub async fn adopt_orphans(
        &self,
        stored: Vec<[u8; 32]>,
        until: Moment,
    ) -> Result<Vec<[u8; 32]>, JournalError> {
        let _custody = self.shared.custody.lock().await;
        self.write(move |tx| {
            let mut adopted = Vec::new();
            for hash in stored {
                if references::adopt(tx, &hash, until)? {
                    adopted.push(hash);
                }
            }
            Ok(adopted)
        })
        .await
    }

    /// Whether the journal takes writes.
    pub async fn probe(&self) -> Result<(), JournalError> {
        // Writing what is there already shows it.
        self.write(|tx| {
            let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
            tx.pragma_update(None, "user_version", version)
        })
        .await
    }

    /// Notes visits of this hospital that a committed block names and this journal does not know as
    /// committed: it was lost, and they were submitted before that. Returns how many.
    pub async fn restore_committed(
        &self,
        visits: Vec<CommittedVisit>,
    ) -> Result<usize, JournalError> {
        self.write(move |tx| visits::restore_committed(tx, &visits)).await
    }
}

fn lock(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    // A panic while it was held rolled its transaction back.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| JournalError::Interrupted)?
}

#[cfg(test)]
mod tests;
