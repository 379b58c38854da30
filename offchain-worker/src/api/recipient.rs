//! To which sealing key a grant is sealed.
//!
//! A thief of a requester's account can rotate the requester's keys. This hospital seals nothing to the thief's key,
//! and another hospital's word does not change that: where the requester is registered here, only the key in this
//! hospital's own profile counts, after this hospital's delay or its governance's confirmation. Of a requester who is
//! registered elsewhere only, keys that were rotated wait for this hospital's delay, too.

use axum::http::StatusCode;
use epione_envelope::sealing_keys::SealingPublicKey;
use epione_primitives::{
    Hash, HospitalId, UserId,
    profile::{Profile, Registration, RegistrationStatus},
};

use super::{ApiError, AppState, caller::Caller, registrations::check_delay};
use crate::hospital_keys::HospitalKeysError;

/// The requester's sealing key: the one whose hash is on the chain.
pub(super) async fn sealing_key(
    state: &AppState,
    caller: &Caller,
    requester: UserId,
) -> Result<SealingPublicKey, ApiError> {
    let here = caller.identity.hospital;
    let profile = caller.state.profile(requester).await?.ok_or_else(stale)?;
    let registrations = caller.state.registrations(requester).await?;
    let is_ours = |(hospital, registration): &(HospitalId, Registration)| {
        *hospital == here && registration.status != RegistrationStatus::Ended
    };
    let bodies = match registrations.iter().find(|it| is_ours(it)) {
        Some((_, registration)) => vec![registration.body_hash],
        None => {
            check_age(state, caller, &profile).await?;
            registrations.iter().map(|(_, registration)| registration.body_hash).collect()
        }
    };
    find(state, &bodies, profile.sealing_key_hash).await
}

/// Checks that keys that were rotated are older than the delay. A user's id follows from the first keys, so those are
/// nobody else's.
async fn check_age(state: &AppState, caller: &Caller, profile: &Profile) -> Result<(), ApiError> {
    if profile.version == 1 {
        return Ok(());
    }
    check_delay(profile.since, caller.state.time().await?, state.renewal_delay)
}

/// The key of this hash, from one of these profile bodies. A user has few registrations in force.
async fn find(
    state: &AppState,
    bodies: &[Hash],
    on_chain: Hash,
) -> Result<SealingPublicKey, ApiError> {
    for body in bodies {
        match state.hospital_keys.sealing_key(*body, on_chain).await {
            Ok(key) => return Ok(key),
            Err(HospitalKeysError::View(error)) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "a profile does not contain the requester's key"),
        }
    }
    Err(stale())
}

fn stale() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "sealing-key",
        "Your sealing key is not in your profile",
        "The chain names another key than the profile that this hospital keeps, or if you are not registered here, \
         than the profiles that your hospitals keep. Send your new key to the worker of a hospital where you are \
         registered, this one first (POST /v1/users/keys).",
    )
}
