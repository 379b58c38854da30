//! What can go wrong with object storage, in terms of what to do about it.

use std::{error::Error, io};

/// Why storage did not do as asked. Never names a path: callers may show it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the segment is not stored here")]
    Missing,
    #[error("the stored segment is damaged: it has to be fetched again from another hospital")]
    Damaged,
    #[error("the bytes are not those of the segment that they were sent as")]
    Mismatch,
    #[error("the segment is longer than a segment may be, or empty")]
    Length,
    #[error("the storage is full: make room or enlarge it, then try again")]
    Full,
    #[error("the storage is read-only: mount it writable, then try again")]
    ReadOnly,
    #[error("the storage refuses access: check the permissions of the worker's account")]
    Denied,
    #[error("the worker is stopping")]
    Interrupted,
    /// Something else; trying again later may help.
    #[error("the storage failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether nothing can be written until an operator acts.
    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Full | Self::ReadOnly | Self::Denied)
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            io::ErrorKind::PermissionDenied => Some(Self::Denied),
            _ => None,
        }
    }

    /// The first input/output error among an error's causes that says what to do.
    fn of_causes(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<io::Error>().and_then(Self::of_io) {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::of_io(&error).unwrap_or_else(|| Self::Backend(error.into()))
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        if let Some(found) = Self::of_causes(&error) {
            return found;
        }
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. } => Self::Denied,
            error => Self::Backend(error.into()),
        }
    }
}

/// Why bytes from elsewhere were not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// Wherever the bytes came from failed.
    #[error("the source of the bytes failed: {0}")]
    Source(E),
    #[error(transparent)]
    Store(StoreError),
}
