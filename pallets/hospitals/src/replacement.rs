//! Another governance account for a hospital that lost its own.
//!
//! The account is only stored when the council decides, and assigned when the replacement is completed. So a decision
//! that is withdrawn leaves the account free.

use epione_primitives::{
    BlockNumber, HospitalId,
    hospital::{Duty, HospitalStatus, Replacement},
    naming::NamedAccount,
};
use frame_support::ensure;
use sp_runtime::SaturatedConversion;

use crate::{Accounts, Config, Error, Event, Pallet, ReplacementDelay, Replacements};

impl<T: Config> Pallet<T> {
    /// Stores the account that is to govern a hospital, in place of an earlier decision.
    pub(crate) fn propose_replacement(
        hospital: HospitalId,
        next: NamedAccount,
    ) -> Result<Replacement, Error<T>> {
        let entry = Self::known(hospital)?;
        ensure!(entry.status != HospitalStatus::Removed, Error::<T>::AlreadyRemoved);
        Self::check_unused(&next.account)?;
        Self::check_consent(hospital, Duty::Governance, &next)?;
        let from = Self::block().saturating_add(ReplacementDelay::<T>::get());
        let replacement = Replacement { governance: next.account, from };
        Replacements::<T>::insert(hospital, &replacement);
        Ok(replacement)
    }

    /// Assigns the account on which the council decided. It may have become somebody's account since.
    pub(crate) fn replace(hospital: HospitalId) -> Result<(), Error<T>> {
        let block = Self::block();
        let Replacement { governance, from } = Replacements::<T>::get(hospital)
            .filter(|replacement| !replacement.has_lapsed(block))
            .ok_or(Error::<T>::NoReplacement)?;
        ensure!(block >= from, Error::<T>::ReplacementTooEarly);
        let mut entry = Self::known(hospital)?;
        Self::claim(&governance, hospital, Duty::Governance)?;
        let outgoing = core::mem::replace(&mut entry.governance, governance);
        Accounts::<T>::remove(&outgoing);
        Replacements::<T>::remove(hospital);
        Self::put_accounts(hospital, entry, Some(outgoing));
        Ok(())
    }

    /// Forgets the council's decision about a hospital. Returns whether there was one.
    pub(crate) fn withdraw_replacement(hospital: HospitalId) -> bool {
        let withdrawn = Replacements::<T>::take(hospital).is_some();
        if withdrawn {
            Self::deposit_event(Event::ReplacementWithdrawn { hospital });
        }
        withdrawn
    }

    fn block() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }
}
