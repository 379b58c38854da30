//! Registrations: their status, periods and bodies.

use alloc::vec;
use epione_primitives::{
    Hash, HospitalId, UserId,
    limits::MAX_PROFILE_BODY_BYTES,
    ports::{HashedBody, Hospitals as _},
    profile::{Period, Registration, RegistrationStatus},
};
use frame_support::{BoundedVec, ensure, traits::Time};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use sp_runtime::DispatchError;

use crate::{Config, Error, Members, Pallet, RegistrationBodies, Registrations};

impl<T: Config> Pallet<T> {
    /// The active hospital whose agent signed.
    pub(crate) fn hospital_of_agent(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
        let signer = ensure_signed(origin)?;
        Ok(T::Hospitals::active_by_agent(&signer).ok_or(Error::<T>::NotAgent)?)
    }

    pub(crate) fn checked(body: &[u8]) -> Result<HashedBody<'_>, Error<T>> {
        ensure!(!body.is_empty(), Error::<T>::EmptyBody);
        ensure!(body.len() <= MAX_PROFILE_BODY_BYTES as usize, Error::<T>::BodyTooLong);
        Ok(HashedBody::new(body))
    }

    /// A user's registration at a hospital, whatever its status.
    pub(crate) fn registered_at(
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Registration, Error<T>> {
        Registrations::<T>::get(user, hospital).ok_or(Error::<T>::NotRegistered)
    }

    /// A user's registration at a hospital, unless it has ended.
    pub(crate) fn lasting(hospital: HospitalId, user: UserId) -> Result<Registration, Error<T>> {
        let registration = Self::registered_at(hospital, user)?;
        let ended = registration.status == RegistrationStatus::Ended;
        ensure!(!ended, Error::<T>::RegistrationHasEnded);
        Ok(registration)
    }

    /// A registration that is in force from now on, and has no body yet.
    pub(crate) fn first_registration() -> Registration {
        let period = Period { since: T::Time::now(), until: None };
        Registration {
            status: RegistrationStatus::Active,
            periods: BoundedVec::truncate_from(vec![period]),
            version: 0,
            body_hash: Hash::zero(),
        }
    }

    /// The registration of an existing user: the first at this hospital, or another after the last one ended.
    pub(crate) fn further_registration(
        hospital: HospitalId,
        user: UserId,
    ) -> Result<Registration, Error<T>> {
        let Some(mut registration) = Registrations::<T>::get(user, hospital) else {
            return Ok(Self::first_registration());
        };
        let ended = registration.status == RegistrationStatus::Ended;
        ensure!(ended, Error::<T>::AlreadyRegistered);
        Self::enter_force(&mut registration)?;
        Ok(registration)
    }

    pub(crate) fn enter_force(registration: &mut Registration) -> Result<(), Error<T>> {
        registration
            .periods
            .try_push(Period { since: T::Time::now(), until: None })
            .map_err(|_| Error::<T>::TooManyPeriods)?;
        registration.status = RegistrationStatus::Active;
        Ok(())
    }

    /// Closes the open period, if there is one.
    pub(crate) fn leave_force(registration: &mut Registration, status: RegistrationStatus) {
        if let Some(period) = registration.periods.last_mut() {
            period.until.get_or_insert_with(T::Time::now);
        }
        registration.status = status;
    }

    /// Stores a registration with a new version of its body, and returns that version. The first version
    /// adds the user to the hospital's members.
    pub(crate) fn put_with_body(
        hospital: HospitalId,
        user: UserId,
        mut registration: Registration,
        body_hash: Hash,
    ) -> Result<u32, Error<T>> {
        let version = registration.version.checked_add(1).ok_or(Error::<T>::TooManyVersions)?;
        registration.version = version;
        registration.body_hash = body_hash;
        if version == 1 {
            Members::<T>::insert(hospital, user, ());
        }
        RegistrationBodies::<T>::insert((user, hospital, version), body_hash);
        Registrations::<T>::insert(user, hospital, registration);
        Ok(version)
    }
}
