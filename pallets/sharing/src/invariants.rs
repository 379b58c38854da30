//! The invariants of this pallet's state, which the crate documentation lists.

use alloc::collections::BTreeMap;
use epione_primitives::{
    Hash, UserId,
    limits::MAX_SLOTS,
    ports::Records,
    sharing::{ConsentVersion, SlotId},
};
use frame_support::ensure;
use sp_runtime::{
    TryRuntimeError,
    traits::{BlakeTwo256, Hash as _},
};

use crate::{
    Changes, Config, Consents, EarlierConsents, Head, Pallet, Placed, PlacedByKind, PlacedIn,
    SlotHeights, changing::check_consent,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_consents()?;
        Self::check_placements()?;
        Self::check_index()?;
        Self::check_changes()?;
        Self::check_heights()?;
        Self::check_by_kind()
    }

    fn check_consents() -> Result<(), TryRuntimeError> {
        let mut earlier = 0_usize;
        for (patient, slot, newest) in Consents::<T>::iter() {
            ensure!(slot.0 < MAX_SLOTS, "a consent is in a slot that does not exist");
            ensure!(newest.version > 0, "the versions of a consent do not begin with 1");
            check_version(&newest)?;
            for number in 1..newest.version {
                let version = EarlierConsents::<T>::get((patient, slot, number))
                    .ok_or("a version of a consent is missing")?;
                ensure!(version.version == number, "a version of a consent has another number");
                check_version(&version)?;
                Self::check_ended(patient, slot, &version, &newest)?;
                earlier = earlier.saturating_add(1);
            }
        }
        let stored = EarlierConsents::<T>::iter_keys().count();
        ensure!(stored == earlier, "a version of a consent has no newest version");
        Ok(())
    }

    /// Checks that a version was not in force any more when the next one began.
    fn check_ended(
        patient: UserId,
        slot: SlotId,
        version: &ConsentVersion,
        newest: &ConsentVersion,
    ) -> Result<(), TryRuntimeError> {
        let next = version.version.saturating_add(1);
        let next_since = if next == newest.version {
            newest.since
        } else {
            EarlierConsents::<T>::get((patient, slot, next))
                .ok_or("a version of a consent is missing")?
                .since
        };
        ensure!(
            version.since <= next_since && !version.in_force(next_since),
            "two versions of a consent are in force at the same time"
        );
        Ok(())
    }

    fn check_placements() -> Result<(), TryRuntimeError> {
        for (pointer, placements) in Placed::<T>::iter() {
            ensure!(!placements.is_empty(), "a record is listed without placements");
            let ascend =
                placements.iter().zip(placements.iter().skip(1)).all(|(a, b)| a.slot < b.slot);
            ensure!(ascend, "the placements of a record do not ascend by slot");
            let (patient, _) =
                T::Records::owner(pointer).ok_or("sections of no committed record are placed")?;
            for placement in &placements {
                ensure!(
                    placement.slot.0 < MAX_SLOTS && !placement.sections.is_empty(),
                    "a placement has no sections, or a slot that does not exist"
                );
                ensure!(
                    PlacedIn::<T>::get((patient, placement.slot, pointer)) == placement.sections,
                    "a placement is not in its patient's index"
                );
            }
        }
        Ok(())
    }

    fn check_index() -> Result<(), TryRuntimeError> {
        let placed: usize = Placed::<T>::iter_values().map(|placements| placements.len()).sum();
        let indexed = PlacedIn::<T>::iter_keys().count();
        ensure!(placed == indexed, "the index contains what is not placed");
        Ok(())
    }

    fn check_changes() -> Result<(), TryRuntimeError> {
        let (last, head) = Head::<T>::get();
        let mut previous = Hash::zero();
        for height in 1..=last {
            let change = Changes::<T>::get(height).ok_or("a change is missing")?;
            ensure!(
                change.height == height && change.previous == previous,
                "a change does not follow the previous one"
            );
            previous = BlakeTwo256::hash_of(&change);
        }
        ensure!(head == previous, "the head is not the hash of the last change");
        let stored = Changes::<T>::iter_keys().count();
        ensure!(u64::try_from(stored) == Ok(last), "a change is after the head");
        Ok(())
    }

    fn check_heights() -> Result<(), TryRuntimeError> {
        let mut newest = BTreeMap::new();
        for change in Changes::<T>::iter_values() {
            let height: &mut u64 = newest.entry((change.patient, change.slot)).or_default();
            *height = change.height.max(*height);
        }
        for (patient, slot, height) in SlotHeights::<T>::iter() {
            let found = newest.remove(&(patient, slot));
            ensure!(found == Some(height), "the height of a slot is not that of its newest change");
        }
        ensure!(newest.is_empty(), "a slot has changed and has no height");
        Ok(())
    }

    fn check_by_kind() -> Result<(), TryRuntimeError> {
        for (patient, slot, pointer) in PlacedByKind::<T>::iter_keys() {
            let owner = T::Records::owner(pointer).map(|(owner, _)| owner);
            ensure!(
                slot.0 < MAX_SLOTS && owner == Some(patient),
                "a hospital placed by kind what is no record of the patient"
            );
        }
        Ok(())
    }
}

fn check_version(version: &ConsentVersion) -> Result<(), TryRuntimeError> {
    ensure!(
        check_consent(&version.consent, version.since).is_ok(),
        "a consent is stored that no patient can give"
    );
    ensure!(
        version.ended.is_none_or(|ended| version.since <= ended),
        "a consent ended before it began"
    );
    Ok(())
}
