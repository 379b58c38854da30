//! `POST /v1/queries/{id}/collect`: hands a patient's sealed grant to the requester, with links to the segments.
//!
//! Before the worker hands the grant out for the first time, the chain records the transfer, and checks the acceptance.
//! The worker itself checks it in the state after the last finalized block: before that, and each time just before it
//! hands the grant out.

use std::time::Instant;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use epione_client::{
    api::{GrantReply, Problem},
    chain::calls::queries,
};
use epione_envelope::record::Record;
use epione_primitives::{
    AccountId, Hash, HospitalId, RecordPointer, UserId,
    limits::MAX_SEGMENTS,
    query::{Acceptance, Answer, Query, QueryId},
    release::ReleasedRecord,
};

use super::{find, is_registered, stands, unknown};
use crate::{
    api::{
        ApiError, AppState,
        caller::{Caller, signed},
        deliverable::{self, Needed},
        delivery::{self, Pace},
        grants::too_often,
        limits::{Holder, within},
    },
    chain::{CallError, FinalState, ViewError},
    hospital_keys::HospitalKeysError,
    journal::query_grants,
};

/// Hands out the sealed grant of a query that the patient accepted, and temporary links to the segments of the accepted
/// sections. For the requester, with the account for which the patient accepted. Responds when the chain's record of
/// the transfer is finalized.
#[utoipa::path(
    post,
    path = "/v1/queries/{id}/collect",
    operation_id = "collectQueryGrant",
    tag = "queries",
    params(("id" = u32, Path, description = "The number of the query")),
    security(("signed" = [])),
    responses(
        (status = 200, description = "The patient's sealed grant, and links", body = GrantReply),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn collect(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let state = &state;
    let work = signed(state, request, 0, |caller, _| async move {
        let requester = caller.user()?;
        let found = find(&caller, &id).await?.filter(|(_, query)| query.requester == requester);
        let (id, query) = found.ok_or_else(unknown)?;
        prepare(state, &caller, id, &query).await
    });
    let collected = work.await?;
    if !collected.is_recorded {
        record(state, &collected).await?;
    }
    let handed_out = within(state.limits.request_timeout, async {
        let place = state.request_slot(collected.holder()).await?;
        Ok((hand_out(state, &collected).await?, place))
    });
    let (reply, place) = handed_out.await?;
    delivery::json(&reply, place, Pace::of_reader(&state.limits))
}

/// A sealed grant that may be handed out, if the transfer is recorded.
struct Collected {
    account: AccountId,
    query: QueryId,
    hash: Hash,
    grant: Vec<u8>,
    segments: Vec<[u8; 32]>,
    is_recorded: bool,
}

impl Collected {
    /// Whose share the request uses.
    fn holder(&self) -> Holder {
        Holder::Account(self.account.clone())
    }
}

async fn prepare(
    state: &AppState,
    caller: &Caller,
    id: QueryId,
    query: &Query,
) -> Result<Collected, ApiError> {
    let (account, here) = (&caller.request.account, caller.identity.hospital);
    let accepted = in_force(caller.state.as_ref(), query, account, here).await?;
    let hash = accepted.grant;
    let kept = state.journal.read(move |connection| query_grants::find(connection, id, hash));
    let grant = kept.await?.ok_or_else(not_brought)?;
    // Before the storage and other hospitals are asked for the segments.
    state.shared.rates.count(query.requester, Instant::now()).map_err(too_often)?;
    let finalized = caller.state.as_ref();
    let needed = needed(state, finalized, query.patient, &accepted.records).await?;
    let is_recorded = finalized.transfer(id).await?.is_some();
    if !is_recorded {
        check_deliverable(state, &needed).await?;
    }
    Ok(Collected {
        account: account.clone(),
        query: id,
        hash,
        grant,
        segments: needed.iter().map(|needed| needed.segment).collect(),
        is_recorded,
    })
}

/// The acceptance, if it is in force in this state, for this account, and names this hospital as the mailbox.
async fn in_force<'a>(
    finalized: &dyn FinalState,
    query: &'a Query,
    account: &AccountId,
    here: HospitalId,
) -> Result<&'a Acceptance, ApiError> {
    let accepted = accepted(query)?;
    check_mailbox(here, accepted)?;
    check_requester(finalized, query, accepted, account).await?;
    if finalized.time().await?.max(crate::now()) < accepted.until {
        Ok(accepted)
    } else {
        Err(over())
    }
}

