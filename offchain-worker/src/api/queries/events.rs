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

use super::{
    answers_for,
    list::{malformed, on_behalf},
};
use crate::{
    api::{ApiError, AppState, caller::signed},
    chain::{QueryChange, QueryNews, ViewError},
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
/// client reads too slowly, and for a representative when the mandate is over. Then connect again, and read the list
/// first (`GET /v1/queries`), because changes in between are not repeated.
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
        let user = caller.user()?;
        let listener = Listener { user, patient: on_behalf(&caller, patient).await? };
        let news = worker.shared.query_news.subscribe();
        Ok((listener, worker.stream_slot(caller.holder())?, news))
    });
    let (listener, place, news) = work.await?;
    // Connections are closed on which a request has been open for much longer.
    let ends = Instant::now() + state.limits.segment_timeout;
    let begun = (news, place, state);
    let changes = futures::stream::unfold(begun, move |(mut news, place, state)| async move {
        loop {
            match timeout_at(ends, news.recv()).await {
                Ok(Ok(change)) if listener.is_party(&change) => {
                    return match listener.may_still_listen(&state).await {
                        Ok(true) => {
                            Some((Ok::<_, Infallible>(event(&change)), (news, place, state)))
                        }
                        Ok(false) => None,
                        Err(error) => {
                            tracing::debug!(%error, "a stream ends: the mandate cannot be read");
                            None
                        }
                    };
                }
                Ok(Ok(_)) => {}
                // It has lasted long enough, or the client has missed changes.
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    });
    Ok(Sse::new(changes).keep_alive(KeepAlive::new()).into_response())
}

/// Who listens, and whose queries to.
#[derive(Clone, Copy)]
struct Listener {
    user: UserId,
    /// The user, or a patient whom the user represents.
    patient: UserId,
}

impl Listener {
    /// Whether the change is of a query of this patient; for a user's own queries, also as their requester. What a
    /// patient asks others for is no business of a representative.
    fn is_party(self, change: &QueryNews) -> bool {
        let is_own = self.user == self.patient;
        change.patient == self.patient || is_own && change.requester == self.user
    }

    async fn may_still_listen(self, state: &AppState) -> Result<bool, ViewError> {
        if self.user == self.patient {
            return Ok(true);
        }
        answers_for(state.view.finalized().await?.as_ref(), self.user, self.patient).await
    }
}

fn event(news: &QueryNews) -> Event {
    let data = serde_json::to_string(&QueryEvent::of(news)).unwrap_or_default();
    Event::default().event("query").data(data)
}
