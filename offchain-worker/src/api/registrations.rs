//! Changes of registrations: the governance suspends, reinstates and ends them, and users who rotated their keys have
//! their profile sealed to the new ones.
//!
//! A thief of an account key can rotate keys as its owner can. So a profile is sealed to new keys only while its
//! registration is in force, and only after a delay, in which the hospital can suspend the user, or if the hospital's
//! governance confirms the keys. `visits::fresh_keys` seals a profile meanwhile so that neither the retired key nor the
//! new one opens what is sealed from then on.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::{
    api::{ConfirmedKey, MAX_JSON_BYTES, Problem, RenewedKey, UserRef},
    chain::calls::profiles,
};
use epione_envelope::{profile::Recipient, sealing_keys::SealingPublicKey};
use epione_primitives::{
    Hash, Moment, UserId,
    profile::{Profile, Registration, RegistrationStatus},
};

use super::{
    ApiError, AppState,
    caller::signed,
    governance::{govern, governed},
    limits::within,
    renewals,
    users::parse_sealing_key,
};
use crate::{
    chain::{CallError, FinalState, Identity},
    resealing::Resealing,
};

pub(super) use crate::hospital_keys::Confirmation;

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

/// Seals the caller's profile to the account and the sealing key that the chain now names for the caller, if the
/// hospital's delay after a rotation of keys has passed. Responds when the new profile is finalized. If the keys wait,
/// the worker remembers them, and does it when the delay has passed.
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
        let key = sealing_key.clone();
        let sealed = seal_anew(&state, identity, user, key, Confirmation::ByNobody).await;
        let waits = sealed.as_ref().is_err_and(ApiError::may_pass);
        // A failure may have come before these checks.
        if waits && named(&state, identity, user, &sealing_key).await.is_ok() {
            renewals::remember(&state, user, &sealing_key).await?;
        }
        sealed.map(|()| StatusCode::NO_CONTENT)
    })
    .await
}

/// Confirms that a user's new keys are the user's, and seals the profile to them without the delay. For the hospital's
/// governance. Responds when the new profile is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/keys/confirm",
    operation_id = "confirmKeys",
    tag = "users",
    security(("signed" = [])),
    request_body = ConfirmedKey,
    responses(
        (status = 204, description = "The profile is sealed to the key"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn confirm_keys(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let state = &state;
    governed(state, request, |caller, received| async move {
        let ConfirmedKey { user, sealing_key } = received.json()?;
        let sealing_key = parse_sealing_key(&sealing_key)?;
        seal_anew(state, caller.identity, user, sealing_key, Confirmation::ByGovernance).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Seals a user's profile to the account that the chain names and to this sealing key, if nothing speaks against it.
pub(super) async fn seal_anew(
    state: &AppState,
    identity: Identity,
    user: UserId,
    sealing_key: SealingPublicKey,
    confirmation: Confirmation,
) -> Result<(), ApiError> {
    let resealing = state.hospital_keys.begin_resealing(user).ok_or_else(underway)?;
    // Another request may have changed the profile before this one began.
    let Named { latest, registration, profile } =
        named(state, identity, user, &sealing_key).await?;
    let keys = &state.hospital_keys;
    let recipient = Recipient { account: &profile.account, key: &sealing_key };
    if keys.is_sealed_to(identity, user, &registration, recipient).await? {
        return Ok(());
    }
    if confirmation == Confirmation::ByNobody {
        check_delay(profile.since, latest.time().await?, state.renewal_delay)?;
    }
    let (account, previous) = (profile.account, registration.body_hash);
    let body = keys
        .renew_profile(identity, user, &registration, account, sealing_key, confirmation)
        .await?;
    replace(state, resealing, previous, body).await?;
    tracing::info!(%user, ?confirmation, "a profile is sealed to its user's new keys");
    Ok(())
}

/// A user who is registered here, and whose sealing key the chain names.
struct Named {
    /// The newest finalized state, which the rest is from.
    latest: Box<dyn FinalState>,
    registration: Registration,
    profile: Profile,
}

/// Checks that the user's registration is in force, and that the chain names this sealing key.
async fn named(
    state: &AppState,
    identity: Identity,
    user: UserId,
    sealing_key: &SealingPublicKey,
) -> Result<Named, ApiError> {
    let latest = state.view.finalized().await?;
    let registration = latest.registration(identity.hospital, user).await?;
    let registration = in_force(registration)?;
    let profile = latest.profile(user).await?.ok_or_else(unknown_key)?;
    if profile.sealing_key_hash != sealing_key.hash() {
        return Err(unknown_key());
    }
    Ok(Named { latest, registration, profile })
}

/// Replaces a profile body by one that was made from it.
pub(super) async fn replace(
    state: &AppState,
    resealing: Resealing,
    previous: Hash,
    body: Vec<u8>,
) -> Result<(), ApiError> {
    match resealing.replace(Arc::clone(&state.calls), previous, body).await {
        // An earlier attempt that was given up took effect: the next request begins with its body.
        Err(CallError::Failed(failure)) if failure.is("Profiles", "AnotherBody") => Err(underway()),
        replaced => Ok(replaced?),
    }
}

/// The response while another request or task replaces the same profile.
pub(super) fn underway() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "The profile is being sealed again",
        "Another request or the worker itself is doing that now. Send this request again in a few seconds.",
    )
}

/// Rejects registrations that are not in force: nothing is sealed to new keys of a user whom the hospital suspended.
fn in_force(registration: Option<Registration>) -> Result<Registration, ApiError> {
    match registration {
        Some(found) if found.status == RegistrationStatus::Active => Ok(found),
        Some(found) if found.status == RegistrationStatus::Suspended => Err(ApiError::forbidden(
            "The user's registration at this hospital is suspended. The hospital's governance must reinstate it first.",
        )),
        _ => Err(ApiError::forbidden(
            "The user is not registered at this hospital, or not any more. Send the key to a hospital where the user \
             is registered.",
        )),
    }
}

/// Rejects keys that the chain has had for less than the delay. `since` and `now` are times of the chain.
pub(super) fn check_delay(since: Moment, now: Moment, delay: Duration) -> Result<(), ApiError> {
    let until = since.saturating_add(crate::millis(delay));
    let left = until.saturating_sub(now).div_ceil(1_000);
    if left == 0 { Ok(()) } else { Err(ApiError::awaiting_confirmation(left)) }
}

fn unknown_key() -> ApiError {
    ApiError::conflict(
        "sealing-key",
        "The chain does not name this sealing key",
        "It must be the key whose hash the chain stores for the user. Rotate the keys on the chain first \
         (Profiles.rotate_keys), then send that key.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_wait_for_the_whole_delay_whatever_the_clock_says() {
        let (day, delay) = (86_400_000, Duration::from_secs(86_400));
        for (since, now, waits) in [
            (1_000, 1_000, true),
            (1_000, day + 999, true),
            (1_000, day + 1_000, false),
            (1_000, 0, true),
            (Moment::MAX, Moment::MAX - 1, true),
        ] {
            let refused = check_delay(since, now, delay).is_err();
            assert_eq!(refused, waits, "{since} {now}");
        }
        check_delay(7, 7, Duration::ZERO).unwrap();
    }
}
