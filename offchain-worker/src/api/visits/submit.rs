//! `POST /v1/visits`: an author submits a visit, or resumes one.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use epione_client::api::{MAX_VISIT_JSON_BYTES, Problem, VisitRequest, VisitStatus};
use epione_envelope::{keys::PatientKeys, record::SignedDraft, record_sealer::RecordSealer};
use epione_primitives::{AccountId, Hash};

use super::{
    admission::{
        authorize, check_addressed, check_announcing, check_freshness, check_signatures,
        check_sizes, check_staff, check_standing_authorization,
    },
    draft::{command_of, draft_of},
    fresh_keys,
    queue::{conflict, other_content, queue},
    terms::VisitTerms,
    uploads::{self, MediaLayout},
};
use crate::{
    api::{
        ApiError, AppState,
        caller::Caller,
        ingest::{self, Ingest},
        intake::{Intake, Received},
        limits::within,
    },
    journal::{Recalled, Visit},
};

/// Accepts a visit from its author. A visit without media is sealed and queued before the response is sent. With
/// media, the response says where their parts begin, and the last part queues the visit. A client may send the same
/// visit again at any time: the response is its status. A visit with the same `command` as one of the same author that
/// was acknowledged within a day is that visit: the response is the status of the first, with its record id. If its
/// patient, signers, extraction policy or sections differ, the response is 409, and nothing is stored.
///
/// `signedAt` must name one of the last 200 finalized blocks. Author, nurse and patient must have signed with the
/// accounts that they had after that block, and must have been registered at the hospital then. In maintenance mode,
/// the response to a new visit is 503 (`maintenance`); a visit that the worker knows is finished.
#[utoipa::path(
    post,
    path = "/v1/visits",
    operation_id = "submitVisit",
    tag = "visits",
    security(("signed" = [])),
    request_body = VisitRequest,
    responses(
        (status = 202, description = "The visit is stored durably, or the worker waits for its media", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn submit(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let mut intake = Intake::new(body, &state.limits);
    let submission = async {
        let caller = Caller::of(&state, &parts).await?;
        check_staff(&caller).await?;
        let json = intake.whole(&state, caller.holder(), MAX_VISIT_JSON_BYTES).await?;
        caller.check_digest(&blake3::hash(&json.bytes))?;
        accept(&state, &caller, json).await
    };
    let answered = within(state.limits.part_timeout, submission).await;
    intake.drain().await;
    Ok((StatusCode::ACCEPTED, Json(answered?)).into_response())
}

/// `json` counts for the visit's memory until the visit is sealed.
async fn accept(
    state: &AppState,
    caller: &Caller,
    json: Received,
) -> Result<VisitStatus, ApiError> {
    let visit: VisitRequest = json.json()?;
    check_addressed(caller, &visit)?;
    check_sizes(state, &visit)?;
    let draft = draft_of(&visit)?;
    let terms = VisitTerms::of(caller, &draft, command_of(state, &visit, &draft)?);
    if let Some(known) = known(state, &terms).await? {
        return Ok(known);
    }
    check_announcing(&*caller.state, terms.hospital).await?;
    authorize(&*caller.state, &terms).await?;
    check_freshness(state, terms.signed_at).await?;
    if state.maintenance.is_on().await {
        return Err(ApiError::maintenance());
    }
    let author = check_signatures(state, &terms, &draft).await?;
    check_standing_authorization(state, &terms).await?;
    let keys = fresh_keys::of(state, caller, visit.patient).await?;
    // Only now, so that users who may not submit take no places from those who may, and nor do visits that wait for
    // their patients' keys.
    let _slot = state.visit_slot(caller.holder()).await?;
    let layout = MediaLayout::of(&visit);
    if layout.total() == 0 {
        let ingest = begin(state, terms.genesis, draft, &author, &keys, visit).await?;
        // In a separate task: if the client disconnects half-way, the visit is queued all the same.
        let queued = tokio::spawn(queue_at_once(state.clone(), terms, ingest, json)).await;
        return queued.map_err(|error| ApiError::internal(&error))?.map(VisitStatus::from);
    }
    let slot = state.uploads().slot(state, caller).await?;
    let ingest = begin(state, terms.genesis, draft, &author, &keys, visit).await?;
    uploads::open(state, terms, layout, ingest, slot).await
}

async fn begin(
    state: &AppState,
    genesis: Hash,
    draft: SignedDraft,
    author: &AccountId,
    patient_keys: &PatientKeys,
    visit: VisitRequest,
) -> Result<Ingest, ApiError> {
    let sealer =
        RecordSealer::new(genesis, draft, author, patient_keys).map_err(ingest::refused)?;
    Ingest::begin(state, sealer, visit).await
}

/// The status of the same visit, if the worker awaits its media or has queued it.
async fn known(state: &AppState, terms: &VisitTerms) -> Result<Option<VisitStatus>, ApiError> {
    if let Some(status) = uploads::resumed(state, terms).await? {
        return Ok(Some(status));
    }
    match state.journal.visit(terms.record).await? {
        Some(visit) if visit.fingerprint == terms.fingerprint => Ok(Some(visit.into())),
        Some(_) => Err(conflict()),
        None => recognized(state, terms).await,
    }
}

/// The status of the visit that the worker acknowledged for the same command within a day.
async fn recognized(state: &AppState, terms: &VisitTerms) -> Result<Option<VisitStatus>, ApiError> {
    let Some(command) = terms.command else { return Ok(None) };
    match state.journal.recalled(terms.author, command, crate::now()).await? {
        Some(Recalled::Same(first)) => Ok(Some(first.into())),
        Some(Recalled::Other) => Err(other_content()),
        None => Ok(None),
    }
}

async fn queue_at_once(
    state: AppState,
    terms: VisitTerms,
    mut ingest: Ingest,
    _json: Received,
) -> Result<Visit, ApiError> {
    queue(&state, &terms, &mut ingest).await
}
