//! What pallet-custody stores, and what patients entrust. The runtime API does not answer about either, so that this is
//! the only reading code.

use codec::DecodeAll;
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    custody::{Appointment, Claim, ClaimId, Kept},
    limits::{CUSTODIAN_BLOCKS, MAX_PAGE, page},
    mandate::Mandate,
    opening::HandedOut,
};
use epione_proofs::StateError;

use super::{
    BLAKE2_128, ChainError, Gap, Known, VerifiedState, after_hash, hospitals::admitted, keys,
};

impl VerifiedState {
    pub(in crate::chain) async fn entrusted(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Mandate)>, ChainError> {
        let prefix = keys::entrusted(hospital);
        let after = after.map(|patient| keys::entrusted_by(hospital, patient));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut entrusted = Vec::with_capacity(page.len());
        for (key, value) in page {
            let patient: UserId =
                after_hash(&prefix, BLAKE2_128, &key).map_err(|error| self.chain().doubt(error))?;
            let Ok(mandate) = Mandate::decode_all(&mut value.as_slice()) else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            entrusted.push((patient, mandate));
        }
        Ok(entrusted)
    }

    pub(in crate::chain) async fn entrusted_at(
        &self,
        patient: UserId,
    ) -> Result<Vec<(HospitalId, Mandate)>, ChainError> {
        self.compute([keys::admitted()], |known| entrusted_at(known, patient)).await
    }

    pub(in crate::chain) async fn entrusted_by(
        &self,
        hospital: HospitalId,
        patient: UserId,
    ) -> Result<Option<Mandate>, ChainError> {
        self.value(keys::entrusted_by(hospital, patient)).await
    }

    pub(in crate::chain) async fn kept_key(
        &self,
        hospital: HospitalId,
        patient: UserId,
    ) -> Result<Option<Kept>, ChainError> {
        self.value(keys::kept_key(hospital, patient)).await
    }

    pub(in crate::chain) async fn appointments(
        &self,
    ) -> Result<Vec<(HospitalId, Appointment)>, ChainError> {
        self.compute([keys::admitted()], appointments).await
    }

    pub(in crate::chain) async fn custodian_delay(&self) -> Result<BlockNumber, ChainError> {
        Ok(self.value(keys::custodian_delay()).await?.unwrap_or(CUSTODIAN_BLOCKS))
    }

    pub(in crate::chain) async fn claim(&self, id: ClaimId) -> Result<Option<Claim>, ChainError> {
        self.value(keys::claim(id)).await
    }

    pub(in crate::chain) async fn claims(
        &self,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(ClaimId, Claim)>, ChainError> {
        self.compute([keys::claims()], |known| claims(known, before, limit)).await
    }

    pub(in crate::chain) async fn claim_part(
        &self,
        id: ClaimId,
        hospital: HospitalId,
    ) -> Result<Option<HandedOut>, ChainError> {
        self.value(keys::claim_part(id, hospital)).await
    }
}

fn entrusted_at(known: &mut Known, patient: UserId) -> Result<Vec<(HospitalId, Mandate)>, Gap> {
    let ids = admitted(known)?;
    known.need(ids.clone().map(|hospital| keys::entrusted_by(hospital, patient)))?;
    let mut entrusted = Vec::new();
    for hospital in ids {
        if let Some(mandate) = known.value(keys::entrusted_by(hospital, patient))? {
            entrusted.push((hospital, mandate));
        }
    }
    Ok(entrusted)
}

fn appointments(known: &mut Known) -> Result<Vec<(HospitalId, Appointment)>, Gap> {
    let ids = admitted(known)?;
    known.need(ids.clone().map(keys::appointment))?;
    let mut appointments = Vec::new();
    for hospital in ids {
        if let Some(appointment) = known.value(keys::appointment(hospital))? {
            appointments.push((hospital, appointment));
        }
    }
    Ok(appointments)
}

/// A page of the claims, each of which exists, newest first.
fn claims(
    known: &mut Known,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<(ClaimId, Claim)>, Gap> {
    let count = known.value_or_default(keys::claims())?;
    let ids: Vec<_> = page(count, before, limit).map(ClaimId).collect();
    known.need(ids.iter().map(|id| keys::claim(*id)))?;
    let mut claims = Vec::with_capacity(ids.len());
    for id in ids {
        let key = keys::claim(id);
        claims.push((id, known.value(key.clone())?.ok_or(Gap::Absent(key))?));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use codec::Encode;

    use super::*;

    #[test]
    fn a_claim_that_the_count_names_and_the_state_does_not_have_is_an_error() {
        let mut known = Known::default();
        assert_eq!(claims(&mut known, None, 8), Err(Gap::Missing));
        known.learn(keys::claims(), None);
        assert_eq!(claims(&mut known, None, 8), Ok(Vec::new()));
        known.learn(keys::claims(), Some(1_u32.encode()));
        assert_eq!(claims(&mut known, None, 8), Err(Gap::Missing));
        known.learn(keys::claim(ClaimId(0)), None);
        assert_eq!(claims(&mut known, None, 8), Err(Gap::Absent(keys::claim(ClaimId(0)))));
        assert_eq!(claims(&mut known, Some(0), 8), Ok(Vec::new()));
    }
}
