//! What patients let others do in their names.
//!
//! A patient appoints representatives, such as a child's parents or a guardian, who answer queries for the patient
//! and whom policies can let read. A patient also authorizes hospitals to submit records without the patient's
//! signature. Both are mandates, and every mandate has an end. The patient can end a mandate earlier at any time, and a
//! representative can lay it down.
//!
//! A patient also entrusts the patient keys at a hospital to the consortium key, for the time after the hospital left
//! (`primitives::custody`). No decision is about a past moment of that, so only the newest is stored.
//!
//! A mandate is the patient's alone to give: no hospital, no council and no representative appoints anybody.
//!
//! Decisions are also made about past moments. So a mandate that is over stays on the chain when a new one begins:
//! [`history`] stores the earlier ones and finds the one that was in force at a moment. Renewing a mandate in force
//! replaces its end only, which changes no answer about the past.
//!
//! Invariants, which `try_state` checks:
//! 1. a mandate began before it is over, ended neither before it began nor after it was over, and is over within the
//!    longest time; none began or ended in the future. The same holds for what is entrusted;
//! 2. nobody represents themselves;
//! 3. the earlier mandates between the same two are numbered without gaps, began in order, and do not overlap;
//! 4. the list of a patient's representatives contains each of them whose mandate is in force, with its end, and
//!    nobody twice.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod history;
mod invariants;
#[cfg(test)]
mod mock;
pub mod reading;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use epione_primitives::{
        AccountId, HospitalId, Moment, UserId,
        limits::{
            MAX_AUTHORIZATION_MILLIS, MAX_CUSTODY_MILLIS, MAX_REPRESENTATION_MILLIS,
            MAX_REPRESENTATIVES,
        },
        mandate::Mandate,
        ports::{Hospitals, Users},
        profile::Role,
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The representatives of a patient whose mandates were in force at the last change, each with the mandate's end.
    pub type Acting = BoundedVec<(UserId, Moment), ConstU32<MAX_REPRESENTATIVES>>;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Which hospitals a patient can authorize.
        type Hospitals: Hospitals;
        /// Finds the user of an account, their role, and where they are registered.
        type Users: Users;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The newest mandate of each representative of a patient, in force or not.
    #[pallet::storage]
    pub type Representatives<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Blake2_128Concat, UserId, Mandate>;

