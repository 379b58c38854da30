//! Admitting hospitals, changing their status, and assigning accounts to them.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, BlockNumber, HospitalId,
    hospital::{Duty, Founder, Hospital, HospitalStatus},
    limits::{MAX_ACTIVE_PERIODS, MAX_CONSENT_BLOCKS, MAX_HOSPITALS},
    naming::{NamedAccount, Naming, NamingConsent},
    ports::{self, OnHospitalInactive as _},
    profile::Period,
};
use frame_support::{
    ensure,
    traits::{ChangeMembers, Time},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{SaturatedConversion, traits::Zero};

use crate::{
    Accounts, Active, ActivePeriods, Admitted, Config, Error, Event, Hospitals, LeavingHospitals,
    Pallet, Periods, Present, StorageOrigin, Validators as _,
};

impl<T: Config> Pallet<T> {
    /// Stores a hospital under the next id, and assigns both accounts to it. Does not change the council.
    pub(crate) fn enrol(hospital: Hospital) -> Result<HospitalId, Error<T>> {
        Self::check_name(&hospital.name)?;
        Self::check_url(&hospital.worker_url)?;
        Self::check_sealing_key(&hospital.sealing_key)?;
        Self::check_storage_origin(hospital.storage_origin.as_ref())?;
        let present = Present::<T>::get();
        ensure!(present < MAX_HOSPITALS, Error::<T>::TooManyHospitals);
        let number = Admitted::<T>::get();
        let next = number.checked_add(1).ok_or(Error::<T>::TooManyHospitals)?;
        let id = HospitalId(number);
        Self::claim(&hospital.governance, id, Duty::Governance)?;
        Self::claim(&hospital.agent, id, Duty::Agent)?;
        // The newest id is the greatest, so the set stays ascending.
        Active::<T>::try_append(id).map_err(|()| Error::<T>::TooManyHospitals)?;
        Admitted::<T>::put(next);
        Present::<T>::put(present.saturating_add(1));
        Self::begin_period(id);
        Hospitals::<T>::insert(id, hospital);
        Ok(id)
    }

    /// Converts a founder into a hospital with bounded fields.
    pub(crate) fn hospital_from(founder: &Founder) -> Result<Hospital, Error<T>> {
        let Founder { name, governance, agent, worker_url, sealing_key, tls_key, storage_origin } =
            founder.clone();
        Ok(Hospital {
            name: name.try_into().map_err(|_| Error::<T>::InvalidName)?,
            governance,
            agent,
            worker_url: worker_url.try_into().map_err(|_| Error::<T>::InvalidUrl)?,
            sealing_key: sealing_key.try_into().map_err(|_| Error::<T>::InvalidSealingKey)?,
            tls_key,
            storage_origin: storage_origin
                .map(StorageOrigin::try_from)
                .transpose()
                .map_err(|_| Error::<T>::InvalidStorageOrigin)?,
            status: HospitalStatus::Active,
        })
    }

    pub(crate) fn known(id: HospitalId) -> Result<Hospital, Error<T>> {
        Hospitals::<T>::get(id).ok_or(Error::<T>::UnknownHospital)
    }

    /// The active hospital that `signer` governs.
    pub(crate) fn governed_by(signer: AccountId) -> Result<(HospitalId, Hospital), Error<T>> {
        let (id, hospital) = Self::serving_under(signer)?;
        ensure!(hospital.status == HospitalStatus::Active, Error::<T>::NotActive);
        Ok((id, hospital))
    }

    /// The active or leaving hospital that `signer` governs.
    pub(crate) fn serving_under(signer: AccountId) -> Result<(HospitalId, Hospital), Error<T>> {
        let Some((id, Duty::Governance)) = Accounts::<T>::get(&signer) else {
            return Err(Error::<T>::NotGovernance);
        };
        let hospital = Self::known(id)?;
        ensure!(hospital.status.serves(), Error::<T>::NotActive);
        Ok((id, hospital))
    }

    /// The active hospital whose agent is `signer`.
    pub(crate) fn run_by(signer: &AccountId) -> Result<HospitalId, Error<T>> {
        <Self as ports::Hospitals>::active_by_agent(signer).ok_or(Error::<T>::NotAgent)
    }

    /// Changes the status of a hospital, and adds it to or removes it from the active and the leaving set, the council
    /// and the session's validators. Writes nothing if it fails.
    pub(crate) fn set_status(
        id: HospitalId,
        mut hospital: Hospital,
        status: HospitalStatus,
    ) -> Result<(), Error<T>> {
        let before = hospital.status;
        let mut active = Active::<T>::get();
        let governance = [hospital.governance.clone()];
        let change: Option<(&[AccountId], &[AccountId])> =
            match (active.binary_search(&id), status == HospitalStatus::Active) {
                (Ok(position), false) => {
                    ensure!(Self::another_validates(id), Error::<T>::LastActive);
                    active.remove(position);
                    Some((&[], &governance))
                }
                (Err(position), true) => {
                    active.try_insert(position, id).map_err(|_| Error::<T>::TooManyHospitals)?;
                    Some((&governance, &[]))
                }
                _ => None,
            };
        Self::list_leaving(id, status)?;
        hospital.status = status;
        Hospitals::<T>::insert(id, hospital);
        match (before.serves(), status.serves()) {
            (false, true) => Self::begin_period(id),
            (true, false) => Self::end_period(id),
            _ => {}
        }
        if let Some((incoming, outgoing)) = change {
            Active::<T>::put(active);
            Self::change_council(incoming, outgoing);
            Self::follow_status(id, status);
        }
        if status == HospitalStatus::Removed {
            Self::forget_member(id);
        }
        Ok(())
    }

    /// Gives a removed hospital's place to others, and deletes its session keys.
    fn forget_member(id: HospitalId) {
        Present::<T>::mutate(|present| *present = present.saturating_sub(1));
        Self::withdraw_replacement(id);
        // Its keys may be those of the last validator.
        if Self::another_validates(id) {
            T::Validators::purge_keys(id);
        }
    }

    /// What follows when a hospital becomes active, or is active no longer.
    fn follow_status(id: HospitalId, status: HospitalStatus) {
        if status == HospitalStatus::Active {
            T::Validators::enable(id);
        } else {
            Self::leave_bench(id);
            Self::end_unready(id);
            Self::stop_watching(id);
            T::Validators::disable(id);
            T::OnInactive::on_hospital_inactive(id);
        }
    }

    /// Adds the hospital to those that are leaving, or removes it from them.
    fn list_leaving(id: HospitalId, status: HospitalStatus) -> Result<(), Error<T>> {
        let mut leaving = LeavingHospitals::<T>::get();
        match (leaving.binary_search(&id), status == HospitalStatus::Leaving) {
            (Err(position), true) => {
                leaving.try_insert(position, id).map_err(|_| Error::<T>::TooManyHospitals)?;
            }
            (Ok(position), false) => {
                leaving.remove(position);
            }
            _ => return Ok(()),
        }
        LeavingHospitals::<T>::put(leaving);
        Ok(())
    }

    /// Begins a period in which the hospital serves. Forgets the oldest period if there are too many.
    fn begin_period(id: HospitalId) {
        ActivePeriods::<T>::mutate(id, |periods| {
            let mut all = core::mem::take(periods).into_inner();
            if all.len() >= MAX_ACTIVE_PERIODS as usize {
                all.remove(0);
            }
            all.push(Period { since: T::Time::now(), until: None });
            *periods = Periods::truncate_from(all);
        });
    }

    fn end_period(id: HospitalId) {
        ActivePeriods::<T>::mutate(id, |periods| {
            if let Some(period) = periods.last_mut() {
                period.until.get_or_insert_with(T::Time::now);
            }
        });
    }

    /// Checks that the holder of the account's key agrees to its duty at this hospital. Accounts are never
    /// assigned twice, so a consent is used once.
    pub(crate) fn check_consent(
        hospital: HospitalId,
        duty: Duty,
        named: &NamedAccount,
    ) -> Result<(), Error<T>> {
        let until = named.until;
        let now: BlockNumber = frame_system::Pallet::<T>::block_number().saturated_into();
        let valid = now..=now.saturating_add(MAX_CONSENT_BLOCKS);
        ensure!(valid.contains(&until), Error::<T>::ConsentExpired);
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        let consent = NamingConsent::new(genesis, Naming::Hospital { hospital, duty, until });
        let signed = consent.is_signed_by(&named.account, &named.consent);
        ensure!(signed, Error::<T>::InvalidConsent);
        Ok(())
    }

    /// Makes `next` the account for a duty. Returns the replaced account, which keeps its
    /// reference but no longer belongs to a hospital.
    pub(crate) fn hand_over(
        id: HospitalId,
        duty: Duty,
        current: &mut AccountId,
        next: NamedAccount,
    ) -> Result<AccountId, Error<T>> {
        Self::claim(&next.account, id, duty)?;
        Self::check_consent(id, duty, &next)?;
        let previous = core::mem::replace(current, next.account);
        Accounts::<T>::remove(&previous);
        Ok(previous)
    }

    /// Stores the accounts of a hospital after one of them has changed. `outgoing` is the governance account that was
    /// replaced, which loses its seat in the council if the hospital has one.
    pub(crate) fn put_accounts(id: HospitalId, entry: Hospital, outgoing: Option<AccountId>) {
        Hospitals::<T>::insert(id, &entry);
        let Hospital { governance, agent, status, .. } = entry;
        if let Some(outgoing) = outgoing
            && status == HospitalStatus::Active
        {
            Self::change_council(core::slice::from_ref(&governance), &[outgoing]);
        }
        Self::deposit_event(Event::AccountsRotated { hospital: id, governance, agent });
    }

    /// Checks that an account has no reference: it belongs and belonged to no hospital and no user.
    pub(crate) fn check_unused(account: &AccountId) -> Result<(), Error<T>> {
        ensure!(frame_system::Pallet::<T>::reference_count(account) == 0, Error::<T>::AccountInUse);
        Ok(())
    }

    /// Assigns a new account to a hospital, with the reference that lets it transact.
    pub(crate) fn claim(account: &AccountId, id: HospitalId, duty: Duty) -> Result<(), Error<T>> {
        Self::check_unused(account)?;
        frame_system::Pallet::<T>::inc_providers(account);
        Accounts::<T>::insert(account, (id, duty));
        Ok(())
    }

    /// The governance accounts of the active hospitals, ascending.
    pub(crate) fn council() -> Vec<AccountId> {
        let mut members: Vec<_> = Active::<T>::get()
            .into_iter()
            .filter_map(Hospitals::<T>::get)
            .map(|hospital| hospital.governance)
            .collect();
        members.sort();
        members
    }

    pub(crate) fn change_council(incoming: &[AccountId], outgoing: &[AccountId]) {
        T::MembershipChanged::change_members_sorted(incoming, outgoing, &Self::council());
    }

    fn check_name(name: &[u8]) -> Result<(), Error<T>> {
        let named = core::str::from_utf8(name).is_ok_and(|name| !name.trim().is_empty());
        ensure!(named, Error::<T>::InvalidName);
        Ok(())
    }

    pub(crate) fn check_url(url: &[u8]) -> Result<(), Error<T>> {
        ensure!(after_scheme(url).is_some(), Error::<T>::InvalidUrl);
        Ok(())
    }

    /// Checks that there are only a scheme and a host, perhaps with a port.
    pub(crate) fn check_storage_origin(origin: Option<&StorageOrigin>) -> Result<(), Error<T>> {
        let is_bare = |rest: &[u8]| !rest.iter().any(|byte| b"/\\?#@".contains(byte));
        let valid = origin.is_none_or(|origin| after_scheme(origin).is_some_and(is_bare));
        ensure!(valid, Error::<T>::InvalidStorageOrigin);
        Ok(())
    }

    /// Checks only that there are a suite byte and a key. The envelope crate validates the key itself.
    pub(crate) fn check_sealing_key(key: &[u8]) -> Result<(), Error<T>> {
        ensure!(key.len() > 1, Error::<T>::InvalidSealingKey);
        Ok(())
    }
}

/// What follows `https://` or `http://`, if there is anything, and all of it is visible ASCII.
fn after_scheme(url: &[u8]) -> Option<&[u8]> {
    [b"https://".as_slice(), b"http://"]
        .into_iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .filter(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_graphic))
}
