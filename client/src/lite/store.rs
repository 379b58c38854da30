//! The file: an SQLite database that only its owner may read. One process at a time writes to it, a page of blocks in
//! each transaction. So a process that is killed leaves whole pages, and the next one continues after them.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use codec::{Decode, DecodeAll, Encode};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    approval::Ballot,
    block::{BlockHashes, Entries, Header},
};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};

use super::{
    LiteError, WrongBlock,
    check::{Fault, Tip},
    schema,
};
use crate::{chain::LiteBlock, now, private};

/// The final chain block from whose state blocks were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub number: BlockNumber,
    pub hash: Hash,
    pub time: Moment,
    /// Height of the newest lite block in that state.
    pub height: u32,
    /// Whether the state was proven to be final.
    pub proven: bool,
}

/// What the file contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub genesis: Hash,
    /// Height of the newest lite block in the file.
    pub height: u32,
    /// The last source. `proven` says whether all blocks were read from proven states.
    pub source: Source,
    /// When blocks were last requested, by the clock of this machine; 0 if never.
    pub synced_at: Moment,
    pub records: u64,
    /// Records whose sealed bytes are in the file.
    pub sealed_records: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// A lite blockchain in a file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    genesis: Hash,
    /// Held while this may write.
    _lock: Option<File>,
}

impl Store {
    /// Opens the file for writing, and makes it if there is none.
    pub fn create(path: &Path, genesis: Hash) -> Result<Self, LiteError> {
        let lock = lock(path)?;
        make(path).map_err(|error| LiteError::io(path, error))?;
        let mut connection = connect(path)?;
        let failed = |error| LiteError::sqlite(path, error);
        if schema::is_empty(&connection).map_err(failed)? {
            schema::make(&mut connection, genesis).map_err(failed)?;
        }
        let found = Self::recognized(connection, path, None)?;
        if found.genesis != genesis {
            let (path, kept) = (path.into(), found.genesis);
            return Err(LiteError::OtherChain { path, kept, asked: genesis });
        }
        // SQLite makes its other files with the mode that this one has then: with a connection made after the change.
        drop(found);
        fs::set_permissions(path, fs::Permissions::from_mode(private::FILE))
            .map_err(|error| LiteError::io(path, error))?;
        let store = Self::recognized(connect(path)?, path, Some(lock))?;
        store.prepare().map_err(failed)?;
        Ok(store)
    }

