//! Which segments are stored here: those whose bytes this worker has read back from the storage and hashed. What the
//! storage says about its objects proves nothing: it may confirm a write that it lost, or list an object that it does
//! not return.

use bytes::Bytes;
use epione_primitives::{Moment, block::Segment};
use rusqlite::{Connection, OptionalExtension, params};

use super::Journal;
use crate::{
    now,
    store::{Store, StoreError},
};

/// The length of a verified segment; none if it was not verified, or could not be read since then.
pub fn length(connection: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT length FROM verified WHERE segment = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()
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

/// Reads a segment and checks its bytes, as [`Store::read`] does; remembers that they are here, or that they are not.
/// If the journal fails, it remembers less, and the bytes are returned all the same.
pub async fn read_back(
    journal: &Journal,
    store: &Store,
    hash: &[u8; 32],
) -> Result<Bytes, StoreError> {
    let read = store.read(hash).await;
    let hash = *hash;
    let noted = match &read {
        Ok(bytes) => {
            // A segment has at most 4 MiB.
            let segment = Segment { hash, length: bytes.len() as u32 };
            journal.write(move |tx| remember(tx, &segment, now())).await
        }
        Err(StoreError::Interrupted) => Ok(()),
        Err(_) => journal.write(move |tx| forget(tx, &hash)).await,
    };
    if let Err(error) = noted {
        tracing::warn!(%error, segment = hex::encode(hash), "the journal does not know whether a segment is stored");
    }
    read
}
