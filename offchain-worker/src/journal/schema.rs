//! The journal's tables. Each migration is one step, and does not change once it is released.

use std::{cmp::Ordering, path::Path};

use rusqlite::{Connection, TransactionBehavior};

use super::JournalError;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE visits (
        row INTEGER PRIMARY KEY,
        record_id BLOB NOT NULL UNIQUE,
        patient BLOB NOT NULL,
        author BLOB NOT NULL,
        fingerprint BLOB NOT NULL,
        record BLOB,
        record_bytes INTEGER NOT NULL,
        segments BLOB NOT NULL,
        segment_count INTEGER NOT NULL,
        media_bytes INTEGER NOT NULL,
        stage INTEGER NOT NULL,
        batch INTEGER,
        position INTEGER,
        announcement INTEGER,
        height INTEGER,
        queued_at INTEGER NOT NULL,
        since INTEGER NOT NULL,
        last_failure TEXT
    ) STRICT;
    CREATE INDEX visits_by_stage ON visits (stage, row);
    CREATE UNIQUE INDEX visits_by_batch ON visits (batch, position) WHERE batch IS NOT NULL;
    CREATE TABLE segment_references (
        segment BLOB NOT NULL,
        length INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        owner BLOB NOT NULL,
        PRIMARY KEY (segment, kind, owner)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX references_by_owner ON segment_references (kind, owner);
    CREATE TABLE garbage (
        segment BLOB PRIMARY KEY,
        since INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX garbage_by_age ON garbage (since);
",
    "
    CREATE TABLE offers (
        -- Never used twice: segment_references keep the number.
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hospital INTEGER NOT NULL,
        segments BLOB NOT NULL,
        bytes INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        fulfilled INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX offers_by_hospital ON offers (hospital);
",
    "
    CREATE TABLE verified (
        segment BLOB PRIMARY KEY,
        length INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE commands (
        author BLOB NOT NULL,
        command BLOB NOT NULL,
        record_id BLOB NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (author, command)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX commands_by_age ON commands (at);
    CREATE TABLE instance (
        id BLOB NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE commands ADD COLUMN content BLOB;
",
    "
    CREATE TABLE storage (
        id BLOB NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE visits ADD COLUMN signed_at INTEGER;
    CREATE INDEX commands_by_record ON commands (record_id);
",
    "
    CREATE TABLE renewals (
        user BLOB PRIMARY KEY,
        sealing_key BLOB NOT NULL,
        at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE query_grants (
        query INTEGER NOT NULL,
        hash BLOB NOT NULL,
        bringer BLOB NOT NULL,
        hospital INTEGER NOT NULL,
        ends INTEGER NOT NULL,
        accepted INTEGER NOT NULL DEFAULT 0,
        at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        -- Last, so that a look at the other columns does not read it.
        bytes BLOB NOT NULL,
        PRIMARY KEY (query, hash)
    ) STRICT;
    CREATE INDEX query_grants_by_bringer ON query_grants (bringer, accepted, query);
    CREATE INDEX query_grants_by_hospital ON query_grants (hospital, size);
    CREATE INDEX query_grants_by_hash ON query_grants (hash);
    CREATE INDEX query_grants_by_end ON query_grants (ends);
    CREATE INDEX query_grants_by_state ON query_grants (accepted, at, query);
",
    "
    CREATE TABLE section_index (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        height INTEGER NOT NULL,
        begun INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE indexed_records (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        patient BLOB NOT NULL,
        signed_at INTEGER NOT NULL,
        committed_at INTEGER NOT NULL,
        closed INTEGER NOT NULL,
        placed INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL,
        PRIMARY KEY (height, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX indexed_records_by_patient ON indexed_records (patient, height, position);
    CREATE INDEX indexed_records_unplaced ON indexed_records (due) WHERE placed = 0;
    CREATE INDEX indexed_records_closed ON indexed_records (closed) WHERE closed = 1;
    CREATE TABLE indexed_sections (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        section INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        signed_at INTEGER NOT NULL,
        PRIMARY KEY (height, position, section)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX indexed_sections_by_kind
        ON indexed_sections (kind, signed_at, height, position, section);
    CREATE TABLE indexed_modalities (
        modality TEXT NOT NULL,
        signed_at INTEGER NOT NULL,
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        section INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        PRIMARY KEY (modality, signed_at, height, position, section)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tried_placements (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        PRIMARY KEY (height, position, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE counts (
        requester BLOB NOT NULL,
        day INTEGER NOT NULL,
        question BLOB NOT NULL,
        hospital INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        -- Null until it is answered.
        floor INTEGER,
        patients INTEGER,
        PRIMARY KEY (requester, day, question)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX counts_by_hospital ON counts (day, hospital);
    CREATE TABLE count_days (
        day INTEGER PRIMARY KEY,
        block INTEGER NOT NULL,
        height INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE consortium_enrolments (
        key_hash BLOB PRIMARY KEY,
        seed BLOB NOT NULL,
        -- Null while it is not known which ceremony the worker begins with it.
        ceremony INTEGER,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX consortium_enrolments_by_ceremony ON consortium_enrolments (ceremony);
    CREATE TABLE consortium_dealings (
        ceremony INTEGER PRIMARY KEY,
        seed BLOB NOT NULL,
        part BLOB NOT NULL,
        call BLOB NOT NULL
    ) STRICT;
    CREATE TABLE consortium_shares (
        ceremony INTEGER PRIMARY KEY,
        share BLOB NOT NULL,
        mixing BLOB NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE wrap_progress (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        key INTEGER NOT NULL,
        height INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE wraps_due (
        height INTEGER NOT NULL,
        position INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        patient BLOB NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL,
        PRIMARY KEY (height, position, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX wraps_due_by_time ON wraps_due (due);
",
    "
    CREATE TABLE wrap_sweep (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        epoch INTEGER NOT NULL,
        height INTEGER
    ) STRICT;
",
    "
    CREATE TABLE inherited_keys (
        hospital INTEGER NOT NULL,
        patient BLOB NOT NULL,
        profile BLOB NOT NULL,
        versions INTEGER NOT NULL,
        claim INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        PRIMARY KEY (hospital, patient)
    ) STRICT, WITHOUT ROWID;
",
    // An earlier worker did not note who sealed: no hospital has this account, so the worker seals again.
    "
    ALTER TABLE consortium_dealings ADD COLUMN agent BLOB NOT NULL
        DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000';
",
];

/// Opens or creates a database for writing.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let connection = Connection::open(path)?;
    // Without write permission, SQLite opens the database for reading.
    if connection.is_readonly("main")? { Err(JournalError::ReadOnly) } else { Ok(connection) }
}

/// Sets up a new connection. `synchronous` is the SQLite setting for when a commit is on disk.
pub(super) fn prepare(connection: &mut Connection, synchronous: &str) -> rusqlite::Result<()> {
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What is deleted, or moves to another page, is overwritten with zeros: pages have shares of the consortium key. It
    // costs a write of each page that becomes free; few do.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Checks that the tables have this worker's schema. Also acquires the lock.
pub(super) fn check(connection: &mut Connection) -> Result<(), JournalError> {
    let known = MIGRATIONS.len() as i64;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found.cmp(&known) {
        Ordering::Less => Err(JournalError::Older { found, known }),
        Ordering::Equal => Ok(transaction.rollback()?),
        Ordering::Greater => Err(JournalError::Newer { found, known }),
    }
}

/// Migrates the tables to this worker's schema. Also acquires the lock.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let known = MIGRATIONS.len() as i64;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(JournalError::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}
