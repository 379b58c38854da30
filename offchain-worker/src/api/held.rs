//! Which segments this hospital stores, for hospitals that fetch the same block. While a block spreads they ask several
//! times a second, so not every request reaches the storage and the chain.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Request, State},
    http::request::Parts,
};
use epione_client::{api::Problem, request::Authenticated};
use epione_primitives::AccountId;
use tokio::time::Instant;

use super::{
    ApiError, AppState,
    caller::{Caller, HOSPITAL_NONCES, authenticate, check_nonce},
    intake::Intake,
    limits::{Holder, within},
};
use crate::transfer::wire::{HeldAnswer, HeldRequest, ListError, MAX_REQUEST_BYTES};

/// How long an account is remembered as an active hospital's agent. A hospital that is suspended meanwhile learns only
/// which hashes are stored: the chain is checked before a segment is served.
const KNOWN: Duration = Duration::from_secs(5);

/// Returns which of these segments this hospital stores. For agents of active and leaving hospitals.
#[utoipa::path(
    post,
    path = "/v1/segments/held",
    operation_id = "held",
    tag = "peers",
    request_body = HeldRequest,
    security(("signed" = [])),
    responses(
        (status = 200, description = "One bit for each segment", body = HeldAnswer),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn held(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<HeldAnswer>, ApiError> {
    within(state.limits.request_timeout, async {
        let (parts, body) = request.into_parts();
        let Authenticated { account, digest, .. } = check_peer(&state, &parts).await?;
        let holder = Holder::Account(account);
        let mut intake = Intake::new(body, &state.limits);
        let list = intake.whole(&state, holder.clone(), MAX_REQUEST_BYTES).await?;
        if blake3::hash(&list.bytes) != digest {
            return Err(ApiError::unauthorized());
        }
        let _slot = state.request_slot(holder).await?;
        let hashes = list.json::<HeldRequest>()?.hashes().map_err(unlisted)?;
        let held = HeldAnswer::new(&state.holdings.held(&hashes).await?);
        Ok(Json(held.in_maintenance(state.maintenance.is_on().await)))
    })
    .await
}

pub(super) fn unlisted(error: ListError) -> ApiError {
    let title = "The list of segments is not valid";
    ApiError::bad_request(
        "segments",
        title,
        format!("No part of the request was accepted: {error}."),
    )
}

/// Agents of active hospitals, and when the chain was last checked.
#[derive(Default)]
pub(super) struct KnownPeers(Mutex<HashMap<AccountId, Instant>>);

impl KnownPeers {
    /// At most one entry for each hospital.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, account: &AccountId) -> bool {
        self.lock().get(account).is_some_and(|since| since.elapsed() < KNOWN)
    }

    fn learn(&self, account: AccountId) {
        let mut known = self.lock();
        known.retain(|_, since| since.elapsed() < KNOWN);
        known.insert(account, Instant::now());
    }
}

/// Rejects every caller but agents of active and leaving hospitals.
async fn check_peer(state: &AppState, parts: &Parts) -> Result<Authenticated, ApiError> {
    let (identity, request) = authenticate(state, parts).await?;
    if state.shared.peers.knows(&request.account) {
        check_nonce(state, &request, HOSPITAL_NONCES).await?;
        return Ok(request);
    }
    let caller = Caller::of_authenticated(state, identity, request).await?;
    if caller.serving_hospital().await?.is_none() {
        return Err(ApiError::forbidden(
            "Only agents of active and leaving hospitals may send this request.",
        ));
    }
    state.shared.peers.learn(caller.request.account.clone());
    Ok(caller.request)
}
