//! New keys that hospitals proposed for users who lost theirs.

use epione_primitives::{UserId, profile::Recovery};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// The keys that a hospital proposed last for a user, unless they became the user's. They may have lapsed.
    pub async fn recovery(&self, user: UserId) -> Result<Option<Recovery>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.recovery(user).await;
        }
        self.read("ProfilesApi_recovery", user).await
    }

    /// A page of the keys that hospitals proposed for users, in an order that the chain chooses.
    pub async fn recoveries(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Recovery)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.recoveries(after, limit).await;
        }
        self.read("ProfilesApi_recoveries", (after, limit)).await
    }
}
