//! The storage's errors, by what an operator has to do.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};

/// Why an operation of the storage failed. Callers may show these errors: they never contain a path.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the segment is not stored here")]
    Missing,
    #[error("the stored segment is damaged: it must be fetched again from another hospital")]
    Damaged,
    #[error("the bytes are not those of the named segment")]
    Mismatch,
    #[error("the segment is empty or too long")]
    Length,
    #[error("the storage is full: free some space or enlarge it, then retry")]
    Full,
    #[error("the storage is read-only: mount it writable, then retry")]
    ReadOnly,
    #[error(
        "the storage denies access: check the permissions of the worker's account or of its S3 access key"
    )]
    Denied,
    #[error(
        "the storage does not accept the worker's S3 access key: correct the credentials and the region \
         of [store.s3], then restart the worker"
    )]
    Credentials,
    #[error("the bucket of [store.s3] does not exist: create it, or correct its name")]
    NoBucket,
    #[error(
        "the storage's clock differs from this machine's clock: correct the clock that is wrong"
    )]
    Clock,
    #[error(
        "the storage does not answer, or answers too slowly: check that it runs and can be reached from this machine. \
         The worker retries automatically"
    )]
    Unreachable(#[source] Option<Box<dyn Error + Send + Sync>>),
    #[error(
        "the storage belongs to another hospital or chain: give this worker a separate bucket or prefix"
    )]
    Foreign,
    #[error("the worker is stopping")]
    Interrupted,
    /// Another failure. A later attempt may succeed.
    #[error("the storage failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether writes will fail until an operator acts.
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

    /// The error for an error code of S3.
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

    /// The first of an error's causes that has an error here.
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

/// The error code in a response of S3, which `object_store` provides only as text.
fn code_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// Whether the storage sent no response, rather than an error.
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

/// Why bytes from a source were not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// The source of the bytes failed.
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
    fn an_error_code_of_s3_tells_what_to_do() {
        for (code, named) in [
            ("NoSuchBucket", "bucket"),
            ("InvalidAccessKeyId", "credentials"),
            ("SignatureDoesNotMatch", "credentials"),
            ("RequestTimeTooSkewed", "clock"),
            ("AccessDenied", "denies access"),
            ("XMinioStorageFull", "full"),
        ] {
            let error = answered(code);
            assert!(error.needs_operator(), "{error}");
            assert!(error.to_string().contains(named), "{code}: {error}");
        }
        assert!(matches!(answered("InternalError"), StoreError::Backend(_)));
    }

    #[test]
    fn no_response_differs_from_an_error() {
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
