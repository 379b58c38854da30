//! New keys for users who have lost theirs: a hospital proposes them, and everybody concerned can object.
//!
//! A hospital could propose keys of its own, to become its patient. So the keys wait, and one objection is enough: the
//! hospital cannot complete the recovery then, nor propose keys for this user again before this proposal lapses,
//! whatever other hospitals propose meanwhile. A thief of the present keys can object, too. Then the council decides.

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, UserId,
    limits::{
        MAX_CONSENT_BLOCKS, RECOVERY_AFTER_SUSPENSION_MILLIS, RECOVERY_COMPLETION_BLOCKS,
        RECOVERY_COUNCIL_BLOCKS,
    },
    naming::{NamedAccount, Naming},
    ports::Hospitals as _,
    profile::{Objection, Recovery},
};
use frame_support::{ensure, traits::Time};
use sp_runtime::SaturatedConversion;

use crate::{
    Accounts, Config, Error, Event, Pallet, Profiles, Proposals, Recoveries, RecoveryDelay,
    RecoveryPauses,
};

impl<T: Config> Pallet<T> {
    /// Stores the keys that a hospital proposes for a user. Nothing else changes for the user.
    pub(crate) fn propose(
        hospital: HospitalId,
        user: UserId,
        next: NamedAccount,
        sealing_key_hash: Hash,
    ) -> Result<Recovery, Error<T>> {
        Self::check_proposer(hospital, user)?;
        let version = Profiles::<T>::get(user).ok_or(Error::<T>::UnknownUser)?.version;
        let block = Self::block();
        let earlier = Recoveries::<T>::get(user);
        let stands = earlier.as_ref().is_some_and(|earlier| earlier.is_open(block));
        ensure!(!stands, Error::<T>::RecoveryStands);
        let pause = RecoveryPauses::<T>::get(user, hospital);
        ensure!(pause.is_none_or(|until| until <= block), Error::<T>::RecoveryPaused);

        let NamedAccount { account, until, consent } = next;
        let valid = block..=block.saturating_add(MAX_CONSENT_BLOCKS);
        ensure!(valid.contains(&until), Error::<T>::ConsentExpired);
        let naming = Naming::Recovery { hospital, user, sealing_key_hash, version, until };
        Self::check_consent(naming, &account, &consent)?;
        Self::check_unused(&account)?;
        Self::check_new_sealing_key(user, sealing_key_hash)?;

        let due = block.saturating_add(RecoveryDelay::<T>::get());
        let lapses = due.saturating_add(RECOVERY_COMPLETION_BLOCKS);
        if let Some(earlier) = earlier {
            Self::unlist(earlier.hospital, user);
        }
        Self::list(hospital, user, lapses)?;
        RecoveryPauses::<T>::remove(user, hospital);
        let recovery =
            Recovery { hospital, account, sealing_key_hash, version, due, lapses, objection: None };
        Recoveries::<T>::insert(user, &recovery);
        Ok(recovery)
    }

    /// Checks that the user's registration at a hospital is active, or was suspended not long ago.
    ///
    /// A suspended registration is enough: a hospital suspends a user whose phone was stolen, so that the thief cannot
    /// rotate the keys. It could reinstate the user without the user anyway. But a hospital that the user left long ago
    /// does not know who the user is.
    fn check_proposer(hospital: HospitalId, user: UserId) -> Result<(), Error<T>> {
        let registration = Self::lasting(hospital, user)?;
        let suspended = registration.periods.last().and_then(|period| period.until);
        let recently = suspended.is_none_or(|since| {
            T::Time::now() < since.saturating_add(RECOVERY_AFTER_SUSPENSION_MILLIS)
        });
        ensure!(recently, Error::<T>::SuspendedTooLong);
        Ok(())
    }

    /// Adds a user to those for whom a proposal of the hospital is stored. Lapsed proposals of the hospital make room.
    fn list(hospital: HospitalId, user: UserId, lapses: BlockNumber) -> Result<(), Error<T>> {
        let block = Self::block();
        Proposals::<T>::try_mutate(hospital, |listed| {
            listed.retain(|(other, until)| {
                let stands = block < *until;
                if !stands {
                    Recoveries::<T>::remove(*other);
                }
                stands
            });
            listed.try_push((user, lapses))
        })
        .map_err(|_| Error::<T>::TooManyRecoveries)
    }

    fn unlist(hospital: HospitalId, user: UserId) {
        Proposals::<T>::mutate_exists(hospital, |listed| {
            *listed = listed.take().and_then(|mut listed| {
                listed.retain(|(other, _)| *other != user);
                (!listed.is_empty()).then_some(listed)
            });
        });
    }

