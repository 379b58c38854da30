//! Errors as callers see them (RFC 9457): what happened and what to do, never internals, keys or health data. What an
//! operator needs in addition goes to the log.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use epione_client::api::Problem;
use epione_primitives::{
    access::Denial,
    limits::{
        DAY_MILLIS, MAX_EMERGENCIES_PER_DAY, MAX_HOSPITAL_EMERGENCIES, MAX_HOSPITAL_RECEIPTS,
        SLOT_MILLIS, WEIGHT_WINDOW_BLOCKS,
    },
    refusal::Refusal,
};

use crate::{
    chain::{CallError, ViewError},
    hospital_keys::HospitalKeysError,
    journal::JournalError,
    maintenance::RETRY_AFTER as RETRY_LATER,
    store::StoreError,
};

const PREFIX: &str = "urn:epione:problem:";

/// Seconds after which a caller may retry, unless the problem states another time.
const RETRY_AFTER: u64 = 2;
/// Seconds until the chain counts weight from zero: the half minute of the refusals.
const QUOTA_WINDOW: u64 = WEIGHT_WINDOW_BLOCKS as u64 * SLOT_MILLIS / 1_000;
/// Seconds of the next two blocks, after which an account's waiting transactions are fewer.
const NEXT_BLOCKS: u64 = 2 * SLOT_MILLIS / 1_000;

/// A problem, as the response to a request, and the seconds after which the caller may retry, if it is known.
#[derive(Debug)]
pub struct ApiError(Box<Problem>, Option<u64>);

/// The problem's kind without its prefix, attached to the response for the metrics.
#[derive(Clone)]
pub(super) struct ProblemKind(pub String);

impl ApiError {
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: format!("{PREFIX}{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: Some(detail.into()),
            denial: None,
        };
        let passes =
            matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        Self(Box::new(problem), passes.then_some(RETRY_AFTER))
    }

    /// The same problem, with the number of seconds after which it ends.
    pub fn ends_after(mut self, seconds: u64) -> Self {
        self.1 = Some(seconds);
        self
    }

    /// The response to every request that cannot be authenticated. It does not say why.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The request is not signed by a registered account",
            "Sign each request separately with an account that is registered on the chain, for this hospital and \
             chain. Your clock must be within 60 seconds of this worker's clock (see the Date header).",
        )
    }

    /// A denial by the hospital's policies, for registered users.
    pub fn denied(denial: Denial) -> Self {
        let mut error = Self::new(
            StatusCode::FORBIDDEN,
            "denied",
            "The hospital's policies do not allow this",
            "The denial lists the conditions that are not met.",
        );
        error.0.denial = Some(denial);
        error
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This account is not permitted to do this",
            detail,
        )
    }

    pub fn bad_request(kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, title, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub fn conflict(kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, title, detail)
    }

    /// The chain rejected a call, for the reason that it gave.
    fn chain_refused(words: String) -> Self {
        Self::conflict("chain-refused", "The chain rejected the request", words)
    }

    pub fn too_many_emergencies() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-emergencies",
            "Too many emergencies today",
            format!(
                "This hospital allows each professional {MAX_EMERGENCIES_PER_DAY} emergencies a \
                 day. The day ends at midnight UTC. Ask a colleague for help, or ask the hospital \
                 to relate you to the patient."
            ),
        )
        .ends_after((DAY_MILLIS - crate::now() % DAY_MILLIS).div_ceil(1_000))
    }

    pub fn hospital_limit() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "hospital-limit",
            "The hospital has reached its daily limit",
            format!(
                "The chain records at most {MAX_HOSPITAL_RECEIPTS} grants and \
                 {MAX_HOSPITAL_EMERGENCIES} emergencies of one hospital in 24 hours. Requesters who \
                 are not registered at it cause at most half of the emergencies, and those of one \
                 other hospital at most an eighth. Nothing was granted. Try again in an hour: the \
                 limit ends within 24 hours. Tell the hospital's operator."
            ),
        )
        .ends_after(3_600)
    }

    /// The user's keys are so new that a thief may have rotated them. They wait for this number of seconds.
    pub fn awaiting_confirmation(seconds: u64) -> Self {
        let wait = humantime::format_duration(Duration::from_secs(seconds));
        Self::conflict(
            "awaiting-confirmation",
            "Your keys are new and not confirmed",
            format!(
                "So that a thief of your account key cannot read records at once, a hospital seals nothing to new keys \
                 until a delay has passed. Send this request again in {wait}. A hospital where you are registered can \
                 confirm your keys for its own records at once (its governance runs epione user confirm-keys). If you \
                 did not rotate your keys, ask your hospital to suspend your registration."
            ),
        )
        .ends_after(seconds)
    }

    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        let kind = self.0.kind.strip_prefix(PREFIX);
        self.is_the_workers() || self.1.is_some() || kind == Some("awaiting-confirmation")
    }

    /// Whether other calls would fail as well now: the node does not answer, or the chain accepts nothing in time.
    pub fn concerns_all_calls(&self) -> bool {
        let kind = self.0.kind.strip_prefix(PREFIX);
        matches!(kind, Some("timed-out" | "quota" | "node"))
    }

    /// The worker takes no new visits for now.
    pub fn maintenance() -> Self {
        Self::unavailable(
            "maintenance",
            "The hospital's worker is in maintenance",
            format!(
                "It takes no new visits until its operator ends maintenance. Visits that it acknowledged are not \
                 affected, and records can be read. Nothing of this visit was stored. Submit it again in {RETRY_LATER} \
                 seconds, or ask the hospital's operator when."
            ),
        )
        .ends_after(RETRY_LATER)
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "The worker is busy",
            format!(
                "Other callers use all places of this worker now. Try again in {RETRY_AFTER} seconds."
            ),
        )
    }

    /// The account has sent as many requests as the worker can remember.
    pub fn too_many_requests(most: u32) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "This account has sent too many requests",
            format!("The worker accepts {most} requests of an account in two hours. Try again in ten minutes."),
        )
        .ends_after(600)
    }

    /// The caller has used up its share of the worker's places.
    pub fn own_share() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "You send too many requests at once",
            format!(
                "Your requests in progress use all places that one caller may have. Wait until some of them have \
                 ended, or try again in {RETRY_AFTER} seconds."
            ),
        )
    }

    pub fn timed_out() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timed-out",
            "The request timed out",
            "It may still take effect: check whether it did before you retry.",
        )
    }

    /// A failure that the caller cannot correct. `error` goes to the log.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %Chained(error), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The worker failed",
            "Nothing was acknowledged. Retry later, and inform the hospital's operator.",
        )
    }

    fn unavailable(kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
    }

    /// The chain accepts no more transactions for now. The header names the earliest time of those in the text.
    fn quota(refusal: Refusal) -> Self {
        let title = "The hospital cannot send more to the chain at the moment";
        let seconds = match refusal {
            Refusal::TooManyInFlight => NEXT_BLOCKS,
            _ => QUOTA_WINDOW,
        };
        Self::unavailable("quota", title, refusal.to_string()).ends_after(seconds)
    }

    fn storage(status: StatusCode, detail: &str) -> Self {
        Self::new(status, "storage", "The hospital's storage is not accepting writes", detail)
    }

    /// Whether the worker failed, not the caller.
    pub fn is_the_workers(&self) -> bool {
        self.0.status >= 500
    }

    #[cfg(test)]
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

