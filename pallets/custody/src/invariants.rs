//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    custody::ClaimId,
    limits::CLAIM_BLOCKS,
    ports::{ConsortiumKey, Hospitals, Users},
};
use frame_support::{ensure, traits::Time as _};
use sp_runtime::TryRuntimeError;

use crate::{
    Appointments, ClaimCount, Claims, Config, HandedOutBy, KeptKeys, Pallet,
    deciding::are_ascending,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_kept()?;
        Self::check_appointments()?;
        Self::check_claims()?;
        Self::check_handed_out()
    }

    fn check_kept() -> Result<(), TryRuntimeError> {
        for (hospital, patient, kept) in KeptKeys::<T>::iter() {
            ensure!(
                T::Users::was_registered(hospital, patient),
                "a key is kept of a user who was never registered at the hospital"
            );
            let is_known = T::ConsortiumKey::current()
                .is_some_and(|(key, epoch)| kept.key <= key && kept.epoch <= epoch);
            ensure!(is_known, "a kept key is for a later key or epoch");
            ensure!(kept.block <= Self::block(), "a key is kept in the future");
        }
        Ok(())
    }

    fn check_appointments() -> Result<(), TryRuntimeError> {
        for (departed, appointment) in Appointments::<T>::iter() {
            ensure!(
                T::Hospitals::is_removed(departed) && T::Hospitals::exists(appointment.custodian),
                "a custodian is of no removed hospital, or is no hospital"
            );
            ensure!(appointment.since <= Self::block(), "a custodian is appointed in the future");
        }
        Ok(())
    }

    fn check_claims() -> Result<(), TryRuntimeError> {
        let count = ClaimCount::<T>::get();
        for id in (0..count).map(ClaimId) {
            let claim = Claims::<T>::get(id).ok_or("a claim is missing")?;
            ensure!(are_ascending(&claim.patients), "the patients of a claim do not ascend");
            ensure!(
                T::Hospitals::is_removed(claim.departed) && T::Hospitals::exists(claim.custodian),
                "a claim is about no removed hospital, or by no hospital"
            );
            ensure!(
                claim.block <= Self::block() && claim.at <= T::Time::now(),
                "a claim is in the future"
            );
        }
        let stored = Claims::<T>::iter_keys().count();
        ensure!(stored == count as usize, "a claim has an id that was not assigned yet");
        Ok(())
    }

    fn check_handed_out() -> Result<(), TryRuntimeError> {
        let (block, now) = (Self::block(), T::Time::now());
        for (id, _, handed) in HandedOutBy::<T>::iter() {
            let claim = Claims::<T>::get(id).ok_or("a part belongs to no claim")?;
            let last = claim.block.saturating_add(CLAIM_BLOCKS);
            ensure!(
                (claim.block..=last).contains(&handed.block) && claim.at <= handed.at,
                "a part was handed out before its claim, or after the claim was over"
            );
            ensure!(
                handed.block <= block && handed.at <= now,
                "a part was handed out in the future"
            );
            ensure!(Some(handed.epoch) <= Self::epoch(), "a part is of a later epoch");
        }
        Ok(())
    }
}