    /// The mandates before the newest one, by patient, representative and number. They are numbered from 0 in the order
    /// in which they began. There is no limit to their number.
    #[pallet::storage]
    pub type EarlierRepresentations<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, u32>,
        ),
        Mandate,
    >;

    /// The number of earlier mandates of a patient's representative.
    #[pallet::storage]
    pub type EarlierRepresentationCount<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The representatives of each patient whose mandates are in force, and some whose mandates are over by themselves.
    #[pallet::storage]
    pub type ActingOf<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Acting, ValueQuery>;

    /// The newest mandate of each hospital that a patient authorized to submit, in force or not.
    #[pallet::storage]
    pub type Authorizations<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, Mandate>;

    /// The mandates before the newest one, by patient, hospital and number, as for representatives.
    #[pallet::storage]
    pub type EarlierAuthorizations<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, u32>,
        ),
        Mandate,
    >;

    /// The number of earlier mandates of a hospital that a patient authorized.
    #[pallet::storage]
    pub type EarlierAuthorizationCount<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, u32, ValueQuery>;

    /// At which hospitals patients entrust their patient keys to the consortium key, the newest of each two, in force
    /// or not. By hospital first, because its worker goes through them.
    #[pallet::storage]
    pub type Custodies<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, UserId, Mandate>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A patient appointed a representative, or replaced the end of the mandate.
        #[codec(index = 0)]
        Appointed { patient: UserId, representative: UserId, until: Moment },
        /// A patient dismissed a representative, or a representative laid down the mandate.
        #[codec(index = 1)]
        Dismissed { patient: UserId, representative: UserId },
        /// A patient authorized a hospital to submit without the patient's signature, or replaced the end of the
        /// mandate.
        #[codec(index = 2)]
        Authorized { patient: UserId, hospital: HospitalId, until: Moment },
        /// A patient revoked the authorization of a hospital.
        #[codec(index = 3)]
        Revoked { patient: UserId, hospital: HospitalId },
        /// A patient entrusted the patient keys at a hospital to the consortium key, or replaced the end.
        #[codec(index = 4)]
        Entrusted { patient: UserId, hospital: HospitalId, until: Moment },
        /// A patient ended that.
        #[codec(index = 5)]
        CustodyEnded { patient: UserId, hospital: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the current account of a patient.
        #[codec(index = 0)]
        NotPatient,
        /// No user of this id is registered anywhere.
        #[codec(index = 1)]
        UnknownRepresentative,
        /// A patient cannot represent themselves. Appoint somebody else.
        #[codec(index = 2)]
        RepresentsThemselves,
        /// No registration of the representative is in force. A hospital must register or reinstate them first.
        #[codec(index = 3)]
        RepresentativeNotRegistered,
        /// The mandate's end must be after now, and at most `MAX_REPRESENTATION_MILLIS` later for a representative,
        /// `MAX_AUTHORIZATION_MILLIS` for a hospital that submits, or `MAX_CUSTODY_MILLIS` for entrusted keys.
        #[codec(index = 4)]
        WrongUntil,
        /// `MAX_REPRESENTATIVES` representatives of the patient are in force. Dismiss one first.
        #[codec(index = 5)]
        TooManyRepresentatives,
        /// The user is not a representative of the patient now: the patient did not appoint them, or the mandate ended.
        #[codec(index = 6)]
        NotRepresentative,
        /// The signer is neither the current account of the patient nor of the representative.
        #[codec(index = 7)]
        NotParty,
        /// The hospital does not exist, or is not active, or, for keys that are entrusted to it, does not serve.
        #[codec(index = 8)]
        UnknownHospital,
        /// The patient's registration at the hospital is not in force.
        #[codec(index = 9)]
        NotRegistered,
        /// The patient does not authorize the hospital now: they never did, or the mandate ended.
        #[codec(index = 10)]
        NotAuthorized,
        /// The patient does not entrust the patient keys at the hospital now: they never did, or it ended.
        #[codec(index = 11)]
        NotEntrusted,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Lets a user act for the signer until a moment (ms). If the user does so already, the mandate ends at this
        /// moment instead. Signed by the patient's current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient),
        /// [`UnknownRepresentative`](Error::UnknownRepresentative),
        /// [`RepresentsThemselves`](Error::RepresentsThemselves),
        /// [`RepresentativeNotRegistered`](Error::RepresentativeNotRegistered), [`WrongUntil`](Error::WrongUntil) or
        /// [`TooManyRepresentatives`](Error::TooManyRepresentatives).
        #[pallet::call_index(0)]
        pub fn appoint(
            origin: OriginFor<T>,
            representative: UserId,
            until: Moment,
        ) -> DispatchResult {
            let patient = Self::signing_patient(origin)?;
            ensure!(representative != patient, Error::<T>::RepresentsThemselves);
            let is_known = T::Users::role(representative).is_some();
            ensure!(is_known, Error::<T>::UnknownRepresentative);
            let is_registered = !T::Users::in_force(representative).is_empty();
            ensure!(is_registered, Error::<T>::RepresentativeNotRegistered);
            let now = T::Time::now();
            Self::ensure_end(now, until, MAX_REPRESENTATION_MILLIS)?;

            Self::enlist(patient, representative, until, now)?;
            let newest = match Representatives::<T>::get(patient, representative) {
                Some(newest) if newest.in_force(now) => Mandate { until, ..newest },
                ended => {
                    if let Some(ended) = ended {
                        Self::archive_representation(patient, representative, ended)?;
                    }
                    Mandate { since: now, until, ended: None }
                }
            };
            Representatives::<T>::insert(patient, representative, newest);
            Self::deposit_event(Event::Appointed { patient, representative, until });
            Ok(())
        }

        /// Ends a representative's mandate now. Signed by the current account of the patient or of that
        /// representative, who need no registration in force.
        ///
        /// Fails with [`NotParty`](Error::NotParty) or [`NotRepresentative`](Error::NotRepresentative).
        #[pallet::call_index(1)]
        pub fn dismiss(
            origin: OriginFor<T>,
            patient: UserId,
            representative: UserId,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let signer = T::Users::by_account(&who).ok_or(Error::<T>::NotParty)?;
            ensure!(signer == patient || signer == representative, Error::<T>::NotParty);
            let now = T::Time::now();
            let newest = Representatives::<T>::get(patient, representative)
                .filter(|newest| newest.in_force(now))
                .ok_or(Error::<T>::NotRepresentative)?;

            let ended = Mandate { ended: Some(now), ..newest };
            Representatives::<T>::insert(patient, representative, ended);
            Self::delist(patient, representative);
            Self::deposit_event(Event::Dismissed { patient, representative });
            Ok(())
        }

        /// Lets a hospital submit records of the signer without the signer's signature until a moment (ms). If it may
        /// already, the mandate ends at this moment instead. Signed by the patient's current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownHospital`](Error::UnknownHospital),
        /// [`NotRegistered`](Error::NotRegistered) or [`WrongUntil`](Error::WrongUntil).
        #[pallet::call_index(2)]
        pub fn authorize(
            origin: OriginFor<T>,
            hospital: HospitalId,
            until: Moment,
        ) -> DispatchResult {
            let patient = Self::signing_patient(origin)?;
            let is_active = T::Hospitals::active().binary_search(&hospital).is_ok();
            ensure!(is_active, Error::<T>::UnknownHospital);
            let now = T::Time::now();
            ensure!(T::Users::registered(hospital, patient, now), Error::<T>::NotRegistered);
            Self::ensure_end(now, until, MAX_AUTHORIZATION_MILLIS)?;

            let newest = match Authorizations::<T>::get(patient, hospital) {
                Some(newest) if newest.in_force(now) => Mandate { until, ..newest },
                ended => {
                    if let Some(ended) = ended {
                        Self::archive_authorization(patient, hospital, ended)?;
                    }
                    Mandate { since: now, until, ended: None }
                }
            };
            Authorizations::<T>::insert(patient, hospital, newest);
            Self::deposit_event(Event::Authorized { patient, hospital, until });
            Ok(())
        }

        /// Ends the authorization of a hospital now. Signed by the patient's current account, which needs no
        /// registration in force.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient) or [`NotAuthorized`](Error::NotAuthorized).
        #[pallet::call_index(3)]
        pub fn revoke(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            let patient = Self::signing_patient(origin)?;
            let now = T::Time::now();
            let newest = Authorizations::<T>::get(patient, hospital)
                .filter(|newest| newest.in_force(now))
                .ok_or(Error::<T>::NotAuthorized)?;

            let ended = Mandate { ended: Some(now), ..newest };
            Authorizations::<T>::insert(patient, hospital, ended);
            Self::deposit_event(Event::Revoked { patient, hospital });
            Ok(())
        }

        /// Entrusts the signer's patient keys at a hospital to the consortium key until a moment (ms). If they are
        /// entrusted already, it ends at this moment instead. Signed by the patient's current account.
        ///
        /// The hospital's worker then keeps them under the consortium key. If the council removes the hospital and
        /// appoints a custodian at which the patient is registered, as many hospitals as the threshold says open them
        /// for the custodian. As many can also open them at any time, without a trace.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`UnknownHospital`](Error::UnknownHospital),
        /// [`NotRegistered`](Error::NotRegistered) or [`WrongUntil`](Error::WrongUntil).
        #[pallet::call_index(4)]
        pub fn entrust(
            origin: OriginFor<T>,
            hospital: HospitalId,
            until: Moment,
        ) -> DispatchResult {
            let patient = Self::signing_patient(origin)?;
            // Also a leaving one: its worker keeps the keys before it is removed.
            let serves = T::Hospitals::serving().binary_search(&hospital).is_ok();
            ensure!(serves, Error::<T>::UnknownHospital);
            let now = T::Time::now();
            ensure!(T::Users::registered(hospital, patient, now), Error::<T>::NotRegistered);
            Self::ensure_end(now, until, MAX_CUSTODY_MILLIS)?;

            let since = Custodies::<T>::get(hospital, patient)
                .filter(|newest| newest.in_force(now))
                .map_or(now, |newest| newest.since);
            let entrusted = Mandate { since, until, ended: None };
            Custodies::<T>::insert(hospital, patient, entrusted);
            Self::deposit_event(Event::Entrusted { patient, hospital, until });
            Ok(())
        }

        /// Ends now what [`entrust`](Self::entrust) began. Signed by the patient's current account, which needs no
        /// registration in force.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient) or [`NotEntrusted`](Error::NotEntrusted).
        #[pallet::call_index(5)]
        pub fn end_custody(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            let patient = Self::signing_patient(origin)?;
            let now = T::Time::now();
            let newest = Custodies::<T>::get(hospital, patient)
                .filter(|newest| newest.in_force(now))
                .ok_or(Error::<T>::NotEntrusted)?;

            let ended = Mandate { ended: Some(now), ..newest };
            Custodies::<T>::insert(hospital, patient, ended);
            Self::deposit_event(Event::CustodyEnded { patient, hospital });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The patient whose current account signed.
        fn signing_patient(origin: OriginFor<T>) -> Result<UserId, DispatchError> {
            let who = ensure_signed(origin)?;
            let signer = T::Users::by_account(&who).ok_or(Error::<T>::NotPatient)?;
            let is_patient = T::Users::role(signer) == Some(Role::Patient);
            ensure!(is_patient, Error::<T>::NotPatient);
            Ok(signer)
        }

        fn ensure_end(now: Moment, until: Moment, longest: u64) -> DispatchResult {
            let latest = now.saturating_add(longest);
            ensure!(now < until && until <= latest, Error::<T>::WrongUntil);
            Ok(())
        }

        /// Lists a representative of a patient with the end of the mandate. Removes those whose mandates are over.
        fn enlist(
            patient: UserId,
            representative: UserId,
            until: Moment,
            now: Moment,
        ) -> DispatchResult {
            ActingOf::<T>::try_mutate(patient, |acting| {
                acting.retain(|(other, end)| *other != representative && now < *end);
                acting
                    .try_push((representative, until))
                    .map_err(|_| Error::<T>::TooManyRepresentatives)
            })?;
            Ok(())
        }

        /// Removes a dismissed representative from the patient's list. An empty list is not stored.
        fn delist(patient: UserId, representative: UserId) {
            ActingOf::<T>::mutate_exists(patient, |stored| {
                if let Some(acting) = stored {
                    acting.retain(|(other, _)| *other != representative);
                }
                *stored = stored.take().filter(|acting| !acting.is_empty());
            });
        }
    }
}
