//! The caller of a request: the account that signed it, as the chain knows the account after the last finalized block.

use std::time::Instant;

use axum::{body::Body, extract::Request, http::request::Parts};
use epione_client::request::{self, Authenticated, MAX_SKEW_MILLIS, Target};
use epione_primitives::{
    HospitalId, UserId,
    hospital::{Duty, HospitalStatus},
};
use serde::de::DeserializeOwned;

use super::{
    ApiError, AppState,
    intake::{Intake, Received},
    limits::{Holder, Slot, within},
};
use crate::{
    chain::{FinalState, Identity},
    journal::NonceUse,
};

/// Does the work of a short request with at most `limit` bytes: within the time limit, once its caller is known and its
/// body was received, and in one of the places for requests.
pub(super) async fn signed<T, W>(
    state: &AppState,
    request: Request,
    limit: usize,
    work: impl FnOnce(Caller, Received) -> W,
) -> Result<T, ApiError>
where
    W: Future<Output = Result<T, ApiError>>,
{
    signed_with_place(state, request, limit, work).await.map(|(done, _)| done)
}

/// The same; also returns the place, which the response needs until it is sent.
pub(super) async fn signed_with_place<T, W>(
    state: &AppState,
    request: Request,
    limit: usize,
    work: impl FnOnce(Caller, Received) -> W,
) -> Result<(T, Slot), ApiError>
where
    W: Future<Output = Result<T, ApiError>>,
{
    within(state.limits.request_timeout, async {
        let (parts, body) = request.into_parts();
        let caller = Caller::of(state, &parts).await?;
        let received = caller.receive(state, body, limit).await?;
        let slot = state.request_slot(caller.holder()).await?;
        Ok((work(caller, received).await?, slot))
    })
    .await
}

/// A request whose signature is valid and whose time is close to this machine's. Its account may be unknown to the
/// chain, and its nonce may have been used before.
pub(super) async fn authenticate(
    state: &AppState,
    parts: &Parts,
) -> Result<(Identity, Authenticated), ApiError> {
    let identity = state.view.identity().await?;
    let target = Target {
        genesis: identity.genesis,
        hospital: identity.hospital,
        method: &parts.method,
        path_and_query: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
    };
    let request =
        request::authenticate(&target, &parts.headers).map_err(|_| ApiError::unauthorized())?;
    if crate::now().abs_diff(request.time) > MAX_SKEW_MILLIS {
        return Err(ApiError::unauthorized());
    }
    Ok((identity, request))
}

/// Nonces of one user that the worker remembers for two hours, at most.
const USER_NONCES: u32 = 20_000;
/// Nonces of one hospital's account, at most. A hospital that fetches blocks requests many segments.
pub(super) const HOSPITAL_NONCES: u32 = 500_000;

/// Accepts a request's nonce once, if the account has used fewer than `most`.
pub(super) async fn check_nonce(
    state: &AppState,
    request: &Authenticated,
    most: u32,
) -> Result<(), ApiError> {
    let Authenticated { account, time, nonce, .. } = request;
    match state.nonces.first_use(account, *nonce, *time, crate::now(), most).await? {
        NonceUse::First => Ok(()),
        NonceUse::Repeated => Err(ApiError::unauthorized()),
        NonceUse::TooMany => Err(ApiError::too_many_requests(most)),
    }
}

/// The signer of a request.
pub(super) struct Caller {
    pub request: Authenticated,
    /// The user whose account it is.
    pub user: Option<UserId>,
    /// The hospital whose account it is, and the account's duty there.
    pub duty: Option<(HospitalId, Duty)>,
    /// The chain's state when the request was accepted. Decisions about the request use the same state.
    pub state: Box<dyn FinalState>,
    pub identity: Identity,
}

impl Caller {
    /// The signer of a request, if the chain knows the account, and the request is neither stale nor repeated. The
    /// error is the same for every reason.
    pub async fn of(state: &AppState, parts: &Parts) -> Result<Self, ApiError> {
        let (identity, request) = authenticate(state, parts).await?;
        Self::of_authenticated(state, identity, request).await
    }

