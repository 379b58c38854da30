//! The users, and their registrations at hospitals (R_UPR).
//!
//! A hospital's agent registers a user, with the [`NamingConsent`] that the user's account signed. The first
//! registration creates the profile. So no hospital can register a patient without their consent, or take an account
//! whose key it does not have. The user's id follows from the first account and sealing key ([`UserId::of`]), so no
//! hospital can register another user under an id that it saw. The user's keys, wraps and sealed name are in the
//! profile body, which the node stores outside the state ([`Config::Bodies`]); the state contains its hash. Users
//! rotate their own keys. Nothing is overwritten: earlier profiles, periods and bodies stay readable. For a user who
//! has lost the keys, a hospital proposes new ones, which become the user's after a delay if nobody objects.
//!
//! A call stores its body last, after everything that can fail, because the node stores a body even if the
//! dispatch fails.
//!
//! Invariants, which `try_state` checks:
//! 1. [`Accounts`] contains exactly the current account of every profile, and each has a sufficient
//!    reference, which it keeps when it is rotated out;
//! 2. [`ProfileHistory`] contains exactly the earlier versions of every profile;
//! 3. every profile has a registration, and every registration belongs to a profile and a hospital
//!    that exists;
//! 4. the periods of a registration follow each other; the last period is open exactly while the
//!    registration is active, and all others are closed;
//! 5. [`RegistrationBodies`] contains every version of a registration's body, and the newest is
//!    the registration's current body;
//! 6. [`Members`] contains exactly the registrations, by hospital;
//! 7. [`LastRotation`] contains exactly the users whose profile was rotated, and no future moment;
//! 8. [`InForce`] contains only hospitals at which a user's registration is active, each once, and all of these
//!    that are not removed;
//! 9. [`EarlierPeriods`] contains complete pages of closed periods, which come before the periods in the
//!    registration, and a registration that is not active has room for another period;
//! 10. the id of every user follows from the account and sealing key of the profile's first version, and the current
//!     version is as old as the last rotation;
//! 11. [`SealingKeys`] contains exactly the sealing keys of all versions of every profile;
//! 12. [`Recoveries`] contains only new keys of users, proposed by a hospital at which the user is or was registered,
//!     and those that were proposed for an earlier version of the profile have lapsed, or somebody has objected;
//! 13. [`Proposals`] contains exactly the users in [`Recoveries`], by hospital, with the block in which the keys lapse;
//! 14. [`RecoveryPauses`] contains only hospitals at which the user is or was registered; and a hospital that proposed
//!     keys waits until they lapse exactly if somebody objected to them.
//!
//! [`UserId::of`]: epione_primitives::UserId::of
//! [`NamingConsent`]: epione_primitives::naming::NamingConsent

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
mod recovery;
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
        AccountId, BlockNumber, Hash, HospitalId, Moment, Signature, UserId,
        limits::{MAX_REGISTRATIONS_IN_FORCE, MAX_STANDING_RECOVERIES, PERIODS_PER_PAGE},
        naming::{NamedAccount, Naming},
        ports::{Bodies, Hospitals},
        profile::{Objection, Period, Profile, Recovery, Registration, RegistrationStatus, Role},
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The hospitals at which a user's registration is in force.
    pub type Responsible = BoundedVec<HospitalId, ConstU32<MAX_REGISTRATIONS_IN_FORCE>>;
    /// Earlier periods of a registration, oldest first.
    pub type PeriodPage = BoundedVec<Period, ConstU32<PERIODS_PER_PAGE>>;
    /// Users for whom a hospital proposed new keys, with the block in which these lapse; the oldest proposal first.
    pub type ProposalList = BoundedVec<(UserId, BlockNumber), ConstU32<MAX_STANDING_RECOVERIES>>;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type Hospitals: Hospitals;

        /// Stores the profile bodies.
        type Bodies: Bodies;

        /// The chain's clock, in milliseconds of Unix time.
        type Time: Time<Moment = Moment>;

        /// Number of blocks for which new keys of a user wait for objections, unless the genesis configuration has
        /// another one.
        #[pallet::constant]
        type RecoveryBlocks: Get<BlockNumber>;

        type WeightInfo: WeightInfo;
    }

    /// The users' current profiles.
    #[pallet::storage]
    pub type Profiles<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Profile>;

    /// The earlier versions of a profile. The current version is in [`Profiles`] only.
    #[pallet::storage]
    pub type ProfileHistory<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, Profile>;

    /// The users' current accounts.
    #[pallet::storage]
    pub type Accounts<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, UserId>;

    /// A user's current and past registrations, by hospital.
    #[pallet::storage]
    pub type Registrations<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, Registration>;

    /// The hospitals at which a user's registration is in force, in the order in which the registrations came
    /// into force. A registration that is suspended or has ended is not listed, so it uses no place. Nor is one at a
    /// removed hospital, after its place was needed.
    #[pallet::storage]
    pub type InForce<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Responsible, ValueQuery>;

    /// The pages of a registration's periods that no longer fit into the registration, oldest first.
    #[pallet::storage]
    pub type EarlierPeriods<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Blake2_128Concat, UserId>,
            NMapKey<Twox64Concat, HospitalId>,
            NMapKey<Twox64Concat, u32>,
        ),
        PeriodPage,
        ValueQuery,
    >;

    /// The number of pages in [`EarlierPeriods`] of a registration.
    #[pallet::storage]
    pub type EarlierPages<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, u32, ValueQuery>;

    /// The users who are or were registered at a hospital: an index of [`Registrations`] by hospital.
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

    /// The hashes of the sealing keys that a user has or had. None becomes the user's again.
    #[pallet::storage]
    pub type SealingKeys<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Blake2_128Concat, Hash, ()>;

    /// When a user last rotated a key.
    #[pallet::storage]
    pub type LastRotation<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Moment>;

    /// The keys that a hospital proposed last for a user who has lost the present ones, until they become the user's.
    /// Lapsed ones stay until others are proposed for the user, or by the hospital.
    #[pallet::storage]
    pub type Recoveries<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Recovery>;

    /// The users for whom the keys in [`Recoveries`] are a hospital's.
    #[pallet::storage]
    pub type Proposals<T: Config> =
        StorageMap<_, Twox64Concat, HospitalId, ProposalList, ValueQuery>;

    /// The first block in which a hospital, to whose keys for a user somebody objected, can propose keys for the user
    /// again. Stays until it does.
    #[pallet::storage]
    pub type RecoveryPauses<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, HospitalId, BlockNumber>;

    /// Number of blocks for which new keys of a user wait for objections.
    #[pallet::storage]
    pub type RecoveryDelay<T: Config> =
        StorageValue<_, BlockNumber, ValueQuery, UsualRecoveryDelay<T>>;

    #[pallet::type_value]
    pub fn UsualRecoveryDelay<T: Config>() -> BlockNumber {
        T::RecoveryBlocks::get()
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Another delay of recoveries in blocks, for networks on one machine.
        pub recovery_delay: Option<u32>,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(delay) = self.recovery_delay {
                RecoveryDelay::<T>::put(delay);
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital registered a user: a new user, or an existing one.
        #[codec(index = 0)]
        Registered { hospital: HospitalId, user: UserId, version: u32, body_hash: Hash },
        /// A registration has a new body.
        #[codec(index = 1)]
        Updated { hospital: HospitalId, user: UserId, version: u32, body_hash: Hash },
        /// A registration was suspended. It is not in force until it is reinstated.
        #[codec(index = 2)]
        Suspended { hospital: HospitalId, user: UserId },
        /// A suspended registration was reinstated, and is in force again.
        #[codec(index = 3)]
        Reinstated { hospital: HospitalId, user: UserId },
        /// A registration ended.
        #[codec(index = 4)]
        RegistrationEnded { hospital: HospitalId, user: UserId },
        /// A user has a new account, a new sealing key or both.
        #[codec(index = 5)]
        KeysRotated { user: UserId, version: u32 },
        /// A hospital proposed new keys for a user who has lost the present ones. They can become the user's from the
        /// block `due` on.
        #[codec(index = 6)]
        RecoveryProposed {
            hospital: HospitalId,
            user: UserId,
            account: AccountId,
            due: BlockNumber,
        },
        /// Somebody objected to the new keys of a user, or the user rotated the keys. Only the council can make the
        /// proposed keys the user's now. A user's objection follows a hospital's.
        #[codec(index = 7)]
        RecoveryObjected { user: UserId, objection: Objection },
        /// The keys that a hospital proposed for a user became the user's. [`KeysRotated`](Event::KeysRotated) follows.
        #[codec(index = 8)]
        Recovered { hospital: HospitalId, user: UserId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital, or of a leaving one that looks after its users.
        #[codec(index = 0)]
        NotAgent,
        /// The signer is not the current account of a user.
        #[codec(index = 1)]
        NotUser,
        /// No user has this id.
        #[codec(index = 2)]
        UnknownUser,
        /// The account belongs or belonged to a user or a hospital. Use a new account.
        #[codec(index = 3)]
        AccountInUse,
        /// The user exists, but with another role, account or sealing key.
        #[codec(index = 4)]
        ProfileMismatch,
        /// The consent is not a signature of the named account for this chain, hospital, user and version.
        /// Let the user sign again.
        #[codec(index = 5)]
        InvalidConsent,
        /// The user is already registered at this hospital. The registration may be suspended.
        #[codec(index = 6)]
        AlreadyRegistered,
        /// The user was never registered at this hospital. From `rotate_keys`: no registration of the user is in
        /// force, except at removed hospitals. A hospital must reinstate the user, or register the user again, first.
        #[codec(index = 7)]
        NotRegistered,
        /// The registration has ended. Register the user again.
        #[codec(index = 8)]
        RegistrationHasEnded,
        /// The registration is not active, so it cannot be suspended.
        #[codec(index = 9)]
        NotActive,
        /// The registration is not suspended, so it cannot be reinstated.
        #[codec(index = 10)]
        NotSuspended,
        /// The user already has `MAX_REGISTRATIONS_IN_FORCE` registrations in force. Another hospital must
        /// suspend or end one of them first.
        #[codec(index = 11)]
        TooManyInForce,
        /// The profile body is empty.
        #[codec(index = 12)]
        EmptyBody,
        /// The profile body is longer than `MAX_PROFILE_BODY_BYTES`.
        #[codec(index = 13)]
        BodyTooLong,
        /// The call has no new account, and no sealing key other than the current one.
        #[codec(index = 14)]
        NothingToRotate,
        /// The version number has reached its maximum.
        #[codec(index = 15)]
        TooManyVersions,
        /// The user rotated keys less than `ROTATION_PAUSE_MILLIS` ago. Retry later.
        #[codec(index = 16)]
        RotatedTooRecently,
        /// The id of a new user does not follow from the account and the sealing key of this call. Use the id that
        /// `UserId::of` derives from them.
        #[codec(index = 17)]
        AnotherUser,
        /// The registration's body is not the one that the call replaces. Read the current body, and make the new one
        /// from it.
        #[codec(index = 18)]
        AnotherBody,
        /// The user had this sealing key before, so somebody may have stolen it. Use a new sealing key.
        #[codec(index = 19)]
        SealingKeyUsedBefore,
        /// A hospital has proposed new keys for this user, nobody objected, and the proposal has not lapsed. If the
        /// keys are not the user's, object first.
        #[codec(index = 20)]
        RecoveryStands,
        /// No new keys are proposed for this user, or the proposal has lapsed. Propose keys first.
        #[codec(index = 21)]
        NoRecovery,
        /// Another hospital proposed the new keys. Its agent completes the recovery.
        #[codec(index = 22)]
        AnotherHospital,
        /// Somebody has objected to the new keys. Talk to the user and to the user's other hospitals. If the objection
        /// is a thief's, the council can complete the recovery.
        #[codec(index = 23)]
        RecoveryObjected,
        /// The new keys still wait for objections. Retry from the block `due` of the recovery on; the council, from a
        /// day after the proposal on.
        #[codec(index = 24)]
        RecoveryTooEarly,
        /// The signer is neither the user's current account nor the agent of an active hospital.
        #[codec(index = 25)]
        NotConcerned,
        /// Somebody objected to earlier keys that this hospital proposed for this user. Retry when these would have
        /// lapsed, or let another hospital of the user propose keys.
        #[codec(index = 26)]
        RecoveryPaused,
        /// The consent to a recovery has expired, or is valid for more than `MAX_CONSENT_BLOCKS`. Let the user sign
        /// again.
        #[codec(index = 27)]
        ConsentExpired,
        /// `MAX_STANDING_RECOVERIES` proposals of this hospital have not lapsed. Complete some of them, or wait.
        #[codec(index = 28)]
        TooManyRecoveries,
        /// The hospital suspended the registration more than `RECOVERY_AFTER_SUSPENSION_MILLIS` ago. If the user is
        /// still a user of the hospital, reinstate the registration first.
        #[codec(index = 29)]
        SuspendedTooLong,
        /// The call names another recovery than the one that stands, or the council named none. Read the recovery, and
        /// decide again.
        #[codec(index = 30)]
        AnotherRecovery,
        /// The user's keys were rotated after these keys were proposed. Suspend the user at every hospital if a thief
        /// has the present keys, and propose keys again.
        #[codec(index = 31)]
        RotatedSinceProposal,
        /// A hospital has proposed this account or this sealing key for the user. Rotate to other keys.
        #[codec(index = 32)]
        KeyProposed,
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
        /// Registers a user at the signer's hospital. For a new user, role, account and sealing key become
        /// the profile, and the id must follow from account and sealing key. For an existing user, they must match
        /// the profile. The account signs the
        /// [`NamingConsent`](epione_primitives::naming::NamingConsent) to
        /// [`Naming::Registration`](epione_primitives::naming::Naming). Signed by the hospital's agent.
        ///
        /// The body must be the last argument, and the call must not be wrapped in another call, because
        /// the node stores the extrinsic's last bytes.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`BodyTooLong`](Error::BodyTooLong) or [`InvalidConsent`](Error::InvalidConsent); for a new
        /// user with [`AnotherUser`](Error::AnotherUser) or [`AccountInUse`](Error::AccountInUse); for an existing
        /// one with
        /// [`ProfileMismatch`](Error::ProfileMismatch),
        /// [`AlreadyRegistered`](Error::AlreadyRegistered) or
        /// [`TooManyInForce`](Error::TooManyInForce); and with the error of [`Bodies::keep`].
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register(body.len() as u32))]
        pub fn register(
            origin: OriginFor<T>,
            user: UserId,
            role: Role,
            account: AccountId,
            sealing_key_hash: Hash,
            consent: Signature,
            body: Vec<u8>,
        ) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let body = Self::checked(&body)?;
            let since = T::Time::now();
            let profile = Profile { role, account, sealing_key_hash, version: 1, since };
            let current = Profiles::<T>::get(user);
            let registration = match &current {
                None => {
                    Self::check_id(user, &profile)?;
                    Self::first_registration()
                }
                Some(current) => {
                    ensure!(Self::agrees(current, &profile), Error::<T>::ProfileMismatch);
                    Self::further_registration(hospital, user)?
                }
            };
            let version = registration.version;
            let naming = Naming::Registration { hospital, user, version };
            Self::check_consent(naming, &profile.account, &consent)?;
            if current.is_none() {
                Self::create(user, profile)?;
            }
            Self::list_in_force(hospital, user)?;
            let version = Self::put_with_body(hospital, user, registration, body.hash())?;
            Self::deposit_event(Event::Registered {
                hospital,
                user,
                version,
                body_hash: body.hash(),
            });
            T::Bodies::keep(body)
        }

        /// Replaces the body of a user's registration at the signer's hospital, for example after a
        /// rotation of keys. Works for suspended registrations too. Signed by the hospital's agent.
        ///
        /// `previous` is the hash of the body that the new one was made from. So of two bodies that were made from
        /// the same one, the second is refused: it would contain another patient key with the number of the first.
        ///
        /// The body must be the last argument, and the call must not be wrapped in another call.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`BodyTooLong`](Error::BodyTooLong), [`NotRegistered`](Error::NotRegistered),
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded), [`AnotherBody`](Error::AnotherBody) or the error of
        /// [`Bodies::keep`].
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::update(body.len() as u32))]
        pub fn update(
            origin: OriginFor<T>,
            user: UserId,
            previous: Hash,
            body: Vec<u8>,
        ) -> DispatchResult {
            let hospital = Self::hospital_in_charge(origin)?;
            let body = Self::checked(&body)?;
            let registration = Self::lasting(hospital, user)?;
            ensure!(registration.body_hash == previous, Error::<T>::AnotherBody);
            let version = Self::put_with_body(hospital, user, registration, body.hash())?;
            Self::deposit_event(Event::Updated { hospital, user, version, body_hash: body.hash() });
            T::Bodies::keep(body)
        }

        /// Suspends a user's registration at the signer's hospital, until it is reinstated. Signed by the
        /// hospital's agent.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered) or
        /// [`NotActive`](Error::NotActive).
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::suspend())]
        pub fn suspend(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_in_charge(origin)?;
            let mut registration = Self::registered_at(hospital, user)?;
            ensure!(registration.status == RegistrationStatus::Active, Error::<T>::NotActive);
            let suspended = RegistrationStatus::Suspended;
            Self::leave_force(hospital, user, &mut registration, suspended);
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::Suspended { hospital, user });
            Ok(())
        }

        /// Reinstates a suspended registration at the signer's hospital. Signed by the hospital's agent.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered),
        /// [`NotSuspended`](Error::NotSuspended) or [`TooManyInForce`](Error::TooManyInForce).
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::reinstate())]
        pub fn reinstate(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let mut registration = Self::registered_at(hospital, user)?;
            ensure!(registration.status == RegistrationStatus::Suspended, Error::<T>::NotSuspended);
            Self::list_in_force(hospital, user)?;
            Self::enter_force(&mut registration);
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::Reinstated { hospital, user });
            Ok(())
        }

        /// Ends a user's registration at the signer's hospital. To register the user again, the hospital
        /// needs the user's consent. Signed by the hospital's agent.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered) or
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded).
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::end_registration())]
        pub fn end_registration(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let hospital = Self::hospital_in_charge(origin)?;
            let mut registration = Self::lasting(hospital, user)?;
            let ended = RegistrationStatus::Ended;
            Self::leave_force(hospital, user, &mut registration, ended);
            Registrations::<T>::insert(user, hospital, registration);
            Self::deposit_event(Event::RegistrationEnded { hospital, user });
            Ok(())
        }

        /// Replaces the signer's account, sealing key or both. A registration of the user must be in force at some
        /// hospital that was not removed. The profile is new from now on, also if only the account changes. The new
        /// account signs a
        /// [`NamingConsent`](epione_primitives::naming::NamingConsent) to
        /// [`Naming::Rotation`](epione_primitives::naming::Naming), so the user has its key.
        /// The old account loses all rights immediately. The user can rotate again only after a pause,
        /// so nobody can fill the chain with versions of a profile. The rotation is an objection to a recovery, and
        /// uses none of its keys.
        ///
        /// Fails with [`NotUser`](Error::NotUser), [`NotRegistered`](Error::NotRegistered),
        /// [`RotatedTooRecently`](Error::RotatedTooRecently),
        /// [`NothingToRotate`](Error::NothingToRotate),
        /// [`SealingKeyUsedBefore`](Error::SealingKeyUsedBefore), [`KeyProposed`](Error::KeyProposed),
        /// [`AccountInUse`](Error::AccountInUse), [`InvalidConsent`](Error::InvalidConsent) or
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

        /// Proposes new keys for a user who has lost the present ones. Signed by the agent of a hospital at which the
        /// user's registration is active, or was suspended in the last 30 days. The new account signs a
        /// [`NamingConsent`](epione_primitives::naming::NamingConsent) to
        /// [`Naming::Recovery`](epione_primitives::naming::Naming), so its key is the user's. The keys become the
        /// user's when the hospital completes the recovery, after a delay in which the user and the user's other
        /// hospitals can object. The weight includes the user's objection, which needs no hospital's quota.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NotRegistered`](Error::NotRegistered),
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded), [`SuspendedTooLong`](Error::SuspendedTooLong),
        /// [`RecoveryStands`](Error::RecoveryStands), [`RecoveryPaused`](Error::RecoveryPaused),
        /// [`ConsentExpired`](Error::ConsentExpired), [`InvalidConsent`](Error::InvalidConsent),
        /// [`AccountInUse`](Error::AccountInUse), [`SealingKeyUsedBefore`](Error::SealingKeyUsedBefore) or
        /// [`TooManyRecoveries`](Error::TooManyRecoveries).
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::propose_recovery().saturating_add(T::WeightInfo::object()))]
        pub fn propose_recovery(
            origin: OriginFor<T>,
            user: UserId,
            next: NamedAccount,
            sealing_key_hash: Hash,
        ) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let recovery = Self::propose(hospital, user, next, sealing_key_hash)?;
            let Recovery { account, due, .. } = recovery;
            Self::deposit_event(Event::RecoveryProposed { hospital, user, account, due });
            Ok(())
        }

        /// Objects to the new keys that a hospital proposed for a user. The hospital cannot complete the recovery then.
        /// Signed by the user's current account, also if no registration of the user is in force; or by the agent of a
        /// hospital at which the user's registration has not ended. The hospital that proposed the keys withdraws them
        /// so. The user's objection replaces a hospital's.
        ///
        /// Fails with [`NotConcerned`](Error::NotConcerned), [`NotRegistered`](Error::NotRegistered),
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded), [`NoRecovery`](Error::NoRecovery) or
        /// [`RecoveryObjected`](Error::RecoveryObjected).
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::object())]
        pub fn object(origin: OriginFor<T>, user: UserId) -> DispatchResult {
            let signer = ensure_signed(origin)?;
            let objection = Self::objector(&signer, user)?;
            Self::put_objection(user, objection)?;
            Ok(())
        }

        /// Makes the proposed keys a user's keys, as a rotation does. Signed by the agent of the hospital that proposed
        /// them, after the delay, if nobody objected; or dispatched by the council as root, from a day after the
        /// proposal on until it lapses, even if somebody objected. The council names the recovery about which it
        /// decided ([`Recovery::decision`]); for the agent, that is optional.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoRecovery`](Error::NoRecovery),
        /// [`AnotherRecovery`](Error::AnotherRecovery), [`AnotherHospital`](Error::AnotherHospital),
        /// [`RegistrationHasEnded`](Error::RegistrationHasEnded), [`RecoveryObjected`](Error::RecoveryObjected),
        /// [`RecoveryTooEarly`](Error::RecoveryTooEarly), [`RotatedSinceProposal`](Error::RotatedSinceProposal),
        /// [`AccountInUse`](Error::AccountInUse) or [`TooManyVersions`](Error::TooManyVersions).
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::complete_recovery())]
        pub fn complete_recovery(
            origin: OriginFor<T>,
            user: UserId,
            decision: Option<Hash>,
        ) -> DispatchResult {
            let completer = match ensure_root(origin.clone()) {
                Ok(()) => None,
                Err(_) => Some(Self::hospital_of_agent(origin)?),
            };
            let (hospital, version) = Self::complete(user, completer, decision)?;
            Self::deposit_event(Event::Recovered { hospital, user });
            Self::deposit_event(Event::KeysRotated { user, version });
            Ok(())
        }
    }
}
