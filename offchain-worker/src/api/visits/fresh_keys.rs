//! The patient's keys to which a visit is sealed: nothing that is sealed after a rotation opens with the key before it.
//!
//! If a sealing key that the patient or the hospital has replaced opens the newest version of the patient's keys, the
//! worker first puts a fresh version on the chain, and seals the visit under that. This takes one transaction, once for
//! each rotation. The patient's new key may be a thief's, so the fresh version is withheld from the patient until the
//! hospital confirms the key or the delay has passed.

use epione_envelope::keys::PatientKeys;
use epione_primitives::{Hash, UserId, profile::Registration};

use crate::{
    api::{
        ApiError, AppState,
        caller::Caller,
        limits::within,
        registrations::{replace, underway},
    },
    chain::FinalState,
    hospital_keys::{SealedKeys, Standing},
};

/// A patient's keys, as the profile body in a state of the chain contains them.
struct Found {
    registration: Registration,
    /// The hash of the patient's newest sealing key.
    on_chain: Hash,
    keys: PatientKeys,
    is_retired: bool,
}

/// The keys of a patient whose newest version no replaced key opens. Renews them if needed. The caller's state is older
/// than the request's body, which may have arrived slowly: a key may have been rotated meanwhile.
pub(super) async fn of(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
) -> Result<PatientKeys, ApiError> {
    let found = latest(state, caller, patient).await?;
    if !found.is_retired {
        return Ok(found.keys);
    }
    within(state.limits.transaction_timeout, renewed(state, caller, patient)).await
}

async fn renewed(
    state: &AppState,
    caller: &Caller,
    patient: UserId,
) -> Result<PatientKeys, ApiError> {
    // First, so that visits that wait for one patient's keys take no places from other transactions.
    let resealing = state.hospital_keys.await_resealing(patient).await;
    let _slot = state.transaction_slot(caller.holder()).await?;
    // Another visit may have renewed them meanwhile.
    let before = latest(state, caller, patient).await?;
    if !before.is_retired {
        return Ok(before.keys);
    }
    let Found { registration, on_chain, .. } = before;
    let body = state
        .hospital_keys
        .renew_for_hospital(caller.identity, patient, &registration, on_chain)
        .await?;
    replace(state, resealing, registration.body_hash, body).await?;
    tracing::info!(%patient, "a patient's keys were renewed, because a sealing key was rotated");
    // The keys that the chain has, whichever body they are in.
    let after = latest(state, caller, patient).await?;
    if after.is_retired { Err(underway()) } else { Ok(after.keys) }
}

async fn latest(state: &AppState, caller: &Caller, patient: UserId) -> Result<Found, ApiError> {
    let finalized = state.view.finalized().await?;
    find(state, caller, &*finalized, patient).await
}

async fn find(
    state: &AppState,
    caller: &Caller,
    finalized: &dyn FinalState,
    patient: UserId,
) -> Result<Found, ApiError> {
    let hospital = caller.identity.hospital;
    let registration = finalized.registration(hospital, patient).await?.ok_or_else(gone)?;
    let on_chain = finalized.profile(patient).await?.ok_or_else(gone)?.sealing_key_hash;
    let sealed = state.hospital_keys.sealed_keys(caller.identity, patient, &registration).await?;
    let is_retired = sealed.has_retired_patient_key(on_chain)
        || has_retired_hospital_key(state, caller, finalized, &sealed).await?;
    Ok(Found { registration, on_chain, keys: sealed.keys, is_retired })
}

/// Whether the hospital has another sealing key now. As long as the chain does not have the worker's current one, the
/// earlier one is the hospital's.
async fn has_retired_hospital_key(
    state: &AppState,
    caller: &Caller,
    finalized: &dyn FinalState,
    sealed: &SealedKeys,
) -> Result<bool, ApiError> {
    if !sealed.has_earlier_hospital_key() {
        return Ok(false);
    }
    let hospital = finalized.hospital(caller.identity.hospital).await?;
    let standing = hospital.map(|it| state.hospital_keys.standing(&it.sealing_key));
    Ok(standing == Some(Standing::Current))
}

fn gone() -> ApiError {
    ApiError::forbidden(
        "The patient is not registered at this hospital: ask the hospital to register the patient first.",
    )
}

#[cfg(test)]
mod tests {
    use crate::api::{
        caller::Caller,
        tests::{
            registrations::rotated,
            world::{Raw, World},
        },
    };

    #[tokio::test]
    async fn a_rotation_while_the_body_arrives_counts() {
        let world = World::new().await;
        let raw = Raw::get("/v1/visits");
        let mut request = http::Request::builder().method(raw.method.clone()).uri(&raw.target);
        *request.headers_mut().unwrap() = raw.signed(&world.doctor);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut caller = Caller::of(&world.state, &parts).await.unwrap();
        let before = world.chain.next_block();
        caller.state = world.chain.state_after(before);
        rotated(&world, &world.patient, 0);
        let keys = super::of(&world.state, &caller, world.patient.user).await.unwrap();
        assert_eq!((keys.versions(), world.chain.facts().calls.len()), (2, 1));
    }
}
