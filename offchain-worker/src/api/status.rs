//! The identity and the health of the worker, for people, load balancers and Prometheus.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use epione_client::api::{Problem, WorkerInfo};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{ApiError, AppState, limits::within, problem::Chained};

/// How long a readiness report is reused, so that frequent requests do not burden the disk.
const FRESH: Duration = Duration::from_secs(2);

/// What the worker needs to do its work. Each part is `ok`, or an error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ReadinessReport {
    node: String,
    store: String,
    journal: String,
}

impl ReadinessReport {
    fn is_ready(&self) -> bool {
        [&self.node, &self.store, &self.journal].into_iter().all(|part| part == "ok")
    }
}

/// The last report.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, ReadinessReport)>>);

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

/// Whether the worker can accept visits.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "worker",
    responses(
        (status = 200, description = "The worker can accept visits", body = ReadinessReport),
        (status = 503, description = "The worker cannot accept visits: one of the parts is not ok", body = ReadinessReport)
    )
)]
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
    let node = async {
        state.view.identity().await?;
        state.view.finalized().await.map(drop)
    };
    let (node, store, journal) = tokio::join!(node, state.store.probe(), state.journal.probe());
    ReadinessReport { node: part(node), store: part(store), journal: part(journal) }
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

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "worker",
    responses((status = 200, description = "The metrics", body = String))
)]
pub(super) async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let text = state.metrics.render().map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
