//! What pallet-sharing answers.

use codec::DecodeAll;
use epione_primitives::{
    Hash, Moment, RecordPointer, UserId,
    access::Purpose,
    limits::{MAX_PAGE, MAX_SLOTS},
    release::SectionSet,
    sharing::{Consent, ConsentVersion, Placements, SharedChange, SlotId, SlotSet, Term, includes},
};
use epione_proofs::StateError;

use super::{
    ChainError, Gap, Known, TWOX_64, VerifiedState, after_hash, credentials,
    hospitals::served_at,
    keys,
    profiles::{registered, registered_anywhere, role},
};

impl VerifiedState {
    pub(in crate::chain) async fn placements(
        &self,
        records: &[RecordPointer],
    ) -> Result<Vec<Placements>, ChainError> {
        let hints: Vec<_> = records.iter().map(|record| keys::placements(*record)).collect();
        self.compute(hints, |known| {
            records.iter().map(|record| known.value_or_default(keys::placements(*record))).collect()
        })
        .await
    }

    pub(in crate::chain) async fn admitting(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Result<SlotSet, ChainError> {
        self.compute([keys::now()], |known| {
            let now = known.value_or_default(keys::now())?;
            admitting(known, patient, requester, purpose, now)
        })
        .await
    }

    pub(in crate::chain) async fn standing(
        &self,
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
    ) -> Result<SlotSet, ChainError> {
        self.compute([keys::now()], |known| {
            let now = known.value_or_default(keys::now())?;
            admitting_by(known, (patient, requester), purpose, now, |consent| consent.standing)
        })
        .await
    }

    pub(in crate::chain) async fn consents(
        &self,
        patient: UserId,
    ) -> Result<Vec<(SlotId, ConsentVersion)>, ChainError> {
        let hints: Vec<_> = slots().map(|slot| keys::consent(patient, slot)).collect();
        self.compute(hints, |known| {
            let mut consents = Vec::new();
            for slot in slots() {
                if let Some(newest) = known.value(keys::consent(patient, slot))? {
                    consents.push((slot, newest));
                }
            }
            Ok(consents)
        })
        .await
    }

    pub(in crate::chain) async fn earlier_consents(
        &self,
        patient: UserId,
        slot: SlotId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ConsentVersion>, ChainError> {
        self.compute([keys::consent(patient, slot)], |known| {
            let newest: Option<ConsentVersion> = known.value(keys::consent(patient, slot))?;
            let newest = newest.map_or(0, |newest| newest.version);
            let end = before.map_or(newest, |before| before.min(newest));
            let key = |version: u32| keys::earlier_consent(patient, slot, version);
            let page = (1..end).rev().take(limit.min(MAX_PAGE) as usize);
            known.need(page.clone().map(key))?;
            page.map(|version| known.value(key(version))?.ok_or_else(|| Gap::Absent(key(version))))
                .collect()
        })
        .await
    }

    pub(in crate::chain) async fn placed_in(
        &self,
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<(RecordPointer, SectionSet)>, ChainError> {
        let prefix = keys::placed_in_slot(patient, slot);
        let after = after.map(|record| keys::placed_in(patient, slot, record));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut placed = Vec::with_capacity(page.len());
        for (key, value) in page {
            let pointer = after_hash(&prefix, TWOX_64, &key);
            let pointer = pointer.map_err(|error| self.chain().doubt(error))?;
            let Ok(sections) = SectionSet::decode_all(&mut value.as_slice()) else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            placed.push((pointer, sections));
        }
        Ok(placed)
    }

    pub(in crate::chain) async fn slot_height(
        &self,
        patient: UserId,
        slot: SlotId,
    ) -> Result<u64, ChainError> {
        Ok(self.value(keys::slot_height(patient, slot)).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn shared_head(&self) -> Result<(u64, Hash), ChainError> {
        Ok(self.value(keys::shared_head()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn shared_changes(
        &self,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SharedChange>, ChainError> {
        self.compute([keys::shared_head()], |known| {
            let (last, _): (u64, Hash) = known.value_or_default(keys::shared_head())?;
            let page = (from.max(1)..=last).take(limit.min(MAX_PAGE) as usize);
            known.need(page.clone().map(keys::shared_change))?;
            page.map(|height| {
                let key = keys::shared_change(height);
                known.value(key.clone())?.ok_or(Gap::Absent(key))
            })
            .collect()
        })
        .await
    }
}

/// A patient's slots, ascending.
pub(super) fn slots() -> impl Iterator<Item = SlotId> {
    (0..MAX_SLOTS).map(SlotId)
}

/// The slots of a patient whose consents share with a requester for a purpose at a moment. None in an emergency.
pub(super) fn admitting(
    known: &mut Known,
    patient: UserId,
    requester: UserId,
    purpose: Purpose,
    at: Moment,
) -> Result<SlotSet, Gap> {
    if purpose == Purpose::Emergency {
        return Ok(SlotSet::default());
    }
    admitting_by(known, (patient, requester), purpose, at, |_| true)
}

/// The slots of a patient with such consents that share with a requester for a purpose at a moment.
fn admitting_by(
    known: &mut Known,
    (patient, requester): (UserId, UserId),
    purpose: Purpose,
    at: Moment,
    is_such: impl Fn(&Consent) -> bool,
) -> Result<SlotSet, Gap> {
    let mut admitting = SlotSet::default();
    known.need(slots().map(|slot| keys::consent(patient, slot)))?;
    // What is missing for all slots is requested together.
    let mut missing = false;
    for slot in slots() {
        let given: Option<ConsentVersion> = known.value(keys::consent(patient, slot))?;
        let is_for = |given: &ConsentVersion| {
            let consent = &given.consent;
            given.in_force(at) && is_such(consent) && consent.purposes.contains(&purpose)
        };
        let Some(given) = given.filter(is_for) else { continue };
        match includes_now(known, &given.consent.audience, requester, at) {
            Ok(true) => {
                admitting.insert(slot);
            }
            Ok(false) => {}
            Err(Gap::Missing) => missing = true,
            Err(other) => return Err(other),
        }
    }
    if missing {
        return Err(Gap::Missing);
    }
    // Nobody vouches for a user who is registered at no active hospital.
    if !admitting.is_empty() && !registered_anywhere(known, requester, at)? {
        return Ok(SlotSet::default());
    }
    Ok(admitting)
}

/// Whether an audience includes a requester at a moment.
fn includes_now(
    known: &mut Known,
    audience: &[Term],
    requester: UserId,
    at: Moment,
) -> Result<bool, Gap> {
    let (mut met, mut missing) = (Vec::new(), false);
    for term in audience {
        match holds(known, term, requester, at) {
            Ok(true) => met.push(*term),
            Ok(false) => {}
            Err(Gap::Missing) => missing = true,
            Err(other) => return Err(other),
        }
    }
    if missing { Err(Gap::Missing) } else { Ok(includes(audience, |term| met.contains(term))) }
}

/// Whether a leaf of an audience holds for a requester at a moment.
fn holds(known: &mut Known, term: &Term, requester: UserId, at: Moment) -> Result<bool, Gap> {
    Ok(match *term {
        Term::User(user) => user == requester,
        Term::Hospital(hospital) => {
            registered(known, hospital, requester, at)? && served_at(known, hospital, at)?
        }
        Term::Role(required) => role(known, requester)? == Some(required),
        Term::Credential { attribute, issuer } => {
            credentials::holds(known, (requester, attribute, issuer), at)?
                && served_at(known, issuer, at)?
        }
        Term::AtLeast { .. } => false,
    })
}

/// The sections of a record that are in one of these slots.
pub(super) fn placed(
    known: &mut Known,
    record: RecordPointer,
    slots: SlotSet,
) -> Result<SectionSet, Gap> {
    let placements: Placements = known.value_or_default(keys::placements(record))?;
    let of_slots = placements.iter().filter(|placement| slots.contains(placement.slot));
    Ok(of_slots.fold(SectionSet::default(), |all, placement| all.union(placement.sections)))
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{
        HospitalId,
        profile::{Period, Registration, RegistrationStatus},
        sharing::{KindSet, Placement, RecordedPeriod},
    };
    use sp_core::bounded::BoundedVec;

    use super::*;

    const PATIENT: UserId = UserId([1; 32]);
    const INSURER: UserId = UserId([2; 32]);
    const SLOT: SlotId = SlotId(3);

    fn given(audience: &[Term], ended: Option<Moment>) -> ConsentVersion {
        let consent = Consent {
            audience: BoundedVec::truncate_from(audience.to_vec()),
            purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
            kinds: KindSet::default(),
            recorded: RecordedPeriod::default(),
            until: 20,
            standing: false,
        };
        ConsentVersion { version: 1, consent, since: 10, block: 1, ended }
    }

    /// A state with one consent, whose insurer is registered at hospital 0.
    fn state(version: &ConsentVersion) -> Known {
        let mut known = Known::default();
        let (home, always) = (HospitalId(0), Period { since: 0, until: None });
        let registration = Registration {
            status: RegistrationStatus::Active,
            periods: BoundedVec::truncate_from(vec![always]),
            version: 1,
            body_hash: Hash::zero(),
        };
        known.learn(keys::admitted(), Some(1_u16.encode()));
        known.learn(keys::registration(home, INSURER), Some(registration.encode()));
        known.learn(keys::active_periods(home), Some(vec![always].encode()));
        for slot in slots() {
            let value = (slot == SLOT).then(|| version.encode());
            known.learn(keys::consent(PATIENT, slot), value);
        }
        known
    }

    #[test]
    fn a_consent_admits_its_audience_for_its_purposes_while_it_is_in_force() {
        let only = SlotSet(1 << SLOT.0);
        let mut known = state(&given(&[Term::User(INSURER)], None));
        let mut slots = |requester, purpose, at| {
            admitting(&mut known, PATIENT, requester, purpose, at).unwrap()
        };
        assert_eq!(slots(INSURER, Purpose::Research, 10), only);
        assert_eq!(slots(INSURER, Purpose::Research, 19), only);
        for at in [9, 20] {
            assert!(slots(INSURER, Purpose::Research, at).is_empty(), "{at}");
        }
        assert!(slots(PATIENT, Purpose::Research, 10).is_empty(), "outside the audience");
        assert!(slots(INSURER, Purpose::Treatment, 10).is_empty(), "another purpose");
        assert!(slots(INSURER, Purpose::Emergency, 10).is_empty());

        for standing in [false, true] {
            let mut version = given(&[Term::User(INSURER)], None);
            version.consent.standing = standing;
            version.consent.purposes = vec![Purpose::Emergency].try_into().unwrap();
            let mut known = state(&version);
            let emergency = Purpose::Emergency;
            let none = admitting(&mut known, PATIENT, INSURER, emergency, 10).unwrap();
            assert!(none.is_empty(), "the hospital of the record decides by its policies");
            let found =
                admitting_by(&mut known, (PATIENT, INSURER), emergency, 10, |it| it.standing);
            assert_eq!(!found.unwrap().is_empty(), standing);
        }

        let mut known = state(&given(&[Term::User(INSURER)], Some(15)));
        let withdrawn = admitting(&mut known, PATIENT, INSURER, Purpose::Research, 15);
        assert!(withdrawn.unwrap().is_empty());
    }

    #[test]
    fn a_client_admits_nobody_who_is_registered_at_no_active_hospital() {
        let home = HospitalId(0);
        let mut known = state(&given(&[Term::User(INSURER)], None));
        let is_admitted = |known: &mut Known| {
            !admitting(known, PATIENT, INSURER, Purpose::Research, 10).unwrap().is_empty()
        };
        assert!(is_admitted(&mut known));
        let ended = vec![Period { since: 0, until: Some(10) }];
        known.learn(keys::active_periods(home), Some(ended.encode()));
        assert!(!is_admitted(&mut known), "the only hospital is suspended");
        known.learn(keys::registration(home, INSURER), None);
        assert!(!is_admitted(&mut known), "there is no registration");
    }

    #[test]
    fn the_consents_of_all_slots_are_requested_together() {
        let mut known = Known::default();
        let result = admitting(&mut known, PATIENT, INSURER, Purpose::Research, 10);
        assert_eq!(result, Err(Gap::Missing));
        assert_eq!(known.take_missing().len(), usize::from(MAX_SLOTS));
    }

    #[test]
    fn what_all_leaves_need_is_requested_together() {
        let audience = [
            Term::Hospital(HospitalId(1)),
            Term::Hospital(HospitalId(2)),
            Term::AtLeast { met: 1, of: 2 },
        ];
        let mut known = state(&given(&audience, None));
        let result = admitting(&mut known, PATIENT, INSURER, Purpose::Research, 10);
        assert_eq!(result, Err(Gap::Missing));
        let missing = known.take_missing();
        for hospital in [1, 2] {
            assert!(missing.contains(&keys::registration(HospitalId(hospital), INSURER)));
        }
    }

    #[test]
    fn only_the_sections_in_the_named_slots_are_placed() {
        let record = RecordPointer { height: 1, index: 0 };
        let placement = |slot, bits| Placement { slot: SlotId(slot), sections: SectionSet(bits) };
        let placements = Placements::truncate_from(vec![placement(0, 0b001), placement(3, 0b110)]);
        let mut known = Known::default();
        known.learn(keys::placements(record), Some(placements.encode()));
        for (slots, expected) in [(0, 0), (1, 0b001), (0b1000, 0b110), (u16::MAX, 0b111)] {
            let placed = placed(&mut known, record, SlotSet(slots));
            assert_eq!(placed, Ok(SectionSet(expected)), "{slots}");
        }
        known.learn(keys::placements(record), None);
        assert_eq!(placed(&mut known, record, SlotSet(u16::MAX)), Ok(SectionSet::default()));
    }
}
