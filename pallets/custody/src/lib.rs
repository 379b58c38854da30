//! Custody: patient keys that hospitals open together for the custodian of a hospital that left.
//!
//! A patient entrusts the patient keys at a hospital (pallet-mandates). The hospital's worker wraps the newest of them
//! under the consortium key; the profile body has the earlier ones under the newest. Each wrap is made for one label:
//! chain, key, epoch, hospital, patient and profile body. It has a proof for exactly this label, which
//! [`keep`](Pallet::keep) checks. So nobody can publish the wrap of one patient's key as that of another patient, or
//! the wrap of a section as that of a key.
//!
//! When the council has removed the hospital, two thirds of it can appoint a custodian. After a delay, the custodian
//! claims the keys of patients who are registered there, and the chain decides at once. Then each member of the
//! consortium key decides again, and records here that it hands out its part, before it does so. The chain decides a
//! third time in that call. So the end of what a patient entrusted, of the registration or of the appointment counts
//! from the next block on. The custodian needs the parts of as many members as the threshold says. They are sealed to
//! the custodian, and are not on the chain.
//!
//! What a custodian opened stays open to it. As many members as the threshold says can open a wrap without this pallet,
//! and nobody sees it.
//!
//! From the end of the delay on, the custodian also answers for the records of the removed hospital
//! ([`Custodians`](epione_primitives::ports::Custodians)), with or without the keys of its patients, until the council
//! dismisses or replaces it, or it is not active any more. pallet-releases asks for this.
//!
//! A removed hospital has no agent. So its wraps do not change any more, and all members make their parts of the same.
//!
//! [`deciding`] has the decision. Clients read the storage, with proofs.
//!
//! Invariants, which `try_state` checks:
//! 1. a kept key is of a user who is or was registered at the hospital, for a key and an epoch that are not newer than
//!    the current ones, and not in the future;
//! 2. custodians are appointed for removed hospitals, are hospitals themselves, and not in the future;
//! 3. claims are numbered without gaps, each names ascending patients, a removed hospital and a custodian, and none is
//!    in the future;
//! 4. what a hospital handed out belongs to a claim, at most [`CLAIM_BLOCKS`] after it, and not in the future; the
//!    epochs are not newer than the current one.
//!
//! [`CLAIM_BLOCKS`]: epione_primitives::limits::CLAIM_BLOCKS

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "runtime-benchmarks")]
extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod deciding;
mod invariants;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
#[allow(clippy::large_enum_variant)] // One call has a wrap of 168 bytes.
pub mod pallet {
    use epione_primitives::{
        AccountId, BlockNumber, Hash, HospitalId, Moment, UserId,
        consortium::EpochId,
        custody::{Appointment, Claim, ClaimId, ClaimedPatients, Kept},
        limits::MAX_CLAIMED_PATIENTS,
        opening::{HandedOut, WRAP_BYTES},
        ports::{ConsortiumKey, Hospitals, Mandates, Users},
    };
    use frame_support::{pallet_prelude::*, traits::Time};
    use frame_system::pallet_prelude::*;
    use sp_runtime::{ArithmeticError, SaturatedConversion, traits::Zero};

