//! What can go wrong with the journal, in terms of what to do about it.

use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process uses the journal: is the worker running already?")]
    InUse,
    #[error("the disk of the journal is full: make room, then try again")]
    Full,
    #[error("the journal is read-only: check its permissions and how its disk is mounted")]
    ReadOnly,
    #[error("the journal was written by a newer worker (schema {found}, this one knows {known})")]
    Newer { found: i64, known: i64 },
    #[error("the journal cannot be opened: {0}")]
    Io(#[from] std::io::Error),
    #[error("the worker is stopping")]
    Interrupted,
    #[error("the journal failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            _ => Self::Sqlite(error),
        }
    }
}