    /// Opens the file for reading, also while another process writes to it.
    pub fn open(path: &Path) -> Result<Self, LiteError> {
        check_kind(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => LiteError::Missing { path: path.into() },
            _ => LiteError::io(path, error),
        })?;
        let connection = connect(path)?;
        let failed = |error| LiteError::sqlite(path, error);
        if schema::is_empty(&connection).map_err(failed)? {
            // Another process has just made the file, or was killed when it had.
            return Err(LiteError::Missing { path: path.into() });
        }
        let store = Self::recognized(connection, path, None)?;
        store.connection.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(store)
    }

    fn recognized(
        connection: Connection,
        path: &Path,
        lock: Option<File>,
    ) -> Result<Self, LiteError> {
        schema::recognize(&connection, path)?;
        let genesis = connection
            .query_row("SELECT genesis FROM chain", [], |row| row.get::<_, [u8; 32]>(0))
            .map_err(|error| LiteError::sqlite(path, error))?;
        Ok(Self { connection, path: path.into(), genesis: genesis.into(), _lock: lock })
    }

    /// A page that was written survives the end of the process. The last ones may be lost with the machine's power, but
    /// never a part of one.
    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "NORMAL")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hash of the first block of the chain to which the file belongs.
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Height of the newest block; 0 if there is none.
    pub fn height(&self) -> Result<u32, LiteError> {
        self.one("SELECT coalesce(max(height), 0) FROM blocks", |row| row.get(0))
    }

    pub fn status(&self) -> Result<Status, LiteError> {
        let bytes = fs::metadata(&self.path).map_err(|error| LiteError::io(&self.path, error))?;
        let (source, synced_at) = self.source()?;
        Ok(Status {
            genesis: self.genesis,
            height: self.height()?,
            source,
            synced_at,
            records: self.count("SELECT count(*) FROM records")?,
            sealed_records: self.count("SELECT count(*) FROM sealed_records")?,
            bytes: bytes.len(),
        })
    }

    fn source(&self) -> Result<(Source, Moment), LiteError> {
        self.one("SELECT number, hash, time, height, proven, synced_at FROM chain", |row| {
            let source = Source {
                number: row.get(0)?,
                hash: row.get::<_, [u8; 32]>(1)?.into(),
                time: moment(row, 2)?,
                height: row.get(3)?,
                proven: row.get(4)?,
            };
            Ok((source, moment(row, 5)?))
        })
    }

    /// The newest chain block in whose state the chain had this height, if the file has compared itself with one.
    pub(super) fn complete_at(&self, height: u32) -> Result<Option<BlockNumber>, LiteError> {
        let (source, synced_at) = self.source()?;
        Ok((synced_at > 0 && source.height == height).then_some(source.number))
    }

    /// The end of the chain in the file.
    pub fn tip(&self) -> Result<Tip, LiteError> {
        Ok(match self.block(self.height()?)? {
            Some(newest) => Tip::after(&newest.header, newest.hashes),
            None => Tip::default(),
        })
    }

    /// The newest record of a patient.
    pub fn newest(&self, patient: UserId) -> Result<Option<RecordPointer>, LiteError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT height, position FROM records WHERE patient = ?1
                     ORDER BY height DESC, position DESC LIMIT 1",
                )?
                .query_row([patient.0], pointer)
                .optional()
        })
    }

    /// All records of a patient, newest first.
    pub fn records_of(&self, patient: UserId) -> Result<Vec<RecordPointer>, LiteError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT height, position FROM records WHERE patient = ?1
                     ORDER BY height DESC, position DESC",
                )?
                .query_map([patient.0], pointer)?
                .collect()
        })
    }

    /// The block of this height. It is an error if it cannot be decoded.
    pub fn block(&self, height: u32) -> Result<Option<LiteBlock>, LiteError> {
        let stored = self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT lite, cloud, header, entries, ballot FROM blocks WHERE height = ?1",
                )?
                .query_row([height], stored_block)
                .optional()
        })?;
        let Some(stored) = stored else { return Ok(None) };
        let block = stored.decode().map_err(|fault| WrongBlock { height, fault });
        block.map(Some).map_err(|wrong| LiteError::damaged(&self.path, wrong))
    }

    /// Adds blocks, which were checked, in one transaction. The first one must follow the newest one.
    pub fn append(&mut self, blocks: &[LiteBlock], source: &Source) -> Result<(), LiteError> {
        self.write(|transaction| {
            for block in blocks {
                insert(transaction, block)?;
            }
            touch(transaction, source)
        })
    }

    /// Notes that the file was compared with this state.
    pub fn touch(&mut self, source: &Source) -> Result<(), LiteError> {
        self.write(|transaction| touch(transaction, source))
    }

    /// Adds the sealed bytes of a record, which were compared with its entry.
    pub fn keep_record(&mut self, at: RecordPointer, record: &[u8]) -> Result<(), LiteError> {
        self.write(|transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO sealed_records VALUES (?1, ?2, ?3)")?
                .execute(params![at.height, at.index, record])
                .map(drop)
        })
    }

    /// The sealed bytes of a record.
    pub fn record(&self, at: RecordPointer) -> Result<Option<Vec<u8>>, LiteError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT record FROM sealed_records WHERE height = ?1 AND position = ?2",
                )?
                .query_row(params![at.height, at.index], |row| row.get(0))
                .optional()
        })
    }

    pub fn has_record(&self, at: RecordPointer) -> Result<bool, LiteError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM sealed_records WHERE height = ?1 AND position = ?2)",
                )?
                .query_row(params![at.height, at.index], |row| row.get(0))
        })
    }

    /// Notes whose account this is.
    pub fn keep_user(&mut self, account: &AccountId, user: UserId) -> Result<(), LiteError> {
        let account: &[u8; 32] = account.as_ref();
        self.write(|transaction| {
            transaction
                .execute("INSERT OR REPLACE INTO users VALUES (?1, ?2)", params![account, user.0])
                .map(drop)
        })
    }

    /// The user with this account.
    pub fn user_of(&self, account: &AccountId) -> Result<Option<UserId>, LiteError> {
        let account: &[u8; 32] = account.as_ref();
        self.read(|connection| {
            connection
                .query_row("SELECT user FROM users WHERE account = ?1", [account], |row| {
                    row.get(0).map(UserId)
                })
                .optional()
        })
    }

    /// Adds a sealed profile of a user at a hospital.
    pub fn keep_profile(
        &mut self,
        user: UserId,
        hospital: HospitalId,
        hash: Hash,
        body: &[u8],
    ) -> Result<(), LiteError> {
        self.write(|transaction| {
            transaction
                .execute(
                    "INSERT OR IGNORE INTO sealed_profiles VALUES (?1, ?2, ?3, ?4)",
                    params![hash.as_fixed_bytes(), user.0, hospital.0, body],
                )
                .map(drop)
        })
    }

    pub fn has_profile(&self, hash: Hash) -> Result<bool, LiteError> {
        self.read(|connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM sealed_profiles WHERE hash = ?1)",
                [hash.as_fixed_bytes()],
                |row| row.get(0),
            )
        })
    }

    /// The sealed profiles of a user, with their hospitals, the newest ones first.
    pub fn profiles(&self, user: UserId) -> Result<Vec<(HospitalId, Vec<u8>)>, LiteError> {
        self.read(|connection| {
            connection
                .prepare(
                    "SELECT hospital, body FROM sealed_profiles WHERE user = ?1 ORDER BY rowid DESC",
                )?
                .query_map([user.0], |row| Ok((HospitalId(row.get(0)?), row.get(1)?)))?
                .collect()
        })
    }

    /// Checks that SQLite can read all of the file, and that its index is complete.
    pub(super) fn check_pages(&self) -> Result<(), LiteError> {
        let found: String = self.one("PRAGMA integrity_check(1)", |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(LiteError::damaged(&self.path, found)) }
    }

    /// The numbers of blocks and of records, by the tables.
    pub(super) fn counts(&self) -> Result<(u64, u64), LiteError> {
        let blocks = self.count("SELECT count(*) FROM blocks")?;
        Ok((blocks, self.count("SELECT count(*) FROM records")?))
    }

    /// The block of this height as it is stored, and the patients whom the list of records names for it.
    pub(super) fn listed(
        &self,
        height: u32,
    ) -> Result<(Option<StoredBlock>, Vec<UserId>), LiteError> {
        self.read(|connection| {
            let block = connection
                .prepare_cached(
                    "SELECT lite, cloud, header, entries, ballot FROM blocks WHERE height = ?1",
                )?
                .query_row([height], stored_block)
                .optional()?;
            let patients = connection
                .prepare_cached("SELECT patient FROM records WHERE height = ?1 ORDER BY position")?
                .query_map([height], |row| row.get(0).map(UserId))?
                .collect::<rusqlite::Result<_>>()?;
            Ok((block, patients))
        })
    }

    /// The positions of all records whose sealed bytes are in the file.
    pub(super) fn kept_records(&self) -> Result<Vec<RecordPointer>, LiteError> {
        self.read(|connection| {
            connection
                .prepare("SELECT height, position FROM sealed_records ORDER BY height, position")?
                .query_map([], pointer)?
                .collect()
        })
    }

    /// Until the result is dropped, all reads see the file as the first of them sees it, also while another process
    /// writes to it.
    pub(super) fn snapshot(&self) -> Result<Transaction<'_>, LiteError> {
        let begun = self.connection.unchecked_transaction();
        begun.map_err(|error| LiteError::sqlite(&self.path, error))
    }

    fn one<T>(
        &self,
        query: &str,
        take: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LiteError> {
        self.read(|connection| connection.query_row(query, [], take))
    }

    fn count(&self, query: &str) -> Result<u64, LiteError> {
        let count: i64 = self.one(query, |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LiteError> {
        look(&self.connection).map_err(|error| LiteError::sqlite(&self.path, error))
    }

    fn write<T>(
        &mut self,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LiteError> {
        let written = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let done = act(&transaction)?;
                transaction.commit()?;
                Ok(done)
            });
        written.map_err(|error| LiteError::sqlite(&self.path, error))
    }
}

/// A block as it is stored.
pub(super) struct StoredBlock {
    hashes: BlockHashes,
    header: Vec<u8>,
    entries: Vec<u8>,
    ballot: Vec<u8>,
}

impl StoredBlock {
    pub(super) fn decode(&self) -> Result<LiteBlock, Fault> {
        let header: Header = decoded("header", &self.header)?;
        let entries: Entries = decoded("list of entries", &self.entries)?;
        let ballot: Ballot = decoded("ballot", &self.ballot)?;
        Ok(LiteBlock { header, hashes: self.hashes, entries: entries.into_inner(), ballot })
    }
}

fn decoded<T: Decode>(what: &'static str, mut bytes: &[u8]) -> Result<T, Fault> {
    T::decode_all(&mut bytes).map_err(|_| Fault::Unreadable { what })
}

fn stored_block(row: &Row<'_>) -> rusqlite::Result<StoredBlock> {
    let hashes = BlockHashes {
        lite: row.get::<_, [u8; 32]>(0)?.into(),
        cloud: row.get::<_, [u8; 32]>(1)?.into(),
    };
    Ok(StoredBlock { hashes, header: row.get(2)?, entries: row.get(3)?, ballot: row.get(4)? })
}

fn insert(transaction: &Transaction<'_>, block: &LiteBlock) -> rusqlite::Result<()> {
    let LiteBlock { header, hashes, entries, ballot } = block;
    let height = header.height;
    transaction.prepare_cached("INSERT INTO blocks VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        params![
            height,
            hashes.lite.as_fixed_bytes(),
            hashes.cloud.as_fixed_bytes(),
            header.encode(),
            entries.encode(),
            ballot.encode(),
        ],
    )?;
    let mut add = transaction.prepare_cached("INSERT INTO records VALUES (?1, ?2, ?3)")?;
    for (position, entry) in (0_u32..).zip(entries) {
        add.execute(params![height, position, entry.patient.0])?;
    }
    Ok(())
}

