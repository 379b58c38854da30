//! What can go wrong with object storage, in terms of what to do about it.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};

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
    #[error(
        "the storage refuses access: check what the worker's account, or its S3 access key, may do there"
    )]
    Denied,
    #[error(
        "the storage does not accept the worker's S3 access key: correct the credentials and the region \
         of [store.s3], then restart the worker"
    )]
    Credentials,
    #[error("the bucket of [store.s3] does not exist: make it, or correct its name")]
    NoBucket,
    #[error("the storage has another time than this machine: set the clock of whichever is wrong")]
    Clock,
    #[error(
        "the storage does not answer, or too slowly: check that it runs and can be reached from here; the \
         worker tries again by itself"
    )]
    Unreachable(#[source] Option<Box<dyn Error + Send + Sync>>),
    #[error(
        "the storage belongs to another hospital or chain: give this worker a bucket or prefix of its own"
    )]
    Foreign,
    #[error("the worker is stopping")]
    Interrupted,
    /// Something else; trying again later may help.
    #[error("the storage failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether nothing can be written until an operator acts.
    pub fn needs_operator(&self) -> bool {
        matches!(
            self,
            Self::Full
                | Self::ReadOnly
                | Self::Denied
                | Self::Credentials
                | Self::NoBucket
                | Self::Clock
                | Self::Foreign
        )
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            io::ErrorKind::PermissionDenied => Some(Self::Denied),
            _ => None,
        }
    }

    /// What S3's error codes mean here.
    fn of_code(code: &str) -> Option<Self> {
        match code {
            "NoSuchBucket" => Some(Self::NoBucket),
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "NotSignedUp"
            | "InvalidToken"
            | "ExpiredToken"
            | "AuthorizationHeaderMalformed" => Some(Self::Credentials),
            "RequestTimeTooSkewed" => Some(Self::Clock),
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Some(Self::Denied),
            "XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage" => Some(Self::Full),
            _ => None,
        }
    }

    /// The first of an error's causes that says what to do.
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

/// The code in an answer of S3, which `object_store` gives as text only.
fn code_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// Whether no answer came, rather than a refusal.
fn is_unreachable(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return !matches!(error.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown);
        }
        cause = error.source();
    }
    false
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
        if let Some(found) = code_of(&error.to_string()).and_then(Self::of_code) {
            return found;
        }
        if is_unreachable(&error) {
            return Self::Unreachable(Some(error.into()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str) -> StoreError {
        let source = format!("status 400: <Error><Code>{code}</Code><Message>m</Message></Error>");
        object_store::Error::Generic { store: "S3", source: source.into() }.into()
    }

    #[test]
    fn an_answer_of_s3_says_what_to_do() {
        for (code, named) in [
            ("NoSuchBucket", "bucket"),
            ("InvalidAccessKeyId", "credentials"),
            ("SignatureDoesNotMatch", "credentials"),
            ("RequestTimeTooSkewed", "clock"),
            ("AccessDenied", "refuses access"),
            ("XMinioStorageFull", "full"),
        ] {
            let error = answered(code);
            assert!(error.needs_operator(), "{error}");
            assert!(error.to_string().contains(named), "{code}: {error}");
        }
        assert!(matches!(answered("InternalError"), StoreError::Backend(_)));
    }

    #[test]
    fn silence_is_told_from_a_refusal() {
        let silence = |kind| {
            let source = HttpError::new(kind, io::Error::other("nothing came"));
            StoreError::from(object_store::Error::Generic { store: "S3", source: source.into() })
        };
        assert!(matches!(silence(HttpErrorKind::Timeout), StoreError::Unreachable(_)));
        assert!(matches!(silence(HttpErrorKind::Connect), StoreError::Unreachable(_)));
        assert!(matches!(silence(HttpErrorKind::Decode), StoreError::Backend(_)));
        assert!(!silence(HttpErrorKind::Timeout).needs_operator());
    }
}