/// The acceptance, if there is one that was not withdrawn.
fn accepted(query: &Query) -> Result<&Acceptance, ApiError> {
    let title = match &query.answer {
        Some(Answer::Accepted(accepted)) => return Ok(accepted),
        None => "The patient has not accepted the query",
        Some(Answer::Refused { .. }) => {
            "The query was refused, by the patient or in the name of the patient"
        }
        Some(Answer::Withdrawn { acceptance: None, .. }) => "The query was withdrawn",
        Some(Answer::Withdrawn { acceptance: Some(_), .. }) => {
            "The acceptance was withdrawn, by the patient or in the name of the patient"
        }
    };
    Err(ApiError::conflict(
        "not-accepted",
        title,
        "The worker hands out grants of accepted queries only, as the last finalized block has them.",
    ))
}

fn check_mailbox(here: HospitalId, accepted: &Acceptance) -> Result<(), ApiError> {
    if accepted.mailbox == here {
        return Ok(());
    }
    Err(ApiError::conflict(
        "other-mailbox",
        "Another hospital keeps the grant",
        format!("Send the request to the worker of hospital {}.", accepted.mailbox),
    ))
}

/// Checks what the chain also checks when it records the transfer.
async fn check_requester(
    finalized: &dyn FinalState,
    query: &Query,
    accepted: &Acceptance,
    account: &AccountId,
) -> Result<(), ApiError> {
    if !stands(finalized, query.patient, accepted).await? {
        return Err(representation_over());
    }
    if *account != accepted.audience || !has_same_keys(finalized, query, accepted).await? {
        return Err(requester_changed());
    }
    match is_registered(finalized, query.hospital, query.requester).await? {
        true => Ok(()),
        false => Err(not_registered()),
    }
}

/// Whether the requester still has the account and the sealing key for which the patient accepted.
async fn has_same_keys(
    finalized: &dyn FinalState,
    query: &Query,
    accepted: &Acceptance,
) -> Result<bool, ViewError> {
    let profile = finalized.profile(query.requester).await?;
    Ok(profile.is_some_and(|profile| {
        profile.account == accepted.audience && profile.sealing_key_hash == accepted.sealing_key
    }))
}

fn requester_changed() -> ApiError {
    ApiError::conflict(
        "requester-changed",
        "You have rotated your keys",
        "The patient accepted for your earlier account or sealing key. Ask the patient again, with a new query.",
    )
}

fn representation_over() -> ApiError {
    ApiError::conflict(
        "representation-over",
        "The user who accepted does not represent the patient any more",
        "The mandate by which the representative accepted has ended, by a dismissal or by its time, and a new one does \
         not revive the acceptance. Ask the patient again, with a new query.",
    )
}

fn not_registered() -> ApiError {
    ApiError::forbidden(
        "Your registration at the hospital for which you asked is not in force, or that hospital is not active. The \
         patient accepted for that hospital only: ask it to reinstate or renew your registration.",
    )
}

fn over() -> ApiError {
    ApiError::conflict(
        "acceptance-over",
        "The acceptance has ended",
        "The patient accepted until a moment that has passed. Ask the patient again, with a new query.",
    )
}

fn not_brought() -> ApiError {
    ApiError::not_found(
        "This worker does not have the sealed grant with which the patient accepted. The patient withdraws the \
         acceptance, and you ask again, with a new query.",
    )
}

/// The segments of these sections. The records may be of any hospital: this one stores all committed blocks.
pub(in crate::api) async fn needed(
    state: &AppState,
    finalized: &dyn FinalState,
    patient: UserId,
    records: &[ReleasedRecord],
) -> Result<Vec<Needed>, ApiError> {
    let mut needed = Vec::new();
    for ReleasedRecord { pointer, sections } in records {
        let (pointer, record) = (*pointer, committed(state, finalized, patient, *pointer).await?);
        let all = (0_u16..).zip(record.sections());
        for (section, content) in all.filter(|(section, _)| sections.contains(*section)) {
            let segments = content.segments().iter().map(|segment| segment.hash);
            needed.extend(segments.map(|segment| Needed { pointer, section, segment }));
        }
    }
    if needed.len() > MAX_SEGMENTS as usize {
        return Err(ApiError::too_large(
            "The records have too many segments together. Ask again for fewer records.",
        ));
    }
    Ok(needed)
}

