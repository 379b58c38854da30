//! The tables of the file. They contain what the chain shows to everyone of its members, and sealed bytes.

use std::path::Path;

use epione_primitives::Hash;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::LiteError;

/// Marks the file as a lite blockchain (`PRAGMA application_id`): "ELBC".
const APPLICATION: i32 = 0x454C_4243;
/// The version of the tables (`PRAGMA user_version`).
const SCHEMA: i64 = 1;

const TABLES: &str = "
    CREATE TABLE chain (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        genesis BLOB NOT NULL,
        -- The newest final chain block from whose state blocks were read, and its height of lite blocks.
        number INTEGER NOT NULL,
        hash BLOB NOT NULL,
        time INTEGER NOT NULL,
        height INTEGER NOT NULL,
        -- Whether every block was read from a state that was proven to be final.
        proven INTEGER NOT NULL,
        synced_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE blocks (
        height INTEGER PRIMARY KEY,
        lite BLOB NOT NULL,
        cloud BLOB NOT NULL,
        header BLOB NOT NULL,
        entries BLOB NOT NULL,
        ballot BLOB NOT NULL
    ) STRICT;
    CREATE TABLE records (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        patient BLOB NOT NULL,
        PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX records_by_patient ON records (patient, height, position);
    CREATE TABLE sealed_records (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (height, position)
    ) STRICT;
    CREATE TABLE users (
        account BLOB PRIMARY KEY,
        user BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sealed_profiles (
        hash BLOB PRIMARY KEY,
        user BLOB NOT NULL,
        hospital INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
";

/// Makes the tables of a new file, for the chain with this first block.
pub(super) fn make(connection: &mut Connection, genesis: Hash) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !is_empty(&transaction)? {
        // Another process has made them meanwhile.
        return Ok(());
    }
    fill(&transaction, genesis)?;
    transaction.commit()
}

fn fill(transaction: &Transaction<'_>, genesis: Hash) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    transaction.execute(
        "INSERT INTO chain VALUES (1, ?1, 0, zeroblob(32), 0, 0, 1, 0)",
        [genesis.as_fixed_bytes()],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)
}

/// Whether the file has no tables.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Checks that the file is a lite blockchain of this schema.
pub(super) fn recognize(connection: &Connection, path: &Path) -> Result<(), LiteError> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let failed = |error| LiteError::sqlite(path, error);
    if number("application_id").map_err(failed)? != i64::from(APPLICATION) {
        return Err(LiteError::foreign(path, "another program made it"));
    }
    match number("user_version").map_err(failed)? {
        SCHEMA => Ok(()),
        found if found > SCHEMA => {
            Err(LiteError::Newer { path: path.into(), found, known: SCHEMA })
        }
        found => Err(LiteError::foreign(path, format!("its schema {found} is unknown"))),
    }
}
