//! Counts and times requests. It counts routes, not paths, so that no id becomes a label.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::{AppState, problem::ProblemKind};

pub(super) async fn observe(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let begun = Instant::now();
    let response = next.run(request).await;
    let seconds = begun.elapsed().as_secs_f64();
    let status = response.status();
    state.metrics.requests.with_label_values(&[route.as_str(), status.as_str()]).inc();
    state.metrics.request_seconds.with_label_values(&[route.as_str()]).observe(seconds);
    let problem = response.extensions().get::<ProblemKind>().map(|kind| kind.0.as_str());
    if let Some(problem) = problem {
        state.metrics.problems.with_label_values(&[problem]).inc();
    }
    if let (Some(problem), "/v1/visits" | "/v1/visits/{record}/media/{section}") =
        (problem, route.as_str())
    {
        state.metrics.visits_refused.with_label_values(&[problem]).inc();
    }
    tracing::debug!(%method, route, status = status.as_u16(), problem, seconds, "answered");
    response
}
