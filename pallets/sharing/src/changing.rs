//! Storing consents, placements, and the chain of changes.

use epione_primitives::{
    HospitalId, Moment, RecordPointer, UserId,
    access::Purpose,
    limits::MAX_SHARING_MILLIS,
    ports::Records,
    release::{ReleasedRecord, SectionSet},
    sharing::{
        Change, Consent, ConsentVersion, InvalidAudience, Placement, Placements, SharedChange,
        SlotId, check_audience,
    },
};
use frame_support::ensure;
use sp_runtime::{
    ArithmeticError, DispatchError, DispatchResult, SaturatedConversion,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    Changes, Config, Consents, EarlierConsents, Error, Event, Head, Pallet, Placed, PlacedIn,
    SlotHeights,
};

/// Why a patient cannot give a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidConsent {
    Audience(InvalidAudience),
    /// No purpose, or one twice.
    Purposes,
    /// For emergencies, but not a standing one, or for another purpose, too.
    Emergency,
    EndHasPassed,
    EndTooLate,
}

/// Checks a consent that a patient gives at a moment.
///
/// # Errors
/// The first reason why the patient cannot give it.
pub fn check_consent(consent: &Consent, since: Moment) -> Result<(), InvalidConsent> {
    check_audience(&consent.audience).map_err(InvalidConsent::Audience)?;
    let purposes = &consent.purposes;
    let is_repeated = |(index, purpose): (usize, &Purpose)| {
        purposes.iter().skip(index.saturating_add(1)).any(|later| later == purpose)
    };
    let valid = !purposes.is_empty() && !purposes.iter().enumerate().any(is_repeated);
    ensure!(valid, InvalidConsent::Purposes);
    let is_ordinary = !purposes.contains(&Purpose::Emergency);
    ensure!(is_ordinary || consent.is_for_emergencies(), InvalidConsent::Emergency);
    ensure!(since < consent.until, InvalidConsent::EndHasPassed);
    let latest = since.saturating_add(MAX_SHARING_MILLIS);
    ensure!(consent.until <= latest, InvalidConsent::EndTooLate);
    Ok(())
}

impl<T> From<InvalidConsent> for Error<T> {
    fn from(invalid: InvalidConsent) -> Self {
        match invalid {
            InvalidConsent::Audience(InvalidAudience::Malformed) => Self::MalformedAudience,
            InvalidConsent::Audience(InvalidAudience::TooLarge) => Self::AudienceTooLarge,
            InvalidConsent::Purposes => Self::InvalidPurposes,
            InvalidConsent::Emergency => Self::PurposeIsEmergency,
            InvalidConsent::EndHasPassed => Self::EndHasPassed,
            InvalidConsent::EndTooLate => Self::EndTooLate,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Stores the next version of a slot's consent, and ends the one before.
    pub(crate) fn store_consent(
        patient: UserId,
        slot: SlotId,
        consent: Consent,
        since: Moment,
    ) -> DispatchResult {
        let former = Consents::<T>::get(patient, slot);
        let number = former.as_ref().map_or(0, |former| former.version);
        let version = number.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        if let Some(mut former) = former {
            if former.in_force(since) {
                former.ended = Some(since);
            }
            EarlierConsents::<T>::insert((patient, slot, number), former);
        }
        let change = Change::Given { version, consent: BlakeTwo256::hash_of(&consent) };
        let block = frame_system::Pallet::<T>::block_number().saturated_into();
        let given = ConsentVersion { version, consent, since, block, ended: None };
        Consents::<T>::insert(patient, slot, given);
        Self::append(patient, slot, change)
    }

    /// The hospital that announced a record of this patient.
    pub(crate) fn announcer(
        patient: UserId,
        pointer: RecordPointer,
    ) -> Result<HospitalId, Error<T>> {
        let (owner, announcer) = T::Records::owner(pointer).ok_or(Error::<T>::UnknownRecord)?;
        ensure!(owner == patient, Error::<T>::RecordOfAnotherPatient);
        Ok(announcer)
    }

    /// Places sections in a slot, in addition to those that are there.
    pub(crate) fn add(patient: UserId, slot: SlotId, records: &[ReleasedRecord]) -> DispatchResult {
        for ReleasedRecord { pointer, sections } in records {
            let before = PlacedIn::<T>::get((patient, slot, *pointer));
            Self::set(patient, slot, *pointer, before.union(*sections))?;
        }
        Ok(())
    }

    /// Makes these the sections of a record in a slot. Leaves no trace if they are already.
    pub(crate) fn set(
        patient: UserId,
        slot: SlotId,
        pointer: RecordPointer,
        sections: SectionSet,
    ) -> DispatchResult {
        if PlacedIn::<T>::get((patient, slot, pointer)) == sections {
            return Ok(());
        }
        let mut placements = Placed::<T>::get(pointer);
        replace(&mut placements, Placement { slot, sections })?;
        if placements.is_empty() {
            Placed::<T>::remove(pointer);
        } else {
            Placed::<T>::insert(pointer, placements);
        }
        if sections.is_empty() {
            PlacedIn::<T>::remove((patient, slot, pointer));
        } else {
            PlacedIn::<T>::insert((patient, slot, pointer), sections);
        }
        Self::append(patient, slot, Change::Placed { pointer, sections })
    }

    /// Appends a change to the chain of changes. It is the newest of its slot.
    pub(crate) fn append(patient: UserId, slot: SlotId, change: Change) -> DispatchResult {
        let (last, previous) = Head::<T>::get();
        let height = last.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        let block = frame_system::Pallet::<T>::block_number().saturated_into();
        let appended =
            SharedChange { height, previous, patient, slot, change: change.clone(), block };
        Head::<T>::put((height, BlakeTwo256::hash_of(&appended)));
        Changes::<T>::insert(height, appended);
        SlotHeights::<T>::insert(patient, slot, height);
        Self::deposit_event(Event::Changed { height, patient, slot, change });
        Ok(())
    }
}

/// Replaces the placement in a slot, or adds it, or removes it if it has no sections. The others keep their order.
fn replace(placements: &mut Placements, placement: Placement) -> Result<(), DispatchError> {
    placements.retain(|other| other.slot != placement.slot);
    if placement.sections.is_empty() {
        return Ok(());
    }
    let index = placements.iter().take_while(|other| other.slot < placement.slot).count();
    // There are as many places as slots, and each slot is in the list at most once.
    placements.try_insert(index, placement).map_err(|_| ArithmeticError::Overflow.into())
}
