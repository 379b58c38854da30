//! The right to seal a user's profile again: one request or task has it at a time.
//!
//! A new body contains a fresh version of the patient's keys. Two bodies that were made from the same one would contain
//! two keys of the same version, and what was sealed under one of them would be lost. So the right is held from reading
//! the registration until the chain has decided about the new body, whatever becomes of the request. The chain refuses
//! a body that was made from another one than the current.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use epione_client::chain::calls::profiles;
use epione_primitives::{Hash, UserId};
use tokio::sync::Notify;

use crate::chain::{CallError, ChainCalls};

/// The users whose profiles are being sealed again. Clones share them.
#[derive(Clone, Default)]
pub struct Resealings(Arc<Underway>);

#[derive(Default)]
struct Underway {
    users: Mutex<HashSet<UserId>>,
    ended: Notify,
}

impl Underway {
    fn users(&self) -> MutexGuard<'_, HashSet<UserId>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to seal a user's profile again. Nobody else has it until this is dropped.
pub struct Resealing {
    underway: Arc<Underway>,
    user: UserId,
}

impl Drop for Resealing {
    fn drop(&mut self) {
        self.underway.users().remove(&self.user);
        self.underway.ended.notify_waiters();
    }
}

impl Resealings {
    /// The right to seal a user's profile again; none while another request or task has it.
    pub fn try_begin(&self, user: UserId) -> Option<Resealing> {
        let first = self.0.users().insert(user);
        // Only created if this call inserted the user: dropping it removes the user.
        first.then(|| Resealing { underway: Arc::clone(&self.0), user })
    }

    /// Waits until nobody else has the right.
    pub async fn begin(&self, user: UserId) -> Resealing {
        loop {
            // Notices what ends from here on, also before it is awaited.
            let ended = self.0.ended.notified();
            if let Some(resealing) = self.try_begin(user) {
                return resealing;
            }
            ended.await;
        }
    }
}

impl Resealing {
    /// Replaces the profile's body of this hash by one that was made from it; returns when that is finalized. Goes on
    /// if the caller does not wait any longer.
    pub async fn replace(
        self,
        calls: Arc<dyn ChainCalls>,
        previous: Hash,
        body: Vec<u8>,
    ) -> Result<(), CallError> {
        let replacing = tokio::spawn(async move {
            let resealing = self;
            let call = profiles::update(resealing.user, previous, &body);
            let replaced = calls.submit(call).await;
            drop(resealing);
            replaced
        });
        // A task that panicked may have submitted the call.
        replacing.await.unwrap_or(Err(CallError::TimedOut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_request_waits_for_the_first_and_other_users_do_not() {
        let (resealings, user) = (Resealings::default(), UserId([1; 32]));
        let first = resealings.try_begin(user).unwrap();
        assert!(resealings.try_begin(user).is_none());
        drop(resealings.begin(UserId([2; 32])).await);
        let waiting = tokio::spawn({
            let resealings = resealings.clone();
            async move { drop(resealings.begin(user).await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
        drop(resealings.try_begin(user).unwrap());
    }
}
