//! Reads of mandates: what patients let others do in their names.

use epione_primitives::{HospitalId, UserId, limits::MAX_PAGE, mandate::Mandate};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// The newest mandate of each of a patient's representatives, in force or not: at most `limit` and
    /// [`MAX_PAGE`] after `after`, in the order of the chain's storage.
    pub async fn representatives(
        &self,
        patient: UserId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Mandate)>, ChainError> {
        let limit = limit.min(MAX_PAGE);
        if let Some(state) = self.proven().await? {
            return state.representatives(patient, after, limit).await;
        }
        self.read("MandatesApi_representatives", (patient, after, limit)).await
    }

    /// The newest mandate of each hospital that a patient authorized, in force or not, ascending by hospital.
    pub async fn authorizations(
        &self,
        patient: UserId,
    ) -> Result<Vec<(HospitalId, Mandate)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.authorizations(patient).await;
        }
        self.read("MandatesApi_authorizations", patient).await
    }

    /// Whether a user represents a patient at the block's time.
    pub async fn represents(&self, user: UserId, patient: UserId) -> Result<bool, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.represents(user, patient).await;
        }
        self.read("MandatesApi_represents", (user, patient)).await
    }
}
