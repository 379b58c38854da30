//! The commands of visits, so that a visit that is submitted twice becomes one record. An author's client adds the same
//! bytes, the command, to every attempt to submit the same visit. The journal remembers commands for a day.

use epione_primitives::{Moment, RecordId, UserId};
use rusqlite::{Connection, OptionalExtension, params};

use super::visits::{self, Visit};

/// How long an acknowledged command is recognized, in milliseconds.
pub const RECOGNIZED: Moment = 24 * 60 * 60 * 1_000;
/// A command whose moment of acknowledgement is still further ahead than this, in milliseconds, is not recognized: the
/// clock was wrong then, so the worker does not know how long ago that was.
pub const AHEAD: Moment = 10 * 60 * 1_000;

/// The values by which the worker recognizes attempts to submit the same visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The bytes that the client sent.
    pub id: [u8; 16],
    /// A keyed digest of the visit's content, from which nobody can guess the content. If it differs, it is another
    /// visit.
    pub content: [u8; 32],
}

/// What is remembered of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// The visit that was acknowledged for it.
    Same(Visit),
    /// A visit with other content was acknowledged for it.
    Other,
}

/// What was acknowledged for this command of this author within a day.
pub fn recall(
    connection: &Connection,
    author: UserId,
    command: Command,
    now: Moment,
) -> rusqlite::Result<Option<Recalled>> {
    // An earlier version remembered no content.
    let found: Option<([u8; 16], bool)> = connection
        .prepare_cached(
            "SELECT record_id, content IS NULL OR content = ?4 FROM commands
             WHERE author = ?1 AND command = ?2 AND at > ?3 AND at <= ?5",
        )?
        .query_row(params![author.0, command.id, since(now), command.content, until(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((record, true)) => Ok(visits::find(connection, RecordId(record))?.map(Recalled::Same)),
        Some((_, false)) => Ok(Some(Recalled::Other)),
        None => Ok(None),
    }
}

/// Remembers the visit of a command, and forgets those that are not recognized any more.
pub(super) fn remember(
    tx: &Connection,
    author: UserId,
    command: Command,
    record: RecordId,
    now: Moment,
) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM commands WHERE at <= ?1 OR at > ?2")?
        .execute([since(now), until(now)])?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO commands (author, command, record_id, at, content)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![author.0, command.id, record.0, now as i64, command.content])?;
    Ok(())
}

/// Forgets the command of a visit.
pub(super) fn forget(tx: &Connection, record: RecordId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM commands WHERE record_id = ?1")?.execute([record.0]).map(drop)
}

fn since(now: Moment) -> i64 {
    now.saturating_sub(RECOGNIZED) as i64
}

fn until(now: Moment) -> i64 {
    now.saturating_add(AHEAD) as i64
}
