//! What must outlive the process: acknowledged visits, the owners of segments, and the progress of the tasks. An
//! embedded SQLite database with one writer. A write is on disk when it returns.

pub mod commands;
pub mod consortium;
pub mod counts;
mod error;
pub mod inherited;
pub mod matches;
pub mod nonces;
pub mod offers;
pub mod query_grants;
pub mod references;
pub mod renewals;
mod schema;
pub mod sections;
mod sweep;
pub mod tried;
pub mod verified;
pub mod visits;
pub mod wraps;

pub use commands::{Command, Recalled};
pub use error::JournalError;
pub use nonces::{NonceUse, Nonces};
pub use references::Owner;
pub use sweep::{SweepError, discard_owner, quarantine, sweep};
pub use verified::{complete_write, read_back};
pub use visits::{
    CommittedVisit, Enqueued, NewVisit, QueuedVisit, SealedVisit, StageCounts, Visit, fingerprint,
};

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use epione_primitives::{AnnouncementId, Moment, RecordId, UserId, block::Segment};
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
    /// Locked while segments gain owners, and while a segment is deleted or moved to the quarantine, so that no segment
    /// is deleted that has just gained an owner.
    custody: AsyncMutex<()>,
    /// The number of deletions and moves to the quarantine that began, plus those that ended; changes only with the
    /// lock. A read that began at an earlier number may return a segment that is gone now.
    deletions: AtomicU64,
}

