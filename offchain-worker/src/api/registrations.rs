//! Changes of registrations: the governance suspends, reinstates and ends them, and users who rotated their keys have
//! their profile sealed to the new ones.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::{
    api::{MAX_JSON_BYTES, Problem, RenewedKey, UserRef},
    chain::calls::profiles,
};
use epione_envelope::sealing_keys::SealingPublicKey;
use epione_primitives::{UserId, profile::RegistrationStatus};

use super::{
    ApiError, AppState, caller::signed, governance::govern, limits::within,
    users::parse_sealing_key,
};
use crate::chain::Identity;

/// Suspends a user's registration until it is reinstated. For the hospital's governance. Responds when that is
/// finalized.
#[utoipa::path(
    post,
    path = "/v1/users/suspend",
    operation_id = "suspendUser",
    tag = "users",
    security(("signed" = [])),
    request_body = UserRef,
    responses(
        (status = 204, description = "Suspended"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn suspend(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |_, UserRef { user }| Ok(profiles::suspend(user))).await
}

/// Reinstates a suspended registration. For the hospital's governance. Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/reinstate",
    operation_id = "reinstateUser",
    tag = "users",
    security(("signed" = [])),
    request_body = UserRef,
    responses(
        (status = 204, description = "Reinstated"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn reinstate(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |_, UserRef { user }| Ok(profiles::reinstate(user))).await
}

/// Ends a user's registration permanently. For the hospital's governance. A patient's records are kept, and remain the
/// patient's. Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/end",
    operation_id = "endRegistration",
    tag = "users",
    security(("signed" = [])),
    request_body = UserRef,
    responses(
        (status = 204, description = "Ended"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn end(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |_, UserRef { user }| Ok(profiles::end_registration(user))).await
}

/// Seals the caller's profile to the account and the sealing key that the chain now names for the caller. Responds when
/// the new profile is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/keys",
    operation_id = "renewKey",
    tag = "users",
    security(("signed" = [])),
    request_body = RenewedKey,
    responses(
        (status = 204, description = "The profile is sealed to the key"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn renew_key(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let asked = signed(&state, request, MAX_JSON_BYTES, |caller, received| async move {
        let user = caller.user()?;
        let RenewedKey { sealing_key } = received.json()?;
        Ok((caller.holder(), caller.identity, user, parse_sealing_key(&sealing_key)?))
    });
    let (holder, identity, user, sealing_key) = asked.await?;
    within(state.limits.transaction_timeout, async {
        let _slot = state.transaction_slot(holder).await?;
        seal_anew(&state, identity, user, sealing_key).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

async fn seal_anew(
    state: &AppState,
    identity: Identity,
    user: UserId,
    sealing_key: SealingPublicKey,
) -> Result<(), ApiError> {
    let _resealing = state.hospital_keys.begin_resealing(user).ok_or_else(ApiError::busy)?;
    // Another request may have changed the profile before this one began.
    let latest = state.view.finalized().await?;
    let registration = latest.registration(identity.hospital, user).await?;
    let registration = registration
        .filter(|found| found.status != RegistrationStatus::Ended)
        .ok_or_else(not_registered)?;
    let profile = latest.profile(user).await?.ok_or_else(unknown_key)?;
    if profile.sealing_key_hash != sealing_key.hash() {
        return Err(unknown_key());
    }
    let renewed = state.hospital_keys.renew_profile(
        identity,
        user,
        &registration,
        profile.account,
        sealing_key,
    );
    if let Some(body) = renewed.await? {
        state.calls.submit(profiles::update(user, &body)).await?;
        tracing::info!(%user, "a profile is sealed to its user's new keys");
    }
    Ok(())
}

fn unknown_key() -> ApiError {
    ApiError::conflict(
        "sealing-key",
        "The chain does not name this sealing key",
        "Rotate your keys on the chain first (Profiles.rotate_keys), then send the key whose hash the chain stores.",
    )
}

fn not_registered() -> ApiError {
    ApiError::forbidden(
        "You are not registered at this hospital, or not any more: send the key to a hospital where you are \
         registered.",
    )
}
