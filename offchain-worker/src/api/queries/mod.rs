//! Queries: a requester asked a patient on the chain, and the patient accepts with a sealed grant.
//!
//! The worker of the hospital that the patient names is the mailbox of the grant. It cannot open it. [`mailbox`]
//! receives the grant from the patient, and [`collect`] hands it out, after the chain has recorded the transfer.
//! [`list`] and [`events`] show users their queries; [`news`] follows the chain for them, and [`webhook`] tells a
//! program of the hospital. Users are the parties of a query. Others learn nothing from the worker, not even whether a
//! query exists.

pub(super) mod collect;
pub(super) mod events;
pub(super) mod list;
pub(super) mod mailbox;
pub(super) mod news;
mod webhook;

pub use news::follow;
pub use webhook::notify;

use epione_primitives::{
    HospitalId, UserId,
    profile::RegistrationStatus,
    query::{Acceptance, Query, QueryId},
};

use super::{ApiError, caller::Caller};
use crate::chain::{FinalState, ViewError};

/// The query that a path names, if it exists.
async fn find(caller: &Caller, id: &str) -> Result<Option<(QueryId, Query)>, ApiError> {
    let Ok(id) = id.parse::<u32>().map(QueryId) else { return Ok(None) };
    Ok(caller.state.query(id).await?.map(|query| (id, query)))
}

/// Whether a user answers queries to a patient in this state: the patient, or a representative.
async fn answers_for(
    state: &dyn FinalState,
    user: UserId,
    patient: UserId,
) -> Result<bool, ViewError> {
    Ok(user == patient || state.representation(user, patient).await?.is_some())
}

/// Whether an acceptance stands in this state, as far as it depends on who gave it.
async fn stands(
    state: &dyn FinalState,
    patient: UserId,
    accepted: &Acceptance,
) -> Result<bool, ViewError> {
    let mandate = match accepted.by == patient {
        true => None,
        false => state.representation(accepted.by, patient).await?,
    };
    Ok(accepted.stands(patient, mandate))
}

/// The response if the query does not exist, or if it is not for the caller to do this. It does not say which.
fn unknown() -> ApiError {
    ApiError::not_found(
        "You are not the user who may do this with a query of this number: the patient or a representative brings the \
         grant, the requester collects it. Compare the number with your list (GET /v1/queries).",
    )
}

/// Whether a requester's registration is in force at the hospital for which they ask, and that hospital serves.
/// Registrations at other hospitals do not count: the patient, or the chain, decided for this one.
pub(super) async fn is_registered(
    state: &dyn FinalState,
    hospital: HospitalId,
    requester: UserId,
) -> Result<bool, ViewError> {
    let registration = state.registration(hospital, requester).await?;
    let hospital = state.hospital(hospital).await?;
    let serves = hospital.is_some_and(|it| it.status.serves());
    Ok(serves && registration.is_some_and(|it| it.status == RegistrationStatus::Active))
}
