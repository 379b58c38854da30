//! Seals profiles to new keys that waited for the hospital's delay. Their users need not send the keys again.

use std::time::Duration;

use epione_envelope::sealing_keys::SealingPublicKey;
use epione_primitives::UserId;

use super::{
    ApiError, AppState,
    registrations::{Confirmation, seal_anew},
};
use crate::journal::{JournalError, renewals};

/// How often the worker looks whether the delay has passed.
const LOOK: Duration = Duration::from_secs(600);

/// Seals profiles to keys whose delay has passed. Never returns.
pub async fn run(state: AppState) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = look(&state).await {
            state.metrics.task_failures.with_label_values(&["renewals"]).inc();
            tracing::warn!(%error, "the keys that wait could not be read; retrying later");
        }
    }
}

/// Tries each key that waits, and forgets those that are done or refused.
pub(super) async fn look(state: &AppState) -> Result<(), JournalError> {
    for (user, key) in state.journal.read(renewals::waiting).await? {
        let is_settled = match settle(state, user, &key).await {
            Ok(()) => true,
            Err(error) if error.may_pass() => false,
            Err(error) => {
                tracing::info!(%user, ?error, "a profile is not sealed to keys that waited");
                true
            }
        };
        if is_settled {
            state.journal.write(move |tx| renewals::forget(tx, user, &key)).await?;
        }
    }
    Ok(())
}

async fn settle(state: &AppState, user: UserId, key: &[u8]) -> Result<(), ApiError> {
    let key = SealingPublicKey::from_bytes(key).map_err(|error| ApiError::internal(&error))?;
    let identity = state.view.identity().await?;
    seal_anew(state, identity, user, key, Confirmation::ByNobody).await
}

/// Remembers a key that waits for the hospital's delay.
pub(super) async fn remember(
    state: &AppState,
    user: UserId,
    key: &SealingPublicKey,
) -> Result<(), ApiError> {
    let key = key.as_bytes().to_vec();
    let now = crate::now();
    Ok(state.journal.write(move |tx| renewals::remember(tx, user, &key, now)).await?)
}
