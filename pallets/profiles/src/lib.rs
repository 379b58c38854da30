//! Who the users are, and at which hospitals they are registered (R_UPR).
//!
//! A hospital's agent registers a user: the first registration makes the profile, and any further
//! hospital needs the user's signed [`Consent`], so that none can attach itself to a patient. The
//! user's keys, wraps and sealed name travel as the profile body, which the node keeps outside the
//! state ([`Config::Bodies`]); here is its hash. Users rotate their own keys. Nothing is
//! overwritten: earlier profiles, periods and bodies stay readable.
//!
//! Bodies are kept by the last act of a call, after everything that can fail: the node keeps a body
//! even when its dispatch fails.
//!
//! Invariants, which `try_state` checks:
//! 1. [`Accounts`] holds exactly the current account of every profile, and each has a sufficient
//!    reference, which it keeps when it is rotated out;
//! 2. [`ProfileHistory`] holds exactly the versions of a profile before its current one;
//! 3. every profile is registered somewhere, and every registration is of a profile at a hospital
//!    that exists;
//! 4. the periods of a registration follow each other; the last is open exactly while the
//!    registration is active, all others are closed;
//! 5. [`RegistrationBodies`] holds every version of a registration's body, the newest of which is
//!    the registration's own;
//! 6. [`Members`] holds exactly the registrations, by hospital;
//! 7. [`LastRotation`] holds exactly the users whose profile is not the first, and no moment to
//!    come.
//!
//! [`Consent`]: epione_primitives::profile::Consent

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod directory;
mod identity;
mod invariants;
#[cfg(test)]
mod mock;
mod registration;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use alloc::vec::Vec;
    use epione_primitives::{
        AccountId, Hash, HospitalId, Moment, Signature, UserId,
        ports::{Bodies, Hospitals},
        profile::{Profile, Registration, RegistrationStatus, Role},
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type Hospitals: Hospitals;

        /// Keeps the profile bodies.
        type Bodies: Bodies;

        /// The chain's clock, in milliseconds of Unix time.
        type Time: Time<Moment = Moment>;

        type WeightInfo: WeightInfo;
    }

    /// The users' current identities.
    #[pallet::storage]
    pub type Profiles<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Profile>;

    /// What a profile was, by its version. The current version is in [`Profiles`] only.
    #[pallet::storage]
    pub type ProfileHistory<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, Profile>;

    /// The users' current accounts.
    #[pallet::storage]
    pub type Accounts<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, UserId>;

    /// The hospitals at which a user is, or was, registered.
    #[pallet::storage]
    pub type Registrations<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, Registration>;

    /// Who is, or was, registered at a hospital: [`Registrations`] from the other side.
    #[pallet::storage]
    pub type Members<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, UserId, ()>;

    /// The hash of each version of a registration's body.
    #[pallet::storage]
    pub type RegistrationBodies<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, u32>,
        ),
        Hash,
    >;

    /// When a user last rotated a key.
    #[pallet::storage]
    pub type LastRotation<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Moment>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital registered a user: for the first time, with consent, or again after an end.
        #[codec(index = 0)]
        Registered { hospital: HospitalId, user: UserId, version: u32, body_hash: Hash },
        /// A registration has a new body.
        #[codec(index = 1)]
        Updated { hospital: HospitalId, user: UserId, version: u32, body_hash: Hash },
        /// A registration is not in force until it is reinstated.
        #[codec(index = 2)]
        Suspended { hospital: HospitalId, user: UserId },
        /// A suspended registration is in force again.
        #[codec(index = 3)]
        Reinstated { hospital: HospitalId, user: UserId },
        /// A registration ended.
        #[codec(index = 4)]
        RegistrationEnded { hospital: HospitalId, user: UserId },
        /// A user's account, sealing key or both are other ones from now on.
        #[codec(index = 5)]
        KeysRotated { user: UserId, version: u32 },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// The signer is not the current account of a user.
        #[codec(index = 1)]
        NotUser,
        /// No user has this id. A user's first registration carries no consent.
        #[codec(index = 2)]
        UnknownUser,
        /// The account belongs, or once belonged, to a user or a hospital. Use a new one.
        #[codec(index = 3)]
        AccountInUse,
        /// The user exists with another role, account or sealing key.
        #[codec(index = 4)]
        ProfileMismatch,
        /// The user exists, so that a further registration needs their signed consent.
        #[codec(index = 5)]
        ConsentMissing,
        /// The consent is not signed by the user's current account over this chain, this hospital
        /// and this user.
        #[codec(index = 6)]
        InvalidConsent,
        /// The user is registered at this hospital already, if perhaps suspended.
        #[codec(index = 7)]
        AlreadyRegistered,
        /// The user was never registered at this hospital.
        #[codec(index = 8)]
        NotRegistered,
        /// The registration has ended. Register the user again.
        #[codec(index = 9)]
        RegistrationHasEnded,
        /// The registration is not active, so it cannot be suspended.
        #[codec(index = 10)]
        NotActive,
        /// The registration is not suspended, so it cannot be reinstated.
        #[codec(index = 11)]
        NotSuspended,
        /// The registration has had `MAX_REGISTRATION_PERIODS` periods and gets no further one.
        #[codec(index = 12)]
        TooManyPeriods,
        /// A profile body is never empty.
        #[codec(index = 13)]
        EmptyBody,
        /// The profile body is longer than `MAX_PROFILE_BODY_BYTES`.
        #[codec(index = 14)]
        BodyTooLong,
        /// Neither an account nor a sealing key other than the current one was given.
        #[codec(index = 15)]
        NothingToRotate,
        /// The next account did not sign for this chain and this user.
        #[codec(index = 16)]
        InvalidPossession,
        /// The version cannot be counted any further.
        #[codec(index = 17)]
        TooManyVersions,
        /// The user rotated a key less than `ROTATION_PAUSE_MILLIS` ago. Wait.
        #[codec(index = 18)]
        RotatedTooRecently,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Registers a user at the signer's hospital. Role, account and sealing key make the
        /// profile of a new user, and must be those of an existing one.
        ///
        /// The body must stay the last argument, and the call must not be wrapped in another one:
        /// the node stores the extrinsic's last bytes.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody) or
        /// [`BodyTooLong`](Error::BodyTooLong); for a new user with
        /// [`UnknownUser`](Error::UnknownUser) if there is a consent, or
        /// [`AccountInUse`](Error::AccountInUse); for an existing one with
        /// [`ProfileMismatch`](Error::ProfileMismatch),
        /// [`AlreadyRegistered`](Error::AlreadyRegistered),
        /// [`ConsentMissing`](Error::ConsentMissing), [`InvalidConsent`](Error::InvalidConsent) or
        /// [`TooManyPeriods`](Error::TooManyPeriods); and as [`Bodies::keep`] does.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register(body.len() as u32))]
        pub fn register(
            origin: OriginFor<T>,
            user: UserId,
            role: Role,
            account: AccountId,
            sealing_key_hash: Hash,
            consent: Option<Signature>,
            body: Vec<u8>,
        ) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let body = Self::checked(&body)?;
            let profile = Profile { role, account, sealing_key_hash, version: 1 };
            let registration = match (Profiles::<T>::get(user), consent) {
                (None, None) => {
                    Self::create(user, profile)?;
                    Self::first_registration()
                }
                (None, Some(_)) => return Err(Error::<T>::UnknownUser.into()),
                (Some(current), consent) => {
                    ensure!(Self::agrees(&current, &profile), Error::<T>::ProfileMismatch);
                    let registration = Self::further_registration(hospital, user)?;
                    let consent = consent.ok_or(Error::<T>::ConsentMissing)?;
                    let replaced = registration.version;
                    Self::check_consent(&consent, &current.account, hospital, user, replaced)?;
                    registration
                }
            };
            let version = Self::put_with_body(hospital, user, registration, body.hash())?;
            Self::deposit_event(Event::Registered {
                hospital,
                user,
                version,
                body_hash: body.hash(),
            });
            T::Bodies::keep(body)
        }

        /// Gives a user's registration at the signer's hospital a new body, after a rotation of
        /// keys for one. A suspended registration may have one too.
        ///
        /// The body must stay the last argument, and the call must not be wrapped in another one.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`BodyTooLong`](Error::BodyTooLong), [`NotRegistered`](Error::NotRegistered),
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded) or as [`Bodies::keep`] does.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::update(body.len() as u32))]
        pub fn update(origin: OriginFor<T>, user: UserId, body: Vec<u8>) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let body = Self::checked(&body)?;
            let registration = Self::lasting(hospital, user)?;
            let version = Self::put_with_body(hospital, user, registration, body.hash())?;
            Self::deposit_event(Event::Updated { hospital, user, version, body_hash: body.hash() });
            T::Bodies::keep(body)
        }

        /// Puts a user's registration at the signer's hospital out of force, until it is
        /// reinstated.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered) or
        /// [`NotActive`](Error::NotActive).
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::suspend())]
        pub fn suspend(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let mut registration = Self::registered_at(hospital, user)?;
            ensure!(registration.status == RegistrationStatus::Active, Error::<T>::NotActive);
            Self::leave_force(&mut registration, RegistrationStatus::Suspended);
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::Suspended { hospital, user });
            Ok(())
        }

        /// Puts a suspended registration at the signer's hospital into force again.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered),
        /// [`NotSuspended`](Error::NotSuspended) or [`TooManyPeriods`](Error::TooManyPeriods).
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::reinstate())]
        pub fn reinstate(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let mut registration = Self::registered_at(hospital, user)?;
            ensure!(registration.status == RegistrationStatus::Suspended, Error::<T>::NotSuspended);
            Self::enter_force(&mut registration)?;
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::Reinstated { hospital, user });
            Ok(())
        }

        /// Ends a user's registration at the signer's hospital. Only a new registration, with the
        /// user's consent, begins another one.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered) or
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded).
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::end_registration())]
        pub fn end_registration(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let mut registration = Self::lasting(hospital, user)?;
            Self::leave_force(&mut registration, RegistrationStatus::Ended);
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::RegistrationEnded { hospital, user });
            Ok(())
        }

        /// Replaces the signer's account, sealing key or both. The next account proves by a
        /// signature over [`Possession`](epione_primitives::profile::Possession) that it is held.
        /// The old account loses every right at once. The next rotation can follow after a pause,
        /// so that nobody fills the chain with versions of a profile.
        ///
        /// Fails with [`NotUser`](Error::NotUser),
        /// [`RotatedTooRecently`](Error::RotatedTooRecently),
        /// [`NothingToRotate`](Error::NothingToRotate), [`AccountInUse`](Error::AccountInUse),
        /// [`InvalidPossession`](Error::InvalidPossession) or
        /// [`TooManyVersions`](Error::TooManyVersions).
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::rotate_keys())]
        pub fn rotate_keys(
            origin: OriginFor<T>,
            account: Option<(AccountId, Signature)>,
            sealing_key_hash: Option<Hash>,
        ) -> DispatchResult {
            let signer = ensure_signed(origin)?;
            let user = Accounts::<T>::get(&signer).ok_or(Error::<T>::NotUser)?;
            let version = Self::rotate(user, account, sealing_key_hash)?;
            Self::deposit_event(Event::KeysRotated { user, version });
            Ok(())
        }
    }
}
