//! Which visits the author's clients meant, so that a visit that is submitted twice becomes one record: the client
//! names what its author means by the same bytes each time. They are remembered for a day.

use epione_primitives::{Moment, RecordId, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use super::visits::{self, Visit};

/// How long an acknowledged command is recognized, in milliseconds.
pub const RECOGNIZED: Moment = 24 * 60 * 60 * 1_000;

/// The visit that was acknowledged for this command of this author within a day.
pub fn recall(
    connection: &Connection,
    author: UserId,
    command: [u8; 16],
    now: Moment,
) -> rusqlite::Result<Option<Visit>> {
    let record: Option<[u8; 16]> = connection
        .prepare_cached(
            "SELECT record_id FROM commands WHERE author = ?1 AND command = ?2 AND at > ?3",
        )?
        .query_row(params![author.0, command, since(now)], |row| row.get(0))
        .optional()?;
    match record {
        Some(record) => visits::find(connection, RecordId(record)),
        None => Ok(None),
    }
}

/// Remembers the visit of a command, and forgets those of earlier days.
pub(super) fn remember(
    tx: &Connection,
    author: UserId,
    command: [u8; 16],
    record: RecordId,
    now: Moment,
) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM commands WHERE at <= ?1")?.execute([since(now)])?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO commands (author, command, record_id, at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![author.0, command, record.0, now as i64])?;
    Ok(())
}

fn since(now: Moment) -> i64 {
    now.saturating_sub(RECOGNIZED) as i64
}
