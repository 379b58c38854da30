//! Openings, simplified: a consortium key, wraps under it, and who hands out a part of what.

use std::collections::BTreeMap;

use codec::Decode;
use epione_client::chain::DispatchFailure;
use epione_envelope::keys::ContentKey;
use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    consortium::{CeremonyId, Epoch, EpochId, KeyId, SeatSet},
    limits::OPENING_BLOCKS,
    opening::{HandedOut, Opening, OpeningId, WRAP_BYTES, WrapLabel, Wrapped, slot_of},
    ports::HashedBody,
    profile::RegistrationStatus,
    release::{ReviewStatus, SectionSet},
    sharing::{Change, SharedChange, SlotId, SlotSet},
};
use epione_threshold::{Index, MixingSecret, Polynomial, Share, Wrap};

use super::{ELSEWHERE, Facts, HOSPITAL, failure, genesis, slots};
use crate::{
    consortium::HeldShare,
    journal::{Journal, consortium},
};

/// The members of the consortium key. Two of them open.
pub const MEMBERS: [HospitalId; 3] = [HOSPITAL, ELSEWHERE, HospitalId(9)];

/// What the chain has about the consortium key and openings.
#[derive(Clone, Default)]
pub struct FakeOpenings {
    pub epochs: BTreeMap<EpochId, Epoch>,
    /// The present one.
    pub current: Option<EpochId>,
    pub wraps: BTreeMap<(RecordPointer, SlotId), Wrapped>,
    pub openings: BTreeMap<OpeningId, Opening>,
    pub handed_out: BTreeMap<(OpeningId, HospitalId), HandedOut>,
    /// The changes of what patients share.
    pub changes: Vec<SharedChange>,
}

impl FakeOpenings {
    pub fn epoch(&self) -> Option<&Epoch> {
        self.epochs.get(&self.current?)
    }

    /// Notes a change of a patient's slot.
    pub fn note(&mut self, patient: UserId, slot: SlotId, change: Change) {
        let height = self.changes.len() as u64 + 1;
        let (previous, block) = (Hash::zero(), 1);
        self.changes.push(SharedChange { height, previous, patient, slot, change, block });
    }
}

/// The secrets of an epoch, all of them, as no hospital has them.
pub struct FakeKey {
    pub epoch: Epoch,
    polynomial: Polynomial,
    pub mixing: MixingSecret,
}

impl FakeKey {
    /// A new key, in its first epoch, which is the first of all for key 0.
    pub fn generate(key: KeyId, id: EpochId) -> Self {
        let polynomial = Polynomial::generate(&[id.0 as u8 + 1; 32], 2).unwrap();
        Self::of(key, id, polynomial, None)
    }

    /// New shares of the same key.
    pub fn reshared(&self) -> Self {
        let [one, other] = [HOSPITAL, ELSEWHERE]
            .map(|hospital| (Index::of_hospital(hospital.0), self.share(hospital)));
        let constant = Share::interpolate(&[one, other]).unwrap();
        let id = EpochId(self.epoch.id.0 + 1);
        let polynomial =
            Polynomial::sharing(&constant, &[(id.0 as u8).wrapping_add(1); 32], 2).unwrap();
        let reshared = Self::of(self.epoch.key, id, polynomial, Some(&self.mixing));
        assert_eq!(reshared.epoch.public_key(), self.epoch.public_key());
        reshared
    }

    /// New shares of the same key, so many epochs later. All these epochs have begun on the chain, each with a mixing
    /// secret of its own; those between have the commitments of this one.
    pub fn after(&self, epochs: u32, facts: &mut Facts) -> Self {
        let (epoch, mixing) = (self.epoch.clone(), self.mixing.clone());
        let mut last = Self { epoch, mixing, ..self.reshared() };
        for id in (self.epoch.id.0 + 1..self.epoch.id.0 + epochs).map(EpochId) {
            let mixing = mixing_of(id);
            let link = Some(mixing.link(&last.mixing));
            let hash = Hash::from(mixing.hash());
            last.epoch = Epoch { id, mixing: hash, link, ..last.epoch };
            last.mixing = mixing;
            facts.openings.epochs.insert(id, last.epoch.clone());
        }
        let after = last.reshared();
        after.begin(facts);
        after
    }

