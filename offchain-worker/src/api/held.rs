//! What this hospital holds, for those who fetch the same block. While a block spreads they ask several
//! times a second, so neither the storage nor the chain is asked each time.

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
use epione_client::api::Problem;
use epione_primitives::AccountId;
use tokio::time::Instant;

use super::{
    ApiError, AppState,
    caller::{Caller, authenticate, check_nonce, parse_json},
    limits::within,
};
use crate::transfer::wire::{HeldAnswer, HeldRequest, ListError, MAX_REQUEST_BYTES};

/// How long an agent is taken to be one. Who is suspended meanwhile learns no more than which hashes are
/// held; segments themselves are given after a look at the chain only.
const KNOWN: Duration = Duration::from_secs(5);

/// Which segments are held here, verified: for active hospitals' agents.
#[utoipa::path(
    post,
    path = "/v1/segments/held",
    operation_id = "held",
    tag = "peers",
    request_body = HeldRequest,
    security(("signed" = [])),
    responses(
        (status = 200, description = "A bit for each segment", body = HeldAnswer),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn held(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<HeldAnswer>, ApiError> {
    within(state.limits.request_timeout, async {
        let _slot = state.request_slot()?;
        let (parts, body) = request.into_parts();
        let digest = check_peer(&state, &parts).await?;
        let bytes = axum::body::to_bytes(body, MAX_REQUEST_BYTES)
            .await
            .map_err(|_| ApiError::too_large("The list does not fit, or did not arrive whole."))?;
        if *blake3::hash(&bytes).as_bytes() != digest {
            return Err(ApiError::unauthorized());
        }
        let hashes = parse_json::<HeldRequest>(&bytes)?.hashes().map_err(unlisted)?;
        Ok(Json(HeldAnswer::new(&state.holdings.held(&hashes).await?)))
    })
    .await
}

pub(super) fn unlisted(error: ListError) -> ApiError {
    let title = "That is not a list of segments";
    ApiError::bad_request("segments", title, format!("The request is refused whole: {error}."))
}

/// Agents of active hospitals, and since when that is known.
#[derive(Default)]
pub(super) struct KnownPeers(Mutex<HashMap<AccountId, Instant>>);

impl KnownPeers {
    /// As many as there are hospitals, at most.
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

/// Lets active hospitals' agents through; returns what the BLAKE3 of the body must turn out to be.
async fn check_peer(state: &AppState, parts: &Parts) -> Result<[u8; 32], ApiError> {
    let (identity, request) = authenticate(state, parts).await?;
    if state.shared.peers.knows(&request.account) {
        check_nonce(state, &request).await?;
        return Ok(request.digest);
    }
    let caller = Caller::of_authenticated(state, identity, request).await?;
    if caller.active_hospital().await?.is_none() {
        return Err(ApiError::forbidden("This is for agents of active hospitals."));
    }
    state.shared.peers.learn(caller.request.account.clone());
    Ok(caller.request.digest)
}
