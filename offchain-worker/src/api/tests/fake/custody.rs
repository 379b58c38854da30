//! Custody, simplified: kept keys, custodians, claims, and who hands out a part of what.

use std::collections::BTreeMap;

use codec::Decode;
use epione_client::chain::DispatchFailure;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, UserId,
    custody::{Appointment, Claim, ClaimId, ClaimedPatients, CustodyLabel, Kept},
    hospital::HospitalStatus,
    limits::{CLAIM_BLOCKS, page as numbered_page},
    mandate::Mandate,
    opening::{HandedOut, WRAP_BYTES},
    profile::RegistrationStatus,
};
use epione_threshold::{Point, Wrap};

use super::{Facts, FakeChain, HOSPITAL, failure, genesis, openings::FakeKey};
use crate::{chain::Answer, custody_state::CustodyState};

/// What the chain has about custody.
#[derive(Clone, Default)]
pub struct FakeCustody {
    pub entrusted: BTreeMap<(HospitalId, UserId), Mandate>,
    pub kept: BTreeMap<(HospitalId, UserId), Kept>,
    pub appointments: BTreeMap<HospitalId, Appointment>,
    /// Number of blocks between an appointment and the first claim.
    pub delay: BlockNumber,
    pub claims: Vec<Claim>,
    pub parts: BTreeMap<(ClaimId, HospitalId), HandedOut>,
}

impl FakeCustody {
    pub fn entrust(&mut self, hospital: HospitalId, patient: UserId) {
        let mandate = Mandate { since: 0, until: u64::MAX, ended: None };
        self.entrusted.insert((hospital, patient), mandate);
    }

    pub fn end(&mut self, hospital: HospitalId, patient: UserId) {
        self.entrusted.get_mut(&(hospital, patient)).unwrap().ended = Some(0);
    }

    pub fn claim(&self, id: ClaimId) -> Option<Claim> {
        self.claims.get(id.0 as usize).cloned()
    }

    pub fn page(&self, before: Option<u32>, limit: u32) -> Vec<(ClaimId, Claim)> {
        let numbers = numbered_page(self.claims.len() as u32, before, limit).map(ClaimId);
        numbers.filter_map(|id| Some((id, self.claim(id)?))).collect()
    }
}

/// The wrap of a patient key under a consortium key.
pub fn kept(
    key: &FakeKey,
    hospital: HospitalId,
    patient: UserId,
    profile: Hash,
    patient_key: &[u8; 32],
) -> Kept {
    let (id, epoch) = (key.epoch.key, key.epoch.id);
    let mut kept = Kept { profile, key: id, epoch, wrap: [0; WRAP_BYTES], block: 1 };
    let label = kept.label(genesis(), hospital, patient).bytes();
    let public = Point::decode(&key.epoch.public_key().unwrap()).unwrap();
    kept.wrap = Wrap::make(&public, &key.mixing, &label, patient_key).encode();
    kept
}

/// Does what the custody pallet does when this hospital's agent keeps a key.
pub fn keep(facts: &mut Facts, mut arguments: &[u8]) -> Result<(), DispatchFailure> {
    type Arguments = (UserId, Hash, [u8; WRAP_BYTES]);
    let (patient, profile, wrap) = Arguments::decode(&mut arguments).unwrap();
    let refused = |error| Err(failure("Custody", error));
    let Some(epoch) = facts.openings.epoch() else { return refused("NoKey") };
    let entrusted = facts.custody.entrusted.get(&(HOSPITAL, patient));
    if !entrusted.is_some_and(|mandate| mandate.in_force(crate::now())) {
        return refused("NotEntrusted");
    }
    if facts.registrations[&(HOSPITAL, patient)].body_hash != profile {
        return refused("OtherProfile");
    }
    let (genesis, key, epoch, hospital) = (genesis(), epoch.key, epoch.id, HOSPITAL);
    let label = CustodyLabel { genesis, key, epoch, hospital, patient, profile };
    if Wrap::decode(&wrap).and_then(|wrap| wrap.check(&label.bytes())).is_none() {
        return refused("InvalidWrap");
    }
    let kept = Kept { profile, key, epoch, wrap, block: facts.head };
    facts.custody.kept.insert((HOSPITAL, patient), kept);
    Ok(())
}

/// Does what the custody pallet does when this hospital's agent claims keys.
pub fn claim(facts: &mut Facts, mut arguments: &[u8]) -> Result<(), DispatchFailure> {
    let (departed, patients) = <(HospitalId, ClaimedPatients)>::decode(&mut arguments).unwrap();
    let own = facts.hospitals[&HOSPITAL].clone();
    let sealing_key =
        epione_envelope::sealing_keys::SealingPublicKey::from_bytes(&own.sealing_key).unwrap();
    let claim = Claim {
        departed,
        custodian: HOSPITAL,
        patients,
        audience: own.agent,
        sealing_key: sealing_key.hash(),
        block: facts.head,
        at: crate::now(),
    };
    check(facts, &claim)?;
    facts.custody.claims.push(claim);
    Ok(())
}

