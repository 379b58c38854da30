//! What the hospital's own governance has the chain do through the worker.

use axum::{extract::Request, http::StatusCode};
use epione_client::{api::MAX_JSON_BYTES, chain::Call};
use serde::de::DeserializeOwned;

use super::{ApiError, AppState, caller::Caller, limits::within};

/// Submits the call that the governance's JSON request comes to. Answers when it is final.
pub(super) async fn govern<T: DeserializeOwned>(
    state: AppState,
    request: Request,
    call: impl FnOnce(&Caller, T) -> Result<Call, ApiError> + Send,
) -> Result<StatusCode, ApiError> {
    within(state.limits.transaction_timeout_ms, async {
        let _slot = state.transaction_slot()?;
        let (parts, body) = request.into_parts();
        let caller = Caller::of_parts(&state, &parts).await?;
        caller.ensure_governance()?;
        let call = call(&caller, caller.json(body, MAX_JSON_BYTES).await?)?;
        let done = format!("{call:?}");
        state.calls.submit(call).await?;
        tracing::info!(done, "a call of the governance is final");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
