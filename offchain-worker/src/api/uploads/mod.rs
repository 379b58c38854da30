//! The media of visits, which come in parts. Each part is signed like every request, and its digest is
//! compared before anything of it is sealed. The worker takes the parts of a visit in order; one that
//! comes early waits for its turn, one that comes again is answered with how far the visit is. Nothing
//! of this outlives the process: who meets a worker that forgot begins with the visit again.

mod course;
mod open;

pub(super) use course::Course;
pub(super) use open::Uploads;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, Uri},
};
use bytes::Bytes;
use epione_client::api::{MAX_PART_BYTES, Problem, VisitStatus};
use epione_primitives::RecordId;

use self::{
    course::Span,
    open::{InFlight, Place, Upload},
};
use super::{
    ApiError, AppState,
    caller::Caller,
    ingest::Ingest,
    intake::Intake,
    limits::within,
    visits::{self, Terms},
};

/// Takes a part of a visit's media: the content of a section from `offset` on, at most 8 MiB of it. It
/// answers with how far the visit is; the last part of the last section queues it.
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
        (status = 200, description = "How far the visit is", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn put(
    State(state): State<AppState>,
    Path((record, section)): Path<(String, String)>,
    request: Request,
) -> Result<Json<VisitStatus>, ApiError> {
    let (parts, body) = request.into_parts();
    let mut intake = Intake::new(body, state.limits.silence());
    let taken = async {
        let caller = {
            let _slot = state.request_slot()?;
            Caller::of_parts(&state, &parts).await?
        };
        let part = PartRef::parse(&record, &section, &parts.uri)?;
        match state.uploads().find(part.record).filter(|upload| upload.is_of(&caller)) {
            Some(upload) => take(&state, &caller, upload, part, &mut intake).await,
            None => elsewhere(&state, &caller, part.record).await,
        }
    };
    let answered = within(state.limits.part_timeout_ms, taken).await;
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
                "The request does not say which part it brings",
                "Put it to /v1/visits/<record id>/media/<section>?offset=<bytes>.",
            )),
        }
    }
}

async fn take(
    state: &AppState,
    caller: &Caller,
    upload: Arc<Upload>,
    part: PartRef,
    intake: &mut Intake,
) -> Result<VisitStatus, ApiError> {
    let room = upload.course.room(part.section, part.offset).ok_or_else(no_such_place)?;
    let mut in_flight = upload.begin_part(&state.metrics)?;
    let content = intake.whole(MAX_PART_BYTES).await?;
    in_flight.holds(content.len());
    caller.check_digest(&blake3::hash(&content))?;
    if content.is_empty() || content.len() as u64 > room {
        return Err(no_such_place());
    }
    let span = upload.course.span(part.section, part.offset, content.len());
    let span = span.ok_or_else(no_such_place)?;
    upload.turn(span.start, state.limits.part_timeout() / 2).await?;
    // In a task of its own: what was sealed must be accounted for, whoever hangs up.
    tokio::spawn(advance(state.clone(), upload, span, content, in_flight))
        .await
        .map_err(|error| ApiError::internal(&error))?
}

/// Seals a part whose turn it is, and queues the visit if it was the last.
async fn advance(
    state: AppState,
    upload: Arc<Upload>,
    span: Span,
    content: Bytes,
    _in_flight: InFlight,
) -> Result<VisitStatus, ApiError> {
    let mut sealing = upload.ingest.lock().await;
    let Some(ingest) = sealing.as_mut() else {
        drop(sealing);
        return gone(&state, &upload.terms).await;
    };
    if upload.received() == Some(span.start) {
        if let Err(error) = ingest.push(span.section, &content, span.ends_section).await {
            return Err(fail(&state, &upload, sealing.take(), error).await);
        }
        drop(content);
        upload.took(span.end);
    }
    finish(&state, &upload, &mut sealing).await
}

/// Queues a visit of which everything has come; otherwise says how far it is.
async fn finish(
    state: &AppState,
    upload: &Arc<Upload>,
    sealing: &mut Option<Ingest>,
) -> Result<VisitStatus, ApiError> {
    let (Some(ingest), Some(status)) = (sealing.as_mut(), upload.status()) else {
        return gone(state, &upload.terms).await;
    };
    if !upload.is_complete() {
        return Ok(status);
    }
    let queued = visits::conclude(state, &upload.terms, ingest).await;
    match queued {
        Ok(visit) => {
            state.uploads().forget(upload);
            if let Some(ingest) = sealing.take() {
                // Nothing is left of it, unless the same visit was queued by other means.
                ingest.abandon().await;
            }
            Ok(visit.into())
        }
        // The worker's own trouble: everything is there, and it may be tried again.
        Err(error) if error.is_the_workers() => Err(error),
        Err(error) => Err(fail(state, upload, sealing.take(), error).await),
    }
}

/// Ends an upload that cannot go on. The error is for whoever sent what did not do.
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

/// Begins to await the media of a visit.
pub(super) async fn open(
    state: &AppState,
    terms: Terms,
    course: Course,
    ingest: Ingest,
    place: Place,
) -> Result<VisitStatus, ApiError> {
    let upload = Upload::new(terms, course, ingest, place, &state.metrics);
    match state.uploads().admit(state, upload) {
        Ok(status) => Ok(status),
        // Somebody else was quicker.
        Err(refused) => {
            let (terms, ingest) = refused.into_parts();
            if let Some(ingest) = ingest {
                ingest.abandon().await;
            }
            resumed(state, &terms).await?.ok_or_else(ApiError::busy)
        }
    }
}

/// Where the same visit is, if its media are awaited.
pub(super) async fn resumed(
    state: &AppState,
    terms: &Terms,
) -> Result<Option<VisitStatus>, ApiError> {
    let Some(upload) = state.uploads().find(terms.record) else { return Ok(None) };
    if upload.terms.fingerprint != terms.fingerprint {
        return Err(visits::conflict());
    }
    if upload.terms.account != terms.account {
        // Signed by an account that is not the author's any more.
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

/// A part of a visit whose media are not awaited from this caller.
async fn elsewhere(
    state: &AppState,
    caller: &Caller,
    record: RecordId,
) -> Result<VisitStatus, ApiError> {
    let visit = state.journal.visit(record).await?;
    let own = visit.filter(|visit| caller.user == Some(visit.author));
    own.map(VisitStatus::from).ok_or_else(no_upload)
}

/// A part of a visit that ended meanwhile.
async fn gone(state: &AppState, terms: &Terms) -> Result<VisitStatus, ApiError> {
    let visit = state.journal.visit(terms.record).await?;
    let same = visit.filter(|visit| visit.fingerprint == terms.fingerprint);
    same.map(VisitStatus::from).ok_or_else(no_upload)
}

fn no_upload() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no-upload",
        "The media of this visit are not awaited",
        "Submit the visit, again if need be, with the account that sends its media.",
    )
}

fn no_such_place() -> ApiError {
    ApiError::bad_request(
        "part",
        "The visit has no such media",
        "A part is not empty and lies within one of the visit's media sections, as it described them.",
    )
}
