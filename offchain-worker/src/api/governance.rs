//! Requests of the hospital's governance, which the worker carries out on the chain as the hospital's agent.

use axum::{extract::Request, http::StatusCode};
use epione_client::{api::MAX_JSON_BYTES, chain::Call};
use serde::de::DeserializeOwned;

use super::{ApiError, AppState, caller::Caller, intake::Received, limits::within};

/// Does the work of a request that waits for a transaction, once the caller is known to be the governance.
pub(super) async fn governed<T, W>(
    state: &AppState,
    request: Request,
    work: impl FnOnce(Caller, Received) -> W,
) -> Result<T, ApiError>
where
    W: Future<Output = Result<T, ApiError>>,
{
    within(state.limits.transaction_timeout, async {
        let (parts, body) = request.into_parts();
        let caller = Caller::of(state, &parts).await?;
        caller.ensure_governance()?;
        let received = caller.receive(state, body, MAX_JSON_BYTES).await?;
        let _slot = state.transaction_slot(caller.holder()).await?;
        work(caller, received).await
    })
    .await
}

/// Submits the call that a JSON request asks for. Responds when the call is finalized.
pub(super) async fn govern<T: DeserializeOwned>(
    state: AppState,
    request: Request,
    call: impl FnOnce(&Caller, T) -> Result<Call, ApiError> + Send,
) -> Result<StatusCode, ApiError> {
    let state = &state;
    governed(state, request, |caller, received| async move {
        let call = call(&caller, received.json()?)?;
        let done = format!("{call:?}");
        state.calls.submit(call).await?;
        tracing::info!(done, "a call of the governance was finalized");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
