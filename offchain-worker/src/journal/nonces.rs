//! Nonces of signed requests, so that no request is answered twice, not even after a restart. They have a separate
//! database: unlike the journal, it may lose its last writes in a power failure, so no request waits for the disk.
//!
//! A clock that is set back makes stale requests look fresh again. So nonces are kept for longer than a request may be
//! old, and the database records up to which time it has forgotten them: requests that were signed before that time are
//! rejected, whatever the clock says. A new database rejects requests that were signed before it was created.
//!
//! Each account has a bounded number of nonces, so that none fills the disk.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use epione_primitives::{AccountId, Moment};
use rusqlite::{Connection, OptionalExtension, params};

use super::{JournalError, blocking, lock, schema};

/// How long a nonce is kept, in milliseconds. If a clock was wrong by up to an hour, in either direction, and was
/// corrected, no request is rejected because of that.
const MEMORY_MILLIS: u64 = 2 * 60 * 60_000;
/// How far the clock of a client may be behind when the database is new, in milliseconds.
const MAX_LAG_MILLIS: u64 = 2_000;

/// Whether a request's nonce is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceUse {
    First,
    /// The account has used the nonce before, or may have.
    Repeated,
    /// The account has used as many other nonces as it may in [`MEMORY_MILLIS`].
    TooMany,
}

/// The nonces of the last hours. Clones share them.
#[derive(Clone)]
pub struct Nonces {
    connection: Arc<Mutex<Connection>>,
}

impl Nonces {
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || {
            // A client's clock may be a little behind.
            Self::with(schema::open(&path)?, crate::now().saturating_sub(MAX_LAG_MILLIS))
        })
        .await
    }

    /// A database in memory, for tests.
    pub async fn in_memory() -> Result<Self, JournalError> {
        blocking(|| Self::with(Connection::open_in_memory()?, 0)).await
    }

    /// A new database rejects requests that were signed before `begins`.
    fn with(mut connection: Connection, begins: Moment) -> Result<Self, JournalError> {
        schema::prepare(&mut connection, "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS nonces (
                 account BLOB NOT NULL, nonce BLOB NOT NULL, time INTEGER NOT NULL,
                 PRIMARY KEY (account, nonce)
             ) STRICT, WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS nonces_by_time ON nonces (time);
             CREATE TABLE IF NOT EXISTS forgotten (
                 id INTEGER PRIMARY KEY CHECK (id = 0), before INTEGER NOT NULL
             ) STRICT;
             CREATE TABLE IF NOT EXISTS nonce_counts (
                 account BLOB PRIMARY KEY, count INTEGER NOT NULL
             ) STRICT, WITHOUT ROWID;
             INSERT OR IGNORE INTO nonce_counts SELECT account, count(*) FROM nonces GROUP BY account;",
        )?;
        connection.execute(
            "INSERT OR IGNORE INTO forgotten (id, before) VALUES (0, ?1)",
            [begins as i64],
        )?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Records the nonce of a request that was signed at `time`, if the account has fewer than `most`. Nonces that are
    /// too old at `now` are forgotten, and requests of that time are rejected from then on.
    pub async fn first_use(
        &self,
        account: &AccountId,
        nonce: [u8; 16],
        time: Moment,
        now: Moment,
        most: u32,
    ) -> Result<NonceUse, JournalError> {
        let connection = Arc::clone(&self.connection);
        let account: [u8; 32] = *account.as_ref();
        blocking(move || {
            let mut connection = lock(&connection);
            let transaction = connection.transaction()?;
            let before: i64 = transaction
                .prepare_cached("UPDATE forgotten SET before = max(before, ?1) RETURNING before")?
                .query_row([now.saturating_sub(MEMORY_MILLIS) as i64], |row| row.get(0))?;
            forget(&transaction, before)?;
            let result = match (time as i64) < before {
                true => NonceUse::Repeated,
                false => note(&transaction, account, nonce, time, most)?,
            };
            transaction.commit()?;
            Ok(result)
        })
        .await
    }
}

/// Forgets the nonces of requests that were signed before a moment.
fn forget(tx: &Connection, before: i64) -> rusqlite::Result<()> {
    let old: Vec<([u8; 32], i64)> = tx
        .prepare_cached("SELECT account, count(*) FROM nonces WHERE time < ?1 GROUP BY account")?
        .query_map([before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if old.is_empty() {
        return Ok(());
    }
    tx.prepare_cached("DELETE FROM nonces WHERE time < ?1")?.execute([before])?;
    let mut lower =
        tx.prepare_cached("UPDATE nonce_counts SET count = count - ?2 WHERE account = ?1")?;
    for (account, count) in old {
        lower.execute(params![account, count])?;
    }
    tx.prepare_cached("DELETE FROM nonce_counts WHERE count <= 0")?.execute([])?;
    Ok(())
}

/// Records a nonce, unless it is known or the account has too many.
fn note(
    tx: &Connection,
    account: [u8; 32],
    nonce: [u8; 16],
    time: Moment,
    most: u32,
) -> rusqlite::Result<NonceUse> {
    let is_known = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM nonces WHERE account = ?1 AND nonce = ?2)")?
        .query_row(params![account, nonce], |row| row.get(0))?;
    if is_known {
        return Ok(NonceUse::Repeated);
    }
    let count: Option<u32> = tx
        .prepare_cached("SELECT count FROM nonce_counts WHERE account = ?1")?
        .query_row([account], |row| row.get(0))
        .optional()?;
    if count.unwrap_or(0) >= most {
        return Ok(NonceUse::TooMany);
    }
    tx.prepare_cached("INSERT INTO nonces (account, nonce, time) VALUES (?1, ?2, ?3)")?
        .execute(params![account, nonce, time as i64])?;
    tx.prepare_cached(
        "INSERT INTO nonce_counts (account, count) VALUES (?1, 1)
         ON CONFLICT (account) DO UPDATE SET count = count + 1",
    )?
    .execute([account])?;
    Ok(NonceUse::First)
}
