//! Creating profiles, rotating their keys, and verifying the users' signatures.

use epione_primitives::{
    AccountId, Hash, Signature, UserId,
    limits::ROTATION_PAUSE_MILLIS,
    naming::{Naming, NamingConsent},
    ports::Hospitals as _,
    profile::Profile,
};
use frame_support::{ensure, traits::Time};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Zero;

use crate::{
    Accounts, Config, Error, InForce, LastRotation, Pallet, ProfileHistory, Profiles, SealingKeys,
};

impl<T: Config> Pallet<T> {
    /// Checks that these first keys lead to the id of the user.
    pub(crate) fn check_id(user: UserId, first: &Profile) -> Result<(), Error<T>> {
        let own = UserId::of(&first.account, first.sealing_key_hash);
        ensure!(user == own, Error::<T>::AnotherUser);
        Ok(())
    }

    pub(crate) fn create(user: UserId, profile: Profile) -> Result<(), Error<T>> {
        Self::claim(&profile.account, user)?;
        SealingKeys::<T>::insert(user, profile.sealing_key_hash, ());
        Profiles::<T>::insert(user, profile);
        Ok(())
    }

    /// Whether a hospital's description of a user matches the profile on chain.
    pub(crate) fn agrees(current: &Profile, described: &Profile) -> bool {
        current.role == described.role
            && current.account == described.account
            && current.sealing_key_hash == described.sealing_key_hash
    }

    /// Checks that the holder of the account's key agrees to how a call names it.
    pub(crate) fn check_consent(
        naming: Naming,
        account: &AccountId,
        consent: &Signature,
    ) -> Result<(), Error<T>> {
        let signed = NamingConsent::new(Self::genesis(), naming).is_signed_by(account, consent);
        ensure!(signed, Error::<T>::InvalidConsent);
        Ok(())
    }

    /// Replaces a user's account, sealing key or both. Returns the profile's new version. A thief of the keys of a user
    /// whom every hospital suspended cannot rotate.
    ///
    /// `since` becomes now, even if the sealing key stays. A thief of an account's key who rotates only the account,
    /// and later the sealing key, gains no time by the first rotation: hospitals wait from the last one on.
    ///
    /// A sealing key never comes back. A hospital's body may still contain an earlier one, so that a thief of that key
    /// would need neither delay nor confirmation.
    pub(crate) fn rotate(
        user: UserId,
        account: Option<(AccountId, Signature)>,
        sealing_key_hash: Option<Hash>,
    ) -> Result<u32, Error<T>> {
        ensure!(Self::is_in_force_somewhere(user), Error::<T>::NotRegistered);
        let now = T::Time::now();
        let paused = LastRotation::<T>::get(user)
            .is_none_or(|last| last.saturating_add(ROTATION_PAUSE_MILLIS) <= now);
        ensure!(paused, Error::<T>::RotatedTooRecently);
        let current = Profiles::<T>::get(user).ok_or(Error::<T>::UnknownUser)?;
        let new_key = sealing_key_hash.filter(|hash| *hash != current.sealing_key_hash);
        if let Some(hash) = new_key {
            Self::check_new_sealing_key(user, hash)?;
        }
        Self::check_not_proposed(user, account.as_ref().map(|(account, _)| account), new_key)?;
        let changed = account.is_some() || new_key.is_some();
        ensure!(changed, Error::<T>::NothingToRotate);
        let account = match account {
            Some((account, consent)) => {
                let naming = Naming::Rotation { user, version: current.version };
                Self::check_consent(naming, &account, &consent)?;
                Some(account)
            }
            None => None,
        };
        let next_key = new_key.unwrap_or(current.sealing_key_hash);
        let version = Self::replace(user, current, account, next_key)?;
        Self::object_by_rotating(user);
        Ok(version)
    }

    /// Replaces the keys of a user's profile from now on; without an account, only the sealing key. Returns the
    /// profile's new version.
    pub(crate) fn replace(
        user: UserId,
        current: Profile,
        account: Option<AccountId>,
        sealing_key_hash: Hash,
    ) -> Result<u32, Error<T>> {
        let since = T::Time::now();
        let version = current.version.checked_add(1).ok_or(Error::<T>::TooManyVersions)?;
        let mut next = Profile { sealing_key_hash, version, since, ..current.clone() };
        if let Some(account) = account {
            Self::claim(&account, user)?;
            Accounts::<T>::remove(&current.account);
            next.account = account;
        }
        SealingKeys::<T>::insert(user, sealing_key_hash, ());
        ProfileHistory::<T>::insert(user, current.version, current);
        Profiles::<T>::insert(user, next);
        LastRotation::<T>::insert(user, since);
        Ok(version)
    }

    pub(crate) fn check_new_sealing_key(user: UserId, hash: Hash) -> Result<(), Error<T>> {
        let is_used = SealingKeys::<T>::contains_key(user, hash);
        ensure!(!is_used, Error::<T>::SealingKeyUsedBefore);
        Ok(())
    }

    /// Whether a hospital that was not removed lists a registration of the user. The agent of a removed hospital can
    /// no longer suspend the user.
    fn is_in_force_somewhere(user: UserId) -> bool {
        InForce::<T>::get(user).iter().any(|hospital| !T::Hospitals::is_removed(*hospital))
    }

    /// Checks that an account has no reference: an account with any belongs or belonged to a user or a hospital.
    pub(crate) fn check_unused(account: &AccountId) -> Result<(), Error<T>> {
        ensure!(frame_system::Pallet::<T>::reference_count(account) == 0, Error::<T>::AccountInUse);
        Ok(())
    }

    /// Assigns a new account to a user, with the reference that lets it transact.
    fn claim(account: &AccountId, user: UserId) -> Result<(), Error<T>> {
        Self::check_unused(account)?;
        frame_system::Pallet::<T>::inc_sufficients(account);
        Accounts::<T>::insert(account, user);
        Ok(())
    }

    /// The genesis hash, which binds a signature to this chain.
    fn genesis() -> Hash {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }
}
