//! Whether another hospital's worker can be reached from here, for its operator: a closed port is seen from outside
//! only.
//!
//! The worker connects to nothing but the address that the chain names for the caller's hospital, and tells only
//! whether that hospital's worker answered there. A hospital can name any address on the chain, such as one within this
//! hospital's network: so the response does not say why there was no contact, and comes after the same time for every
//! reason. A name may have several addresses, which are tried apart, and none of them is asked for anything but
//! `/v1/info`. This machine's own loopback addresses are no other hospital's.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Request, State},
};
use epione_client::api::Problem;
use epione_primitives::HospitalId;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    ApiError, AppState,
    caller::{Caller, signed},
};
use crate::transfer::{Peer, is_there, wire::ReachReply};

/// How long the worker tries. A failure is told after exactly this time.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two attempts for one hospital.
const PAUSE: Duration = Duration::from_secs(10);

/// When the worker last tried to reach each hospital. At most one entry for each hospital of the chain.
#[derive(Default)]
pub(super) struct Reaches(Mutex<HashMap<HospitalId, Instant>>);

impl Reaches {
    /// Notes an attempt; the error is how many seconds the hospital has to wait for one.
    fn begin(&self, hospital: HospitalId, now: Instant) -> Result<(), u64> {
        // No code under this lock panics.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = last
            .get(&hospital)
            .map_or(Duration::ZERO, |at| PAUSE.saturating_sub(now.saturating_duration_since(*at)));
        if !wait.is_zero() {
            return Err(wait.as_secs() + 1);
        }
        last.insert(hospital, now);
        Ok(())
    }
}

/// Connects to the worker of the calling hospital, at the address that the chain names, and returns whether that
/// succeeded. For agents of active and leaving hospitals, once in ten seconds each.
#[utoipa::path(
    post,
    path = "/v1/reach",
    operation_id = "reach",
    tag = "peers",
    security(("signed" = [])),
    responses(
        (status = 200, description = "Whether the caller's worker can be reached", body = ReachReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn reach(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<ReachReply>, ApiError> {
    signed(&state, request, 0, |caller, _body| attempt(&state, caller)).await
}

async fn attempt(state: &AppState, caller: Caller) -> Result<Json<ReachReply>, ApiError> {
    // A leaving hospital serves its readers, so it needs to know whether they can.
    let Some(hospital) = caller.serving_hospital().await? else {
        return Err(ApiError::forbidden(
            "Only agents of active and leaving hospitals may send this request.",
        ));
    };
    let begun = Instant::now();
    state.shared.reaches.begin(hospital, begun).map_err(|seconds| {
        ApiError::new(
            http::StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "This hospital has asked a moment ago",
            format!(
                "The worker tries to reach a hospital once in {} seconds. Try again in {seconds} seconds.",
                PAUSE.as_secs()
            ),
        )
        .ends_after(seconds)
    })?;
    let deadline = begun + LIMIT.min(state.limits.request_timeout / 2);
    let entry = caller.state.hospital(hospital).await?;
    let own = caller.state.hospital(caller.identity.hospital).await?;
    let peer = entry.and_then(|entry| Peer::of(hospital, &entry, own.as_ref()).ok());
    let reached = match peer {
        Some(peer) => {
            let looking = is_there(caller.identity.genesis, &peer, LIMIT);
            timeout_at(deadline, looking).await.unwrap_or(false)
        }
        None => false,
    };
    if !reached {
        sleep_until(deadline).await;
    }
    Ok(Json(ReachReply { reached }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hospital_may_ask_once_in_ten_seconds_and_delays_no_other() {
        let (reaches, now) = (Reaches::default(), Instant::now());
        let [one, other] = [HospitalId(1), HospitalId(2)];
        reaches.begin(one, now).unwrap();
        assert_eq!(reaches.begin(one, now), Err(11));
        reaches.begin(other, now).unwrap();
        assert_eq!(reaches.begin(one, now + PAUSE / 2), Err(6));
        reaches.begin(one, now + PAUSE).unwrap();
    }
}