    /// Who objects with this account to new keys of a user.
    pub(crate) fn objector(signer: &AccountId, user: UserId) -> Result<Objection, Error<T>> {
        if Accounts::<T>::get(signer) == Some(user) {
            return Ok(Objection::User);
        }
        let hospital = T::Hospitals::serving_by_agent(signer).ok_or(Error::<T>::NotConcerned)?;
        Self::lasting(hospital, user)?;
        Ok(Objection::Hospital(hospital))
    }

    /// Stores the first objection to a recovery, or the user's after a hospital's: the council must know that somebody
    /// has the user's present keys.
    pub(crate) fn put_objection(user: UserId, objection: Objection) -> Result<(), Error<T>> {
        let recovery = Self::standing_recovery(user).ok_or(Error::<T>::NoRecovery)?;
        ensure!(recovery.accepts(objection), Error::<T>::RecoveryObjected);
        Self::insert_objection(user, recovery, objection);
        Ok(())
    }

    /// A user who rotates has the present keys: this is an objection.
    pub(crate) fn object_by_rotating(user: UserId) {
        let recovery = Self::standing_recovery(user);
        if let Some(recovery) = recovery.filter(|recovery| recovery.accepts(Objection::User)) {
            Self::insert_objection(user, recovery, Objection::User);
        }
    }

    fn insert_objection(user: UserId, recovery: Recovery, objection: Objection) {
        RecoveryPauses::<T>::insert(user, recovery.hospital, recovery.lapses);
        let recovery = Recovery { objection: Some(objection), ..recovery };
        Recoveries::<T>::insert(user, recovery);
        Self::deposit_event(Event::RecoveryObjected { user, objection });
    }

    /// Checks that a rotation uses none of the keys that a hospital proposed for the user. A thief of the present keys
    /// would make them worthless otherwise.
    pub(crate) fn check_not_proposed(
        user: UserId,
        account: Option<&AccountId>,
        sealing_key_hash: Option<Hash>,
    ) -> Result<(), Error<T>> {
        let proposed = Self::standing_recovery(user).is_some_and(|recovery| {
            account == Some(&recovery.account)
                || sealing_key_hash == Some(recovery.sealing_key_hash)
        });
        ensure!(!proposed, Error::<T>::KeyProposed);
        Ok(())
    }

    /// Gives a user the proposed keys. Returns the hospital that proposed them, and the profile's new version.
    ///
    /// `completer` is the hospital that completes the recovery. It is None for the council, which decides about
    /// objections, and names in `decision` the recovery about which it decided ([`Recovery::decision`]): somebody may
    /// have proposed other keys since. A hospital may name it.
    pub(crate) fn complete(
        user: UserId,
        completer: Option<HospitalId>,
        decision: Option<Hash>,
    ) -> Result<(HospitalId, u32), Error<T>> {
        let recovery = Self::standing_recovery(user).ok_or(Error::<T>::NoRecovery)?;
        let named = decision.map_or(completer.is_some(), |named| named == recovery.decision());
        ensure!(named, Error::<T>::AnotherRecovery);
        let mut due = recovery.due;
        if let Some(hospital) = completer {
            ensure!(recovery.hospital == hospital, Error::<T>::AnotherHospital);
            Self::lasting(hospital, user)?;
            ensure!(recovery.objection.is_none(), Error::<T>::RecoveryObjected);
        } else {
            // The council waits for less, if the delay is longer.
            let less = RecoveryDelay::<T>::get().saturating_sub(RECOVERY_COUNCIL_BLOCKS);
            due = due.saturating_sub(less);
        }
        ensure!(due <= Self::block(), Error::<T>::RecoveryTooEarly);
        let current = Profiles::<T>::get(user).ok_or(Error::<T>::UnknownUser)?;
        // So the sealing key is still new. The account may be somebody's since the proposal.
        ensure!(recovery.version == current.version, Error::<T>::RotatedSinceProposal);
        let Recovery { hospital, account, sealing_key_hash, .. } = recovery;
        let version = Self::replace(user, current, Some(account), sealing_key_hash)?;
        Recoveries::<T>::remove(user);
        RecoveryPauses::<T>::remove(user, hospital);
        Self::unlist(hospital, user);
        Ok((hospital, version))
    }

    /// Whether an objection of the user to new keys succeeds.
    pub fn can_object(user: UserId) -> bool {
        Self::standing_recovery(user).is_some_and(|recovery| recovery.accepts(Objection::User))
    }

    /// The recovery of a user, unless it has lapsed.
    fn standing_recovery(user: UserId) -> Option<Recovery> {
        Recoveries::<T>::get(user).filter(|recovery| recovery.stands(Self::block()))
    }

    pub(crate) fn block() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }
}
