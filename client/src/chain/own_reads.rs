//! What patients noted of own readings, in one state of the chain.

use epione_primitives::{UserId, release::OwnRead};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// What a patient noted of own readings by the own key, newest first, by the notes' numbers.
    pub async fn own_reads(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OwnRead)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.own_reads(patient, before, limit).await;
        }
        self.read("ReleasesApi_own_reads", (patient, before, limit)).await
    }
}
