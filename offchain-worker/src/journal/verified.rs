//! Which segments are stored here: those whose bytes this worker has read back from the storage and hashed. What the
//! storage says about its objects proves nothing: it may confirm a write that it lost, or list an object that it does
//! not return.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use epione_primitives::{Moment, block::Segment};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::time::timeout;

use super::{Journal, JournalError};
use crate::{
    now,
    store::{Store, StoreError},
};

/// A segment that is read again within this time is not noted again, in milliseconds: serving it costs no write.
const FRESH: Moment = 60 * 60 * 1_000;

/// How long a read waits for others that change owners, before it is not noted. A deletion takes as long as the storage
/// needs.
const PATIENCE: Duration = Duration::from_millis(200);

/// The length of a verified segment; none if it was not verified, or could not be read since then.
pub fn length(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT length FROM verified WHERE segment = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()
}

/// Whether a segment was verified after a moment.
fn is_recent(connection: &Connection, segment: &Segment, since: Moment) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM verified WHERE segment = ?1 AND length = ?2 AND at > ?3)",
        )?
        .query_row(params![segment.hash, segment.length, since as i64], |row| row.get(0))
}

fn remember(tx: &Connection, segment: &Segment, at: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO verified (segment, length, at) VALUES (?1, ?2, ?3)
         ON CONFLICT (segment) DO UPDATE SET length = excluded.length, at = excluded.at",
    )?
    .execute(params![segment.hash, segment.length, at as i64])?;
    Ok(())
}

/// Forgets that a segment was verified.
pub(super) fn forget(tx: &Connection, hash: &[u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM verified WHERE segment = ?1")?.execute([hash])?;
    Ok(())
}

/// Binds what was verified to the storage with this id. What was verified in another storage, or before there were ids,
/// is forgotten. Returns whether the storage has changed.
pub(super) fn bind(tx: &Connection, storage: [u8; 32]) -> rusqlite::Result<bool> {
    let known: Option<[u8; 32]> =
        tx.query_row("SELECT id FROM storage", [], |row| row.get(0)).optional()?;
    if known == Some(storage) {
        return Ok(false);
    }
    tx.execute("DELETE FROM verified", [])?;
    tx.execute("DELETE FROM storage", [])?;
    tx.execute("INSERT INTO storage (id) VALUES (?1)", [storage])?;
    Ok(known.is_some())
}

/// Reads a segment and checks its bytes, as [`Store::read`] does; remembers that they are here, or that they are not.
/// If the journal fails, it remembers less, and the bytes are returned all the same.
pub async fn read_back(
    journal: &Journal,
    store: &Store,
    hash: &[u8; 32],
) -> Result<Bytes, StoreError> {
    let deletions = journal.shared.deletions.load(Ordering::Relaxed);
    let read = store.read(hash).await;
    let hash = *hash;
    let noted = match &read {
        // A segment has at most 4 MiB.
        Ok(bytes) => note(journal, Segment { hash, length: bytes.len() as u32 }, deletions).await,
        Err(StoreError::Interrupted) => Ok(()),
        Err(_) => journal.write(move |tx| forget(tx, &hash)).await,
    };
    if let Err(error) = noted {
        tracing::warn!(%error, segment = hex::encode(hash), "the journal does not know whether a segment is stored");
    }
    read
}

/// Reads back a segment that the storage says it has stored. If it does not return the bytes, this is
/// [`StoreError::NotKept`].
pub async fn confirm(journal: &Journal, store: &Store, hash: &[u8; 32]) -> Result<(), StoreError> {
    match read_back(journal, store, hash).await {
        Ok(_) => Ok(()),
        Err(StoreError::Missing | StoreError::Damaged) => Err(StoreError::NotKept),
        Err(error) => Err(error),
    }
}

/// Notes a segment whose read began at this number of deletions. If it has changed since, the segment may be deleted.
async fn note(journal: &Journal, segment: Segment, deletions: u64) -> Result<(), JournalError> {
    let (now, since) = (now(), now().saturating_sub(FRESH));
    if journal.read(move |connection| is_recent(connection, &segment, since)).await? {
        return Ok(());
    }
    // Nobody waits for a deletion to read another segment: it is noted when it is next read.
    let Ok(_custody) = timeout(PATIENCE, journal.shared.custody.lock()).await else {
        return Ok(());
    };
    if journal.shared.deletions.load(Ordering::Relaxed) != deletions {
        return Ok(());
    }
    journal.write(move |tx| remember(tx, &segment, now)).await
}
