//! Looks at records, as the chain counts them: receipts, refusals, emergencies with their reviews, and what patients
//! noted of own readings.

use epione_primitives::{
    Hash, HospitalId, UserId,
    release::{OwnRead, Receipt, RefusedAccess, Review, ReviewId, Tally},
};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// The receipt of the grant with this hash.
    pub async fn receipt(&self, grant: Hash) -> Result<Option<Receipt>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.receipt(grant).await;
        }
        self.read("ReleasesApi_receipt", grant).await
    }

    /// The grant that answered a request, by the request's hash.
    pub async fn answer(&self, request: Hash) -> Result<Option<Hash>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.answer(request).await;
        }
        self.read("ReleasesApi_answer", request).await
    }

    /// Whether a grant is recorded, and its requester would still be allowed the same.
    pub async fn is_in_force(&self, grant: Hash) -> Result<bool, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.is_in_force(grant).await;
        }
        self.read("ReleasesApi_is_in_force", grant).await
    }

    /// A patient's receipts, newest first, by their numbers.
    pub async fn receipts(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, Receipt)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.receipts(patient, before, limit).await;
        }
        self.read("ReleasesApi_receipts", (patient, before, limit)).await
    }

    /// Emergencies of a patient, newest first, by their numbers.
    pub async fn emergencies(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, ReviewId, Review)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.emergencies(patient, before, limit).await;
        }
        self.read("ReleasesApi_emergencies", (patient, before, limit)).await
    }

    /// Refusals of access to a patient's records, newest first, by their numbers.
    pub async fn refusals(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, RefusedAccess)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.refusals(patient, before, limit).await;
        }
        self.read("ReleasesApi_refusals", (patient, before, limit)).await
    }

    /// Every hospital's emergencies, newest first.
    pub async fn reviews(
        &self,
        before: Option<ReviewId>,
        limit: u32,
    ) -> Result<Vec<(ReviewId, Review)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.reviews(before, limit).await;
        }
        self.read("ReleasesApi_reviews", (before, limit)).await
    }

    /// How many refusals and emergencies a requester has caused at a hospital on the day of the block.
    pub async fn tally(
        &self,
        hospital: HospitalId,
        requester: UserId,
    ) -> Result<Tally, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.tally(hospital, requester).await;
        }
        self.read("ReleasesApi_tally", (hospital, requester)).await
    }

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
