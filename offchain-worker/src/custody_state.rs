//! What the worker reads from the chain about custody: a part of [`FinalState`](crate::chain::FinalState).

use epione_client::chain::Snapshot;
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    custody::{Appointment, Claim, ClaimId, Kept},
    mandate::Mandate,
    opening::HandedOut,
};

use crate::chain::{Answer, FinalState, ViewError};

/// Entrusted and kept patient keys, custodians and claims, after a finalized block.
pub trait CustodyState: Send + Sync {
    /// A page of the patients who entrusted their keys at a hospital, in force or not.
    fn entrusted(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Mandate)>>;
    /// What a patient entrusted at a hospital, in force or not.
    fn entrusted_by(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Mandate>>;
    /// The wrap of a patient's key at a hospital, if the hospital published one.
    fn kept_key(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Kept>>;
    /// The custodians of removed hospitals.
    fn appointments(&self) -> Answer<'_, Vec<(HospitalId, Appointment)>>;
    /// The custodian that answers for the records of a removed hospital: appointed, active, and the delay is over.
    fn custodian_of(&self, departed: HospitalId) -> Answer<'_, Option<HospitalId>>;
    /// Number of blocks between the appointment of a custodian and the first claim.
    fn custodian_delay(&self) -> Answer<'_, BlockNumber>;
    fn claim(&self, id: ClaimId) -> Answer<'_, Option<Claim>>;
    /// A page of the claims, newest first.
    fn claims(&self, before: Option<u32>, limit: u32) -> Answer<'_, Vec<(ClaimId, Claim)>>;
    /// A hospital's record that it hands out its part of a claim.
    fn claim_part(&self, id: ClaimId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>>;
}

/// Whether a hospital answers for the records that another one, or the same, announced. The chain decides in the same
/// way.
pub async fn answers_for(
    state: &dyn FinalState,
    hospital: HospitalId,
    announcer: HospitalId,
) -> Result<bool, ViewError> {
    Ok(hospital == announcer || state.custodian_of(announcer).await? == Some(hospital))
}

impl CustodyState for Snapshot {
    fn entrusted(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Mandate)>> {
        Box::pin(async move { Ok(self.entrusted(hospital, after, limit).await?) })
    }

    fn entrusted_by(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Mandate>> {
        Box::pin(async move { Ok(self.entrusted_by(hospital, patient).await?) })
    }

    fn kept_key(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Kept>> {
        Box::pin(async move { Ok(self.kept_key(hospital, patient).await?) })
    }

    fn appointments(&self) -> Answer<'_, Vec<(HospitalId, Appointment)>> {
        Box::pin(async move { Ok(self.appointments().await?) })
    }

    fn custodian_of(&self, departed: HospitalId) -> Answer<'_, Option<HospitalId>> {
        Box::pin(async move { Ok(self.custodian_of(departed).await?) })
    }

    fn custodian_delay(&self) -> Answer<'_, BlockNumber> {
        Box::pin(async move { Ok(self.custodian_delay().await?) })
    }

    fn claim(&self, id: ClaimId) -> Answer<'_, Option<Claim>> {
        Box::pin(async move { Ok(self.claim(id).await?) })
    }

    fn claims(&self, before: Option<u32>, limit: u32) -> Answer<'_, Vec<(ClaimId, Claim)>> {
        Box::pin(async move { Ok(self.claims(before, limit).await?) })
    }

    fn claim_part(&self, id: ClaimId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>> {
        Box::pin(async move { Ok(self.claim_part(id, hospital).await?) })
    }
}
