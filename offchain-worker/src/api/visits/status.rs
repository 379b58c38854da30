//! `GET /v1/visits/{record}`: the status of a visit.

use axum::{
    Json,
    extract::{Path, Request, State},
};
use epione_client::api::{Problem, VisitStatus};
use epione_primitives::{RecordId, UserId};

use crate::api::{
    ApiError, AppState,
    caller::{Caller, signed},
};

/// Returns the status of a visit, to its author, its patient and the hospital's governance.
#[utoipa::path(
    get,
    path = "/v1/visits/{record}",
    operation_id = "visitStatus",
    tag = "visits",
    params(("record" = String, Path, description = "The record id, in hexadecimal")),
    security(("signed" = [])),
    responses(
        (status = 200, description = "Its status", body = VisitStatus),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn status(
    State(state): State<AppState>,
    record: Path<String>,
    request: Request,
) -> Result<Json<VisitStatus>, ApiError> {
    let (state, record) = (&state, record.parse::<RecordId>());
    signed(state, request, 0, |caller, _| async move {
        let found = match record {
            Ok(record) => find(state, &caller, record).await?,
            Err(_) => None,
        };
        found.map(Json).ok_or_else(|| {
            ApiError::not_found(
                "This worker has no visit with this record id that you submitted or that is about you.",
            )
        })
    })
    .await
}

/// A visit that the caller may see. Uploads come first, because they become queued visits meanwhile.
async fn find(
    state: &AppState,
    caller: &Caller,
    record: RecordId,
) -> Result<Option<VisitStatus>, ApiError> {
    let upload = state.uploads().find(record);
    let upload = upload.filter(|it| may_see(caller, it.terms.author, it.terms.patient));
    if let Some(status) = upload.and_then(|upload| upload.status()) {
        return Ok(Some(status));
    }
    let visit = state.journal.visit(record).await?;
    Ok(visit.filter(|visit| may_see(caller, visit.author, visit.patient)).map(Into::into))
}

fn may_see(caller: &Caller, author: UserId, patient: UserId) -> bool {
    caller.is_governance() || caller.user == Some(author) || caller.user == Some(patient)
}
