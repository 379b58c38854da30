//! Why a lite blockchain cannot be made, read or extended, by what its owner has to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use epione_primitives::{Hash, HospitalId, RecordPointer};
use rusqlite::ErrorCode;

use super::WrongBlock;
use crate::chain::ChainError;

#[derive(Debug, thiserror::Error)]
pub enum LiteError {
    #[error("there is no lite blockchain at {}", .path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a lite blockchain: {reason}; choose another file", .path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "{} belongs to the chain {kept:?}, not to {asked:?}: choose another file, or use a node of that chain",
        .path.display()
    )]
    OtherChain { path: PathBuf, kept: Hash, asked: Hash },
    #[error(
        "{} was written by a newer epione (schema {found}, this version knows {known}): use the newer version, or \
         another file", .path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("another process writes to {}: wait until it ends", .path.display())]
    InUse { path: PathBuf },
    #[error("{} is damaged: {reason}; move it away, and make it again", .path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the disk of {} is full: free some space, then continue", .path.display())]
    Full { path: PathBuf },
    #[error("{} cannot be used: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} failed: {source}", .path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    /// A block that does not follow from those before it. Nothing of it was stored.
    #[error(
        "the node's chain is wrong: {0}; nothing of this block was stored, so try another node"
    )]
    Block(#[from] WrongBlock),
    #[error(
        "the chain has {chain} lite blocks, and the file has {kept}: the node is behind, or the chain was reset; the \
         file was not changed"
    )]
    RolledBack { chain: u32, kept: u32 },
    #[error(
        "lite block {height} has the hash {chain:?} on the chain and {kept:?} in the file: the chain has two \
         histories, or the file was altered; the file was not changed, so ask the hospitals before you go on"
    )]
    Fork { height: u32, chain: Hash, kept: Hash },
    #[error("record {pointer} differs from the chain: {what}")]
    Record { pointer: RecordPointer, what: &'static str },
    #[error("the node does not have record {pointer}: use another node")]
    NoRecord { pointer: RecordPointer },
    #[error(
        "the node does not have the profile of the patient that hospital {hospital} had when it announced record \
         {pointer}, and that has its key: use another node"
    )]
    NoProfile { pointer: RecordPointer, hospital: HospitalId },
    /// The file has nothing that these keys open.
    #[error("{} was not synchronized with these keys", .path.display())]
    UnknownKeys { path: PathBuf },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl LiteError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::Full { path: path.into() },
            _ => Self::Io { path: path.into(), source },
        }
    }

    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::damaged(&path, source),
            Some(ErrorCode::NotADatabase) => Self::foreign(&path, "it is no SQLite database"),
            _ => Self::Sqlite { path, source },
        }
    }

    pub(super) fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged { path: path.into(), reason: reason.to_string() }
    }

    pub(super) fn foreign(path: &Path, reason: impl Into<String>) -> Self {
        Self::Foreign { path: path.into(), reason: reason.into() }
    }
}
