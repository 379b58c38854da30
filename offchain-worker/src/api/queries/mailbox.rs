//! `PUT /v1/queries/{id}/grant`: the patient or a representative brings the sealed grant, before or after the
//! acceptance is on the chain.
//!
//! The worker compares what the grant states in plaintext with the query on the chain. It cannot verify the rest: the
//! requester does.

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
};
use epione_client::api::Problem;
use epione_envelope::{
    grant::{GrantedSection, MAX_GRANT_BYTES},
    query::{QueryGrant, QueryTerms},
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    limits::{DAY_MILLIS, MAX_QUERIED_RECORDS, MAX_QUERY_ACCESS_MILLIS, MAX_SECTIONS, SLOT_MILLIS},
    query::{Answer, Query, QueryId},
};

use super::{answers_for, find, unknown};
use crate::{
    api::{
        ApiError, AppState,
        caller::{Caller, signed},
    },
    journal::query_grants::{self, EACH_BRINGER, EACH_QUERY, KeptGrant, PENDING_EACH, Room},
};

/// How long the worker keeps a grant after its acceptance ended, in milliseconds: 30 days.
const KEPT_AFTER: Moment = 30 * DAY_MILLIS;
/// Accepted grants that the worker compares with the chain at a time.
const ROUND: u32 = 64;
/// Sections of a grant, at most: those for which a query can ask.
const SECTIONS: usize = MAX_QUERIED_RECORDS as usize * MAX_SECTIONS as usize;

/// Keeps a patient's sealed grant for the requester of a query. For the query's patient, and for a user who represents
/// the patient in the last finalized block: while the query is pending, or if it is the grant that was accepted with
/// and this worker is its mailbox. The worker keeps the newest three grants of each of them for a query until it learns
/// which one the chain names. Accept on the chain first, and bring the grant when the acceptance is final: a mailbox
/// then has no grant of a query that the patient did not accept.
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
        let user = caller.user()?;
        let (id, query) = find(&caller, &id).await?.ok_or_else(unknown)?;
        let state_now = caller.state.as_ref();
        if user == query.requester || !answers_for(state_now, user, query.patient).await? {
            return Err(unknown());
        }
        let grant = QueryGrant::decode_exactly(&received.bytes)
            .map_err(|error| unusable(format!("It cannot be read: {error}.")))?;
        let head = state.view.head().await?;
        let hash = grant.hash();
        let ends = until_when(&query, hash, caller.identity.hospital, head)?;
        check_terms(&caller, id, &query, grant.terms()).await?;
        check_sections(&query, &grant)?;
        let (bringer, hospital, bytes) = (user, query.hospital, received.bytes.to_vec());
        keep(state, KeptGrant { query: id, bringer, hospital, hash, bytes, ends }).await?;
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
    if grant.sections().len() > SECTIONS {
        return Err(unusable(format!("It has more than {SECTIONS} sections.")));
    }
    let mut seen = BTreeSet::new();
    let mut sections = grant.sections().iter();
    if let Some(twice) = sections.find(|it| !seen.insert((it.pointer, it.section))) {
        let GrantedSection { pointer, section, .. } = twice;
        return Err(unusable(format!("It has section {section} of record {pointer} twice.")));
    }
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
    let bringer = grant.bringer;
    let (room, grant) = try_keep(state, grant).await?;
    if room == Room::Kept {
        return Ok(());
    }
    make_room(state, room, bringer).await?;
    match try_keep(state, grant).await?.0 {
        Room::Kept => Ok(()),
        Room::NoneForBringer => Err(ApiError::conflict(
            "too-many-query-grants",
            "You have brought too many grants",
            format!(
                "This worker keeps {EACH_BRINGER} grants that one user brings, up to {EACH_QUERY} for a query, and for \
                 {PENDING_EACH} queries that wait for an answer. Nothing was stored. Answer some of these queries on \
                 the chain first, or choose another hospital as the mailbox."
            ),
        )),
        Room::NoneForHospital => {
            Err(full("It keeps as many grants for the requesters of this hospital as it may."))
        }
        Room::None => Err(full("It keeps as many grants as it may.")),
    }
}

async fn try_keep(state: &AppState, grant: KeptGrant) -> Result<(Room, KeptGrant), ApiError> {
    let now = crate::now();
    let tried = state.journal.write(move |tx| {
        let room = query_grants::keep(tx, &grant, now)?;
        Ok((room, grant))
    });
    Ok(tried.await?)
}

fn full(detail: &str) -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "mailbox-full",
        "The worker has no room for the grant",
        format!(
            "{detail} Nothing was stored. Choose another hospital as the mailbox, or try again in ten minutes."
        ),
    )
    .ends_after(600)
}

/// Forgets what is of no use any more: grants whose acceptance ended, and those that the chain does not accept, of the
/// user or of all.
async fn make_room(state: &AppState, room: Room, bringer: UserId) -> Result<(), ApiError> {
    let now = crate::now();
    state.journal.write(move |tx| query_grants::forget_over(tx, now)).await?;
    let doubtful = state.journal.read(move |connection| match room {
        Room::NoneForBringer => query_grants::of_bringer(connection, bringer),
        Room::Kept | Room::NoneForHospital | Room::None => {
            query_grants::accepted(connection, ROUND)
        }
    });
    for query in doubtful.await? {
        settle(state, query).await?;
    }
    Ok(())
}

/// Compares the kept grants for a query with the chain: keeps the accepted one until the end of its acceptance, and
/// forgets those that no acceptance names and none can name any more.
pub(super) async fn settle(state: &AppState, id: QueryId) -> Result<(), ApiError> {
    let kept =
        state.journal.read(move |connection| query_grants::hashes_of(connection, id)).await?;
    if kept.is_empty() {
        return Ok(());
    }
    let here = state.view.identity().await?.hospital;
    let head = state.view.head().await?;
    let query = state.view.finalized().await?.query(id).await?;
    let until = |hash| query.as_ref().and_then(|query| until_when(query, hash, here, head).ok());
    let ends: Vec<_> = kept.into_iter().map(|hash| (hash, until(hash))).collect();
    let (now, is_accepted) = (crate::now(), query.is_some_and(|query| query.answer.is_some()));
    state
        .journal
        .write(move |tx| {
            for (hash, ends) in ends {
                match ends {
                    None => query_grants::forget(tx, id, hash)?,
                    Some(ends) if is_accepted => query_grants::accept(tx, id, hash, ends, now)?,
                    Some(_) => {}
                }
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Compares every pending grant and some accepted ones with the chain, and forgets those whose acceptance ended 30 days
/// ago.
pub(in crate::api) async fn look_after(state: &AppState) -> Result<(), ApiError> {
    let kept = state.journal.read(|connection| {
        Ok((query_grants::pending(connection)?, query_grants::accepted(connection, ROUND)?))
    });
    let (pending, accepted) = kept.await?;
    for query in pending.into_iter().chain(accepted) {
        settle(state, query).await?;
    }
    let before = crate::now().saturating_sub(KEPT_AFTER);
    state.journal.write(move |tx| query_grants::forget_ended(tx, before)).await?;
    Ok(())
}
