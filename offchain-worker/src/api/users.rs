//! Users and relationships: the hospital's governance has the agent register users on the chain, and relate
//! professionals to patients.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use codec::DecodeAll;
use epione_client::{
    api::{Problem, RegisterUser, RegisteredUser, Relation},
    chain::calls::{
        profiles::{self, Registrant},
        role_policies,
    },
};
use epione_envelope::{profile::MAX_NAME_BYTES, sealing_keys::SealingPublicKey};
use epione_primitives::{
    AccountId, Hash, Signature, UserId,
    naming::{Naming, NamingConsent},
    ports::HashedBody,
    profile::{Registration, RegistrationStatus, Role},
};

use super::{
    ApiError, AppState,
    caller::Caller,
    governance::{govern, governed},
};
use crate::hospital_keys::Person;

/// Registers a user at the hospital. For the hospital's governance. Responds when the registration is finalized.
#[utoipa::path(
    post,
    path = "/v1/users",
    operation_id = "registerUser",
    tag = "users",
    security(("signed" = [])),
    request_body = RegisterUser,
    responses(
        (status = 200, description = "Registered", body = RegisteredUser),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn register(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<RegisteredUser>, ApiError> {
    let state = &state;
    governed(state, request, |caller, received| async move {
        let request: RegisterUser = received.json()?;
        Ok(Json(seal_and_register(state, &caller, request).await?))
    })
    .await
}

async fn seal_and_register(
    state: &AppState,
    caller: &Caller,
    request: RegisterUser,
) -> Result<RegisteredUser, ApiError> {
    let hospital = caller.identity.hospital;
    let RegisterUser { user, consent, role, account, sealing_key, name } = request;
    check_name(&name)?;
    let sealing_key = parse_sealing_key(&sealing_key)?;
    let consent = parse_signature(&consent)?;
    let earlier = check_account(caller, user, &account).await?;
    let version = earlier.as_ref().map_or(0, |registration| registration.version);
    let naming = Naming::Registration { hospital, user, version };
    check_consent(caller.identity.genesis, naming, &account, &consent)?;
    check_keys(caller, user, &account, sealing_key.hash()).await?;
    let person = Person {
        user,
        account: account.clone(),
        sealing_key: sealing_key.clone(),
        earlier,
        is_patient: role == Role::Patient,
        name,
    };
    let body = state.hospital_keys.seal_profile(caller.identity, person).await?;
    let registrant = Registrant {
        user,
        role,
        account: &account,
        sealing_key_hash: sealing_key.hash(),
        consent: &consent,
    };
    state.calls.submit(profiles::register(&registrant, &body)).await?;
    tracing::info!(%user, ?role, "a user is registered");
    Ok(RegisteredUser { user, hospital, body_hash: HashedBody::new(&body).hash() })
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() || name.len() as u64 > MAX_NAME_BYTES {
        return Err(ApiError::bad_request(
            "name",
            "The name is empty or too long",
            format!("A name has 1 to {MAX_NAME_BYTES} bytes."),
        ));
    }
    Ok(())
}

pub(super) fn parse_sealing_key(digits: &str) -> Result<SealingPublicKey, ApiError> {
    hex::decode(digits).ok().and_then(|bytes| SealingPublicKey::from_bytes(&bytes).ok()).ok_or_else(
        || {
            ApiError::bad_request(
                "sealing-key",
                "The sealing key is not valid",
                "Send the suite byte and the public key in hexadecimal, as `epione keys show` prints them.",
            )
        },
    )
}

pub(super) fn parse_signature(digits: &str) -> Result<Signature, ApiError> {
    hex::decode(digits)
        .ok()
        .and_then(|bytes| Signature::decode_all(&mut bytes.as_slice()).ok())
        .ok_or_else(|| {
            ApiError::bad_request(
                "consent",
                "The consent is not a valid signature",
                "Send the account's signature over the consent, as SCALE in hexadecimal.",
            )
        })
}

/// Rejects a consent that the chain would reject, before anything is sealed.
fn check_consent(
    genesis: Hash,
    naming: Naming,
    account: &AccountId,
    consent: &Signature,
) -> Result<(), ApiError> {
    if NamingConsent::new(genesis, naming).is_signed_by(account, consent) {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "consent",
        "The account has not consented to this registration",
        "Let the user sign for this hospital with `epione user consent`, and send both values that it prints.",
    ))
}

/// Rejects accounts that belong to somebody else, before anything is sealed. Returns the user's earlier registration at
/// this hospital.
async fn check_account(
    caller: &Caller,
    user: UserId,
    account: &AccountId,
) -> Result<Option<Registration>, ApiError> {
    let taken = |by: String| {
        ApiError::conflict(
            "account-taken",
            "The account is already in use",
            format!("It is the account of {by}. Each user needs a separate account."),
        )
    };
    if let Some((hospital, _)) = caller.state.hospital_of(account).await? {
        return Err(taken(format!("hospital {hospital}")));
    }
    if let Some(owner) = caller.state.user_of(account).await?
        && owner != user
    {
        return Err(taken(format!("user {owner}")));
    }
    let earlier = caller.state.registration(caller.identity.hospital, user).await?;
    match &earlier {
        Some(registration) if registration.status != RegistrationStatus::Ended => {
            Err(ApiError::conflict(
                "registered",
                "The user is already registered here",
                "If the registration is suspended, reinstate it (POST /v1/users/reinstate).",
            ))
        }
        _ => Ok(earlier),
    }
}

/// Rejects keys with which the chain would not register the user, before anything is sealed: what is sealed to a wrong
/// key and sent to the chain can be read with that key, even if the chain rejects it.
async fn check_keys(
    caller: &Caller,
    user: UserId,
    account: &AccountId,
    sealing_key: Hash,
) -> Result<(), ApiError> {
    match caller.state.profile(user).await? {
        None if user == UserId::of(account, sealing_key) => Ok(()),
        None => Err(ApiError::bad_request(
            "user",
            "The user's id does not belong to these keys",
            "The id of a new user is derived from the account and the sealing key. Let the user sign with \
             `epione user consent`, and send the id that it prints, with the account and sealing key of the same keys.",
        )),
        Some(known) if known.account == *account && known.sealing_key_hash == sealing_key => Ok(()),
        Some(_) => Err(ApiError::conflict(
            "keys",
            "The user has other keys on the chain",
            "Register the user with the account and the sealing key that the chain names now.",
        )),
    }
}

/// Relates a professional to a patient. For the hospital's governance. Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/relations",
    operation_id = "relate",
    tag = "users",
    security(("signed" = [])),
    request_body = Relation,
    responses(
        (status = 204, description = "Related"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn relate(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |caller, relation: Relation| {
        let Relation { patient, professional, kind, expires } = relation;
        if expires.is_some_and(|expires| expires <= crate::now()) {
            return Err(ApiError::bad_request(
                "expiry",
                "The relationship would already have expired",
                "Give an expiry in the future, as Unix time in milliseconds, or leave it out.",
            ));
        }
        let hospital = caller.identity.hospital;
        Ok(role_policies::relate(patient, professional, hospital, kind, expires))
    })
    .await
}

/// Ends a relationship before it expires. For the hospital's governance. Responds when that is finalized.
#[utoipa::path(
    post,
    path = "/v1/relations/close",
    operation_id = "unrelate",
    tag = "users",
    security(("signed" = [])),
    request_body = Relation,
    responses(
        (status = 204, description = "The relationship has ended"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn unrelate(
    State(state): State<AppState>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    govern(state, request, |caller, relation: Relation| {
        let Relation { patient, professional, kind, expires } = relation;
        if expires.is_some() {
            return Err(ApiError::bad_request(
                "expiry",
                "A relationship cannot be ended with an expiry",
                "Leave the expiry out: the relationship ends immediately.",
            ));
        }
        Ok(role_policies::unrelate(patient, professional, caller.identity.hospital, kind))
    })
    .await
}