    fn of(key: KeyId, id: EpochId, polynomial: Polynomial, earlier: Option<&MixingSecret>) -> Self {
        let mixing = mixing_of(id);
        let epoch = Epoch {
            id,
            key,
            ceremony: CeremonyId(id.0 + 10),
            members: MEMBERS.to_vec().try_into().unwrap(),
            threshold: 2,
            faulty: 0,
            commitments: polynomial.commitments().encode().try_into().unwrap(),
            mixing: Hash::from(mixing.hash()),
            link: earlier.map(|earlier| mixing.link(earlier)),
            since: 1,
            confirmed: SeatSet::first(MEMBERS.len()),
        };
        Self { epoch, polynomial, mixing }
    }

    pub fn share(&self, hospital: HospitalId) -> Share {
        self.polynomial.share(Index::of_hospital(hospital.0))
    }

    /// Begins the epoch on the chain.
    pub fn begin(&self, facts: &mut Facts) {
        facts.openings.epochs.insert(self.epoch.id, self.epoch.clone());
        facts.openings.current = Some(self.epoch.id);
    }

    /// The worker has this hospital's share of a ceremony, with this mixing secret.
    pub async fn give(&self, journal: &Journal, hospital: HospitalId, mixing: &MixingSecret) {
        let held = HeldShare { share: self.share(hospital).encode(), mixing: mixing.encode() };
        let ceremony = self.epoch.ceremony;
        journal.write(move |tx| consortium::keep_share(tx, ceremony, &held)).await.unwrap();
    }

    /// The worker has this hospital's share.
    pub async fn give_own(&self, journal: &Journal) {
        self.give(journal, HOSPITAL, &self.mixing).await;
    }

    pub fn label(
        &self,
        hospital: HospitalId,
        patient: UserId,
        slot: SlotId,
        pointer: RecordPointer,
        section: u16,
    ) -> WrapLabel {
        let (key, epoch) = (self.epoch.key, self.epoch.id);
        WrapLabel { genesis: genesis(), key, epoch, hospital, patient, slot, pointer, section }
    }

    pub fn wrap(&self, label: &WrapLabel, key: &ContentKey) -> Wrap {
        let public = epione_threshold::Point::decode(&self.epoch.public_key().unwrap()).unwrap();
        Wrap::make(&public, &self.mixing, &label.bytes(), key.as_bytes())
    }
}

/// The mixing secret of an epoch.
fn mixing_of(id: EpochId) -> MixingSecret {
    let mut bytes = [0x70; 32];
    bytes[..4].copy_from_slice(&id.0.to_le_bytes());
    MixingSecret::from_bytes(bytes)
}

/// Publishes wraps, without the checks of the chain.
pub fn publish(
    facts: &mut Facts,
    (pointer, slot): (RecordPointer, SlotId),
    hospital: HospitalId,
    sections: SectionSet,
    body: Vec<u8>,
) {
    let epoch = facts.openings.epoch().unwrap();
    let (key, epoch, hash) = (epoch.key, epoch.id, HashedBody::new(&body).hash());
    let wrapped = Wrapped { sections, key, epoch, hospital, body: hash, block: facts.head };
    facts.bodies.insert(hash, body);
    facts.openings.wraps.insert((pointer, slot), wrapped);
}

/// The slots of a patient's standing consents in force.
fn standing(facts: &Facts, patient: UserId) -> SlotSet {
    let mut standing = SlotSet::default();
    for (slot, version) in facts.slots.consents.get(&patient).into_iter().flatten() {
        if version.consent.standing && version.in_force(crate::now()) {
            standing.insert(*slot);
        }
    }
    standing
}

/// The slots of the patient whose standing consents include the requester of an opening for its purpose.
pub fn standing_for(facts: &Facts, opening: &Opening) -> SlotSet {
    let Opening { patient, requester, purpose, .. } = *opening;
    let including = slots::including(facts, patient, requester, purpose);
    SlotSet(standing(facts, patient).0 & including.0)
}

/// Whether the other hospitals found the emergency of an opening unjustified.
fn is_unjustified(facts: &Facts, opening: &Opening) -> bool {
    let review = opening.emergency.and_then(|it| facts.reviews.get(it.review.0 as usize));
    review.is_some_and(|it| matches!(it.status, ReviewStatus::Closed { justified: false, .. }))
}

