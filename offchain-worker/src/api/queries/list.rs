//! `GET /v1/queries`: the caller's queries, or those of a patient whom the caller represents, as the chain has them.

use axum::{
    extract::{Query as Parameters, Request, State},
    http::Uri,
    response::Response,
};
use epione_client::api::Problem;
use epione_primitives::{
    UserId,
    limits::MAX_PAGE,
    query::{Query, QueryId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers_for;
use crate::api::{
    ApiError, AppState,
    caller::{Caller, signed_with_place},
    delivery::{self, Pace},
};

/// One page of a user's queries, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct QueryPage {
    pub queries: Vec<ListedQuery>,
    /// The value of `before` for the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
}

/// A query with its answer, if it has one. The terms are sealed, and on the chain only.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ListedQuery {
    #[schema(value_type = u32)]
    pub id: QueryId,
    #[schema(value_type = Object)]
    pub query: Query,
}

/// Whose side of the queries is listed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Party {
    /// Queries that were asked of the caller.
    #[default]
    Patient,
    /// Queries that the caller asked.
    Requester,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, rename = "as")]
    party: Party,
    patient: Option<UserId>,
    before: Option<u32>,
    limit: Option<u32>,
}

/// Returns a page of the caller's queries, newest first. It is a convenience: a client that verifies reads the chain.
#[utoipa::path(
    get,
    path = "/v1/queries",
    operation_id = "listQueries",
    tag = "queries",
    params(
        ("as" = Option<String>, Query, description = "`patient`: the queries to the caller; `requester`: the queries of the caller. Absent: `patient`"),
        ("patient" = Option<String>, Query, description = "A patient whom the caller represents: the queries to that patient. Only as `patient`. Absent: the caller"),
        ("before" = Option<u32>, Query, description = "The `before` of the previous page. Absent: the newest queries"),
        ("limit" = Option<u32>, Query, description = "The number of queries, at most 64. Absent: 64")
    ),
    security(("signed" = [])),
    responses(
        (status = 200, description = "The page", body = QueryPage),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn list(
    State(state): State<AppState>,
    uri: Uri,
    request: Request,
) -> Result<Response, ApiError> {
    let wanted = Parameters::<Wanted>::try_from_uri(&uri).ok();
    let work = signed_with_place(&state, request, 0, |caller, _| async move {
        let Parameters(Wanted { party, patient, before, limit }) = wanted.ok_or_else(malformed)?;
        let limit = limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let user = match (party, patient) {
            (Party::Requester, Some(_)) => return Err(malformed()),
            (_, patient) => on_behalf(&caller, patient).await?,
        };
        let page = match party {
            Party::Patient => caller.state.patient_queries(user, before, limit).await?,
            Party::Requester => caller.state.requester_queries(user, before, limit).await?,
        };
        // The numbers begin at 0, so a page that ends there is the last one.
        let before = page.last().map(|(number, ..)| *number).filter(|number| *number > 0);
        let queries = page.into_iter().map(|(_, id, query)| ListedQuery { id, query }).collect();
        Ok(QueryPage { queries, before })
    });
    let (page, place) = work.await?;
    delivery::json(&page, place, Pace::of_reader(&state.limits))
}

/// The caller, or the patient whom the caller names and represents.
pub(super) async fn on_behalf(
    caller: &Caller,
    patient: Option<UserId>,
) -> Result<UserId, ApiError> {
    let user = caller.user()?;
    let patient = patient.unwrap_or(user);
    if answers_for(caller.state.as_ref(), user, patient).await? {
        return Ok(patient);
    }
    Err(ApiError::forbidden(
        "You do not represent this patient in the last finalized block: the patient can appoint you.",
    ))
}

pub(super) fn malformed() -> ApiError {
    ApiError::bad_request(
        "parameters",
        "The parameters are not those that the API describes",
        "Use only `as` (`patient` or `requester`), `patient` (a user, only as `patient`), and `before` and `limit`, \
         which are numbers.",
    )
}
