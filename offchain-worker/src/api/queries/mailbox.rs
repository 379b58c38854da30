//! `PUT /v1/queries/{id}/grant`: the patient brings the sealed grant, before or after the acceptance is on the chain.
//!
//! The worker compares what the grant states in plaintext with the query on the chain. It cannot verify the rest: the
//! requester does.

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
};
use epione_client::api::Problem;
use epione_envelope::{
    grant::MAX_GRANT_BYTES,
    query::{QueryGrant, QueryTerms},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, Moment, RecordPointer,
    limits::{DAY_MILLIS, MAX_QUERY_ACCESS_MILLIS, SLOT_MILLIS},
    query::{Answer, Query, QueryId},
};

use super::{find, unknown};
use crate::{
    api::{
        ApiError, AppState,
        caller::{Caller, signed},
    },
    journal::query_grants::{self, KeptGrant, PENDING_EACH, Room},
};

/// How long the worker keeps a grant after its acceptance ended, in milliseconds: 30 days.
const KEPT_AFTER: Moment = 30 * DAY_MILLIS;

/// Keeps a patient's sealed grant for the requester of a query. For the query's patient: while the query is pending, or
/// if it is the grant that the patient accepted with and this worker is its mailbox. A later grant replaces an earlier
/// one. Bring the grant first, and accept on the chain then.
#[utoipa::path(
    put,
    path = "/v1/queries/{id}/grant",
    operation_id = "putQueryGrant",
    tag = "queries",
    params(("id" = u32, Path, description = "The number of the query")),
    security(("signed" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The sealed grant, at most 512 KiB"),
    responses(
        (status = 204, description = "The worker keeps it"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn put(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let state = &state;
    signed(state, request, MAX_GRANT_BYTES, |caller, received| async move {
        let patient = caller.user()?;
        let found = find(&caller, &id).await?.filter(|(_, query)| query.patient == patient);
        let (id, query) = found.ok_or_else(unknown)?;
        let grant = QueryGrant::decode_exactly(&received.bytes)
            .map_err(|error| unusable(format!("It cannot be read: {error}.")))?;
        let head = state.view.head().await?;
        let hash = grant.hash();
        let ends = until_when(&query, hash, caller.identity.hospital, head)?;
        check_terms(&caller, id, &query, grant.terms()).await?;
        check_sections(&query, &grant)?;
        let bytes = received.bytes.to_vec();
        keep(state, KeptGrant { query: id, patient, hash, bytes, ends }).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Until when the grant may be of use to the requester; an error if the patient cannot accept with it any more.
fn until_when(
    query: &Query,
    grant: Hash,
    here: HospitalId,
    head: BlockNumber,
) -> Result<Moment, ApiError> {
    match &query.answer {
        // The next block is the first that can include the acceptance.
        None if query.is_pending(head.saturating_add(1)) => {
            let left = Moment::from(query.expires.saturating_sub(head)) * SLOT_MILLIS;
            Ok(crate::now().saturating_add(left))
        }
        None => Err(not_pending("The query has expired", "The requester can ask again.")),
        Some(Answer::Accepted(accepted)) if accepted.grant == grant && accepted.mailbox == here => {
            Ok(accepted.until)
        }
        Some(_) => Err(not_pending(
            "The query has an answer already",
            "After an acceptance, only the grant that it names can be brought, to the hospital that it names.",
        )),
    }
}

fn not_pending(title: &str, detail: &str) -> ApiError {
    ApiError::conflict("not-pending", title, format!("{detail} Nothing was stored."))
}

fn unusable(detail: impl AsRef<str>) -> ApiError {
    let detail = format!("{} Nothing was stored. Make the grant again.", detail.as_ref());
    ApiError::bad_request("query-grant", "The grant is not one for this query", detail)
}

async fn check_terms(
    caller: &Caller,
    id: QueryId,
    query: &Query,
    terms: &QueryTerms,
) -> Result<(), ApiError> {
    let profile = caller.state.profile(query.requester).await?;
    let audience = profile.map(|profile| profile.account);
    let agreements = [
        ("chain", terms.genesis == caller.identity.genesis),
        ("query", terms.query == id),
        ("patient", terms.patient == query.patient),
        ("requester", terms.requester == query.requester),
        ("account of the requester", Some(&terms.audience) == audience.as_ref()),
        ("purpose", terms.purpose == query.purpose),
    ];
    if let Some((what, _)) = agreements.into_iter().find(|(_, agrees)| !agrees) {
        return Err(unusable(format!("It names another {what} than the chain.")));
    }
    let now = crate::now();
    if terms.until <= now || terms.until > now.saturating_add(MAX_QUERY_ACCESS_MILLIS) {
        return Err(unusable("Its end must be in the future, and at most 366 days from now."));
    }
    Ok(())
}

fn check_sections(query: &Query, grant: &QueryGrant) -> Result<(), ApiError> {
    let is_asked = |pointer: RecordPointer, section: u16| {
        let mut records = query.records.iter();
        records.any(|asked| asked.pointer == pointer && asked.sections.contains(section))
    };
    match grant.sections().iter().find(|granted| !is_asked(granted.pointer, granted.section)) {
        None => Ok(()),
        Some(granted) => Err(unusable(format!(
            "The requester did not ask for section {} of record {}.",
            granted.section, granted.pointer
        ))),
    }
}

async fn keep(state: &AppState, grant: KeptGrant) -> Result<(), ApiError> {
    let (patient, now) = (grant.patient, crate::now());
    let pending =
        state.journal.read(move |connection| query_grants::pending(connection, Some(patient)));
    let pending = pending.await?;
    if pending.len() >= PENDING_EACH as usize {
        for query in pending {
            settle(state, query).await?;
        }
    }
    match state.journal.write(move |tx| query_grants::keep(tx, &grant, now)).await? {
        Room::Kept => Ok(()),
        Room::NoneForPatient => Err(ApiError::conflict(
            "too-many-query-grants",
            "You have brought too many grants",
            format!(
                "This worker keeps {PENDING_EACH} grants of a patient for queries that wait for an answer. Nothing was \
                 stored. Answer some of these queries on the chain first, or choose another hospital as the mailbox."
            ),
        )),
        Room::None => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "mailbox-full",
            "The worker keeps as many grants as it may",
            "Nothing was stored. Choose another hospital as the mailbox, or try again in ten minutes.",
        )
        .ends_after(600)),
    }
}

/// Compares a kept grant with the chain: keeps it until the end of its acceptance, and forgets it if no acceptance
/// names it and none can any more.
pub(super) async fn settle(state: &AppState, id: QueryId) -> Result<(), ApiError> {
    let kept = state.journal.read(move |connection| query_grants::hash_of(connection, id)).await?;
    let Some(hash) = kept else { return Ok(()) };
    let here = state.view.identity().await?.hospital;
    let head = state.view.head().await?;
    let query = state.view.finalized().await?.query(id).await?;
    let ends = query.as_ref().and_then(|query| until_when(query, hash, here, head).ok());
    let is_accepted = query.is_some_and(|query| query.answer.is_some());
    state
        .journal
        .write(move |tx| match ends {
            None => query_grants::forget(tx, id, hash),
            Some(ends) if is_accepted => query_grants::accept(tx, id, hash, ends),
            Some(_) => Ok(()),
        })
        .await?;
    Ok(())
}

/// Compares every pending grant with the chain, and forgets those whose acceptance ended 30 days ago.
pub(super) async fn look_after(state: &AppState) -> Result<(), ApiError> {
    for query in state.journal.read(|connection| query_grants::pending(connection, None)).await? {
        settle(state, query).await?;
    }
    let before = crate::now().saturating_sub(KEPT_AFTER);
    state.journal.write(move |tx| query_grants::forget_ended(tx, before)).await?;
    Ok(())
}
