//! The storage's errors, by what an operator has to do.

use std::{error::Error, io};

use object_store::client::{HttpError, HttpErrorKind};
use rustix::io::Errno;

use super::claim::LAPSE;

/// What the system reports of a file whose sectors or checksums are bad. Other errors, such as too many open files, say
/// nothing about the file.
const OF_THE_DISK: [Errno; 3] = [Errno::IO, Errno::BADMSG, Errno::UCLEAN];

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
        "the storage belongs to {owner}: give each worker a separate bucket or prefix. If both are workers of one \
         hospital, stop one of them, then restart the other"
    )]
    Foreign { owner: String },
    #[error(
        "the worker has not claimed the storage yet, or could not confirm its claim for {} s, and writes nothing \
         meanwhile: check that the storage runs and can be reached from this machine. The worker retries automatically",
        LAPSE.as_secs()
    )]
    Unconfirmed,
    #[error(
        "the storage has archived the object {object} (storage class {class}) and does not return it: take the \
         worker's bucket or prefix out of every lifecycle rule. The worker fetches the segment from another hospital"
    )]
    Archived { object: String, class: String },
    #[error(
        "the storage is overloaded, asks for fewer requests (503, SlowDown), or its load balancer has no server: the \
         worker retries with growing pauses. If this continues, check that the storage runs, raise its request limit, \
         or lower parallel and serve_parallel in [transfer]"
    )]
    Busy,
    #[error(
        "the storage confirmed that it stored a segment, but does not return the segment's bytes: check the storage, \
         and the proxies and caches before it"
    )]
    NotKept,
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
                | Self::Foreign { .. }
        )
    }

    /// Whether the error is certainly about one object: the storage works, and other objects may be intact.
    pub fn concerns_one_object(&self) -> bool {
        matches!(self, Self::Missing | Self::Damaged | Self::Archived { .. } | Self::NotKept)
    }

    /// Whether a disk does not return an object's bytes, as from a bad sector. Other objects may be intact.
    pub(super) fn is_of_the_disk(&self) -> bool {
        let Self::Backend(error) = self else { return false };
        let mut cause: Option<&(dyn Error + 'static)> = Some(&**error);
        while let Some(error) = cause {
            let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            if code.is_some_and(|code| OF_THE_DISK.iter().any(|it| it.raw_os_error() == code)) {
                return true;
            }
            cause = error.source();
        }
        false
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
            "SlowDown"
            | "SlowDownRead"
            | "SlowDownWrite"
            | "RequestLimitExceeded"
            | "Throttling" => Some(Self::Busy),
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
    element(text, "Code")
}

/// The content of the first element with this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// The error for an object that the storage has moved to an archive. It names the object without its path, and the
/// storage class, of which only the usual letters are shown.
fn archived(error: &object_store::Error, text: &str) -> Option<StoreError> {
    let object_store::Error::PermissionDenied { path, .. } = error else { return None };
    if code_of(text) != Some("InvalidObjectState") {
        return None;
    }
    let shown = |text: &str| -> String {
        text.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '_').take(64).collect()
    };
    let object = shown(path.rsplit('/').next().unwrap_or(path));
    let class = element(text, "StorageClass").map_or_else(|| "not named".into(), shown);
    Some(StoreError::Archived { object, class })
}

/// Whether a response without a body says that there were too many requests.
fn is_busy(text: &str) -> bool {
    ["503 Service Unavailable", "429 Too Many Requests"].iter().any(|status| text.contains(status))
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
        let text = error.to_string();
        if let Some(found) = archived(&error, &text) {
            return found;
        }
        if let Some(found) = code_of(&text).and_then(Self::of_code) {
            return found;
        }
        if is_busy(&text) {
            return Self::Busy;
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
    Store(#[from] StoreError),
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
    fn an_archived_object_is_named_with_its_class_and_is_no_fault_of_the_key() {
        let body =
            "<Error><Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass></Error>";
        let source = format!("Server returned non-2xx status code: 403 Forbidden: {body}");
        let path = "hospitals/a/segments/00ff".to_owned();
        let denied = object_store::Error::PermissionDenied { path, source: source.into() };
        let error = StoreError::from(denied);
        assert!(matches!(error, StoreError::Archived { .. }), "{error:?}");
        assert!(error.concerns_one_object() && !error.needs_operator());
        let said = error.to_string();
        assert!(said.contains("00ff") && said.contains("GLACIER"), "{said}");
        assert!(!said.contains("hospitals/a"), "{said}");
    }

    #[test]
    fn too_many_requests_have_words_of_their_own() {
        assert!(matches!(answered("SlowDown"), StoreError::Busy));
        let source = "Server returned non-2xx status code: 503 Service Unavailable: ";
        let without_body = object_store::Error::Generic { store: "S3", source: source.into() };
        let error = StoreError::from(without_body);
        assert!(matches!(error, StoreError::Busy), "{error:?}");
        assert!(!error.needs_operator());
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
