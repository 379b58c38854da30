//! What pallet-custody stores, and what patients entrust. The runtime API does not answer about either, so that this is
//! the only reading code.

use codec::DecodeAll;
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    custody::{Appointment, Claim, ClaimId, Kept},
    hospital::{Hospital, HospitalStatus},
    limits::{CUSTODIAN_BLOCKS, MAX_PAGE, page},
    mandate::Mandate,
    opening::HandedOut,
};
use epione_proofs::{StateError, StorageKey};

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

    pub(in crate::chain) async fn custodian_of(
        &self,
        departed: HospitalId,
    ) -> Result<Option<HospitalId>, ChainError> {
        let (hints, block) = (custodian_inputs(departed), self.head().number);
        self.compute(hints, |known| custodian_of(known, departed, block)).await
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

/// What the custodian of a removed hospital is read from, apart from the custodian's own entry.
fn custodian_inputs(departed: HospitalId) -> [StorageKey; 2] {
    [keys::appointment(departed), keys::custodian_delay()]
}

/// The custodian that answers for the records of a removed hospital after a block with this number: appointed, active,
/// and the delay is over. The pallet decides in the same way.
pub(super) fn custodian_of(
    known: &mut Known,
    departed: HospitalId,
    block: BlockNumber,
) -> Result<Option<HospitalId>, Gap> {
    known.need(custodian_inputs(departed))?;
    let appointment: Option<Appointment> = known.value(keys::appointment(departed))?;
    let Some(Appointment { custodian, since }) = appointment else { return Ok(None) };
    let delay: Option<BlockNumber> = known.value(keys::custodian_delay())?;
    if block < since.saturating_add(delay.unwrap_or(CUSTODIAN_BLOCKS)) {
        return Ok(None);
    }
    let entry: Option<Hospital> = known.value(keys::hospital(custodian))?;
    let is_active = entry.is_some_and(|entry| entry.status == HospitalStatus::Active);
    Ok(is_active.then_some(custodian))
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
    use epione_primitives::AccountId;

    use super::*;

    const DEPARTED: HospitalId = HospitalId(3);
    const CUSTODIAN: HospitalId = HospitalId(1);

    /// A state in which the custodian is appointed in block 10, with this delay and this status.
    fn appointed(delay: Option<BlockNumber>, status: HospitalStatus) -> Known {
        let entry = Hospital {
            name: Default::default(),
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: Default::default(),
            sealing_key: Default::default(),
            tls_key: [0; 32],
            storage_origin: None,
            status,
        };
        let appointment = Appointment { custodian: CUSTODIAN, since: 10 };
        let mut known = Known::default();
        known.learn(keys::appointment(DEPARTED), Some(appointment.encode()));
        known.learn(keys::custodian_delay(), delay.map(|delay| delay.encode()));
        known.learn(keys::hospital(CUSTODIAN), Some(entry.encode()));
        known
    }

    #[test]
    fn a_custodian_answers_when_the_delay_is_over_and_while_it_is_active() {
        let active = HospitalStatus::Active;
        let usual = 10 + CUSTODIAN_BLOCKS;
        for (delay, status, block, expected) in [
            (Some(20), active, 29, None),
            (Some(20), active, 30, Some(CUSTODIAN)),
            (None, active, usual - 1, None),
            (None, active, usual, Some(CUSTODIAN)),
            (Some(20), HospitalStatus::Suspended, 30, None),
            (Some(20), HospitalStatus::Removed, 30, None),
        ] {
            let found = custodian_of(&mut appointed(delay, status), DEPARTED, block);
            assert_eq!(found, Ok(expected), "{delay:?} {status:?} {block}");
        }
    }

    #[test]
    fn a_hospital_without_an_appointment_has_no_custodian_and_that_must_be_proven() {
        let mut known = Known::default();
        assert_eq!(custodian_of(&mut known, DEPARTED, 99), Err(Gap::Missing));
        assert_eq!(known.take_missing().len(), 2);
        known.learn(keys::appointment(DEPARTED), None);
        known.learn(keys::custodian_delay(), None);
        assert_eq!(custodian_of(&mut known, DEPARTED, 99), Ok(None));
        // Neither is the custodian's own entry believed without a proof.
        let appointment = Appointment { custodian: CUSTODIAN, since: 0 };
        known.learn(keys::appointment(DEPARTED), Some(appointment.encode()));
        known.learn(keys::custodian_delay(), Some(0_u32.encode()));
        assert_eq!(custodian_of(&mut known, DEPARTED, 99), Err(Gap::Missing));
        assert_eq!(known.take_missing(), [keys::hospital(CUSTODIAN)]);
    }

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
