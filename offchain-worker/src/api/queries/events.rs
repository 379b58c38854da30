//! `GET /v1/queries/events`: changes of the caller's queries, as server-sent events.
//!
//! The stream is a hint to look again: it begins with the next change, and a client that connects reads the list first.

use std::convert::Infallible;

use axum::{
    extract::{Query as Parameters, Request, State},
    http::Uri,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use epione_client::api::Problem;
use epione_primitives::{UserId, query::QueryId};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::list::{malformed, on_behalf};
use crate::{
    api::{ApiError, AppState, caller::signed},
    chain::{QueryChange, QueryNews},
};

/// The data of an event.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct QueryEvent {
    #[schema(value_type = u32)]
    pub query: QueryId,
    pub kind: QueryChange,
}

impl QueryEvent {
    fn of(news: &QueryNews) -> Self {
        Self { query: news.query, kind: news.change }
    }
}

/// Whose queries a stream is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    patient: Option<UserId>,
}

/// Streams the changes of the caller's queries, or of those to a patient whom the caller represents, when they are
/// finalized: one event named `query` for each, whose data is JSON. The stream ends after some minutes, and when the
/// client reads too slowly. Then connect again, and read the list first (`GET /v1/queries`), because changes in between
/// are not repeated.
#[utoipa::path(
    get,
    path = "/v1/queries/events",
    operation_id = "queryEvents",
    tag = "queries",
    params(("patient" = Option<String>, Query, description = "A patient whom the caller represents. Absent: the caller")),
    security(("signed" = [])),
    responses(
        (status = 200, description = "The stream", body = QueryEvent, content_type = "text/event-stream"),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn events(
    State(state): State<AppState>,
    uri: Uri,
    request: Request,
) -> Result<Response, ApiError> {
    let worker = &state;
    let wanted = Parameters::<Wanted>::try_from_uri(&uri).ok();
    let work = signed(worker, request, 0, |caller, _| async move {
        let Parameters(Wanted { patient }) = wanted.ok_or_else(malformed)?;
        let user = on_behalf(&caller, patient).await?;
        let news = worker.shared.query_news.subscribe();
        Ok((user, worker.stream_slot(caller.holder())?, news))
    });
    let (user, place, news) = work.await?;
    // Connections are closed on which a request has been open for much longer.
    let ends = Instant::now() + state.limits.segment_timeout;
    let changes = futures::stream::unfold((news, place), move |(mut news, place)| async move {
        loop {
            match timeout_at(ends, news.recv()).await {
                Ok(Ok(change)) if change.patient == user || change.requester == user => {
                    return Some((Ok::<_, Infallible>(event(&change)), (news, place)));
                }
                Ok(Ok(_)) => {}
                // It has lasted long enough, or the client has missed changes.
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    });
    Ok(Sse::new(changes).keep_alive(KeepAlive::new()).into_response())
}

fn event(news: &QueryNews) -> Event {
    let data = serde_json::to_string(&QueryEvent::of(news)).unwrap_or_default();
    Event::default().event("query").data(data)
}
