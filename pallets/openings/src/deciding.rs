//! Decides whether wraps are bound to their sections, and whether an opening stands.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    limits::{MAX_SLOTS, OPENING_BLOCKS},
    opening::{Opening, WRAP_BYTES, WrapLabel, Wrapped, slot_of},
    ports::{ConsortiumKey, Emergencies, Hospitals, Records, Sharing, Users},
    release::{ReleasedRecord, SectionSet},
    sharing::{SlotId, SlotSet},
};
use epione_threshold::Wrap;
use frame_support::ensure;

use crate::{Config, Error, Pallet, Wraps};

/// The number of sections in a set.
pub fn count(sections: SectionSet) -> u32 {
    sections.0.count_ones()
}

/// Why bytes are not the wraps of sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// There are more or fewer bytes than one wrap for each section has.
    Length,
    /// A wrap is damaged, or bound to another label.
    Wrap,
}

/// Checks that bytes are one wrap for each section, ascending, each bound to the label of its section. Each wrap costs
/// multiplications of points, so check before what is cheap.
///
/// # Errors
/// The first reason why they are not.
pub fn are_bound(
    wraps: &[u8],
    sections: SectionSet,
    label: impl Fn(u16) -> WrapLabel,
) -> Result<(), Unbound> {
    let expected = WRAP_BYTES.saturating_mul(count(sections) as usize);
    ensure!(wraps.len() == expected, Unbound::Length);
    let is_bound = |(bytes, section): (&[u8], u16)| {
        let bytes = <&[u8; WRAP_BYTES]>::try_from(bytes).ok();
        let wrap = bytes.and_then(Wrap::decode);
        wrap.is_some_and(|wrap| wrap.check(&label(section).bytes()).is_some())
    };
    let mut each = wraps.chunks_exact(WRAP_BYTES).zip(sections.iter());
    ensure!(each.all(is_bound), Unbound::Wrap);
    Ok(())
}

impl<T> From<Unbound> for Error<T> {
    fn from(unbound: Unbound) -> Self {
        match unbound {
            Unbound::Length => Self::WrongLength,
            Unbound::Wrap => Self::InvalidWrap,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Checks that an opening stands in this block: it is not over, the requester's keys are those of the opening, the
    /// registration is in force, the other hospitals did not find the emergency unjustified, every slot's consent still
    /// admits the requester, and every section is placed and wrapped.
    pub(crate) fn check_stands(opening: &Opening) -> Result<(), Error<T>> {
        let Opening { requester, hospital, patient, ref records, purpose, slots, .. } = *opening;
        let last = opening.block.saturating_add(OPENING_BLOCKS);
        ensure!(Self::block() <= last, Error::<T>::Over);
        let is_audience = T::Users::account(requester).as_ref() == Some(&opening.audience)
            && T::Users::sealing_key(requester) == Some(opening.sealing_key);
        ensure!(is_audience, Error::<T>::RequesterChanged);
        ensure!(Self::is_in_force(requester, hospital), Error::<T>::NotInForce);
        let unjustified = opening
            .emergency
            .is_some_and(|emergency| T::Emergencies::is_unjustified(emergency.review));
        ensure!(!unjustified, Error::<T>::Unjustified);
        let standing = T::Sharing::standing(patient, requester, purpose);
        ensure!(includes_all(standing, slots), Error::<T>::NotAdmitted);
        Self::check_sections(records, slots)
    }

    /// Checks that each section is in one of the slots, and has a wrap of one of them under the current key.
    pub(crate) fn check_sections(
        records: &[ReleasedRecord],
        slots: SlotSet,
    ) -> Result<(), Error<T>> {
        let (key, _) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
        for ReleasedRecord { pointer, sections } in records {
            let placed = T::Sharing::placed(*pointer, slots);
            ensure!(sections.is_subset_of(placed), Error::<T>::NotPlaced);
            let wrapped = Self::wraps_in(*pointer, slots);
            let is_wrapped = |section| slot_of(section, slots, key, &wrapped).is_some();
            ensure!(sections.iter().all(is_wrapped), Error::<T>::NotWrapped);
        }
        Ok(())
    }

    /// Checks that all of these are committed records of the patient. Slots have the same numbers for every patient, so
    /// nothing else keeps the records of others out of an opening.
    pub(crate) fn check_owner(patient: UserId, records: &[ReleasedRecord]) -> Result<(), Error<T>> {
        for record in records {
            let (owner, _) = T::Records::owner(record.pointer).ok_or(Error::<T>::UnknownRecord)?;
            ensure!(owner == patient, Error::<T>::RecordOfAnotherPatient);
        }
        Ok(())
    }

    /// Whether the user's registration at the hospital is in force, and the hospital serves.
    pub(crate) fn is_in_force(user: UserId, hospital: HospitalId) -> bool {
        T::Hospitals::serving().binary_search(&hospital).is_ok()
            && T::Users::in_force(user).contains(&hospital)
    }

    /// The wraps of a record's sections in these slots, ascending by slot. Reads one value for each slot.
    pub(crate) fn wraps_in(pointer: RecordPointer, slots: SlotSet) -> Vec<(SlotId, Wrapped)> {
        (0..MAX_SLOTS)
            .map(SlotId)
            .filter(|slot| slots.contains(*slot))
            .filter_map(|slot| Some((slot, Wraps::<T>::get(pointer, slot)?)))
            .collect()
    }
}

/// Whether all of these slots are in the set.
fn includes_all(set: SlotSet, slots: SlotSet) -> bool {
    slots.0 & !set.0 == 0
}
