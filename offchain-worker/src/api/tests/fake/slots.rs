//! What patients share, simplified: consents in slots, and the sections in these slots.

use std::collections::BTreeMap;

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

use super::{Facts, FakeChain, failure};
use crate::chain::{Answer, SharingState, SharingView};

/// Of all patients.
#[derive(Clone, Default)]
pub struct FakeSlots {
    pub consents: BTreeMap<UserId, Vec<(SlotId, ConsentVersion)>>,
    pub placed: BTreeMap<RecordPointer, Placements>,
    /// How many patients' consents were asked for.
    pub asked: usize,
}

/// A consent for research by everybody with a role, from a moment on, for a year.
pub fn consent(role: Role, kinds: KindSet, since: Moment) -> ConsentVersion {
    let consent = Consent {
        audience: vec![Term::Role(role)].try_into().unwrap(),
        purposes: vec![Purpose::Research].try_into().unwrap(),
        kinds,
        recorded: RecordedPeriod::default(),
        until: crate::now() + 365 * 86_400_000,
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
    for ReleasedRecord { pointer, sections } in records {
        let entry = facts.records.get(&pointer).map(|(entry, ..)| entry.patient);
        if entry != Some(patient) {
            return Err(failure("Sharing", "NotPatient"));
        }
        facts.slots.place(pointer, slot, sections);
    }
    Ok(())
}

impl SharingView for FakeChain {
    fn sharing(&self) -> Answer<'_, Box<dyn SharingState>> {
        let state = self.clone();
        self.answer(|_| Box::new(state) as Box<dyn SharingState>)
    }
}

impl SharingState for FakeChain {
    fn time(&self) -> Answer<'_, Moment> {
        self.answer(|facts| crate::now() - facts.head_age + facts.ahead)
    }

    fn admitting(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Answer<'_, SlotSet> {
        let admitting = move |facts: &mut Facts| {
            facts.slots.asked += 1;
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
                let admits = version.in_force(at)
                    && purposes.contains(&purpose)
                    && includes(audience, holds);
                if admits {
                    slots.insert(*slot);
                }
            }
            slots
        };
        self.answer(admitting)
    }

    fn placements<'a>(&'a self, records: &'a [RecordPointer]) -> Answer<'a, Vec<Placements>> {
        self.answer(|facts| {
            let placed = &facts.slots.placed;
            records.iter().map(|pointer| placed.get(pointer).cloned().unwrap_or_default()).collect()
        })
    }

    fn consents(&self, patient: UserId) -> Answer<'_, Vec<(SlotId, ConsentVersion)>> {
        self.answer(|facts| facts.slots.consents.get(&patient).cloned().unwrap_or_default())
    }
}