fn check(facts: &Facts, claim: &Claim) -> Result<(), DispatchFailure> {
    let refused = |error| Err(failure("Custody", error));
    let Claim { departed, custodian, block, .. } = *claim;
    if facts.head.saturating_sub(block) > CLAIM_BLOCKS {
        return refused("Over");
    }
    if facts.hospitals[&departed].status != HospitalStatus::Removed {
        return refused("NotRemoved");
    }
    let appointment = facts.custody.appointments.get(&departed);
    if appointment.is_none_or(|it| it.custodian != custodian || it.since > block) {
        return refused("NotCustodian");
    }
    let first = appointment.map(|it| it.since.saturating_add(facts.custody.delay));
    if first.is_some_and(|first| facts.head < first) {
        return refused("TooEarly");
    }
    let key = facts.openings.epoch().map(|epoch| epoch.key);
    for patient in &claim.patients {
        let entrusted = facts.custody.entrusted.get(&(departed, *patient));
        if entrusted.is_none_or(|mandate| !mandate.in_force(crate::now())) {
            return refused("NotEntrusted");
        }
        let registration = facts.registrations.get(&(custodian, *patient));
        if registration.is_none_or(|it| it.status != RegistrationStatus::Active) {
            return refused("NotRegistered");
        }
        let kept = facts.custody.kept.get(&(departed, *patient));
        if kept.map(|kept| kept.key) != key {
            return refused("NotKept");
        }
    }
    Ok(())
}

/// Does what the custody pallet does when this hospital's agent hands out its part.
pub fn hand_out(facts: &mut Facts, id: ClaimId) -> Result<(), DispatchFailure> {
    let claim = facts.custody.claim(id).ok_or_else(|| failure("Custody", "UnknownClaim"))?;
    check(facts, &claim)?;
    record(facts, id, HOSPITAL)
}

/// A hospital records that it hands out its part.
pub fn record(facts: &mut Facts, id: ClaimId, hospital: HospitalId) -> Result<(), DispatchFailure> {
    let epoch = facts.openings.epoch().filter(|epoch| epoch.seat(hospital).is_some());
    let epoch = epoch.ok_or_else(|| failure("Custody", "NotMember"))?.id;
    if facts.custody.parts.contains_key(&(id, hospital)) {
        return Err(failure("Custody", "AlreadyHandedOut"));
    }
    let handed_out = HandedOut { epoch, block: facts.head, at: crate::now() };
    facts.custody.parts.insert((id, hospital), handed_out);
    Ok(())
}

/// The custodian that answers for the records of a removed hospital.
pub fn custodian_of(facts: &Facts, departed: HospitalId) -> Option<HospitalId> {
    let appointment = facts.custody.appointments.get(&departed)?;
    let is_active = facts
        .hospitals
        .get(&appointment.custodian)
        .is_some_and(|custodian| custodian.status == HospitalStatus::Active);
    let is_over = facts.head >= appointment.since.saturating_add(facts.custody.delay);
    (is_active && is_over).then_some(appointment.custodian)
}

impl CustodyState for FakeChain {
    fn entrusted(
        &self,
        hospital: HospitalId,
        after: Option<UserId>,
        limit: u32,
    ) -> Answer<'_, Vec<(UserId, Mandate)>> {
        self.answer(|facts| {
            let entrusted = facts.custody.entrusted.iter().filter(|((at, _), _)| *at == hospital);
            let later = entrusted.filter(|((_, patient), _)| Some(*patient) > after);
            let page = later.map(|((_, patient), mandate)| (*patient, *mandate));
            page.take(limit as usize).collect()
        })
    }

    fn entrusted_by(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Mandate>> {
        self.answer(|facts| facts.custody.entrusted.get(&(hospital, patient)).copied())
    }

    fn kept_key(&self, hospital: HospitalId, patient: UserId) -> Answer<'_, Option<Kept>> {
        self.answer(|facts| facts.custody.kept.get(&(hospital, patient)).copied())
    }

    fn appointments(&self) -> Answer<'_, Vec<(HospitalId, Appointment)>> {
        self.answer(|facts| facts.custody.appointments.iter().map(|(id, it)| (*id, *it)).collect())
    }

    fn custodian_of(&self, departed: HospitalId) -> Answer<'_, Option<HospitalId>> {
        self.answer(|facts| custodian_of(facts, departed))
    }

    fn custodian_delay(&self) -> Answer<'_, BlockNumber> {
        self.answer(|facts| facts.custody.delay)
    }

    fn claim(&self, id: ClaimId) -> Answer<'_, Option<Claim>> {
        self.answer(|facts| facts.custody.claim(id))
    }

    fn claims(&self, before: Option<u32>, limit: u32) -> Answer<'_, Vec<(ClaimId, Claim)>> {
        self.answer(|facts| facts.custody.page(before, limit))
    }

    fn claim_part(&self, id: ClaimId, hospital: HospitalId) -> Answer<'_, Option<HandedOut>> {
        self.answer(|facts| facts.custody.parts.get(&(id, hospital)).copied())
    }
}