/// A node that is behind does not make the file older.
fn touch(transaction: &Transaction<'_>, source: &Source) -> rusqlite::Result<()> {
    let Source { number, hash, time, height, proven } = *source;
    transaction.execute(
        "UPDATE chain SET number = ?1, hash = ?2, time = ?3, height = ?4 WHERE number <= ?1",
        params![number, hash.as_fixed_bytes(), signed(time), height],
    )?;
    transaction.execute(
        "UPDATE chain SET proven = proven AND ?1, synced_at = ?2",
        params![proven, signed(now())],
    )?;
    Ok(())
}

/// SQLite's integers have a sign.
fn signed(moment: Moment) -> i64 {
    i64::try_from(moment).unwrap_or(i64::MAX)
}

fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Moment> {
    let stored: i64 = row.get(column)?;
    Ok(Moment::try_from(stored).unwrap_or_default())
}

fn pointer(row: &Row<'_>) -> rusqlite::Result<RecordPointer> {
    Ok(RecordPointer { height: row.get(0)?, index: row.get(1)? })
}

/// Opens an existing file. Its name is not read as a URI.
fn connect(path: &Path) -> Result<Connection, LiteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| LiteError::sqlite(path, error))
}

/// Makes a file that only its owner may read, unless there is one. SQLite gives its other files the same mode.
fn make(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(private::FILE).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_kind(path),
        Err(error) => Err(error),
    }
}

fn check_kind(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is a link or a folder, not a file"))
}

/// Holds off other writers. The lock is a file of its own, because SQLite locks the database itself only while it
/// writes.
fn lock(path: &Path) -> Result<File, LiteError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(private::FILE)
        .open(&name)
        .map_err(|error| LiteError::io(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LiteError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(LiteError::io(path, error)),
    }
}

#[cfg(test)]
mod tests;