    pub async fn of_authenticated(
        state: &AppState,
        identity: Identity,
        request: Authenticated,
    ) -> Result<Self, ApiError> {
        let (account, accounts) = (&request.account, &state.shared.accounts);
        if accounts.is_unknown(account, Instant::now()) {
            return Err(ApiError::unauthorized());
        }
        let _slot = state.caller_slot(account).await?;
        let finalized = state.view.finalized().await?;
        let user = finalized.user_of(account).await?;
        let duty = finalized.hospital_of(account).await?;
        let is_known = user.is_some() || duty.is_some();
        accounts.learn(account, is_known, Instant::now());
        if !is_known {
            return Err(ApiError::unauthorized());
        }
        let most = if duty.is_some() { HOSPITAL_NONCES } else { USER_NONCES };
        check_nonce(state, &request, most).await?;
        if let Some((hospital, Duty::Agent)) = duty {
            state.heard.note(hospital, crate::now());
        }
        Ok(Self { request, user, duty, state: finalized, identity })
    }

    /// Whose share the request uses.
    pub fn holder(&self) -> Holder {
        Holder::Account(self.request.account.clone())
    }

    /// The registered user who sent the request.
    pub fn user(&self) -> Result<UserId, ApiError> {
        self.user.ok_or_else(|| {
            ApiError::forbidden(
                "Sign the request with the account of a registered user, not with a hospital's account.",
            )
        })
    }

    /// Whether the caller is the governance of this worker's hospital.
    pub fn is_governance(&self) -> bool {
        self.duty == Some((self.identity.hospital, Duty::Governance))
    }

    /// The hospital whose agent the caller is, if the hospital is active.
    pub async fn active_hospital(&self) -> Result<Option<HospitalId>, ApiError> {
        self.hospital_with(|status| status == HospitalStatus::Active).await
    }

    /// The hospital whose agent the caller is, if the hospital is active or leaving. A leaving one needs segments to
    /// repair what it serves.
    pub async fn serving_hospital(&self) -> Result<Option<HospitalId>, ApiError> {
        self.hospital_with(HospitalStatus::serves).await
    }

    async fn hospital_with(
        &self,
        has: impl Fn(HospitalStatus) -> bool,
    ) -> Result<Option<HospitalId>, ApiError> {
        let Some((id, Duty::Agent)) = self.duty else { return Ok(None) };
        let hospital = self.state.hospital(id).await?;
        Ok(hospital.is_some_and(|hospital| has(hospital.status)).then_some(id))
    }

    /// Rejects every caller but the governance of this worker's hospital.
    pub fn ensure_governance(&self) -> Result<(), ApiError> {
        if self.is_governance() {
            return Ok(());
        }
        Err(ApiError::forbidden(
            "Sign the request with the governance account of this worker's hospital.",
        ))
    }

    /// The whole body, if it is the one that was signed and has at most `limit` bytes.
    pub async fn receive(
        &self,
        state: &AppState,
        body: Body,
        limit: usize,
    ) -> Result<Received, ApiError> {
        let mut intake = Intake::new(body, &state.limits);
        let received = intake.whole(state, self.holder(), limit).await?;
        self.check_digest(&blake3::hash(&received.bytes))?;
        Ok(received)
    }

    pub fn check_digest(&self, found: &blake3::Hash) -> Result<(), ApiError> {
        if *found == self.request.digest {
            return Ok(());
        }
        Err(ApiError::bad_request(
            "digest",
            "The body is not the one that was signed",
            "Its BLAKE3 hash differs from the Epione-Digest header: the body was changed or cut short in transit. \
             Nothing was acknowledged. Send the request again.",
        ))
    }
}

/// Parses JSON. The error names the position of the mistake and quotes nothing.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(
            "json",
            "The body is not the JSON that the API describes",
            format!("See line {}, column {}.", error.line(), error.column()),
        )
    })
}