async fn committed(
    state: &AppState,
    finalized: &dyn FinalState,
    patient: UserId,
    pointer: RecordPointer,
) -> Result<Record, ApiError> {
    let entry = finalized.record(pointer).await?;
    if entry.is_none_or(|entry| entry.patient != patient) {
        return Err(ApiError::not_found(format!(
            "Record {pointer} is not a committed record of this patient."
        )));
    }
    let bytes = state.view.record_bytes(pointer).await?.ok_or(HospitalKeysError::NoBody)?;
    Record::decode_exactly(&bytes).map_err(|error| ApiError::internal(&error))
}

/// Checks that the segments can be handed out. The chain should not record a transfer of which nothing arrives.
async fn check_deliverable(state: &AppState, needed: &[Needed]) -> Result<(), ApiError> {
    let missing = deliverable::missing(state, needed).await;
    match needed.iter().find(|needed| missing.contains(&needed.segment)) {
        None => Ok(()),
        Some(first) => Err(deliverable::unavailable(first)),
    }
}

/// Records the transfer, unless another request has recorded it meanwhile. Returns when the chain's record is final.
async fn record(state: &AppState, collected: &Collected) -> Result<(), ApiError> {
    let id = collected.query;
    let recorded = within(state.limits.transaction_timeout, async {
        // One request at a time: the next ones find its transfer.
        let _alone = state.transfer_slot(id).await?;
        let _slot = state.transaction_slot(collected.holder()).await?;
        if state.view.finalized().await?.transfer(id).await?.is_some() {
            return Ok(None);
        }
        Ok(Some(state.calls.submit(queries::transfer(id)).await))
    })
    .await?;
    let failure = match recorded {
        None => return Ok(()),
        Some(Ok(())) => {
            state.metrics.transfers.inc();
            return Ok(());
        }
        Some(Err(CallError::Failed(failure))) => failure,
        Some(Err(error)) => return Err(error.into()),
    };
    let is = |error: &str| failure.is("Queries", error);
    if is("AlreadyTransferred") {
        // By another worker of this hospital. The failure is final, so the transfer before it is, too.
        Ok(())
    } else if is("NotAccepted") {
        Err(ApiError::conflict(
            "not-accepted",
            "The acceptance has just been withdrawn",
            "Nothing was handed out.",
        ))
    } else if is("Over") {
        Err(over())
    } else if is("RequesterChanged") {
        Err(requester_changed())
    } else if is("RepresentationOver") {
        Err(representation_over())
    } else if is("NotInForce") {
        Err(not_registered())
    } else {
        Err(CallError::Failed(failure).into())
    }
}

/// Checks once more, in the newest state, what may have changed since the request came: the patient may have withdrawn
/// the acceptance while the worker waited.
async fn hand_out(state: &AppState, collected: &Collected) -> Result<GrantReply, ApiError> {
    let here = state.view.identity().await?.hospital;
    let finalized = state.view.finalized().await?;
    let query = finalized.query(collected.query).await?.ok_or_else(unknown)?;
    let accepted = in_force(finalized.as_ref(), &query, &collected.account, here).await?;
    if accepted.grant != collected.hash {
        return Err(not_brought());
    }
    if finalized.transfer(collected.query).await?.is_none() {
        // The node has not shown the block of the transfer yet.
        return Err(ViewError::Away.into());
    }
    state.metrics.grants.inc();
    let lifetime = crate::now().saturating_add(crate::millis(state.limits.link_lifetime));
    let expires = lifetime.min(accepted.until);
    let link = |segment| {
        let links = &state.shared.links;
        links.make(&state.public_url, segment, collected.hash, expires)
    };
    let links = collected.segments.iter().map(link).collect();
    Ok(GrantReply { grant: STANDARD.encode(&collected.grant), links })
}

/// The requester of a query whose grant this worker handed out, while the acceptance is in force.
pub(in crate::api) async fn reader_of(
    state: &AppState,
    finalized: &dyn FinalState,
    grant: Hash,
) -> Result<Option<UserId>, ApiError> {
    let kept = state.journal.read(move |connection| query_grants::query_of(connection, grant));
    let Some(id) = kept.await? else { return Ok(None) };
    let Some(query) = finalized.query(id).await? else { return Ok(None) };
    let now = finalized.time().await?.max(crate::now());
    let named = query.acceptance().filter(|it| it.grant == grant && now < it.until);
    let Some(accepted) = named else { return Ok(None) };
    let may_read = stands(finalized, query.patient, accepted).await?
        && has_same_keys(finalized, &query, accepted).await?
        && finalized.transfer(id).await?.is_some()
        && is_registered(finalized, query.hospital, query.requester).await?;
    Ok(may_read.then_some(query.requester))
}