/// Does what the openings pallet does when this hospital's agent publishes wraps.
pub fn wrap(facts: &mut Facts, mut arguments: &[u8]) -> Result<(), DispatchFailure> {
    type Arguments = (UserId, SlotId, RecordPointer, SectionSet, Vec<u8>);
    let (patient, slot, pointer, sections, wraps) = Arguments::decode(&mut arguments).unwrap();
    let refused = |error| Err(failure("Openings", error));
    let Some(epoch) = facts.openings.epoch().cloned() else { return refused("NoKey") };
    if epoch.seat(HOSPITAL).is_none() {
        return refused("NotMember");
    }
    let Some((entry, header, _)) = facts.records.get(&pointer) else {
        return refused("UnknownRecord");
    };
    if entry.patient != patient {
        return refused("RecordOfAnotherPatient");
    }
    if header.announcer != HOSPITAL {
        return refused("RecordOfAnotherHospital");
    }
    if !standing(facts, patient).contains(slot) {
        return refused("NotStanding");
    }
    let mut only = SlotSet::default();
    only.insert(slot);
    if sections.is_empty() || !sections.is_subset_of(slots::shared(facts, pointer, only)) {
        return refused("OtherSections");
    }
    let (bytes, []) = wraps.as_chunks::<WRAP_BYTES>() else { return refused("WrongLength") };
    if bytes.len() != sections.iter().count() {
        return refused("WrongLength");
    }
    for (section, bytes) in sections.iter().zip(bytes) {
        let label = WrapLabel {
            genesis: genesis(),
            key: epoch.key,
            epoch: epoch.id,
            hospital: HOSPITAL,
            patient,
            slot,
            pointer,
            section,
        };
        if Wrap::decode(bytes).and_then(|wrap| wrap.check(&label.bytes())).is_none() {
            return refused("InvalidWrap");
        }
    }
    publish(facts, (pointer, slot), HOSPITAL, sections, wraps);
    Ok(())
}

/// Does what the openings pallet does when this hospital's agent hands out its part.
pub fn hand_out(facts: &mut Facts, id: OpeningId) -> Result<(), DispatchFailure> {
    let refused = |error| Err(failure("Openings", error));
    let Some(opening) = facts.openings.openings.get(&id).cloned() else {
        return refused("UnknownOpening");
    };
    let Opening { requester, hospital, slots, .. } = opening;
    if facts.head.saturating_sub(opening.block) > OPENING_BLOCKS {
        return refused("Over");
    }
    let is_audience = facts.profiles.get(&requester).is_some_and(|profile| {
        profile.account == opening.audience && profile.sealing_key_hash == opening.sealing_key
    });
    if !is_audience {
        return refused("RequesterChanged");
    }
    let serves = |id| facts.hospitals.get(&id).is_some_and(|hospital| hospital.status.serves());
    let registration = facts.registrations.get(&(hospital, requester));
    let is_registered = registration.is_some_and(|it| it.status == RegistrationStatus::Active);
    if !is_registered || !serves(hospital) {
        return refused("NotInForce");
    }
    if is_unjustified(facts, &opening) {
        return refused("Unjustified");
    }
    if slots.0 & !standing_for(facts, &opening).0 != 0 {
        return refused("NotAdmitted");
    }
    let epoch = facts.openings.epoch().filter(|epoch| epoch.seat(HOSPITAL).is_some()).cloned();
    let Some(epoch) = epoch.filter(|_| serves(HOSPITAL)) else { return refused("NotMember") };
    for record in &opening.records {
        if !record.sections.is_subset_of(slots::shared(facts, record.pointer, slots)) {
            return refused("NotPlaced");
        }
        let wraps = wraps(facts, record.pointer);
        let is_wrapped = |section| slot_of(section, slots, epoch.key, &wraps).is_some();
        if !record.sections.iter().all(is_wrapped) {
            return refused("NotWrapped");
        }
    }
    if facts.openings.handed_out.contains_key(&(id, HOSPITAL)) {
        return refused("AlreadyHandedOut");
    }
    let handed_out = HandedOut { epoch: epoch.id, block: facts.head, at: crate::now() };
    facts.openings.handed_out.insert((id, HOSPITAL), handed_out);
    Ok(())
}

/// The wraps of a record's sections, ascending by slot.
pub fn wraps(facts: &Facts, pointer: RecordPointer) -> Vec<(SlotId, Wrapped)> {
    let of_record = facts.openings.wraps.iter().filter(|((of, _), _)| *of == pointer);
    of_record.map(|((_, slot), wrapped)| (*slot, *wrapped)).collect()
}
