//! Reading consents and placements: for other pallets through the port, for nodes and clients through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    Hash, Moment, RecordPointer, UserId,
    access::Purpose,
    limits::{MAX_PAGE, MAX_RELEASED_RECORDS, MAX_SLOTS},
    ports::{self, Credentials, Hospitals, Users},
    query::are_ordered,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, ConsentVersion, Placements, SharedChange, SlotId, SlotSet, Term, includes},
};
use frame_support::traits::Time;

use crate::{
    Changes, Config, Consents, EarlierConsents, Head, Pallet, Placed, PlacedIn, SlotHeights,
};

/// A patient's slots, ascending.
fn slots() -> impl Iterator<Item = SlotId> {
    (0..MAX_SLOTS).map(SlotId)
}

impl<T: Config> Pallet<T> {
    /// In which slots of their patients the sections are, of the first [`MAX_RELEASED_RECORDS`] of these records, in
    /// their order. A record that does not exist has no placements.
    pub fn placements(pointers: Vec<RecordPointer>) -> Vec<Placements> {
        pointers.into_iter().take(MAX_RELEASED_RECORDS as usize).map(Placed::<T>::get).collect()
    }

    /// The newest version of the consent of each of a patient's slots, in force or not, ascending by slot.
    pub fn consents(patient: UserId) -> Vec<(SlotId, ConsentVersion)> {
        slots().filter_map(|slot| Some((slot, Consents::<T>::get(patient, slot)?))).collect()
    }

