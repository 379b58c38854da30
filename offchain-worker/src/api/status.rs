//! The identity of the worker for clients; its health and metrics for operators, load balancers and Prometheus.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use epione_client::api::{Problem, WorkerInfo};
use epione_primitives::Moment;
use serde::Serialize;
use tokio::sync::Mutex;

use super::{ApiError, AppState, limits::within, problem::Chained};
use crate::{chain::ViewError, maintenance::moment};

/// How long a readiness report is reused, so that frequent requests do not burden the disk.
const FRESH: Duration = Duration::from_secs(2);

/// A newest finalized block that is older than this shows that the chain stands still, or that the node is behind: no
/// receipt would be finalized in time.
const STALE: Duration = Duration::from_secs(120);

/// What the worker needs to do its work. Each part is `ok`, or says what is wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReadinessReport {
    node: String,
    chain: String,
    store: String,
    journal: String,
    /// Whether another request would get a place. Callers can take all places: that makes the worker busy, but not
    /// unready, because a load balancer or a supervisor that then stops it would help them.
    places: String,
    /// Maintenance is no failure either: the worker still answers looks.
    maintenance: String,
}

impl ReadinessReport {
    fn is_ready(&self) -> bool {
        [&self.node, &self.chain, &self.store, &self.journal].into_iter().all(|part| part == "ok")
    }
}

/// The last report.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, ReadinessReport)>>);

#[cfg(test)]
impl Readiness {
    /// The worker examines itself again at the next request.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Returns the hospital of this worker.
#[utoipa::path(
    get,
    path = "/v1/info",
    operation_id = "info",
    tag = "worker",
    responses(
        (status = 200, description = "The hospital, its chain, and the version of the worker", body = WorkerInfo),
        (status = "default", description = "What happened and what to do", body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn info(State(state): State<AppState>) -> Result<Json<WorkerInfo>, ApiError> {
    within(state.limits.request_timeout, async {
        let identity = state.view.identity().await?;
        Ok(Json(WorkerInfo {
            hospital: identity.hospital,
            genesis: identity.genesis,
            version: env!("CARGO_PKG_VERSION").into(),
        }))
    })
    .await
}

/// Whether the process runs.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = "worker",
    responses((status = 200, description = "The process runs"))
)]
pub(super) async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`, for operators: whether the worker can accept visits and answer looks.
pub(super) async fn ready(State(state): State<AppState>) -> Result<Response, ApiError> {
    within(state.limits.request_timeout, async {
        let mut last = state.shared.readiness.0.lock().await;
        let report = match &*last {
            Some((at, report)) if at.elapsed() < FRESH => report.clone(),
            _ => {
                let report = examine(&state).await;
                *last = Some((Instant::now(), report.clone()));
                report
            }
        };
        let status =
            if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok((status, Json(report)).into_response())
    })
    .await
}

async fn examine(state: &AppState) -> ReadinessReport {
    let head = async {
        state.view.identity().await?;
        state.view.finalized().await?.time().await
    };
    let (head, store, journal, since) =
        tokio::join!(head, state.store.probe(), state.journal.probe(), state.maintenance.since());
    let chain = head.as_ref().map_or_else(|_| unknown(), |time| freshness(*time));
    ReadinessReport {
        node: part::<ViewError>(head.map(drop)),
        chain,
        store: part(store),
        journal: part(journal),
        places: places(&state.shared.slots.full()),
        maintenance: since.map_or_else(|| "ok".into(), maintenance),
    }
}

fn unknown() -> String {
    "not known, because the node does not answer".into()
}

fn freshness(time: Moment) -> String {
    let age = crate::now().saturating_sub(time);
    if age <= crate::millis(STALE) {
        return "ok".into();
    }
    format!(
        "the newest finalized block is {} seconds old: check the node and its peers",
        age / 1_000
    )
}

fn places(full: &[&str]) -> String {
    if full.is_empty() {
        return "ok".into();
    }
    format!("all places are taken: limits.{}", full.join(", limits."))
}

fn maintenance(since: Moment) -> String {
    format!("on since {}: the worker takes no new visits", moment(since))
}

fn part<E: std::error::Error + 'static>(examined: Result<(), E>) -> String {
    match examined {
        Ok(()) => "ok".into(),
        Err(error) => {
            tracing::warn!(error = %Chained(&error), "not ready");
            error.to_string()
        }
    }
}

/// `GET /metrics`, for operators: metrics in Prometheus' text format.
pub(super) async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let since = state.maintenance.since().await;
    let seconds = since.map_or(0, |since| crate::now().saturating_sub(since) / 1_000);
    // A moment that has just begun is not mistaken for none.
    let shown = if since.is_some() { seconds.max(1) } else { 0 };
    state.metrics.maintenance_seconds.set(i64::try_from(shown).unwrap_or(i64::MAX));
    let text = state.metrics.render().map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