    use crate::{
        WeightInfo,
        deciding::{are_ascending, is_bound},
    };

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type WeightInfo: WeightInfo;
        /// Which hospitals are removed, and the keys of the active ones.
        type Hospitals: Hospitals;
        /// Where patients are registered, and their profile bodies.
        type Users: Users;
        /// Which patient keys are entrusted.
        type Mandates: Mandates;
        /// Who has a share of which key.
        type ConsortiumKey: ConsortiumKey;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
        /// Number of blocks between an appointment and the first claim, unless the genesis configuration has another
        /// one.
        #[pallet::constant]
        type CustodianBlocks: Get<BlockNumber>;
    }

    /// The patient keys under the consortium key, by hospital and patient.
    #[pallet::storage]
    pub type KeptKeys<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, UserId, Kept>;

    /// The custodians of removed hospitals.
    #[pallet::storage]
    pub type Appointments<T: Config> = StorageMap<_, Twox64Concat, HospitalId, Appointment>;

    /// Every claim. None is ever changed or deleted.
    #[pallet::storage]
    pub type Claims<T: Config> = StorageMap<_, Twox64Concat, ClaimId, Claim>;

    /// The number of all claims, and so the id of the next one.
    #[pallet::storage]
    pub type ClaimCount<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Which hospitals handed out their parts of a claim. Nothing is ever changed or deleted.
    #[pallet::storage]
    pub type HandedOutBy<T: Config> =
        StorageDoubleMap<_, Twox64Concat, ClaimId, Twox64Concat, HospitalId, HandedOut>;

    /// Number of blocks between an appointment and the first claim.
    #[pallet::storage]
    pub type Delay<T: Config> = StorageValue<_, BlockNumber, ValueQuery, UsualDelay<T>>;

    #[pallet::type_value]
    pub fn UsualDelay<T: Config>() -> BlockNumber {
        T::CustodianBlocks::get()
    }

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Another delay between appointments and claims in blocks, for networks on one machine.
        pub delay: Option<u32>,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Some(delay) = self.delay {
                Delay::<T>::put(delay);
            }
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital published the wrap of a patient key. It replaces the one before.
        #[codec(index = 0)]
        KeyKept { hospital: HospitalId, patient: UserId },
        /// The council appointed a custodian of a removed hospital. The custodian claims after a delay.
        #[codec(index = 1)]
        CustodianAppointed { departed: HospitalId, custodian: HospitalId },
        /// The council dismissed the custodian of a removed hospital.
        #[codec(index = 2)]
        CustodianDismissed { departed: HospitalId },
        /// A custodian may open patient keys. The members hand out their parts.
        #[codec(index = 3)]
        Claimed { claim: ClaimId, departed: HospitalId, custodian: HospitalId },
        /// A hospital hands out its part of a claim. Its worker may do so after this event is finalized.
        #[codec(index = 4)]
        HandedOut { claim: ClaimId, hospital: HospitalId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital; a leaving one keeps keys and hands out parts, too.
        #[codec(index = 0)]
        NotAgent,
        /// There is no consortium key yet. The hospitals generate one as soon as two of them are active.
        #[codec(index = 1)]
        NoKey,
        /// The hospital has no share of the consortium key's current epoch. It takes part in the next ceremony.
        #[codec(index = 2)]
        NotMember,
        /// The patient does not entrust the patient keys at the hospital now: they never did, or it ended.
        #[codec(index = 3)]
        NotEntrusted,
        /// The patient's registration has another profile body now. Wrap the newest key again.
        #[codec(index = 4)]
        OtherProfile,
        /// The wrap is not bound to this patient key under the current key and epoch, or is damaged. Make it again.
        #[codec(index = 5)]
        InvalidWrap,
        /// The hospital is not removed. The council removes it before it appoints a custodian.
        #[codec(index = 6)]
        NotRemoved,
        /// The custodian must be an active hospital. Appoint another one.
        #[codec(index = 7)]
        UnknownCustodian,
        /// The removed hospital has no custodian.
        #[codec(index = 8)]
        NoCustodian,
        /// The hospital is not the custodian, or was appointed again after the claim. The council appoints it, or it
        /// claims again.
        #[codec(index = 9)]
        NotCustodian,
        /// The delay after the appointment is not over. Claim later.
        #[codec(index = 10)]
        TooEarly,
        /// The patients are not in order. Name at least one, each once, ascending.
        #[codec(index = 11)]
        InvalidPatients,
        /// A patient's registration at the custodian is not in force. The custodian must register them first.
        #[codec(index = 12)]
        NotRegistered,
        /// The removed hospital kept no key of a patient under the current consortium key. Nobody can do so any more.
        #[codec(index = 13)]
        NotKept,
        /// There is no claim with this id.
        #[codec(index = 14)]
        UnknownClaim,
        /// The claim is more than `CLAIM_BLOCKS` old. The custodian claims again.
        #[codec(index = 15)]
        Over,
        /// The custodian is not active, or its agent or sealing key is not the one of the claim. The custodian claims
        /// again.
        #[codec(index = 16)]
        CustodianChanged,
        /// The hospital has recorded this already, and the decision holds in this block. A worker that hands out its
        /// part again checks the decision before.
        #[codec(index = 17)]
        AlreadyHandedOut,
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
        /// Publishes the wrap of the newest patient key in the profile body of a patient's registration at the signer's
        /// hospital, which replaces the one before. Signed by the agent of a member of the consortium key.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoKey`](Error::NoKey), [`NotMember`](Error::NotMember),
        /// [`NotEntrusted`](Error::NotEntrusted), [`OtherProfile`](Error::OtherProfile) or
        /// [`InvalidWrap`](Error::InvalidWrap).
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::keep())]
        pub fn keep(
            origin: OriginFor<T>,
            patient: UserId,
            profile: Hash,
            wrap: [u8; WRAP_BYTES],
        ) -> DispatchResult {
            let hospital = Self::hospital_of_agent(origin)?;
            let (key, epoch) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
            ensure!(T::ConsortiumKey::is_member(hospital), Error::<T>::NotMember);
            ensure!(T::Mandates::entrusts(patient, hospital), Error::<T>::NotEntrusted);
            let newest = T::Users::profile_body(hospital, patient);
            ensure!(newest == Some(profile), Error::<T>::OtherProfile);
            let kept = Kept { profile, key, epoch, wrap, block: Self::block() };
            let label = kept.label(Self::genesis(), hospital, patient);
            ensure!(is_bound(&wrap, &label), Error::<T>::InvalidWrap);

            KeptKeys::<T>::insert(hospital, patient, kept);
            Self::deposit_event(Event::KeyKept { hospital, patient });
            Ok(())
        }

        /// Appoints the custodian of a removed hospital, who replaces the one before. Requires root: the council
        /// dispatches it with two thirds.
        ///
        /// Fails with [`NotRemoved`](Error::NotRemoved) or [`UnknownCustodian`](Error::UnknownCustodian).
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::appoint())]
        pub fn appoint(
            origin: OriginFor<T>,
            departed: HospitalId,
            custodian: HospitalId,
        ) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(T::Hospitals::is_removed(departed), Error::<T>::NotRemoved);
            let is_active = T::Hospitals::active().binary_search(&custodian).is_ok();
            ensure!(is_active, Error::<T>::UnknownCustodian);

            let since = Self::block();
            Appointments::<T>::insert(departed, Appointment { custodian, since });
            Self::deposit_event(Event::CustodianAppointed { departed, custodian });
            Ok(())
        }

        /// Dismisses the custodian of a removed hospital. Requires root: the council dispatches it with two thirds.
        ///
        /// Fails with [`NoCustodian`](Error::NoCustodian).
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::dismiss())]
        pub fn dismiss(origin: OriginFor<T>, departed: HospitalId) -> DispatchResult {
            ensure_root(origin)?;
            Appointments::<T>::take(departed).ok_or(Error::<T>::NoCustodian)?;
            Self::deposit_event(Event::CustodianDismissed { departed });
            Ok(())
        }

        /// Claims patient keys at a removed hospital. The chain decides at once: it stores the claim, or the call
        /// fails. The hospitals hand out their parts for
        /// [`CLAIM_BLOCKS`](epione_primitives::limits::CLAIM_BLOCKS), sealed to the custodian's present sealing key.
        /// Signed by the agent of the custodian.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`InvalidPatients`](Error::InvalidPatients),
        /// [`NotRemoved`](Error::NotRemoved), [`NotCustodian`](Error::NotCustodian), [`TooEarly`](Error::TooEarly),
        /// [`NoKey`](Error::NoKey), [`NotEntrusted`](Error::NotEntrusted), [`NotRegistered`](Error::NotRegistered) or
        /// [`NotKept`](Error::NotKept).
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::claim(patients.len().saturated_into()))]
        pub fn claim(
            origin: OriginFor<T>,
            departed: HospitalId,
            patients: ClaimedPatients,
        ) -> DispatchResult {
            let custodian = Self::hospital_of_agent(origin)?;
            ensure!(are_ascending(&patients), Error::<T>::InvalidPatients);
            let (audience, sealing_key) =
                T::Hospitals::recipient(custodian).ok_or(Error::<T>::NotAgent)?;
            let (block, at) = (Self::block(), T::Time::now());
            let claimed = Claim { departed, custodian, patients, audience, sealing_key, block, at };
            Self::check_stands(&claimed)?;

            let claim = ClaimId(ClaimCount::<T>::get());
            ClaimCount::<T>::put(claim.0.checked_add(1).ok_or(ArithmeticError::Overflow)?);
            Claims::<T>::insert(claim, claimed);
            Self::deposit_event(Event::Claimed { claim, departed, custodian });
            Ok(())
        }

        /// Records that a hospital hands out its part of a claim. Signed by the agent of a member of the consortium
        /// key. Each hospital records it once. A worker that hands out its part again checks the decision again.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`UnknownClaim`](Error::UnknownClaim), [`NoKey`](Error::NoKey),
        /// [`NotMember`](Error::NotMember), [`Over`](Error::Over), [`CustodianChanged`](Error::CustodianChanged),
        /// [`NotCustodian`](Error::NotCustodian), [`TooEarly`](Error::TooEarly),
        /// [`NotEntrusted`](Error::NotEntrusted), [`NotRegistered`](Error::NotRegistered) or
        /// [`NotKept`](Error::NotKept); and with [`AlreadyHandedOut`](Error::AlreadyHandedOut) only if none of them
        /// applies.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::hand_out(MAX_CLAIMED_PATIENTS))]
        pub fn hand_out(origin: OriginFor<T>, claim: ClaimId) -> DispatchResultWithPostInfo {
            let hospital = Self::hospital_of_agent(origin)?;
            let claimed = Claims::<T>::get(claim).ok_or(Error::<T>::UnknownClaim)?;
            let (_, epoch) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
            ensure!(T::ConsortiumKey::is_member(hospital), Error::<T>::NotMember);
            Self::check_stands(&claimed)?;
            let is_new = !HandedOutBy::<T>::contains_key(claim, hospital);
            ensure!(is_new, Error::<T>::AlreadyHandedOut);

            let (block, at) = (Self::block(), T::Time::now());
            HandedOutBy::<T>::insert(claim, hospital, HandedOut { epoch, block, at });
            Self::deposit_event(Event::HandedOut { claim, hospital });
            let patients = claimed.patients.len().saturated_into();
            Ok(Some(T::WeightInfo::hand_out(patients)).into())
        }
    }

    impl<T: Config> Pallet<T> {
        pub(crate) fn block() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// The hash of the chain's first block.
        pub(crate) fn genesis() -> Hash {
            frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
        }

        fn hospital_of_agent(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            let who = ensure_signed(origin)?;
            T::Hospitals::serving_by_agent(&who).ok_or(Error::<T>::NotAgent.into())
        }

        /// The epoch of which members have shares now.
        pub(crate) fn epoch() -> Option<EpochId> {
            T::ConsortiumKey::current().map(|(_, epoch)| epoch)
        }
    }
}