    /// The versions of a slot's consent before the newest, newest first. The list begins before version `before`, or
    /// with the last if absent, and has at most `limit` and [`MAX_PAGE`] entries.
    pub fn earlier_consents(
        patient: UserId,
        slot: SlotId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<ConsentVersion> {
        let newest = Consents::<T>::get(patient, slot).map_or(0, |newest| newest.version);
        let end = before.map_or(newest, |before| before.min(newest));
        (1..end)
            .rev()
            .take(limit.min(MAX_PAGE) as usize)
            .filter_map(|version| EarlierConsents::<T>::get((patient, slot, version)))
            .collect()
    }

    /// The records with sections in a slot, in the order of storage, after `after`: at most `limit` and [`MAX_PAGE`].
    pub fn placed_in(
        patient: UserId,
        slot: SlotId,
        after: Option<RecordPointer>,
        limit: u32,
    ) -> Vec<(RecordPointer, SectionSet)> {
        let placed = match after {
            None => PlacedIn::<T>::iter_prefix((patient, slot)),
            Some(pointer) => {
                let key = PlacedIn::<T>::hashed_key_for((patient, slot, pointer));
                PlacedIn::<T>::iter_prefix_from((patient, slot), key)
            }
        };
        placed.take(limit.min(MAX_PAGE) as usize).collect()
    }

    /// The height of the newest change, and its hash; 0 and zero before the first.
    pub fn head() -> (u64, Hash) {
        Head::<T>::get()
    }

    /// The height of the newest change of a slot of a patient; 0 before the first.
    pub fn slot_height(patient: UserId, slot: SlotId) -> u64 {
        SlotHeights::<T>::get(patient, slot)
    }

    /// Changes ascending from a height: at most `limit` and [`MAX_PAGE`].
    pub fn changes(from: u64, limit: u32) -> Vec<SharedChange> {
        let (last, _) = Head::<T>::get();
        (from.max(1)..=last)
            .take(limit.min(MAX_PAGE) as usize)
            .filter_map(Changes::<T>::get)
            .collect()
    }

    /// Whether the patient could withdraw the slot's consent now.
    pub fn can_withdraw(patient: UserId, slot: SlotId) -> bool {
        Self::consent_in_force(patient, slot, T::Time::now()).is_some()
    }

    /// Whether the patient could remove these sections of these records from the slot. Reads one value for each record.
    pub fn can_remove(patient: UserId, slot: SlotId, records: &[ReleasedRecord]) -> bool {
        are_ordered(records) && Self::are_placed(patient, slot, records)
    }

    /// Whether the slot of the patient contains some of these sections of each record.
    pub(crate) fn are_placed(patient: UserId, slot: SlotId, records: &[ReleasedRecord]) -> bool {
        let is_placed = |record: &ReleasedRecord| {
            let placed = PlacedIn::<T>::get((patient, slot, record.pointer));
            !placed.intersection(record.sections).is_empty()
        };
        records.iter().all(is_placed)
    }

    /// The slot's consent, if it is in force at a moment that is not before the newest version.
    pub(crate) fn consent_in_force(
        patient: UserId,
        slot: SlotId,
        at: Moment,
    ) -> Option<ConsentVersion> {
        Consents::<T>::get(patient, slot).filter(|version| version.in_force(at))
    }

    /// Whether the requester is registered now at any hospital that serves. Reads three values, however many
    /// registrations the requester ever had.
    fn is_registered(requester: UserId) -> bool {
        let serving = T::Hospitals::serving();
        let mut hospitals = T::Users::in_force(requester).into_iter();
        hospitals.any(|hospital| serving.binary_search(&hospital).is_ok())
    }

    /// Whether a leaf of an audience holds for a requester at a moment. Reads two values at most.
    fn holds(term: &Term, requester: UserId, at: Moment) -> bool {
        match *term {
            Term::User(user) => user == requester,
            Term::Hospital(hospital) => {
                T::Users::registered(hospital, requester, at)
                    && T::Hospitals::served_at(hospital, at)
            }
            Term::Role(role) => T::Users::role(requester) == Some(role),
            Term::Credential { attribute, issuer } => {
                T::Credentials::holds(requester, attribute, issuer, at)
                    && T::Hospitals::served_at(issuer, at)
            }
            Term::AtLeast { .. } => false,
        }
    }

    /// The slots with such consents that share with a requester for a purpose now. Admits nobody who is registered at
    /// no serving hospital, whatever the audience: nobody vouches for such a user any more.
    ///
    /// Reads the consent of each slot, two values for each leaf of those that are in force for this purpose, and where
    /// the requester is registered if one of them includes the requester.
    fn admitting_by(
        patient: UserId,
        requester: UserId,
        purpose: Purpose,
        is_such: impl Fn(&Consent) -> bool,
    ) -> SlotSet {
        let mut admitting = SlotSet::default();
        let at = T::Time::now();
        for slot in slots() {
            let Some(given) = Self::consent_in_force(patient, slot, at) else { continue };
            let consent = given.consent;
            if is_such(&consent)
                && consent.purposes.contains(&purpose)
                && includes(&consent.audience, |term| Self::holds(term, requester, at))
            {
                admitting.insert(slot);
            }
        }
        if !admitting.is_empty() && !Self::is_registered(requester) {
            return SlotSet::default();
        }
        admitting
    }
}

impl<T: Config> ports::Sharing for Pallet<T> {
    /// Reads nothing in an emergency. A consent for emergencies concerns only what hospitals open together: breaking
    /// the glass at the hospital of a record is decided by the hospital's policies, as for private sections.
    fn admitting(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
        if purpose == Purpose::Emergency {
            return SlotSet::default();
        }
        Self::admitting_by(patient, requester, purpose, |_| true)
    }

    /// Reads what `admitting` reads, for standing consents only.
    fn standing(patient: UserId, requester: UserId, purpose: Purpose) -> SlotSet {
        Self::admitting_by(patient, requester, purpose, |consent| consent.standing)
    }

    fn is_standing(patient: UserId, slot: SlotId) -> bool {
        Self::consent_in_force(patient, slot, T::Time::now())
            .is_some_and(|given| given.consent.standing)
    }

    fn placed(pointer: RecordPointer, slots: SlotSet) -> SectionSet {
        if slots.is_empty() {
            return SectionSet::default();
        }
        Placed::<T>::get(pointer)
            .iter()
            .filter(|placement| slots.contains(placement.slot))
            .fold(SectionSet::default(), |all, placement| all.union(placement.sections))
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(
        patient: UserId,
        pointer: RecordPointer,
        sections: SectionSet,
        requester: UserId,
        emergency: bool,
    ) {
        crate::benchmarking::give_largest::<T>(patient, requester, emergency);
        let (last, placement) = crate::benchmarking::last_placement(sections);
        Placed::<T>::insert(pointer, placement);
        PlacedIn::<T>::insert((patient, last, pointer), sections);
    }
}
