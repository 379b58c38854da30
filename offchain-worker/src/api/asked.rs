//! A request for a grant, as its requester signed it. The chain records the signed request with its answer, so the
//! worker rebuilds exactly what was signed, and refuses what the chain would refuse.

use epione_client::api::{GrantRequest, GrantRequestError, MAX_GRANT_RECORDS, WantedRecord};
use epione_primitives::{
    Moment, Signature,
    access::Purpose,
    limits::{MAX_CLOCK_LEAD_MILLIS, MAX_REQUEST_AGE_MILLIS},
    release::{Request, SectionSet},
};

use super::{
    ApiError,
    caller::Caller,
    intake::Received,
    refusals::Refusal,
    rights::{Decided, Rights},
};
use crate::chain::{FinalState, Identity};

/// A valid request for a grant, signed by its requester, who is the caller.
pub(super) struct Asked {
    pub caller: Caller,
    pub request: Request,
    /// By the caller's account, over the request.
    pub signature: Signature,
}

impl Asked {
    pub fn read(caller: Caller, received: &Received) -> Result<Self, ApiError> {
        let mut asked: GrantRequest = received.json()?;
        asked.records.sort_unstable_by_key(|wanted| wanted.pointer);
        check_wanted(&asked.records)?;
        let Identity { genesis, hospital } = caller.identity;
        let (request, signature) = asked.to_request(caller.user()?, hospital).map_err(malformed)?;
        check_purpose(&request)?;
        check_time(request.at, crate::now())?;
        if !request.is_signed_by(genesis, &caller.request.account, &signature) {
            return Err(unsigned());
        }
        Ok(Self { caller, request, signature })
    }

    pub fn refusal(&self) -> Refusal {
        Refusal {
            account: self.caller.request.account.clone(),
            request: self.request.clone(),
            signature: self.signature.clone(),
        }
    }

    /// The policies' decision in a state of the chain.
    pub async fn decide(&self, state: &dyn FinalState) -> Result<Decided, ApiError> {
        Rights::decide(state, &self.request).await
    }
}

/// Checks records that are sorted by pointer.
fn check_wanted(wanted: &[WantedRecord]) -> Result<(), ApiError> {
    if wanted.is_empty() || wanted.len() > MAX_GRANT_RECORDS {
        return Err(ApiError::bad_request(
            "records",
            "The number of records is not valid",
            format!("Request 1 to {MAX_GRANT_RECORDS} records at a time."),
        ));
    }
    if wanted.windows(2).any(|pair| pair[0].pointer == pair[1].pointer) {
        return Err(ApiError::bad_request(
            "records",
            "A record is requested twice",
            "Request each record once, with all the sections that you want of it.",
        ));
    }
    if wanted.iter().any(|wanted| wanted.sections.is_some_and(SectionSet::is_empty)) {
        return Err(ApiError::bad_request(
            "sections",
            "A record is requested without any of its sections",
            "Name the sections that you want of each record, or leave `sections` out to request all of them.",
        ));
    }
    Ok(())
}

fn check_purpose(request: &Request) -> Result<(), ApiError> {
    if request.emergency.is_some() == (request.purpose == Purpose::Emergency) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "emergency",
        "Purpose and emergency do not match",
        "To break the glass, set the purpose to `emergency` and give a reason code in `emergency`. Otherwise use \
         neither.",
    ))
}

/// Rejects what the chain would reject if its next block came now.
fn check_time(at: Moment, now: Moment) -> Result<(), ApiError> {
    let is_old = at.saturating_add(MAX_REQUEST_AGE_MILLIS) < now;
    let is_ahead = at > now.saturating_add(MAX_CLOCK_LEAD_MILLIS);
    if is_old || is_ahead { Err(bad_time()) } else { Ok(()) }
}

/// The request was signed too long ago, or by a clock that is ahead.
pub(super) fn bad_time() -> ApiError {
    ApiError::bad_request(
        "request-time",
        "The request was not signed just now",
        format!(
            "The chain records answers to requests of the last {} minutes. Set your clock, and sign the request again.",
            MAX_REQUEST_AGE_MILLIS / 60_000
        ),
    )
}

/// The requester did not sign this request.
pub(super) fn unsigned() -> ApiError {
    ApiError::bad_request(
        "request-signature",
        "You have not signed this request",
        "The signature must be by the account that signs the HTTP request, over exactly these records, purpose, time \
         and nonce, for this worker's hospital and chain. Nothing was granted. Sign the request again.",
    )
}

/// The request is not one that its requester can have signed.
fn malformed(error: GrantRequestError) -> ApiError {
    let kind = match error {
        GrantRequestError::TooManyRecords(_) => "records",
        GrantRequestError::Nonce => "nonce",
        GrantRequestError::Signature => "request-signature",
    };
    let detail = format!("{error}. Nothing was granted.");
    ApiError::bad_request(kind, "The request is not well formed", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_valid_for_ten_minutes_and_a_clock_may_be_a_minute_ahead() {
        let now = 1_000_000_000;
        for (at, is_valid) in [
            (now, true),
            (now - MAX_REQUEST_AGE_MILLIS, true),
            (now - MAX_REQUEST_AGE_MILLIS - 1, false),
            (now + MAX_CLOCK_LEAD_MILLIS, true),
            (now + MAX_CLOCK_LEAD_MILLIS + 1, false),
            (0, false),
            (Moment::MAX, false),
        ] {
            assert_eq!(check_time(at, now).is_ok(), is_valid, "{at}");
        }
    }
}
