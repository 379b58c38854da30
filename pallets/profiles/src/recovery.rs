//! New keys for users who have lost theirs: a hospital proposes them, and everybody concerned can object.
//!
//! A hospital could propose keys of its own, to become its patient. So the keys wait, and one objection is enough: the
//! hospital cannot complete the recovery then, nor propose other keys before this proposal lapses. A thief of the
//! present keys can object, too. Then the council decides.

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Signature, UserId,
    limits::RECOVERY_COMPLETION_BLOCKS,
    naming::Naming,
    ports::Hospitals as _,
    profile::{Objection, Recovery},
};
use frame_support::ensure;
use sp_runtime::SaturatedConversion;

use crate::{Accounts, Config, Error, Pallet, Profiles, Recoveries, RecoveryDelay};

impl<T: Config> Pallet<T> {
    /// Stores the keys that a hospital proposes for a user. Nothing else changes.
    ///
    /// A suspended registration is enough: a hospital suspends a user whose phone was stolen, so that the thief cannot
    /// rotate the keys. It could reinstate the user without the user anyway.
    pub(crate) fn propose(
        hospital: HospitalId,
        user: UserId,
        account: AccountId,
        sealing_key_hash: Hash,
        consent: &Signature,
    ) -> Result<Recovery, Error<T>> {
        Self::lasting(hospital, user)?;
        let version = Profiles::<T>::get(user).ok_or(Error::<T>::UnknownUser)?.version;
        let block = Self::block();
        let standing = Recoveries::<T>::get(user).filter(|earlier| earlier.stands(block));
        let may_replace = standing
            .is_none_or(|earlier| earlier.objection.is_some() && earlier.hospital != hospital);
        ensure!(may_replace, Error::<T>::RecoveryStands);
        let naming = Naming::Recovery { hospital, user, sealing_key_hash, version };
        Self::check_consent(naming, &account, consent)?;
        Self::check_unused(&account)?;
        Self::check_new_sealing_key(user, sealing_key_hash)?;
        let due = block.saturating_add(RecoveryDelay::<T>::get());
        let lapses = due.saturating_add(RECOVERY_COMPLETION_BLOCKS);
        let recovery =
            Recovery { hospital, account, sealing_key_hash, version, due, lapses, objection: None };
        Recoveries::<T>::insert(user, &recovery);
        Ok(recovery)
    }

    /// Who objects with this account to new keys of a user.
    pub(crate) fn objector(signer: &AccountId, user: UserId) -> Result<Objection, Error<T>> {
        if Accounts::<T>::get(signer) == Some(user) {
            return Ok(Objection::User);
        }
        let hospital = T::Hospitals::active_by_agent(signer).ok_or(Error::<T>::NotConcerned)?;
        Self::lasting(hospital, user)?;
        Ok(Objection::Hospital(hospital))
    }

    /// Stores the first objection to an open recovery.
    pub(crate) fn put_objection(user: UserId, objection: Objection) -> Result<(), Error<T>> {
        let mut recovery = Self::standing_recovery(user)?;
        ensure!(recovery.objection.is_none(), Error::<T>::RecoveryObjected);
        recovery.objection = Some(objection);
        Recoveries::<T>::insert(user, recovery);
        Ok(())
    }

    /// A user who rotates has the present keys: this is an objection.
    pub(crate) fn object_by_rotating(user: UserId) {
        Recoveries::<T>::mutate_extant(user, |recovery| {
            recovery.objection.get_or_insert(Objection::User);
        });
    }

    /// Gives a user the proposed keys. Returns the hospital that proposed them, and the profile's new version.
    ///
    /// `completer` is the hospital that completes the recovery. It is None for the council, which waits for nothing and
    /// decides about objections.
    pub(crate) fn complete(
        user: UserId,
        completer: Option<HospitalId>,
    ) -> Result<(HospitalId, u32), Error<T>> {
        let recovery = Self::standing_recovery(user)?;
        if let Some(hospital) = completer {
            ensure!(recovery.hospital == hospital, Error::<T>::AnotherHospital);
            Self::lasting(hospital, user)?;
            ensure!(recovery.objection.is_none(), Error::<T>::RecoveryObjected);
            ensure!(recovery.due <= Self::block(), Error::<T>::RecoveryTooEarly);
        }
        let current = Profiles::<T>::get(user).ok_or(Error::<T>::UnknownUser)?;
        // The user may have used the key, and somebody the account, since the proposal.
        Self::check_new_sealing_key(user, recovery.sealing_key_hash)?;
        let Recovery { hospital, account, sealing_key_hash, .. } = recovery;
        let version = Self::replace(user, current, Some(account), sealing_key_hash)?;
        Recoveries::<T>::remove(user);
        Ok((hospital, version))
    }

    /// The recovery of a user that the hospital can complete, unless somebody objects.
    pub fn open_recovery(user: UserId) -> Option<Recovery> {
        Recoveries::<T>::get(user).filter(|recovery| recovery.is_open(Self::block()))
    }

    /// The recovery of a user that has not lapsed.
    fn standing_recovery(user: UserId) -> Result<Recovery, Error<T>> {
        Recoveries::<T>::get(user)
            .filter(|recovery| recovery.stands(Self::block()))
            .ok_or(Error::<T>::NoRecovery)
    }

    pub(crate) fn block() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }
}
