//! Registrations: their status, periods and bodies.

use alloc::vec;
use core::mem;
use epione_primitives::{
    Hash, HospitalId, UserId,
    limits::{MAX_PROFILE_BODY_BYTES, MAX_REGISTRATION_PERIODS, PERIODS_PER_PAGE},
    ports::{HashedBody, Hospitals as _},
    profile::{Period, Registration, RegistrationStatus},
};
use frame_support::{BoundedVec, ensure, traits::Time};
use frame_system::{ensure_signed, pallet_prelude::OriginFor};
use sp_runtime::DispatchError;

use crate::{
    Config, EarlierPages, EarlierPeriods, Error, InForce, Members, Pallet, PeriodPage,
    RegistrationBodies, Registrations,
};

impl<T: Config> Pallet<T> {
    /// The active hospital whose agent signed.
    pub(crate) fn hospital_of_agent(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
        let signer = ensure_signed(origin)?;
        Ok(T::Hospitals::active_by_agent(&signer).ok_or(Error::<T>::NotAgent)?)
    }

    /// The active or leaving hospital whose agent signed. A leaving hospital looks after its users, but gets no new ones.
    pub(crate) fn hospital_in_charge(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
        let signer = ensure_signed(origin)?;
        Ok(T::Hospitals::serving_by_agent(&signer).ok_or(Error::<T>::NotAgent)?)
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
        Self::enter_force(&mut registration);
        Ok(registration)
    }

    /// Begins a period. A registration that is not in force has room for it, by invariant 9.
    pub(crate) fn enter_force(registration: &mut Registration) {
        registration.periods.force_push(Period { since: T::Time::now(), until: None });
        registration.status = RegistrationStatus::Active;
    }

    /// Lists the hospital among those at which the user's registration is in force. If the list is full, removed
    /// hospitals make room: their agents cannot end a registration any more.
    pub(crate) fn list_in_force(hospital: HospitalId, user: UserId) -> Result<(), Error<T>> {
        InForce::<T>::try_mutate(user, |hospitals| {
            if hospitals.is_full() {
                hospitals.retain(|listed| !T::Hospitals::is_removed(*listed));
            }
            hospitals.try_push(hospital)
        })
        .map_err(|_| Error::<T>::TooManyInForce)
    }

    /// Closes the open period, if there is one, and makes room for another one.
    pub(crate) fn leave_force(
        hospital: HospitalId,
        user: UserId,
        registration: &mut Registration,
        status: RegistrationStatus,
    ) {
        if registration.status == RegistrationStatus::Active {
            InForce::<T>::mutate_exists(user, |hospitals| {
                *hospitals = hospitals.take().and_then(|mut listed| {
                    listed.retain(|other| *other != hospital);
                    (!listed.is_empty()).then_some(listed)
                });
            });
        }
        if let Some(period) = registration.periods.last_mut() {
            period.until.get_or_insert_with(T::Time::now);
        }
        registration.status = status;
        if registration.periods.len() >= MAX_REGISTRATION_PERIODS as usize {
            Self::move_to_page(hospital, user, registration);
        }
    }

    /// Moves the oldest periods of a registration to a new page.
    fn move_to_page(hospital: HospitalId, user: UserId, registration: &mut Registration) {
        let mut oldest = mem::take(&mut registration.periods).into_inner();
        let newest = oldest.split_off(PERIODS_PER_PAGE as usize);
        registration.periods = BoundedVec::truncate_from(newest);
        EarlierPages::<T>::mutate(user, hospital, |pages| {
            let page = PeriodPage::truncate_from(oldest);
            EarlierPeriods::<T>::insert((user, hospital, *pages), page);
            *pages = pages.saturating_add(1);
        });
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