/// An error with its causes, for the log.
pub(super) struct Chained<'a>(pub &'a dyn std::error::Error);

impl std::fmt::Display for Chained<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = ProblemKind(self.0.kind.trim_start_matches(PREFIX).to_owned());
        let mut response = (status, Json(*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.1 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(kind);
        response
    }
}

impl From<ViewError> for ApiError {
    fn from(error: ViewError) -> Self {
        tracing::warn!(error = %Chained(&error), "the chain could not be read");
        Self::unavailable(
            "node",
            "The hospital's node does not answer",
            "The worker decides by the chain's state, so it did nothing. Retry later.",
        )
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(failure) => Self::chain_refused(failure.to_string()),
            CallError::Refused(refusal) if refusal.is_temporary() => Self::quota(refusal),
            CallError::Refused(refusal) => Self::chain_refused(refusal.to_string()),
            CallError::TimedOut => Self::timed_out(),
            CallError::View(error) => error.into(),
        }
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Full | JournalError::ReadOnly => {
                tracing::error!(error = %Chained(&error), "the journal is not accepting writes");
                Self::storage(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "Nothing was acknowledged. Inform the hospital's operator, then retry.",
                )
            }
            error => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.needs_operator() {
            tracing::error!(error = %Chained(&error), "the storage is not accepting writes");
            let status = match error {
                StoreError::Full | StoreError::ReadOnly => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            return Self::storage(
                status,
                "Nothing was acknowledged. Inform the hospital's operator, then retry.",
            );
        }
        tracing::warn!(error = %Chained(&error), "the storage failed");
        Self::storage(StatusCode::SERVICE_UNAVAILABLE, "Nothing was acknowledged. Retry later.")
    }
}

impl From<HospitalKeysError> for ApiError {
    fn from(error: HospitalKeysError) -> Self {
        match error {
            HospitalKeysError::View(error) => error.into(),
            HospitalKeysError::NoBody => Self::from(ViewError::Failed(Box::new(error))),
            HospitalKeysError::KeysUsedUp { .. } => Self::conflict(
                "keys-used-up",
                "You have rotated your keys very often",
                "Each rotation uses one of the 255 versions of your patient key, and the hospital keeps the last ones \
                 for rotations that it confirms. Nothing was changed. Ask the hospital to confirm your keys (its \
                 governance runs epione user confirm-keys).",
            ),
            error => Self::internal(&error),
        }
    }
}

pub(super) async fn no_such_route() -> ApiError {
    ApiError::not_found("The API has no such path.")
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "The path does not support this method",
        "See the API's description (GET /v1/openapi.json).",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_no_fault_of_the_caller() {
        for refusal in Refusal::ALL {
            let error = ApiError::from(CallError::Refused(refusal));
            assert_eq!(error.is_the_workers(), refusal.is_temporary(), "{refusal}");
            assert_eq!(error.problem().detail, Some(refusal.to_string()));
        }
    }

    #[test]
    fn the_header_names_the_time_after_which_the_text_says_to_try_again() {
        for (refusal, words, seconds) in [
            (Refusal::QuotaExceeded, "try again in half a minute", "30"),
            (Refusal::HospitalQuotaExceeded, "try again in half a minute", "30"),
            (Refusal::TooManyInFlight, "try again after the next blocks", "6"),
        ] {
            let error = ApiError::from(CallError::Refused(refusal));
            let detail = error.problem().detail.clone().unwrap();
            assert!(detail.contains(words), "{detail}");
            assert_eq!(error.into_response().headers()[header::RETRY_AFTER], seconds, "{refusal}");
        }
    }
}
