//! Nonces of signed requests, so that none is answered twice, not even after a restart. A database of
//! its own: it may lose its last moments with the machine's power, which the journal may not, and so
//! costs no wait for the disk on every request.
//!
//! A clock that is set back makes stale requests look fresh again. So the memory reaches further back
//! than a request may be old, and remembers how far it has forgotten: what was signed before that is
//! refused, whatever the clock says. A new memory knows nothing from before its beginning.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use epione_primitives::{AccountId, Moment};
use rusqlite::{Connection, params};

use super::{JournalError, blocking, lock, schema};

/// How long a nonce is remembered, in milliseconds: a clock that is wrong by up to an hour, in either
/// direction, and put right again costs nobody an answer.
const MEMORY_MILLIS: u64 = 2 * 60 * 60_000;
/// How far a sender's clock is usually behind, in milliseconds.
const MAX_LAG_MILLIS: u64 = 2_000;

/// The nonces of the last hours. Clones share them.
#[derive(Clone)]
pub struct Nonces {
    connection: Arc<Mutex<Connection>>,
}

impl Nonces {
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || {
            // Requests that arrive while the sender's clock is a little behind are not refused.
            Self::with(schema::open(&path)?, crate::now().saturating_sub(MAX_LAG_MILLIS))
        })
        .await
    }

    /// Forgotten when dropped, for tests.
    pub async fn in_memory() -> Result<Self, JournalError> {
        blocking(|| Self::with(Connection::open_in_memory()?, 0)).await
    }

    /// A memory that is new knows nothing of requests signed before `begins`.
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
             ) STRICT;",
        )?;
        connection.execute(
            "INSERT OR IGNORE INTO forgotten (id, before) VALUES (0, ?1)",
            [begins as i64],
        )?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Notes the nonce of a request signed at `time`; false if the account used it before, or may have:
    /// what is long past by `now` is forgotten, and refused from then on.
    pub async fn first_use(
        &self,
        account: &AccountId,
        nonce: [u8; 16],
        time: Moment,
        now: Moment,
    ) -> Result<bool, JournalError> {
        let connection = Arc::clone(&self.connection);
        let account: [u8; 32] = *account.as_ref();
        blocking(move || {
            let mut connection = lock(&connection);
            let transaction = connection.transaction()?;
            let before: i64 = transaction
                .prepare_cached("UPDATE forgotten SET before = max(before, ?1) RETURNING before")?
                .query_row([now.saturating_sub(MEMORY_MILLIS) as i64], |row| row.get(0))?;
            transaction.prepare_cached("DELETE FROM nonces WHERE time < ?1")?.execute([before])?;
            if (time as i64) < before {
                transaction.commit()?;
                return Ok(false);
            }
            let noted = transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO nonces (account, nonce, time) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![account, nonce, time as i64])?;
            transaction.commit()?;
            Ok(noted == 1)
        })
        .await
    }
}
