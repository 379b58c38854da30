//! The hospitals of the chain.
//!
//! The council admits, suspends, reinstates and removes hospitals. Each hospital's governance
//! account updates the hospital's accounts, endpoint and sealing key. The active hospitals are the
//! chain's validators ([`pallet_session::SessionManager`]), and their governance accounts are the
//! council ([`Config::MembershipChanged`]).
//!
//! A hospital that is suspended or removed makes no more blocks at once, and its open announcements are
//! withdrawn ([`Config::OnInactive`]). An offence only benches a hospital ([`Benched`]): it stops
//! validating, but keeps its seat in the council until the council decides. Fewer than a third of the
//! hospitals are benched at a time, so stolen keys cannot take over the council. Offences from before the
//! council reinstated a hospital do not count again ([`ReinstatedIn`]).
//!
//! A hospital validates only after its worker has said that it is ready ([`Unready`]). A validator that makes no block
//! in a whole session loses its seat as a validator until its worker says so again. It keeps its seat in the council,
//! and nothing else happens to it.
//!
//! A hospital leaves by itself ([`Pallet::leave`]): it takes part in nothing any more, but serves its patients and
//! readers until the council removes it. Two thirds of the council replace the governance account of a hospital that
//! lost it, after a delay, and unless the present account objects ([`Replacements`]).
//!
//! Nothing is deleted: ids are never reused, and a removed hospital keeps its entry. Accounts are never
//! reused either: an account keeps its reference when it is rotated out, so its nonce never restarts and
//! none of its transactions can be replayed.
//!
//! Invariants, which `try_state` checks:
//! 1. ids begin at 0 without gaps, and [`Admitted`] counts them; [`Present`] counts those that are not
//!    removed;
//! 2. [`Active`] contains, ascending, exactly the hospitals whose status is active; it is empty only
//!    on a chain without hospitals;
//! 3. [`Accounts`] contains exactly the current accounts of every hospital;
//! 4. each of those accounts has a provider reference;
//! 5. [`Seated`] is ascending and contains admitted hospitals only;
//! 6. [`Benched`] and [`Unready`] are ascending and contain active hospitals only;
//! 7. the last of a hospital's [`ActivePeriods`] is open exactly while the hospital is active or leaving, and all
//!    others are closed;
//! 8. [`ReinstatedIn`] contains admitted hospitals, and no session that has not begun;
//! 9. [`LeavingHospitals`] contains, ascending, exactly the hospitals whose status is leaving;
//! 10. [`Watched`] is ascending and contains active hospitals only; [`Authored`] contains admitted hospitals, each with
//!     at least one block;
//! 11. [`Replacements`] contains hospitals that are not removed.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod directory;
mod invariants;
mod liveness;
mod membership;
#[cfg(test)]
mod mock;
mod replacement;
mod session;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use session::{FullIdentificationOf, ValidatorIdOf, Validators};
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use alloc::vec::Vec;
    use epione_primitives::{
        AccountId, BlockNumber, Hash, HospitalId, Moment,
        hospital::{Duty, Founder, Hospital, HospitalStatus, Replacement},
        limits::{
            MAX_ACTIVE_PERIODS, MAX_HOSPITALS, MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES,
            MAX_URL_BYTES, REPLACEMENT_BLOCKS,
        },
        naming::NamedAccount,
        ports::OnHospitalInactive,
        profile::Period,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{ChangeMembers, InitializeMembers, Time},
    };
    use frame_system::pallet_prelude::*;
    use sp_staking::SessionIndex;

    use crate::{Validators, WeightInfo};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// Hospitals, ascending and without repetition.
    pub type HospitalSet = BoundedVec<HospitalId, ConstU32<MAX_HOSPITALS>>;
    /// Periods of chain time, oldest first.
    pub type Periods = BoundedVec<Period, ConstU32<MAX_ACTIVE_PERIODS>>;
    /// A hospital's name, in UTF-8.
    pub type Name = BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>;
    /// The URL of a hospital's worker.
    pub type WorkerUrl = BoundedVec<u8, ConstU32<MAX_URL_BYTES>>;
    /// The origin of a hospital's storage, for readers.
    pub type StorageOrigin = BoundedVec<u8, ConstU32<MAX_URL_BYTES>>;
    /// A suite byte and the public key to which others seal for a hospital.
    pub type SealingKey = BoundedVec<u8, ConstU32<MAX_SEALING_KEY_BYTES>>;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        /// The origin that admits, suspends, reinstates and removes: more than half of the council.
        type AdmitOrigin: EnsureOrigin<Self::RuntimeOrigin>;

        /// The validators of the current session.
        type Validators: Validators;

        /// What a hospital has open that is active no longer.
        type OnInactive: OnHospitalInactive;

        /// The maximum weight of [`OnInactive`](Config::OnInactive).
        type OnInactiveWeight: Get<Weight>;

        /// The council, whose members are the governance accounts of the active hospitals.
        type MembershipChanged: ChangeMembers<AccountId> + InitializeMembers<AccountId>;

        /// The chain's clock, in milliseconds of Unix time.
        type Time: Time<Moment = Moment>;

        type WeightInfo: WeightInfo;
    }

    /// Every hospital ever admitted.
    #[pallet::storage]
    pub type Hospitals<T: Config> = StorageMap<_, Twox64Concat, HospitalId, Hospital>;

    /// The current accounts of every hospital, whatever its status.
    #[pallet::storage]
    pub type Accounts<T: Config> = StorageMap<_, Blake2_128Concat, AccountId, (HospitalId, Duty)>;

    /// How many hospitals were ever admitted, which is also the next hospital's id.
    #[pallet::storage]
    pub type Admitted<T: Config> = StorageValue<_, u16, ValueQuery>;

    /// How many hospitals are not removed: at most `MAX_HOSPITALS`.
    #[pallet::storage]
    pub type Present<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// When each hospital served its patients and readers: it was active or leaving.
    #[pallet::storage]
    pub type ActivePeriods<T: Config> =
        StorageMap<_, Twox64Concat, HospitalId, Periods, ValueQuery>;

    /// The active hospitals, ascending.
    #[pallet::storage]
    pub type Active<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// The validator set that the session pallet last received. It receives a new set only if the set
    /// changed, because each change costs a GRANDPA authority set.
    #[pallet::storage]
    pub type Seated<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// The active hospitals that committed an offence, ascending. They do not validate until the council
    /// reinstates them.
    #[pallet::storage]
    pub type Benched<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// The session in which the council last reinstated a hospital. Offences of this session and of earlier ones do
    /// not bench the hospital: the council knew them, or its keys have changed since.
    #[pallet::storage]
    pub type ReinstatedIn<T: Config> = StorageMap<_, Twox64Concat, HospitalId, SessionIndex>;

    /// The active hospitals that do not validate until their agents call [`ready`](Pallet::ready), ascending: those that
    /// were admitted or reinstated since, and those that made no block in a whole session. They keep their seats in the
    /// council and their votes.
    #[pallet::storage]
    pub type Unready<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// The validators that were able to make blocks since the begin of this session, ascending.
    #[pallet::storage]
    pub type Watched<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// How many blocks each hospital made in this session.
    #[pallet::storage]
    pub type Authored<T: Config> = StorageMap<_, Twox64Concat, HospitalId, u32, ValueQuery>;

    /// The hospitals whose status is leaving, ascending.
    #[pallet::storage]
    pub type LeavingHospitals<T: Config> = StorageValue<_, HospitalSet, ValueQuery>;

    /// The governance accounts with which the council replaces those of hospitals that lost them.
    #[pallet::storage]
    pub type Replacements<T: Config> = StorageMap<_, Twox64Concat, HospitalId, Replacement>;

    /// Number of blocks between the council's decision on a replacement and the first block that can complete it.
    #[pallet::storage]
    pub type ReplacementDelay<T: Config> = StorageValue<_, BlockNumber, ValueQuery, UsualDelay>;

    #[pallet::type_value]
    pub fn UsualDelay() -> BlockNumber {
        REPLACEMENT_BLOCKS
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The first hospitals, which are active from the start. Their ids begin at 0, in this order.
        pub founders: Vec<Founder>,
        /// Another delay of replacements in blocks, for networks on one machine.
        pub replacement_delay: Option<u32>,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            for founder in &self.founders {
                let admitted = Pallet::<T>::hospital_from(founder).and_then(Pallet::<T>::enrol);
                if let Err(error) = admitted {
                    panic!(
                        "the genesis founder {:?} cannot be admitted: {error:?}",
                        core::str::from_utf8(&founder.name),
                    );
                }
            }
            if let Some(delay) = self.replacement_delay {
                ReplacementDelay::<T>::put(delay);
            }
            T::MembershipChanged::initialize_members(&Pallet::<T>::council());
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital was admitted, and is active.
        #[codec(index = 0)]
        Admitted { hospital: HospitalId, governance: AccountId, agent: AccountId },
        /// A hospital was suspended by the council.
        #[codec(index = 1)]
        Suspended { hospital: HospitalId },
        /// A suspended hospital was reinstated, and is active again; or a benched one may validate again.
        #[codec(index = 2)]
        Reinstated { hospital: HospitalId },
        /// A hospital was removed permanently.
        #[codec(index = 3)]
        Removed { hospital: HospitalId },
        /// A hospital has new accounts. These are its current ones.
        #[codec(index = 4)]
        AccountsRotated { hospital: HospitalId, governance: AccountId, agent: AccountId },
        /// A hospital's worker has a new URL, TLS key or origin of its storage.
        #[codec(index = 5)]
        EndpointSet { hospital: HospitalId },
        /// A hospital has a new sealing key.
        #[codec(index = 6)]
        SealingKeySet { hospital: HospitalId },
        /// A hospital committed an offence, but continues to validate: otherwise a third of the hospitals would be
        /// benched, or no other could validate.
        #[codec(index = 7)]
        OffenderKept { hospital: HospitalId },
        /// A hospital committed an offence, and does not validate until the council reinstates it.
        #[codec(index = 8)]
        Benched { hospital: HospitalId },
        /// A validator made no block in a whole session, and does not validate until its agent says that it is ready.
        #[codec(index = 9)]
        Unseated { hospital: HospitalId },
        /// A hospital is ready, and validates from the session after the next one on, if it has session keys.
        #[codec(index = 10)]
        Ready { hospital: HospitalId },
        /// A hospital leaves: it serves its patients and readers until the council removes it, and does nothing else.
        #[codec(index = 11)]
        Leaving { hospital: HospitalId },
        /// The council replaces the governance account of a hospital, from a block on.
        #[codec(index = 12)]
        ReplacementProposed { hospital: HospitalId, governance: AccountId, from: BlockNumber },
        /// The governance account of a hospital stays: it objected, or the hospital was removed.
        #[codec(index = 13)]
        ReplacementWithdrawn { hospital: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// No hospital has this id.
        #[codec(index = 0)]
        UnknownHospital,
        /// The hospital does not take part: it is leaving, suspended or removed.
        #[codec(index = 1)]
        NotActive,
        /// The hospital is neither suspended nor benched, so it cannot be reinstated.
        #[codec(index = 2)]
        NotSuspended,
        /// The hospital is already removed.
        #[codec(index = 3)]
        AlreadyRemoved,
        /// No other active hospital may validate and has session keys. Without this one the chain would stop.
        #[codec(index = 4)]
        LastActive,
        /// The chain already has `MAX_HOSPITALS` hospitals. Retry after one is removed.
        #[codec(index = 5)]
        TooManyHospitals,
        /// The account belongs or belonged to a hospital or a user. Use a new account.
        #[codec(index = 6)]
        AccountInUse,
        /// The signer is not the governance account of a hospital.
        #[codec(index = 7)]
        NotGovernance,
        /// The call has neither a governance account nor an agent account.
        #[codec(index = 8)]
        NothingToRotate,
        /// The name is empty, too long or not UTF-8.
        #[codec(index = 9)]
        InvalidName,
        /// The worker's URL does not start with `https://` or `http://`, is too long, or contains
        /// characters other than visible ASCII.
        #[codec(index = 10)]
        InvalidUrl,
        /// The sealing key is too long, or too short for a suite byte and a key.
        #[codec(index = 11)]
        InvalidSealingKey,
        /// The consent is not a signature of the named account for this chain, hospital, duty and block. Let
        /// the holder of the key sign again.
        #[codec(index = 12)]
        InvalidConsent,
        /// The consent was valid until an earlier block, or would be valid for more than
        /// `MAX_CONSENT_BLOCKS`. Let the holder of the key sign again.
        #[codec(index = 13)]
        ConsentExpired,
        /// The storage's origin is not `https://` or `http://` with a host and perhaps a port. Leave out path, query
        /// and credentials.
        #[codec(index = 14)]
        InvalidStorageOrigin,
        /// The hospital is ready already.
        #[codec(index = 15)]
        NotUnready,
        /// The council has not decided on another governance account of this hospital, or it was withdrawn, or the
        /// decision is more than `REPLACEMENT_COMPLETION_BLOCKS` older than its delay.
        #[codec(index = 16)]
        NoReplacement,
        /// The delay of the replacement has not passed.
        #[codec(index = 17)]
        ReplacementTooEarly,
        /// The signer is not the agent of an active hospital.
        #[codec(index = 18)]
        NotAgent,
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
        /// Admits a hospital, which is active immediately. It begins to validate two sessions after its
        /// governance account has set its session keys, and its agent has called [`ready`](Self::ready). Both accounts
        /// consent to the hospital's id, which is [`Admitted`] at that moment. Requires the council.
        ///
        /// Fails with [`TooManyHospitals`](Error::TooManyHospitals),
        /// [`AccountInUse`](Error::AccountInUse), [`InvalidConsent`](Error::InvalidConsent),
        /// [`ConsentExpired`](Error::ConsentExpired), [`InvalidName`](Error::InvalidName),
        /// [`InvalidUrl`](Error::InvalidUrl) or [`InvalidSealingKey`](Error::InvalidSealingKey).
        #[pallet::call_index(0)]
        pub fn admit(
            origin: OriginFor<T>,
            name: Name,
            governance: NamedAccount,
            agent: NamedAccount,
            worker_url: WorkerUrl,
            sealing_key: SealingKey,
            tls_key: [u8; 32],
        ) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let hospital = Self::enrol(Hospital {
                name,
                governance: governance.account.clone(),
                agent: agent.account.clone(),
                worker_url,
                sealing_key,
                tls_key,
                storage_origin: None,
                status: HospitalStatus::Active,
            })?;
            Self::check_consent(hospital, Duty::Governance, &governance)?;
            Self::check_consent(hospital, Duty::Agent, &agent)?;
            let (governance, agent) = (governance.account, agent.account);
            Self::begin_unready(hospital);
            Self::change_council(core::slice::from_ref(&governance), &[]);
            Self::deposit_event(Event::Admitted { hospital, governance, agent });
            Ok(())
        }

        /// Suspends an active or leaving hospital until the council reinstates it. The hospital makes no more blocks,
        /// and its open announcements are withdrawn. Requires the council.
        ///
        /// Fails with [`UnknownHospital`](Error::UnknownHospital), [`NotActive`](Error::NotActive)
        /// or [`LastActive`](Error::LastActive).
        #[pallet::call_index(1)]
        #[pallet::weight(
            <T as Config>::WeightInfo::suspend().saturating_add(T::OnInactiveWeight::get())
        )]
        pub fn suspend(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let entry = Self::known(hospital)?;
            ensure!(entry.status.serves(), Error::<T>::NotActive);
            Self::set_status(hospital, entry, HospitalStatus::Suspended)?;
            Self::deposit_event(Event::Suspended { hospital });
            Ok(())
        }

        /// Makes a suspended hospital active again, which validates after its agent has called [`ready`](Self::ready),
        /// or lets a benched one validate again. Offences of this session and of earlier ones do not bench it again.
        /// Requires the council.
        ///
        /// Fails with [`UnknownHospital`](Error::UnknownHospital) or
        /// [`NotSuspended`](Error::NotSuspended).
        #[pallet::call_index(2)]
        pub fn reinstate(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let entry = Self::known(hospital)?;
            if Self::leave_bench(hospital) {
                T::Validators::enable(hospital);
            } else {
                ensure!(entry.status == HospitalStatus::Suspended, Error::<T>::NotSuspended);
                Self::set_status(hospital, entry, HospitalStatus::Active)?;
                Self::begin_unready(hospital);
            }
            ReinstatedIn::<T>::insert(hospital, T::Validators::session());
            Self::deposit_event(Event::Reinstated { hospital });
            Ok(())
        }

        /// Removes a hospital permanently. Its id, entry and records stay. It makes no more blocks, its
        /// session keys are deleted, and its open announcements are withdrawn. Requires the council.
        ///
        /// Fails with [`UnknownHospital`](Error::UnknownHospital),
        /// [`AlreadyRemoved`](Error::AlreadyRemoved) or [`LastActive`](Error::LastActive).
        #[pallet::call_index(3)]
        #[pallet::weight(
            <T as Config>::WeightInfo::remove().saturating_add(T::OnInactiveWeight::get())
        )]
        pub fn remove(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let entry = Self::known(hospital)?;
            ensure!(entry.status != HospitalStatus::Removed, Error::<T>::AlreadyRemoved);
            Self::set_status(hospital, entry, HospitalStatus::Removed)?;
            Self::deposit_event(Event::Removed { hospital });
            Ok(())
        }

        /// Replaces the governance account, the agent account or both of the signer's hospital. The old
        /// accounts lose all rights immediately. The session keys stay, and so does a replacement on which the council
        /// decided: a thief would avoid it. The new accounts consent. Signed by the governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive),
        /// [`NothingToRotate`](Error::NothingToRotate), [`AccountInUse`](Error::AccountInUse),
        /// [`InvalidConsent`](Error::InvalidConsent) or [`ConsentExpired`](Error::ConsentExpired).
        #[pallet::call_index(4)]
        pub fn rotate_accounts(
            origin: OriginFor<T>,
            governance: Option<NamedAccount>,
            agent: Option<NamedAccount>,
        ) -> DispatchResult {
            let (hospital, mut entry) = Self::serving_under(ensure_signed(origin)?)?;
            ensure!(governance.is_some() || agent.is_some(), Error::<T>::NothingToRotate);
            if let Some(next) = agent {
                Self::hand_over(hospital, Duty::Agent, &mut entry.agent, next)?;
            }
            let outgoing = match governance {
                Some(next) => {
                    Some(Self::hand_over(hospital, Duty::Governance, &mut entry.governance, next)?)
                }
                None => None,
            };
            Self::put_accounts(hospital, entry, outgoing);
            Ok(())
        }

        /// Sets the URL and TLS key of the worker of the signer's hospital, and the origin of its storage, the only
        /// other origin to which the worker may redirect readers. Signed by the governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive),
        /// [`InvalidUrl`](Error::InvalidUrl) or [`InvalidStorageOrigin`](Error::InvalidStorageOrigin).
        #[pallet::call_index(5)]
        pub fn set_endpoint(
            origin: OriginFor<T>,
            worker_url: WorkerUrl,
            tls_key: [u8; 32],
            storage_origin: Option<StorageOrigin>,
        ) -> DispatchResult {
            let (hospital, entry) = Self::serving_under(ensure_signed(origin)?)?;
            Self::check_url(&worker_url)?;
            Self::check_storage_origin(storage_origin.as_ref())?;
            let entry = Hospital { worker_url, tls_key, storage_origin, ..entry };
            Hospitals::<T>::insert(hospital, entry);
            Self::deposit_event(Event::EndpointSet { hospital });
            Ok(())
        }

        /// Sets the key to which others seal for the signer's hospital. Signed by the governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive) or
        /// [`InvalidSealingKey`](Error::InvalidSealingKey).
        #[pallet::call_index(6)]
        pub fn set_sealing_key(origin: OriginFor<T>, sealing_key: SealingKey) -> DispatchResult {
            let (hospital, entry) = Self::serving_under(ensure_signed(origin)?)?;
            Self::check_sealing_key(&sealing_key)?;
            Hospitals::<T>::insert(hospital, Hospital { sealing_key, ..entry });
            Self::deposit_event(Event::SealingKeySet { hospital });
            Ok(())
        }

        /// Says that the signer's hospital is ready to validate: its node is at the newest block, and its worker has
        /// every committed segment. It validates from the session after the next one on, if it has session keys. Nobody
        /// can check that; a hospital that makes no block in a whole session loses the seat again. Signed by the agent.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent) or [`NotUnready`](Error::NotUnready).
        #[pallet::call_index(7)]
        pub fn ready(origin: OriginFor<T>) -> DispatchResult {
            let hospital = Self::run_by(&ensure_signed(origin)?)?;
            ensure!(Self::end_unready(hospital), Error::<T>::NotUnready);
            Self::deposit_event(Event::Ready { hospital });
            Ok(())
        }

        /// Lets the signer's hospital leave. It makes no more blocks, has no seat in the council and takes part in
        /// nothing, and its open announcements are withdrawn. It serves its patients and readers until the council
        /// removes it. Only the council can make it active again, by suspending and reinstating it. Signed by the
        /// governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive) or
        /// [`LastActive`](Error::LastActive).
        #[pallet::call_index(8)]
        #[pallet::weight(
            <T as Config>::WeightInfo::leave().saturating_add(T::OnInactiveWeight::get())
        )]
        pub fn leave(origin: OriginFor<T>) -> DispatchResult {
            let (hospital, entry) = Self::governed_by(ensure_signed(origin)?)?;
            Self::set_status(hospital, entry, HospitalStatus::Leaving)?;
            Self::deposit_event(Event::Leaving { hospital });
            Ok(())
        }

        /// Replaces the governance account of a hospital that lost it, after a delay ([`ReplacementDelay`]). It takes
        /// the place of an earlier decision about the same hospital. The new account consents, as for
        /// [`rotate_accounts`](Self::rotate_accounts). While the hospital is active, its present account can object;
        /// if that account is stolen, suspend the hospital first. Requires root: the council dispatches it with two
        /// thirds.
        ///
        /// Fails with [`UnknownHospital`](Error::UnknownHospital), [`AlreadyRemoved`](Error::AlreadyRemoved),
        /// [`AccountInUse`](Error::AccountInUse), [`InvalidConsent`](Error::InvalidConsent) or
        /// [`ConsentExpired`](Error::ConsentExpired).
        #[pallet::call_index(9)]
        pub fn replace_governance(
            origin: OriginFor<T>,
            hospital: HospitalId,
            governance: NamedAccount,
        ) -> DispatchResult {
            ensure_root(origin)?;
            let Replacement { governance, from } = Self::propose_replacement(hospital, governance)?;
            Self::deposit_event(Event::ReplacementProposed { hospital, governance, from });
            Ok(())
        }

        /// Completes the replacement of a hospital's governance account after its delay, and within
        /// [`REPLACEMENT_COMPLETION_BLOCKS`](epione_primitives::limits::REPLACEMENT_COMPLETION_BLOCKS) more. The old
        /// account loses all rights immediately. Agent and session keys stay: rotate them next. Signed by the
        /// governance account of any active hospital.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive),
        /// [`NoReplacement`](Error::NoReplacement), [`ReplacementTooEarly`](Error::ReplacementTooEarly) or
        /// [`AccountInUse`](Error::AccountInUse).
        #[pallet::call_index(10)]
        pub fn complete_replacement(origin: OriginFor<T>, hospital: HospitalId) -> DispatchResult {
            Self::governed_by(ensure_signed(origin)?)?;
            Self::replace(hospital)?;
            Ok(())
        }

        /// Objects to the replacement of the signer's account, which does not happen then. Signed by the present
        /// governance account of an active hospital. A hospital that the council has suspended cannot object.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NotActive`](Error::NotActive) or
        /// [`NoReplacement`](Error::NoReplacement).
        #[pallet::call_index(11)]
        pub fn object_to_replacement(origin: OriginFor<T>) -> DispatchResult {
            let (hospital, _) = Self::governed_by(ensure_signed(origin)?)?;
            ensure!(Self::withdraw_replacement(hospital), Error::<T>::NoReplacement);
            Ok(())
        }
    }
}
