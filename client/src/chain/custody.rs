//! Reads of custody: which patient keys are entrusted and kept, who is the custodian of a removed hospital, and what
//! custodians claimed.
//!
//! The runtime API does not answer about them. A client reads the chain's storage, with storage proofs, also if it
//! believes which state a block has.

use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    custody::{Appointment, Claim, ClaimId, Kept},
    mandate::Mandate,
    opening::HandedOut,
};

use super::{ChainError, Snapshot};

impl Snapshot {
    /// The patients who entrusted their keys at a hospital, in force or not: at most `limit` and
    /// [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) after `after`, in the order of the chain's storage.
    pub async fn entrusted(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Mandate)>, ChainError> {
        self.proving().await?.entrusted(hospital, after, limit).await
    }

    /// The hospitals at which a patient entrusted the patient keys, in force or not, ascending.
    pub async fn entrusted_at(
        &self,
        patient: UserId,
    ) -> Result<Vec<(HospitalId, Mandate)>, ChainError> {
        self.proving().await?.entrusted_at(patient).await
    }

    /// What a patient entrusted at a hospital, in force or not.
    pub async fn entrusted_by(
        &self,
        hospital: HospitalId,
        patient: UserId,
    ) -> Result<Option<Mandate>, ChainError> {
        self.proving().await?.entrusted_by(hospital, patient).await
    }

    /// The wrap of a patient's key at a hospital, if the hospital published one.
    pub async fn kept_key(
        &self,
        hospital: HospitalId,
        patient: UserId,
    ) -> Result<Option<Kept>, ChainError> {
        self.proving().await?.kept_key(hospital, patient).await
    }

    /// The custodians of removed hospitals, ascending by removed hospital.
    pub async fn appointments(&self) -> Result<Vec<(HospitalId, Appointment)>, ChainError> {
        self.proving().await?.appointments().await
    }

    /// Number of blocks between the appointment of a custodian and the first claim.
    pub async fn custodian_delay(&self) -> Result<BlockNumber, ChainError> {
        self.proving().await?.custodian_delay().await
    }

    /// The custodian that answers for the records of a removed hospital: appointed, active, and the delay is over.
    pub async fn custodian_of(
        &self,
        departed: HospitalId,
    ) -> Result<Option<HospitalId>, ChainError> {
        self.proving().await?.custodian_of(departed).await
    }

    /// A claim; none if the chain has not decided so many.
    pub async fn claim(&self, id: ClaimId) -> Result<Option<Claim>, ChainError> {
        self.proving().await?.claim(id).await
    }

    /// The claims, newest first: at most `limit` and [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) before the
    /// number `before`.
    pub async fn claims(
        &self,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(ClaimId, Claim)>, ChainError> {
        self.proving().await?.claims(before, limit).await
    }

    /// What a hospital recorded when it handed out its part of a claim, if it did.
    pub async fn claim_part(
        &self,
        id: ClaimId,
        hospital: HospitalId,
    ) -> Result<Option<HandedOut>, ChainError> {
        self.proving().await?.claim_part(id, hospital).await
    }
}
