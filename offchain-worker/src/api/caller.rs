//! Who asks: the account that signed a request, as the chain knows it after the last final block.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Uri, request::Parts},
};
use bytes::Bytes;
use epione_client::request::{self, Authenticated, MAX_SKEW_MILLIS, Target};
use epione_primitives::{
    HospitalId, UserId,
    hospital::{Duty, HospitalStatus},
};
use serde::de::DeserializeOwned;

use super::{ApiError, AppState};
use crate::chain::{FinalState, Identity};

/// The signer of a request.
pub(super) struct Caller {
    pub request: Authenticated,
    /// The user whose account it is.
    pub user: Option<UserId>,
    /// The hospital whose account it is, and what for.
    pub duty: Option<(HospitalId, Duty)>,
    /// What the chain said when the request was accepted; decisions are made by the same.
    pub state: Box<dyn FinalState>,
    pub identity: Identity,
}

impl Caller {
    /// The signer of a request, if the chain knows the account, and the request is neither stale nor
    /// repeated. Whatever does not fit, the answer is the same.
    pub async fn of(
        state: &AppState,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let identity = state.view.identity().await?;
        let target = Target {
            genesis: identity.genesis,
            hospital: identity.hospital,
            method,
            path_and_query: uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        let request =
            request::authenticate(&target, headers).map_err(|_| ApiError::unauthorized())?;
        let now = crate::now();
        if now.abs_diff(request.time) > MAX_SKEW_MILLIS {
            return Err(ApiError::unauthorized());
        }
        let finalised = state.view.finalised().await?;
        let user = finalised.user_of(&request.account).await?;
        let duty = finalised.hospital_of(&request.account).await?;
        if user.is_none() && duty.is_none() {
            return Err(ApiError::unauthorized());
        }
        let Authenticated { account, time, nonce, .. } = &request;
        if !state.nonces.first_use(account, *nonce, *time, now).await? {
            return Err(ApiError::unauthorized());
        }
        Ok(Self { request, user, duty, state: finalised, identity })
    }

    pub async fn of_parts(state: &AppState, parts: &Parts) -> Result<Self, ApiError> {
        Self::of(state, &parts.method, &parts.uri, &parts.headers).await
    }

    /// The registered user who asks.
    pub fn user(&self) -> Result<UserId, ApiError> {
        self.user.ok_or_else(|| {
            ApiError::forbidden("Ask with the account of a registered user, not with a hospital's.")
        })
    }

    /// Whether the hospital's own governance asks.
    pub fn is_governance(&self) -> bool {
        self.duty == Some((self.identity.hospital, Duty::Governance))
    }

    /// The hospital whose agent asks, if the hospital is active.
    pub async fn active_hospital(&self) -> Result<Option<HospitalId>, ApiError> {
        let Some((id, Duty::Agent)) = self.duty else { return Ok(None) };
        let hospital = self.state.hospital(id).await?;
        let active = hospital.is_some_and(|hospital| hospital.status == HospitalStatus::Active);
        Ok(active.then_some(id))
    }

    /// Refuses everybody but the hospital's own governance.
    pub fn ensure_governance(&self) -> Result<(), ApiError> {
        if self.is_governance() {
            return Ok(());
        }
        Err(ApiError::forbidden("Ask with the governance account of this worker's hospital."))
    }

    /// The whole body, if it is what was signed.
    pub async fn body(&self, body: Body, limit: usize) -> Result<Bytes, ApiError> {
        let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
            ApiError::too_large(format!(
                "The request did not arrive whole, or has more than {limit} bytes."
            ))
        })?;
        self.check_digest(&blake3::hash(&bytes))?;
        Ok(bytes)
    }

    /// The body as JSON, if it is what was signed.
    pub async fn json<T: DeserializeOwned>(&self, body: Body, limit: usize) -> Result<T, ApiError> {
        let bytes = self.body(body, limit).await?;
        parse_json(&bytes)
    }

    pub fn check_digest(&self, found: &blake3::Hash) -> Result<(), ApiError> {
        if *found == self.request.digest {
            return Ok(());
        }
        Err(ApiError::bad_request(
            "digest",
            "The body is not the one that was signed",
            "Its BLAKE3 differs from the Epione-Digest header: it was changed or cut short on its \
             way. Nothing was acknowledged; send it again.",
        ))
    }
}

/// Reads JSON. Says where it is wrong, not what is there.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(
            "json",
            "The request is not the JSON that the API describes",
            format!("See line {}, column {}.", error.line(), error.column()),
        )
    })
}
