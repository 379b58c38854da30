//! New keys for users who lost theirs: the governance proposes them, completes the recovery after the chain's delay,
//! and objects to those that another hospital proposed.
//!
//! The staff meets the user at the desk and sees who it is; the user's other hospitals and the user's present keys can
//! object meanwhile. When a recovery is complete, the profile is sealed to the new keys as after a rotation
//! (`registrations`).

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use epione_client::{
    api::{Problem, ProposedKeys, UserRef},
    chain::calls::profiles,
};
use epione_primitives::naming::{NamedAccount, Naming, NamingConsent};

use super::{
    ApiError, AppState,
    governance::{govern, governed},
    users::{parse_sealing_key, parse_signature},
};

/// Proposes new keys for a user who lost the present ones. For the hospital's governance. Responds when that is
/// finalized.
#[utoipa::path(
    post,
    path = "/v1/users/recovery/propose",
    operation_id = "proposeRecovery",
    tag = "users",
    security(("signed" = [])),
    request_body = ProposedKeys,
    responses(
        (status = 204, description = "Proposed"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn propose(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let state = &state;
    governed(state, request, |caller, received| async move {
        let ProposedKeys { user, account, sealing_key, until, consent } = received.json()?;
        let sealing_key_hash = parse_sealing_key(&sealing_key)?.hash();
        let consent = parse_signature(&consent)?;
        let profile = caller.state.profile(user).await?.ok_or_else(unknown_user)?;
        let (hospital, version) = (caller.identity.hospital, profile.version);
        let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
        let message = NamingConsent::new(caller.identity.genesis, naming);
        if !message.is_signed_by(&account, &consent) {
            return Err(no_consent());
        }
        let next = NamedAccount { account, until, consent };
        let call = profiles::propose_recovery(user, &next, sealing_key_hash);
        state.calls.submit(call).await?;
        tracing::warn!(%user, account = %next.account, "new keys are proposed for a user");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Makes the proposed keys the user's keys, after the chain's delay and if nobody objected. For the hospital's
/// governance. Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/recovery/complete",
    operation_id = "completeRecovery",
    tag = "users",
    security(("signed" = [])),
    request_body = UserRef,
    responses(
        (status = 204, description = "The user has the proposed keys"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn complete(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |_, UserRef { user }| Ok(profiles::complete_recovery(user, None))).await
}

/// Objects to the keys that a hospital proposed for a user who is registered here. For the hospital's governance.
/// Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/users/recovery/object",
    operation_id = "objectToRecovery",
    tag = "users",
    security(("signed" = [])),
    request_body = UserRef,
    responses(
        (status = 204, description = "Objected: only the council can complete the recovery now"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn object(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |_, UserRef { user }| Ok(profiles::object(user))).await
}

fn unknown_user() -> ApiError {
    ApiError::conflict(
        "user",
        "The chain has no user with this id",
        "Use the id of a registered user: `epione user list` shows them.",
    )
}

fn no_consent() -> ApiError {
    ApiError::bad_request(
        "consent",
        "The new account has not consented to this recovery",
        "Let the user sign with the new keys for this hospital with `epione user consent --recover`, and send what it \
         prints. A consent is valid for seven days, unless the user's keys change.",
    )
}
