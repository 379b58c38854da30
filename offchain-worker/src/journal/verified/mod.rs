//! Which segments are stored here: those whose bytes this worker has hashed, and which the storage has.
//!
//! A segment is verified when the worker has read its bytes back from the storage and hashed them. It is also verified
//! when this process has hashed its bytes while writing them to a storage whose writes are durable: [`Written`] is the
//! proof. Nothing else counts. What any other storage says proves nothing: it may confirm a write that it lost, or list
//! an object that it does not return. A file that the worker finds in a directory proves nothing either. So a write
//! counts only until the process ends: files may change while the worker does not run.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use epione_primitives::{Moment, block::Segment};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tokio::time::timeout;

use super::{Journal, JournalError};
use crate::{
    now,
    store::{Store, StoreError, Written},
};

/// A segment that is read within this time after it was verified is not noted again, in milliseconds: serving it costs
/// no write.
const FRESH: Moment = 60 * 60 * 1_000;

/// How long a read waits for others that change owners, before it is not noted. A deletion takes as long as the storage
/// needs.
const PATIENCE: Duration = Duration::from_millis(200);

/// Writes that are remembered, of 256 GiB. The segments of earlier ones are read back when they are next needed.
const WRITES: i64 = 65_536;

/// Creates the table of what this process writes, in memory: a write costs no fsync of the journal.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY;
         CREATE TEMP TABLE written (
             row INTEGER PRIMARY KEY,
             segment BLOB NOT NULL UNIQUE,
             length INTEGER NOT NULL,
             at INTEGER NOT NULL
         ) STRICT;",
    )
}

/// The length of a verified segment; none if it was not verified, or could not be read since then.
pub fn length(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached(
            "SELECT length FROM verified WHERE segment = ?1
             UNION ALL SELECT length FROM written WHERE segment = ?1 LIMIT 1",
        )?
        .query_row([hash], |row| row.get(0))
        .optional()
}

/// Whether a segment was verified after a moment.
fn is_recent(connection: &Connection, segment: &Segment, since: Moment) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM verified WHERE segment = ?1 AND length = ?2 AND at > ?3
                 UNION ALL
                 SELECT 1 FROM written WHERE segment = ?1 AND length = ?2 AND at > ?3
             )",
        )?
        .query_row(params![segment.hash, segment.length, since as i64], |row| row.get(0))
}

fn remember_read(tx: &Connection, segment: &Segment, at: Moment) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO verified (segment, length, at) VALUES (?1, ?2, ?3)
         ON CONFLICT (segment) DO UPDATE SET length = excluded.length, at = excluded.at",
    )?
    .execute(params![segment.hash, segment.length, at as i64])?;
    forget_write(tx, &segment.hash)
}

fn remember_write(tx: &Connection, written: &Written, at: Moment) -> rusqlite::Result<()> {
    let Segment { hash, length } = *written.segment();
    forget_write(tx, &hash)?;
    tx.prepare_cached("INSERT INTO written (segment, length, at) VALUES (?1, ?2, ?3)")?
        .execute(params![hash, length, at as i64])?;
    tx.prepare_cached("DELETE FROM written WHERE row <= ?1")?
        .execute([tx.last_insert_rowid() - WRITES])?;
    Ok(())
}

fn forget_write(tx: &Connection, hash: &[u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM written WHERE segment = ?1")?.execute([hash])?;
    Ok(())
}

/// Forgets that a segment was verified.
pub(super) fn forget(tx: &Connection, hash: &[u8; 32]) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM verified WHERE segment = ?1")?.execute([hash])?;
    forget_write(tx, hash)
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
    tx.execute("DELETE FROM written", [])?;
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
        Ok(bytes) => {
            note_read(journal, Segment { hash, length: bytes.len() as u32 }, deletions).await
        }
        Err(StoreError::Interrupted) => Ok(()),
        Err(_) => journal.write(move |tx| forget(tx, &hash)).await,
    };
    if let Err(error) = noted {
        tracing::warn!(%error, segment = hex::encode(hash), "the journal does not know whether a segment is stored");
    }
    read
}

/// Completes a write, so that the segment counts as stored. Unless the storage's writes are durable, the segment is
/// read back. If the storage then does not return the bytes, the error is [`StoreError::NotKept`].
pub async fn complete_write<E: From<StoreError>>(
    journal: &Journal,
    store: &Store,
    write: impl Future<Output = Result<Written, E>>,
) -> Result<(), E> {
    let deletions = journal.shared.deletions.load(Ordering::Relaxed);
    let written = write.await?;
    let hash = written.segment().hash;
    if written.is_durable() {
        let at = now();
        let noted = note(journal, deletions, move |tx| remember_write(tx, &written, at)).await;
        // Otherwise, only a read shows whether a deletion has overtaken the write.
        if noted.unwrap_or(false) {
            return Ok(());
        }
    }
    match read_back(journal, store, &hash).await {
        Ok(_) => Ok(()),
        Err(StoreError::Missing | StoreError::Damaged) => Err(StoreError::NotKept.into()),
        Err(error) => Err(error.into()),
    }
}

/// Notes a segment whose read began at this number of deletions.
async fn note_read(
    journal: &Journal,
    segment: Segment,
    deletions: u64,
) -> Result<(), JournalError> {
    let (now, since) = (now(), now().saturating_sub(FRESH));
    if journal.read(move |connection| is_recent(connection, &segment, since)).await? {
        return Ok(());
    }
    note(journal, deletions, move |tx| remember_read(tx, &segment, now)).await.map(drop)
}

/// Notes a segment whose read or write began at this number of deletions. If it has changed since, the segment may be
/// deleted. Returns whether the segment is noted.
async fn note(
    journal: &Journal,
    deletions: u64,
    remember: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
) -> Result<bool, JournalError> {
    // Nobody waits for a deletion to read another segment: it is noted when it is next read.
    let Ok(_custody) = timeout(PATIENCE, journal.shared.custody.lock()).await else {
        return Ok(false);
    };
    if journal.shared.deletions.load(Ordering::Relaxed) != deletions {
        return Ok(false);
    }
    journal.write(remember).await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