impl Journal {
    /// Opens or creates the database, and locks it against other processes. Segments of an earlier process's uploads
    /// become garbage.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || Self::with(schema::open(&path)?)).await
    }

    /// Opens the database of a worker that does not run, to read it as it is: it converts nothing to this worker's
    /// schema, and uploads stay. Locks it against other processes. [`JournalError::Older`] if an earlier version has
    /// written it.
    pub async fn unchanged(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || {
            let mut connection = schema::open(&path)?;
            schema::prepare(&mut connection, "FULL")?;
            schema::check(&mut connection)?;
            Ok(Self::over(connection))
        })
        .await
    }

    /// A database in memory, for work that leaves nothing behind, and for tests.
    pub async fn in_memory() -> Result<Self, JournalError> {
        blocking(|| Self::with(Connection::open_in_memory()?)).await
    }

    fn with(mut connection: Connection) -> Result<Self, JournalError> {
        schema::prepare(&mut connection, "FULL")?;
        schema::migrate(&mut connection)?;
        verified::prepare(&connection)?;
        let transaction = connection.transaction()?;
        references::release_uploads(&transaction, crate::now())?;
        transaction.commit()?;
        Ok(Self::over(connection))
    }

    fn over(connection: Connection) -> Self {
        Self {
            shared: Arc::new(Shared {
                connection: Mutex::new(connection),
                arrivals: watch::Sender::new(0),
                uploads: AtomicI64::new(1),
                custody: AsyncMutex::new(()),
                deletions: AtomicU64::new(0),
            }),
        }
    }

    /// Runs one transaction, which is on disk when this returns. An error rolls it back.
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

    /// Reads from the database.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || Ok(look(&lock(&shared.connection))?)).await
    }

    /// Writes everything to the database file, and empties the write-ahead log: what was erased is in no file any more.
    pub async fn forget_writes(&self) -> Result<(), JournalError> {
        let busy: i64 = self
            .read(|it| it.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)))
            .await?;
        if busy == 0 { Ok(()) } else { Err(JournalError::InUse) }
    }

    /// Changes whenever visits are queued.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.arrivals.subscribe()
    }

    /// Notifies that visits were queued.
    pub fn notify_arrivals(&self) {
        self.shared.arrivals.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Queues a sealed visit, which becomes the owner of the segments of `upload`. If a visit with its record id, or of
    /// the same command, is known, nothing changes.
    pub async fn enqueue(&self, visit: NewVisit, upload: Owner) -> Result<Enqueued, JournalError> {
        let enqueued = self.write(move |tx| visits::enqueue(tx, &visit, upload)).await?;
        if matches!(enqueued, Enqueued::New(_)) {
            self.notify_arrivals();
        }
        Ok(enqueued)
    }

    /// What this worker acknowledged within a day for the same command of the same author.
    pub async fn recalled(
        &self,
        author: UserId,
        command: Command,
        now: Moment,
    ) -> Result<Option<Recalled>, JournalError> {
        self.read(move |connection| commands::recall(connection, author, command, now)).await
    }

    /// The visit with a record id, if there is one.
    pub async fn visit(&self, id: RecordId) -> Result<Option<Visit>, JournalError> {
        self.read(move |connection| visits::find(connection, id)).await
    }

    /// A new owner for the segments of an upload.
    pub fn begin_upload(&self) -> Owner {
        Owner::Upload(self.shared.uploads.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes somebody an owner of segments. Reference segments first, then check whether they are stored.
    pub async fn reference(&self, owner: Owner, segments: &[Segment]) -> Result<(), JournalError> {
        let segments = segments.to_vec();
        let _custody = self.shared.custody.lock().await;
        self.write(move |tx| references::add(tx, owner, &segments)).await
    }

    /// Removes an owner. Segments without another owner are deleted after the grace period.
    pub async fn release(&self, owner: Owner, now: Moment) -> Result<(), JournalError> {
        self.write(move |tx| references::release(tx, owner, now)).await
    }

    /// All owners of a segment, and the length that each states for it; the most trustworthy first.
    pub async fn claims(&self, hash: [u8; 32]) -> Result<Vec<(Owner, u32)>, JournalError> {
        self.read(move |connection| references::claims(connection, &hash)).await
    }

    /// The length of a verified segment; none if it is not verified: see [`verified`].
    pub async fn verified_length(&self, hash: [u8; 32]) -> Result<Option<u32>, JournalError> {
        self.read(move |connection| verified::length(connection, &hash)).await
    }

    /// Those of these segments that are not verified.
    pub async fn not_verified(&self, hashes: Vec<[u8; 32]>) -> Result<Vec<[u8; 32]>, JournalError> {
        self.read(move |connection| {
            let mut missing = Vec::new();
            for hash in hashes {
                if verified::length(connection, &hash)?.is_none() {
                    missing.push(hash);
                }
            }
            Ok(missing)
        })
        .await
    }

    /// Forgets that a segment was verified: the storage says that it is gone.
    pub async fn forget_verified(&self, hash: [u8; 32]) -> Result<(), JournalError> {
        self.write(move |tx| verified::forget(tx, &hash)).await
    }

    /// Counts as stored only what was verified in the storage with this id. Returns whether it was another storage
    /// before.
    pub async fn bind_storage(&self, id: [u8; 32]) -> Result<bool, JournalError> {
        self.write(move |tx| verified::bind(tx, id)).await
    }

    pub async fn references_of(&self, owner: Owner) -> Result<Vec<Segment>, JournalError> {
        self.read(move |connection| references::of(connection, owner)).await
    }

    /// Names of segments that have owners, ascending, after `after`.
    pub async fn all_referenced(
        &self,
        after: Option<[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<[u8; 32]>, JournalError> {
        self.read(move |connection| references::all(connection, after, limit)).await
    }

    /// Lite blocks that own segments, whatever happened to their ballots.
    pub async fn announcements(&self) -> Result<Vec<AnnouncementId>, JournalError> {
        self.read(references::announcements).await
    }

    /// Makes garbage of those stored segments that the journal does not know, as if they had an owner until `until`,
    /// and returns them. A segment that gains an owner in time is kept.
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

    /// A random id of this journal, by which a storage tells the workers of one hospital apart.
    pub async fn instance(&self) -> Result<[u8; 16], JournalError> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(std::io::Error::from)?;
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO instance (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM instance)",
                [fresh],
            )?;
            tx.query_row("SELECT id FROM instance", [], |row| row.get(0))
        })
        .await
    }

    /// Tests whether the journal accepts writes.
    pub async fn probe(&self) -> Result<(), JournalError> {
        // It writes the value that is there already.
        self.write(|tx| {
            let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
            tx.pragma_update(None, "user_version", version)
        })
        .await
    }

    /// Adds this hospital's committed visits that this journal does not know, because it was lost after they were
    /// submitted. Returns how many.
    pub async fn restore_committed(
        &self,
        visits: Vec<CommittedVisit>,
    ) -> Result<usize, JournalError> {
        self.write(move |tx| visits::restore_committed(tx, &visits)).await
    }
}

fn lock(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    // If a thread panicked with the lock, its transaction was rolled back.
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| JournalError::Interrupted)?
}

#[cfg(test)]
mod tests;
