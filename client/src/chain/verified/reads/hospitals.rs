//! What pallet-hospitals answers.

use epione_primitives::{
    AccountId, HospitalId, Moment,
    hospital::{Duty, Hospital, Replacement},
    profile::Period,
};
use epione_proofs::StorageKey;

use super::{ChainError, Gap, Known, VerifiedState, keys};
use crate::application::SessionKeys;

/// Hospitals that are requested before their number is known.
const FIRST_HOSPITALS: u16 = 16;

impl VerifiedState {
    pub(in crate::chain) async fn hospitals(
        &self,
    ) -> Result<Vec<(HospitalId, Hospital)>, ChainError> {
        let first = (0..FIRST_HOSPITALS).map(|id| keys::hospital(HospitalId(id)));
        let hints: Vec<StorageKey> = first.chain([keys::admitted()]).collect();
        self.compute(hints, hospitals).await
    }

    pub(in crate::chain) async fn hospital(
        &self,
        id: HospitalId,
    ) -> Result<Option<Hospital>, ChainError> {
        self.value(keys::hospital(id)).await
    }

    pub(in crate::chain) async fn session_keys(
        &self,
        id: HospitalId,
    ) -> Result<Option<SessionKeys>, ChainError> {
        self.value(keys::session_keys(id)).await
    }

    pub(in crate::chain) async fn hospital_of(
        &self,
        account: &AccountId,
    ) -> Result<Option<(HospitalId, Duty)>, ChainError> {
        self.value(keys::hospital_account(account)).await
    }

    pub(in crate::chain) async fn benched(&self) -> Result<Vec<HospitalId>, ChainError> {
        Ok(self.value(keys::benched()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn unready(&self) -> Result<Vec<HospitalId>, ChainError> {
        Ok(self.value(keys::unready()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn replacement(
        &self,
        id: HospitalId,
    ) -> Result<Option<Replacement>, ChainError> {
        self.value(keys::replacement(id)).await
    }
}

fn hospitals(known: &mut Known) -> Result<Vec<(HospitalId, Hospital)>, Gap> {
    let ids = admitted(known)?;
    known.need(ids.clone().map(keys::hospital))?;
    let mut hospitals = Vec::new();
    for id in ids {
        if let Some(hospital) = known.value(keys::hospital(id))? {
            hospitals.push((id, hospital));
        }
    }
    Ok(hospitals)
}

/// The ids of every hospital ever admitted.
pub(super) fn admitted(
    known: &mut Known,
) -> Result<impl Iterator<Item = HospitalId> + Clone + use<>, Gap> {
    let count: u16 = known.value_or_default(keys::admitted())?;
    Ok((0..count).map(HospitalId))
}

pub(super) fn exists(known: &mut Known, hospital: HospitalId) -> Result<bool, Gap> {
    Ok(known.value::<Hospital>(keys::hospital(hospital))?.is_some())
}

pub(super) fn served_at(known: &mut Known, hospital: HospitalId, at: Moment) -> Result<bool, Gap> {
    let periods: Vec<Period> = known.value_or_default(keys::active_periods(hospital))?;
    Ok(periods.iter().any(|period| period.contains(at)))
}
