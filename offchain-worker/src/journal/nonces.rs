//! Nonces of signed requests, so that none is answered twice, not even after a restart. A database of
//! its own: it may lose its last moments with the machine's power, which the journal may not, and so
//! costs no wait for the disk on every request.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use epione_client::request::MAX_SKEW_MILLIS;
use epione_primitives::{AccountId, Moment};
use rusqlite::{Connection, params};

use super::{JournalError, blocking, lock, schema};

/// The nonces of the last minutes. Clones share them.
#[derive(Clone)]
pub struct Nonces {
    connection: Arc<Mutex<Connection>>,
}

impl Nonces {
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_owned();
        blocking(move || {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            Self::with(Connection::open(path)?)
        })
        .await
    }

    /// Forgotten when dropped, for tests.
    pub async fn in_memory() -> Result<Self, JournalError> {
        blocking(|| Self::with(Connection::open_in_memory()?)).await
    }

    fn with(mut connection: Connection) -> Result<Self, JournalError> {
        schema::prepare(&mut connection, "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS nonces (
                 account BLOB NOT NULL, nonce BLOB NOT NULL, time INTEGER NOT NULL,
                 PRIMARY KEY (account, nonce)
             ) STRICT, WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS nonces_by_time ON nonces (time);",
        )?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Notes the nonce of a request signed at `time`; false if the account used it before. Nonces
    /// whose requests are stale by now are forgotten.
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
            transaction
                .prepare_cached("DELETE FROM nonces WHERE time < ?1")?
                .execute([now.saturating_sub(MAX_SKEW_MILLIS) as i64])?;
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
