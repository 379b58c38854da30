//! The media of visits, uploaded in parts.
//!
//! Each part is signed like every request, and its digest is compared before any of it is sealed. The worker seals the
//! parts of a visit in order. A part that comes early waits for the ones before it, unless others need its memory. A
//! part that comes again is answered with the visit's status. Uploads do not outlive the process: after a restart, the
//! client submits the visit again.

mod layout;
mod open;

pub(super) use layout::MediaLayout;
pub(in crate::api) use open::Uploads;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, Uri},
};
use epione_client::api::{MAX_PART_BYTES, Problem, VisitStatus};
use epione_primitives::RecordId;

use self::{
    layout::Span,
    open::{InFlight, Upload},
};
use super::{
    queue::{conclude, conflict},
    terms::VisitTerms,
};
use crate::api::{
    ApiError, AppState,
    caller::Caller,
    ingest::Ingest,
    intake::{Intake, Received},
    limits::{Slot, within},
};

/// Accepts a part of a visit's media: the content of a section from `offset` on, at most 8 MiB of it. The response is
/// the visit's status. The last part of the last section queues the visit.
#[utoipa::path(
    put,
    path = "/v1/visits/{record}/media/{section}",
    operation_id = "uploadMedia",
    tag = "visits",
    params(
        ("record" = String, Path, description = "The record id, in hexadecimal"),
        ("section" = u16, Path, description = "Index of the media section"),
        ("offset" = u64, Query, description = "Where in the section the part begins, in bytes")
    ),
    security(("signed" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The visit's status", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn put(
    State(state): State<AppState>,
    Path((record, section)): Path<(String, String)>,
    request: Request,
) -> Result<Json<VisitStatus>, ApiError> {
    let (parts, body) = request.into_parts();
    let mut intake = Intake::new(body, &state.limits);
    let accepted = async {
        let caller = Caller::of(&state, &parts).await?;
        let part = PartRef::parse(&record, &section, &parts.uri)?;
        match state.uploads().find(part.record).filter(|upload| upload.is_of(&caller)) {
            Some(upload) => accept(&state, &caller, upload, part, &mut intake).await,
            None => queued_already(&state, &caller, part.record).await,
        }
    };
    let answered = within(state.limits.part_timeout, accepted).await;
    intake.drain().await;
    answered.map(Json)
}

/// Which part a request brings.
#[derive(Clone, Copy)]
struct PartRef {
    record: RecordId,
    section: u16,
    offset: u64,
}

impl PartRef {
    fn parse(record: &str, section: &str, uri: &Uri) -> Result<Self, ApiError> {
        let offset = uri.query().and_then(|query| query.strip_prefix("offset="));
        let offset = offset.and_then(|offset| offset.parse().ok());
        match (record.parse(), section.parse(), offset) {
            (Ok(record), Ok(section), Some(offset)) => Ok(Self { record, section, offset }),
            _ => Err(ApiError::bad_request(
                "part",
                "The request does not name the part that it uploads",
                "Put the part to /v1/visits/<record id>/media/<section>?offset=<bytes>.",
            )),
        }
    }
}

async fn accept(
    state: &AppState,
    caller: &Caller,
    upload: Arc<Upload>,
    part: PartRef,
    intake: &mut Intake,
) -> Result<VisitStatus, ApiError> {
    let remaining =
        upload.layout.remaining(part.section, part.offset).ok_or_else(outside_of_media)?;
    let mut in_flight = upload.begin_part(&state.metrics)?;
    let received = intake.whole(state, caller.holder(), MAX_PART_BYTES).await?;
    let content = &received.bytes;
    in_flight.holds(content.len());
    caller.check_digest(&blake3::hash(content))?;
    if content.is_empty() || content.len() as u64 > remaining {
        return Err(outside_of_media());
    }
    let span = upload.layout.span(part.section, part.offset, content.len());
    let span = span.ok_or_else(outside_of_media)?;
    upload.reach(span.start, state.limits.part_timeout / 2, || received.is_needed()).await?;
    // In a separate task: what was sealed must be accounted for, even if the client disconnects.
    tokio::spawn(advance(state.clone(), upload, span, received, in_flight))
        .await
        .map_err(|error| ApiError::internal(&error))?
}

/// Seals the next part, and queues the visit if it was the last.
async fn advance(
    state: AppState,
    upload: Arc<Upload>,
    span: Span,
    content: Received,
    _in_flight: InFlight,
) -> Result<VisitStatus, ApiError> {
    let mut sealing = upload.ingest.lock().await;
    let Some(ingest) = sealing.as_mut() else {
        drop(sealing);
        return ended(&state, &upload.terms).await;
    };
    if upload.received() == Some(span.start) {
        if let Err(error) = ingest.push(span.section, &content.bytes, span.ends_section).await {
            return Err(fail(&state, &upload, sealing.take(), error).await);
        }
        drop(content);
        upload.advance_to(span.end);
    }
    finish(&state, &upload, &mut sealing).await
}

/// Queues the visit if all its media were sealed; otherwise returns its status.
async fn finish(
    state: &AppState,
    upload: &Arc<Upload>,
    sealing: &mut Option<Ingest>,
) -> Result<VisitStatus, ApiError> {
    let (Some(ingest), Some(status)) = (sealing.as_mut(), upload.status()) else {
        return ended(state, &upload.terms).await;
    };
    if !upload.is_complete() {
        return Ok(status);
    }
    let queued = conclude(state, &upload.terms, ingest).await;
    match queued {
        Ok(visit) => {
            state.uploads().forget(upload);
            if let Some(ingest) = sealing.take() {
                // Removes nothing, unless the same visit was queued by another request.
                ingest.abandon().await;
            }
            Ok(visit.into())
        }
        // The worker failed, not the client: all media are here, and a retry may succeed.
        Err(error) if error.is_the_workers() => Err(error),
        Err(error) => Err(fail(state, upload, sealing.take(), error).await),
    }
}

/// Ends an upload that cannot be resumed. The error goes to the client whose request caused it.
async fn fail(
    state: &AppState,
    upload: &Arc<Upload>,
    ingest: Option<Ingest>,
    error: ApiError,
) -> ApiError {
    state.uploads().forget(upload);
    if let Some(ingest) = ingest {
        ingest.abandon().await;
    }
    error
}

/// Opens the upload of a visit's media.
pub(super) async fn open(
    state: &AppState,
    terms: VisitTerms,
    layout: MediaLayout,
    ingest: Ingest,
    slot: Slot,
) -> Result<VisitStatus, ApiError> {
    let upload = Upload::new(terms, layout, ingest, slot, &state.metrics);
    match state.uploads().admit(state, upload) {
        Ok(status) => Ok(status),
        // A concurrent request has opened it.
        Err(refused) => {
            let (terms, ingest) = refused.into_inner();
            if let Some(ingest) = ingest {
                ingest.abandon().await;
            }
            resumed(state, &terms).await?.ok_or_else(ApiError::busy)
        }
    }
}

/// The status of the same visit, if its upload is open.
pub(super) async fn resumed(
    state: &AppState,
    terms: &VisitTerms,
) -> Result<Option<VisitStatus>, ApiError> {
    let Some(upload) = state.uploads().find(terms.record) else { return Ok(None) };
    if upload.terms.fingerprint != terms.fingerprint {
        return Err(conflict());
    }
    if upload.terms.sender != terms.sender {
        // The account that began the upload is one that the author has replaced.
        state.uploads().end(&upload, "the author has a new account").await;
        return Ok(None);
    }
    upload.touch();
    if !upload.is_complete() {
        return Ok(upload.status());
    }
    let state = state.clone();
    let finished = tokio::spawn(async move {
        let mut sealing = upload.ingest.lock().await;
        finish(&state, &upload, &mut sealing).await
    });
    finished.await.map_err(|error| ApiError::internal(&error))?.map(Some)
}

/// The status of the caller's visit that has no open upload of theirs, since it is queued.
async fn queued_already(
    state: &AppState,
    caller: &Caller,
    record: RecordId,
) -> Result<VisitStatus, ApiError> {
    let visit = state.journal.visit(record).await?;
    let own = visit.filter(|visit| caller.user == Some(visit.author));
    own.map(VisitStatus::from).ok_or_else(no_upload)
}

/// The status of a visit whose upload has ended while the part waited.
async fn ended(state: &AppState, terms: &VisitTerms) -> Result<VisitStatus, ApiError> {
    let visit = state.journal.visit(terms.record).await?;
    let same = visit.filter(|visit| visit.fingerprint == terms.fingerprint);
    same.map(VisitStatus::from).ok_or_else(no_upload)
}

fn no_upload() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no-upload",
        "The worker does not expect media of this visit",
        "Submit the visit again, with the account that uploads its media.",
    )
}

fn outside_of_media() -> ApiError {
    ApiError::bad_request(
        "part",
        "The part is not within the visit's media",
        "A part must not be empty, and must lie within one of the media sections that the visit describes.",
    )
}
