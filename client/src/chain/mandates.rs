//! Reads of mandates: what patients let others do in their names.

use epione_primitives::{
    HospitalId, UserId, limits::MAX_PAGE, mandate::Mandate, query::Acceptance,
};

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

    /// The mandate by which a user represents a patient at the block's time.
    pub async fn representation(
        &self,
        user: UserId,
        patient: UserId,
    ) -> Result<Option<Mandate>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.representation(user, patient).await;
        }
        self.read("MandatesApi_representation", (user, patient)).await
    }

    /// Whether an acceptance of a query to a patient stands at the block's time, as far as it depends on who gave it.
    pub async fn stands(
        &self,
        acceptance: &Acceptance,
        patient: UserId,
    ) -> Result<bool, ChainError> {
        let mandate = match acceptance.by == patient {
            true => None,
            false => self.representation(acceptance.by, patient).await?,
        };
        Ok(acceptance.stands(patient, mandate))
    }
}
