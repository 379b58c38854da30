//! The journal's errors, by what an operator has to do.

use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process uses the journal: check whether the worker is already running")]
    InUse,
    #[error("the disk of the journal is full: free some space, then retry")]
    Full,
    #[error("the journal is read-only: check its permissions and how its disk is mounted")]
    ReadOnly,
    #[error(
        "a newer worker has written the journal (schema {found}, this worker knows {known}): use the newer worker, or \
         remove the journal and run `epione-worker rebuild`"
    )]
    Newer { found: i64, known: i64 },
    #[error(
        "an earlier worker has written the journal (schema {found}, this worker knows {known}): this worker converts \
         it when it starts"
    )]
    Older { found: i64, known: i64 },
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
