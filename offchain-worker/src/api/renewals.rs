//! Seals profiles to new keys that waited for the hospital's delay. Their users need not send the keys again.

use std::time::Duration;

use epione_envelope::sealing_keys::SealingPublicKey;
use epione_primitives::{Moment, UserId, limits::DAY_MILLIS};

use super::{
    ApiError, AppState,
    registrations::{Confirmation, seal_anew},
};
use crate::journal::{JournalError, renewals};

/// How often the worker looks whether the delay has passed.
const LOOK: Duration = Duration::from_secs(600);
/// How long after the delay the worker still tries, in milliseconds: a week.
const KEPT: Moment = 7 * DAY_MILLIS;

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

/// Tries each key that waits, and forgets those that are done, refused or very old. Ends early if the chain does not
/// answer or accepts nothing now: then each further key would wait as long.
pub(super) async fn look(state: &AppState) -> Result<(), JournalError> {
    let mut waiting = state.journal.read(renewals::waiting).await?;
    turn(&mut waiting);
    for (user, key) in waiting {
        let is_settled = match settle(state, user, &key).await {
            Ok(()) => true,
            Err(error) if error.concerns_all_calls() => {
                tracing::info!(?error, "the keys that wait are tried again later");
                break;
            }
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
    let kept = crate::millis(state.renewal_delay).saturating_add(KEPT);
    let before = crate::now().saturating_sub(kept);
    state.journal.write(move |tx| renewals::forget_before(tx, before)).await
}

/// Lets any key be the first, so that one that ends each pass does not hold up the others.
fn turn(waiting: &mut [(UserId, Vec<u8>)]) {
    let mut random = [0; 2];
    if !waiting.is_empty() && getrandom::fill(&mut random).is_ok() {
        waiting.rotate_left(usize::from(u16::from_le_bytes(random)) % waiting.len());
    }
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
