//! What patients share, simplified: consents in slots, and the sections in these slots.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use codec::Decode;
use epione_client::chain::DispatchFailure;
use epione_primitives::{
    Moment, RecordPointer, UserId,
    access::Purpose,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::{
        Consent, ConsentVersion, KindSet, Placement, Placements, RecordedPeriod, SlotId, SlotSet,
        Term, includes,
    },
};

use super::{Facts, failure};

/// Of all patients.
#[derive(Clone, Default)]
pub struct FakeSlots {
    pub consents: BTreeMap<UserId, Vec<(SlotId, ConsentVersion)>>,
    pub placed: BTreeMap<RecordPointer, Placements>,
    /// The records that each slot took by kind. A slot takes each record once.
    pub by_kind: BTreeSet<(SlotId, RecordPointer)>,
    /// How many patients' consents were asked for.
    pub asked: usize,
    /// Whether the node does not answer any more when it was asked for a consent that admits.
    pub leaves_when_asked: bool,
    /// The patients whose consents the node cannot read.
    pub unreadable: HashSet<UserId>,
}

/// A consent for research by everybody with a role, from a moment on, for a year.
pub fn consent(role: Role, kinds: KindSet, since: Moment) -> ConsentVersion {
    let consent = Consent {
        audience: vec![Term::Role(role)].try_into().unwrap(),
        purposes: vec![Purpose::Research].try_into().unwrap(),
        kinds,
        recorded: RecordedPeriod::default(),
        until: crate::now() + 365 * 86_400_000,
        standing: false,
    };
    ConsentVersion { version: 1, consent, since, block: 0, ended: None }
}

impl FakeSlots {
    /// Replaces the consent of a patient's slot.
    pub fn give(&mut self, patient: UserId, slot: SlotId, version: ConsentVersion) {
        let consents = self.consents.entry(patient).or_default();
        consents.retain(|(other, _)| *other != slot);
        consents.push((slot, version));
        consents.sort_by_key(|(slot, _)| *slot);
    }

    /// Ends all consents of a patient.
    pub fn withdraw(&mut self, patient: UserId) {
        for (_, version) in self.consents.entry(patient).or_default() {
            version.ended = Some(version.since);
        }
    }

    /// Removes sections of a record from a slot.
    pub fn remove(&mut self, pointer: RecordPointer, slot: SlotId, sections: SectionSet) {
        let known = self.placed.entry(pointer).or_default();
        let mut placements = known.clone().into_inner();
        for placement in placements.iter_mut().filter(|placement| placement.slot == slot) {
            placement.sections = placement.sections.without(sections);
        }
        placements.retain(|placement| !placement.sections.is_empty());
        *known = placements.try_into().unwrap();
    }

    /// Adds sections of a record to a slot.
    pub fn place(&mut self, pointer: RecordPointer, slot: SlotId, sections: SectionSet) {
        let known = self.placed.entry(pointer).or_default();
        let mut placements = known.clone().into_inner();
        match placements.iter_mut().find(|placement| placement.slot == slot) {
            Some(placement) => placement.sections = placement.sections.union(sections),
            None => placements.push(Placement { slot, sections }),
        }
        placements.sort_by_key(|placement| placement.slot);
        *known = placements.try_into().unwrap();
    }
}

/// Does what the sharing pallet does when this hospital's agent places sections, without most of its checks.
pub fn place_by_kind(facts: &mut Facts, mut arguments: &[u8]) -> Result<(), DispatchFailure> {
    let (patient, slot, version, records) =
        <(UserId, SlotId, u32, Vec<ReleasedRecord>)>::decode(&mut arguments).unwrap();
    let mut consents = facts.slots.consents.get(&patient).into_iter().flatten();
    let found = consents.find(|(of, _)| *of == slot).map(|(_, version)| version);
    if !found.is_some_and(|it| it.version == version && it.in_force(crate::now())) {
        return Err(failure("Sharing", "NotInForce"));
    }
    for ReleasedRecord { pointer, .. } in &records {
        let entry = facts.records.get(pointer).map(|(entry, ..)| entry.patient);
        if entry != Some(patient) {
            return Err(failure("Sharing", "NotPatient"));
        }
        if facts.slots.by_kind.contains(&(slot, *pointer)) {
            return Err(failure("Sharing", "AlreadyPlaced"));
        }
    }
    for ReleasedRecord { pointer, sections } in records {
        facts.slots.by_kind.insert((slot, pointer));
        facts.slots.place(pointer, slot, sections);
    }
    Ok(())
}

/// The slots of a patient whose consents share with a requester for a purpose. None in an emergency.
pub fn admitting(facts: &Facts, patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
    match purpose {
        Purpose::Emergency => SlotSet::default(),
        _ => including(facts, patient, requester, purpose),
    }
}

/// The slots of a patient whose consents include a requester for a purpose.
pub fn including(facts: &Facts, patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
    let at = crate::now() + facts.ahead;
    let role = facts.profiles.get(&requester).map(|profile| profile.role);
    let holds = |term: &Term| match term {
        Term::User(user) => *user == requester,
        Term::Role(wanted) => role == Some(*wanted),
        _ => false,
    };
    let mut slots = SlotSet::default();
    for (slot, version) in facts.slots.consents.get(&patient).into_iter().flatten() {
        let Consent { audience, purposes, .. } = &version.consent;
        let admits =
            version.in_force(at) && purposes.contains(&purpose) && includes(audience, holds);
        if admits {
            slots.insert(*slot);
        }
    }
    slots
}

/// The sections of a record in these slots.
pub fn shared(facts: &Facts, pointer: RecordPointer, slots: SlotSet) -> SectionSet {
    let placements = facts.slots.placed.get(&pointer).into_iter().flatten();
    let in_slots = placements.filter(|placement| slots.contains(placement.slot));
    in_slots.fold(SectionSet::default(), |all, placement| all.union(placement.sections))
}
