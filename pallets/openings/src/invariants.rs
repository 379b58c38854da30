//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    access::Purpose,
    limits::{MAX_OPENED_SECTIONS, MAX_SLOTS, OPENING_BLOCKS},
    opening::{Opening, OpeningId},
    ports::{ConsortiumKey, Records},
    query::are_ordered,
};
use frame_support::{ensure, traits::Time as _};
use sp_runtime::TryRuntimeError;

use crate::{
    Config, HandedOutBy, OpeningCount, Openings, Pallet, PatientOpeningCount, PatientOpenings,
    RequesterOpeningCount, RequesterOpenings, Wraps, deciding::count,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_openings()?;
        Self::check_patients()?;
        Self::check_requesters()?;
        Self::check_handed_out()?;
        Self::check_wraps()
    }

    fn check_openings() -> Result<(), TryRuntimeError> {
        let count = OpeningCount::<T>::get();
        for id in (0..count).map(OpeningId) {
            let opening = Openings::<T>::get(id).ok_or("an opening is missing")?;
            check_opening(&opening)?;
            ensure!(
                opening.block <= Self::block() && opening.at <= T::Time::now(),
                "an opening is in the future"
            );
        }
        let stored = Openings::<T>::iter_keys().count();
        ensure!(stored == count as usize, "an opening has an id that was not assigned yet");
        Ok(())
    }

    fn check_patients() -> Result<(), TryRuntimeError> {
        let mut counted = 0_usize;
        for (patient, count) in PatientOpeningCount::<T>::iter() {
            let ids = (0..count).map(|number| PatientOpenings::<T>::get(patient, number));
            check_numbered::<T>(ids, |opening| opening.patient == patient)?;
            counted = counted.saturating_add(count as usize);
        }
        ensure!(
            PatientOpenings::<T>::iter_keys().count() == counted
                && counted == OpeningCount::<T>::get() as usize,
            "the openings of all patients are not all openings"
        );
        Ok(())
    }

    fn check_requesters() -> Result<(), TryRuntimeError> {
        let mut counted = 0_usize;
        for (requester, count) in RequesterOpeningCount::<T>::iter() {
            let ids = (0..count).map(|number| RequesterOpenings::<T>::get(requester, number));
            check_numbered::<T>(ids, |opening| opening.requester == requester)?;
            counted = counted.saturating_add(count as usize);
        }
        ensure!(
            RequesterOpenings::<T>::iter_keys().count() == counted
                && counted == OpeningCount::<T>::get() as usize,
            "the openings of all requesters are not all openings"
        );
        Ok(())
    }

    fn check_handed_out() -> Result<(), TryRuntimeError> {
        let (block, now) = (Self::block(), T::Time::now());
        for (id, _, handed) in HandedOutBy::<T>::iter() {
            let opening = Openings::<T>::get(id).ok_or("a part belongs to no opening")?;
            let last = opening.block.saturating_add(OPENING_BLOCKS);
            ensure!(
                (opening.block..=last).contains(&handed.block) && opening.at <= handed.at,
                "a part was handed out before its opening, or after the opening was over"
            );
            ensure!(
                handed.block <= block && handed.at <= now,
                "a part was handed out in the future"
            );
            ensure!(Some(handed.epoch) <= Self::epoch(), "a part is of a later epoch");
        }
        Ok(())
    }

    fn check_wraps() -> Result<(), TryRuntimeError> {
        for (pointer, slot, wrapped) in Wraps::<T>::iter() {
            ensure!(
                slot.0 < MAX_SLOTS && !wrapped.sections.is_empty(),
                "wraps are of no section, or in no slot"
            );
            let announcer = T::Records::owner(pointer).map(|(_, announcer)| announcer);
            ensure!(
                announcer == Some(wrapped.hospital),
                "wraps are by another hospital than the record"
            );
            let is_known = T::ConsortiumKey::current()
                .is_some_and(|(key, epoch)| wrapped.key <= key && wrapped.epoch <= epoch);
            ensure!(is_known, "wraps are for a later key or epoch");
            ensure!(wrapped.block <= Self::block(), "wraps are in the future");
        }
        Ok(())
    }
}

fn check_opening(opening: &Opening) -> Result<(), TryRuntimeError> {
    let sections = opening.records.iter().map(|record| count(record.sections)).sum::<u32>();
    let is_opened = are_ordered(&opening.records)
        && sections <= MAX_OPENED_SECTIONS
        && opening.requester != opening.patient
        && (opening.purpose == Purpose::Emergency) == opening.emergency.is_some()
        && !opening.slots.is_empty();
    ensure!(is_opened, "an opening is one for which nobody can ask");
    Ok(())
}

/// The openings of one user, in the order of their numbers.
fn check_numbered<T: Config>(
    ids: impl Iterator<Item = Option<OpeningId>>,
    is_own: impl Fn(&Opening) -> bool,
) -> Result<(), TryRuntimeError> {
    let mut last = None;
    for id in ids {
        let id = id.ok_or("a number of a user's openings has no opening")?;
        ensure!(last < Some(id), "a user's openings do not ascend");
        last = Some(id);
        let own = Openings::<T>::get(id).is_some_and(|opening| is_own(&opening));
        ensure!(own, "an opening is listed under another user");
    }
    Ok(())
}
