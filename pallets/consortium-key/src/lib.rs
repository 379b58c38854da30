//! The consortium key: the ceremonies in which hospitals generate it and renew their shares of it, and its epochs.
//!
//! No hospital has the key's secret half. In a ceremony, each seat enrols with a sealing key, each dealer deals a
//! polynomial, each seat judges the dealings, a dealer answers complaints, and the seats confirm the result. Their
//! workers do so without a human. The chain verifies what is public: commitments, proofs of knowledge, published
//! shares. The sealed shares are bodies, which the node stores outside the state ([`Config::Bodies`]).
//!
//! A phase ends by rules that depend on the stored ceremony and the block number only
//! ([`consortium::Ceremony::advance`]). Every call first applies them, so there are no hooks: a ceremony that nobody
//! looks at costs nothing.
//!
//! What a ceremony leaves (enrolments, dealings, answers) stays while the epoch goes on that it made, also while later
//! ceremonies run or fail: a member that was away computes its share from it, and confirms late. What a ceremony left
//! that failed is removed when the next one begins.
//!
//! `invariants.rs` lists what `try_state` checks.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

mod activation;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod ceremony;
mod invariants;
#[cfg(any(test, feature = "runtime-benchmarks"))]
mod member;
#[cfg(test)]
mod mock;
mod ports;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use epione_primitives::{
        AccountId, BlockNumber, Hash, HospitalId,
        consortium::{
            self, Answers, CeremonyId, CeremonyResult, CommitmentList, Confirmations, Dealing,
            EncodedScalar, Epoch, EpochId, Failure, Joins, KeyId, PastCeremony, Phase,
            RevealedShare, SeatSet, Seats,
        },
        limits::{MAX_ENROLMENT_BYTES, MAX_PAST_CEREMONIES, MAX_SEALED_SHARES_BYTES},
        ports::{Bodies, HashedBody, Hospitals},
    };
    use frame_support::{dispatch::WithPostDispatchInfo, pallet_prelude::*};
    use frame_system::pallet_prelude::*;

    use crate::{WeightInfo, ceremony::position};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    /// The sealing key of a seat, made for one ceremony.
    pub type EnrolmentKey = BoundedVec<u8, ConstU32<MAX_ENROLMENT_BYTES>>;
    /// The shares of a dealer, sealed to the enrolled seats.
    pub type SealedSharesBytes = BoundedVec<u8, ConstU32<MAX_SEALED_SHARES_BYTES>>;
    /// The ceremonies that are over, oldest first.
    pub type PastCeremonies = BoundedVec<PastCeremony, ConstU32<MAX_PAST_CEREMONIES>>;

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type WeightInfo: WeightInfo;
        /// Which hospitals can have seats, and whose accounts sign.
        type Hospitals: Hospitals;
        /// Stores the sealing keys and the sealed shares.
        type Bodies: Bodies;
        /// The origin that chooses the schedule: the council.
        type ScheduleOrigin: EnsureOrigin<Self::RuntimeOrigin>;
    }

    /// How long phases and epochs last.
    #[pallet::storage]
    pub type Schedule<T: Config> = StorageValue<_, consortium::Schedule, ValueQuery>;

    /// The newest ceremony, running or over, as the last call left it.
    #[pallet::storage]
    pub type Ceremony<T: Config> = StorageValue<_, consortium::Ceremony>;

    /// The number of the next ceremony.
    #[pallet::storage]
    pub type NextCeremony<T: Config> = StorageValue<_, CeremonyId, ValueQuery>;

    /// The ceremony that made the current epoch, while a later one is the newest.
    #[pallet::storage]
    pub type Kept<T: Config> = StorageValue<_, consortium::Ceremony>;

    /// The hash of the sealing key of each enrolled seat: of the newest ceremony, and of the current epoch's.
    #[pallet::storage]
    pub type Enrolments<T: Config> =
        StorageDoubleMap<_, Twox64Concat, CeremonyId, Twox64Concat, u8, Hash>;

    /// What each dealer has published, by the ceremony.
    #[pallet::storage]
    pub type Dealings<T: Config> =
        StorageDoubleMap<_, Twox64Concat, CeremonyId, Twox64Concat, u8, Dealing>;

    /// The answers of each dealer to complaints, by the ceremony.
    #[pallet::storage]
    pub type AnswersOf<T: Config> =
        StorageDoubleMap<_, Twox64Concat, CeremonyId, Twox64Concat, u8, Answers, ValueQuery>;

    /// What the seats of the newest ceremony confirmed until an epoch began.
    #[pallet::storage]
    pub type Confirmed<T: Config> = StorageValue<_, Confirmations, ValueQuery>;

    /// All epochs.
    #[pallet::storage]
    pub type Epochs<T: Config> = StorageMap<_, Twox64Concat, EpochId, Epoch>;

    /// The epoch whose members have the shares that count now.
    #[pallet::storage]
    pub type Current<T: Config> = StorageValue<_, EpochId>;

    /// The number of the next key.
    #[pallet::storage]
    pub type NextKey<T: Config> = StorageValue<_, KeyId, ValueQuery>;

    /// The last ceremonies that are over.
    #[pallet::storage]
    pub type Past<T: Config> = StorageValue<_, PastCeremonies, ValueQuery>;

    /// The hospitals that the council chose. Those that are active have the seats of the next ceremony, apart from
    /// newcomers that are not ready ([`consortium::next_seats`]). None: all active hospitals have.
    #[pallet::storage]
    pub type Committee<T: Config> = StorageValue<_, Seats>;

    /// Whether a hospital requested new shares since the last epoch began.
    #[pallet::storage]
    pub type RefreshRequested<T: Config> = StorageValue<_, bool, ValueQuery>;

    /// The block of each hospital's last request of new shares.
    #[pallet::storage]
    pub type LastRequest<T: Config> = StorageMap<_, Twox64Concat, HospitalId, BlockNumber>;

    /// The hospital that began the newest ceremony for no other reason than that it has no share.
    #[pallet::storage]
    pub type Joining<T: Config> = StorageValue<_, HospitalId>;

    /// The hospitals that joined in this way lately, and have had a seat in each ceremony since.
    #[pallet::storage]
    pub type Joined<T: Config> = StorageValue<_, Joins, ValueQuery>;

    /// Whether the council decided that the next ceremony generates a new key.
    #[pallet::storage]
    pub type RenewalDecided<T: Config> = StorageValue<_, bool, ValueQuery>;

    /// The block in which the newest ceremony began.
    #[pallet::storage]
    pub type LastBegun<T: Config> = StorageValue<_, BlockNumber>;

    /// The last block of the last ceremony that is over, by its deadlines, whenever a call noticed it.
    #[pallet::storage]
    pub type LastEnded<T: Config> = StorageValue<_, BlockNumber>;

    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// How long phases and epochs last.
        pub schedule: consortium::Schedule,
        #[serde(skip)]
        pub _config: PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            assert!(
                self.schedule.is_valid(),
                "the genesis schedule of the consortium key is out of bounds: {:?}",
                self.schedule
            );
            Schedule::<T>::put(self.schedule);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A ceremony began: it makes new shares of the key of an epoch, or generates a key.
        #[codec(index = 0)]
        Begun { ceremony: CeremonyId, hospital: HospitalId, reshares: Option<EpochId> },
        /// A seat enrolled with the sealing key of this hash.
        #[codec(index = 1)]
        Enrolled { ceremony: CeremonyId, hospital: HospitalId, key: Hash },
        /// A dealer dealt. The body of this hash has the sealed shares.
        #[codec(index = 2)]
        Dealt { ceremony: CeremonyId, hospital: HospitalId, body: Hash },
        /// A seat judged the dealings, and complained about these dealers.
        #[codec(index = 3)]
        Judged { ceremony: CeremonyId, hospital: HospitalId, complaints: SeatSet },
        /// A dealer published the share of a seat that had complained.
        #[codec(index = 4)]
        Answered { ceremony: CeremonyId, hospital: HospitalId, seat: u8 },
        /// A member confirmed the result.
        #[codec(index = 5)]
        Confirmed { ceremony: CeremonyId, hospital: HospitalId },
        /// An epoch began.
        #[codec(index = 6)]
        Activated { ceremony: CeremonyId, epoch: EpochId, key: KeyId },
        /// A ceremony failed. The earlier epoch goes on.
        #[codec(index = 7)]
        Failed { ceremony: CeremonyId, failure: Failure },
        /// A hospital requested new shares.
        #[codec(index = 8)]
        RefreshRequested { hospital: HospitalId },
        /// The council decided that the next ceremony generates a new key.
        #[codec(index = 9)]
        RenewalDecided,
        /// The council chose the hospitals for the seats, or none: all active hospitals can have seats.
        #[codec(index = 10)]
        CommitteeChosen { committee: Option<Seats> },
        /// The council changed the schedule.
        #[codec(index = 11)]
        ScheduleChanged { schedule: consortium::Schedule },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent account of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// The signer is not the governance account of an active hospital.
        #[codec(index = 1)]
        NotGovernance,
        /// The hospital has no seat in this ceremony. It gets one in the next, if it is active, the council has not
        /// chosen others, and, unless it has a share, its worker has said that it is ready.
        #[codec(index = 2)]
        NotSeat,
        /// The hospital does not deal in this ceremony: it was not an active member of the earlier epoch.
        #[codec(index = 3)]
        NotDealer,
        /// The hospital did not enrol in this ceremony. Take part in the next one.
        #[codec(index = 4)]
        NotEnrolled,
        /// The newest ceremony has another number. Read it again.
        #[codec(index = 5)]
        AnotherCeremony,
        /// The ceremony is in another phase. Read it again.
        #[codec(index = 6)]
        WrongPhase,
        /// A ceremony is running. Wait for its end.
        #[codec(index = 7)]
        CeremonyRunning,
        /// The last ceremony ended less than a phase ago. Try again after that.
        #[codec(index = 8)]
        TooEarly,
        /// The members and their shares are as they should be. There is no reason for a ceremony.
        #[codec(index = 9)]
        NothingToDo,
        /// There are more than `MAX_SEATS` active hospitals. The council must choose the seats (`seat`).
        #[codec(index = 10)]
        TooManySeats,
        /// Fewer than two hospitals could have seats: active ones that are ready or members. Admit or reinstate some.
        #[codec(index = 11)]
        TooFewSeats,
        /// Fewer members of the earlier epoch are active than its threshold, so nobody can make new shares. Reinstate
        /// members, or let the council decide about a new key (`renew`).
        #[codec(index = 12)]
        TooFewMembers,
        /// The seat has enrolled already.
        #[codec(index = 13)]
        AlreadyEnrolled,
        /// The dealer has dealt already.
        #[codec(index = 14)]
        AlreadyDealt,
        /// The seat has judged already.
        #[codec(index = 15)]
        AlreadyJudged,
        /// The member has confirmed already.
        #[codec(index = 16)]
        AlreadyConfirmed,
        /// The sealing key or the sealed shares are empty.
        #[codec(index = 17)]
        EmptyBody,
        /// There must be as many commitments as the threshold of the ceremony.
        #[codec(index = 18)]
        WrongDegree,
        /// A commitment is the identity or not in canonical form.
        #[codec(index = 19)]
        WrongCommitments,
        /// The first commitment is not the one to the dealer's present share. Deal that share.
        #[codec(index = 20)]
        WrongConstant,
        /// The dealer does not prove that it knows the constant term, in this ceremony and on this chain.
        #[codec(index = 21)]
        WrongProof,
        /// A complaint is about somebody who has not dealt.
        #[codec(index = 22)]
        UnknownDealer,
        /// The seat did not complain about the dealer.
        #[codec(index = 23)]
        NoComplaint,
        /// More seats complained than may be wrong. The dealer is out, whatever it answers.
        #[codec(index = 24)]
        TooManyComplaints,
        /// The dealer has answered this complaint already.
        #[codec(index = 25)]
        AlreadyAnswered,
        /// The share is not canonical, or not the one to which the dealer is committed.
        #[codec(index = 26)]
        WrongShare,
        /// The part of the mixing secret is not the one whose hash the dealer published.
        #[codec(index = 27)]
        WrongPart,
        /// The result has a link though the ceremony generates a key, or none though it makes new shares; or it is not
        /// the one of the epoch that began. Compute it again from the ceremony.
        #[codec(index = 28)]
        WrongResult,
        /// The dealings cannot be combined to a key of which all commitments are points. The ceremony fails at its
        /// deadline; then another one can begin.
        #[codec(index = 29)]
        NoResult,
        /// There is no key yet. The first ceremony generates one.
        #[codec(index = 30)]
        NoKey,
        /// The last ceremony began less than `PHASES_BETWEEN_REFRESHES` phases ago, or this hospital has requested new
        /// shares within the last `PHASES_BETWEEN_OWN_REASONS` phases. Try again after that.
        #[codec(index = 31)]
        TooSoon,
        /// It was requested or decided already. The next ceremony does it.
        #[codec(index = 32)]
        AlreadyRequested,
        /// A committee has 2 to `MAX_SEATS` admitted hospitals, ascending, and so many active ones that as many as may
        /// be malicious of all active hospitals do not open together. Choose more, or wait until more are ready.
        #[codec(index = 33)]
        WrongCommittee,
        /// A phase or the refresh is out of its bounds.
        #[codec(index = 34)]
        WrongSchedule,
        /// More dealers are accused than may be faulty. Judge without complaints: then nothing is published.
        #[codec(index = 35)]
        TooManyAccused,
        /// The hospital joined by a ceremony of its own less than `PHASES_BETWEEN_OWN_REASONS` phases or a day ago. It
        /// gets a share in the next ceremony with another reason (`refresh` is one), or after that time.
        #[codec(index = 36)]
        JoinedLately,
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
        /// Begins a ceremony, and enrols the signer's hospital with this sealing key. Signed by the agent of a hospital
        /// that gets a seat.
        ///
        /// There must be a reason: no key exists; the council decided about a new one; a member of the epoch has no
        /// seat any more; the signer's hospital has a seat but no share, or has not confirmed it within a phase; the
        /// epoch is old; or new shares were requested. Without a share, a hospital begins one ([`Joined`]) once a day.
        ///
        /// The key must be the extrinsic's last argument, and not in a wrapped call: the node stores the last bytes.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`CeremonyRunning`](Error::CeremonyRunning), [`TooEarly`](Error::TooEarly),
        /// [`TooFewSeats`](Error::TooFewSeats), [`TooManySeats`](Error::TooManySeats), [`NotSeat`](Error::NotSeat),
        /// [`WrongCommittee`](Error::WrongCommittee), [`NothingToDo`](Error::NothingToDo),
        /// [`JoinedLately`](Error::JoinedLately), [`TooFewMembers`](Error::TooFewMembers), or the error of
        /// [`Bodies::keep`].
        #[pallet::call_index(0)]
        pub fn begin(origin: OriginFor<T>, key: EnrolmentKey) -> DispatchResult {
            let hospital = Self::agent(origin)?;
            ensure!(!key.is_empty(), Error::<T>::EmptyBody);
            let mut begun = Self::start(hospital)?;
            let (ceremony, reshares) = (begun.id, begun.reshares);
            Self::deposit_event(Event::Begun { ceremony, hospital, reshares });
            let body = HashedBody::new(&key);
            Self::enlist(&mut begun, hospital, body.hash())?;
            Self::store(begun);
            T::Bodies::keep(body)
        }

        /// Enrols the signer's hospital in the running ceremony with this sealing key, which it made for this ceremony.
        /// Signed by the agent of a seat.
        ///
        /// The key must be the last argument, and the call must not be wrapped in another call.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`AnotherCeremony`](Error::AnotherCeremony), [`WrongPhase`](Error::WrongPhase), [`NotSeat`](Error::NotSeat),
        /// [`AlreadyEnrolled`](Error::AlreadyEnrolled), or the error of [`Bodies::keep`].
        #[pallet::call_index(1)]
        pub fn enrol(
            origin: OriginFor<T>,
            ceremony: CeremonyId,
            key: EnrolmentKey,
        ) -> DispatchResult {
            let hospital = Self::agent(origin)?;
            ensure!(!key.is_empty(), Error::<T>::EmptyBody);
            let mut running = Self::in_phase(ceremony, Phase::Enrol)?;
            let body = HashedBody::new(&key);
            Self::enlist(&mut running, hospital, body.hash())?;
            Self::store(running);
            T::Bodies::keep(body)
        }

        /// Publishes the commitments to the dealer's polynomial, the proof that it knows the constant term, the hash of
        /// its part of the mixing secret, and the sealed shares. Signed by the agent of a dealer.
        ///
        /// The shares must be the last argument, and the call must not be wrapped in another call.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`EmptyBody`](Error::EmptyBody),
        /// [`AnotherCeremony`](Error::AnotherCeremony), [`WrongPhase`](Error::WrongPhase),
        /// [`NotDealer`](Error::NotDealer), [`AlreadyDealt`](Error::AlreadyDealt), [`WrongDegree`](Error::WrongDegree),
        /// [`WrongCommitments`](Error::WrongCommitments), [`WrongConstant`](Error::WrongConstant),
        /// [`WrongProof`](Error::WrongProof), or the error of [`Bodies::keep`].
        #[pallet::call_index(2)]
        pub fn deal(
            origin: OriginFor<T>,
            ceremony: CeremonyId,
            commitments: CommitmentList,
            proof: [u8; 64],
            part: Hash,
            shares: SealedSharesBytes,
        ) -> DispatchResult {
            let agent = ensure_signed(origin)?;
            let hospital = Self::hospital_of(&agent)?;
            ensure!(!shares.is_empty(), Error::<T>::EmptyBody);
            let mut running = Self::in_phase(ceremony, Phase::Deal)?;
            let dealer = running.dealer(hospital).ok_or(Error::<T>::NotDealer)?;
            ensure!(!running.dealt.contains(dealer), Error::<T>::AlreadyDealt);
            Self::check_commitments(&running, hospital, &commitments, proof)?;

            let body = HashedBody::new(&shares);
            let dealing = Dealing { agent, commitments, part, body: body.hash() };
            Dealings::<T>::insert(ceremony, position(dealer), dealing);
            running.dealt.insert(dealer);
            Self::deposit_event(Event::Dealt { ceremony, hospital, body: body.hash() });
            Self::store(running);
            T::Bodies::keep(body)
        }

        /// Says about which dealers the signer's hospital complains: those from which it has no valid share. None is a
        /// judgement, too, and lets the ceremony go on. A seat accuses at most as many dealers as may be faulty: an
        /// answer publishes the seat's share and a part of the mixing secret, and who accuses more is wrong about some.
        /// Signed by the agent of an enrolled seat.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`AnotherCeremony`](Error::AnotherCeremony),
        /// [`WrongPhase`](Error::WrongPhase), [`NotSeat`](Error::NotSeat), [`NotEnrolled`](Error::NotEnrolled),
        /// [`AlreadyJudged`](Error::AlreadyJudged), [`TooManyAccused`](Error::TooManyAccused) or
        /// [`UnknownDealer`](Error::UnknownDealer).
        #[pallet::call_index(3)]
        pub fn judge(
            origin: OriginFor<T>,
            ceremony: CeremonyId,
            complaints: SeatSet,
        ) -> DispatchResult {
            let hospital = Self::agent(origin)?;
            let mut running = Self::in_phase(ceremony, Phase::Judge)?;
            let seat = Self::enrolled_seat(&running, hospital)?;
            ensure!(!running.judged.contains(seat), Error::<T>::AlreadyJudged);
            Self::accuse(&mut running, seat, complaints)?;
            Self::deposit_event(Event::Judged { ceremony, hospital, complaints });
            Self::store(running);
            Ok(())
        }

        /// Answers the complaint of a seat: publishes its share, and the dealer's part of the mixing secret. Signed by
        /// the agent of the dealer.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`AnotherCeremony`](Error::AnotherCeremony),
        /// [`WrongPhase`](Error::WrongPhase), [`NotDealer`](Error::NotDealer), [`NoComplaint`](Error::NoComplaint),
        /// [`TooManyComplaints`](Error::TooManyComplaints), [`AlreadyAnswered`](Error::AlreadyAnswered),
        /// [`WrongShare`](Error::WrongShare) or [`WrongPart`](Error::WrongPart).
        #[pallet::call_index(4)]
        pub fn answer(
            origin: OriginFor<T>,
            ceremony: CeremonyId,
            seat: u8,
            share: EncodedScalar,
            part: [u8; 32],
        ) -> DispatchResult {
            let hospital = Self::agent(origin)?;
            let mut running = Self::in_phase(ceremony, Phase::Answer)?;
            let dealer = running.dealer(hospital).ok_or(Error::<T>::NotDealer)?;
            let revealed = RevealedShare { seat, share, part };
            Self::publish(&mut running, dealer, revealed)?;
            Self::deposit_event(Event::Answered { ceremony, hospital, seat });
            Self::store(running);
            Ok(())
        }

        /// Confirms the result of the ceremony. As many equal confirmations as the threshold begin an epoch within this
        /// call; the others are refunded the weight of that. While that epoch is the current one, also during later
        /// ceremonies, a member whose result is the epoch's may still confirm that it has its share. Signed by the
        /// agent of an enrolled seat.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`AnotherCeremony`](Error::AnotherCeremony),
        /// [`NotSeat`](Error::NotSeat), [`NotEnrolled`](Error::NotEnrolled), [`WrongPhase`](Error::WrongPhase),
        /// [`WrongResult`](Error::WrongResult), [`AlreadyConfirmed`](Error::AlreadyConfirmed) or
        /// [`NoResult`](Error::NoResult).
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::confirm().max(T::WeightInfo::activate()))]
        pub fn confirm(
            origin: OriginFor<T>,
            ceremony: CeremonyId,
            result: CeremonyResult,
        ) -> DispatchResultWithPostInfo {
            let little = T::WeightInfo::confirm();
            let hospital = Self::agent(origin).map_err(|refused| refused.with_weight(little))?;
            let decided = Self::count(hospital, ceremony, result)
                .map_err(|refused| refused.with_weight(little))?;
            Self::deposit_event(Event::Confirmed { ceremony, hospital });
            let Some(confirmed) = decided else {
                return Ok(Some(little).into());
            };
            Self::activate(confirmed, result)?;
            Ok(Some(T::WeightInfo::activate()).into())
        }

        /// Requests new shares of the key, for example because a share may have leaked. The next ceremony makes them. A
        /// hospital can do so once in `PHASES_BETWEEN_OWN_REASONS` phases. Signed by the governance account of an
        /// active hospital.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance), [`NoKey`](Error::NoKey),
        /// [`AlreadyRequested`](Error::AlreadyRequested), [`CeremonyRunning`](Error::CeremonyRunning) or
        /// [`TooSoon`](Error::TooSoon).
        #[pallet::call_index(6)]
        pub fn refresh(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let hospital = T::Hospitals::active_by_governance(&who);
            let hospital = hospital.ok_or(Error::<T>::NotGovernance)?;
            Self::check_request(hospital)?;
            LastRequest::<T>::insert(hospital, Self::now());
            RefreshRequested::<T>::put(true);
            Self::deposit_event(Event::RefreshRequested { hospital });
            Ok(())
        }

        /// Decides that the next ceremony generates a new key. What was sealed to the present one can then be opened by
        /// no hospital any more; the home hospitals seal again. Requires root, as which the council dispatches it.
        ///
        /// Fails with [`NoKey`](Error::NoKey) or [`AlreadyRequested`](Error::AlreadyRequested).
        #[pallet::call_index(7)]
        pub fn renew(origin: OriginFor<T>) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(Current::<T>::exists(), Error::<T>::NoKey);
            ensure!(!RenewalDecided::<T>::get(), Error::<T>::AlreadyRequested);
            RenewalDecided::<T>::put(true);
            Self::deposit_event(Event::RenewalDecided);
            Ok(())
        }

        /// Chooses the hospitals that get the seats of the next ceremony ([`consortium::next_seats`]). None: of all the
        /// active ones. A running ceremony goes on. Those with seats must be enough
        /// ([`are_enough_seats`](consortium::are_enough_seats)), also when a ceremony begins. Requires root, as which
        /// the council dispatches it: who chooses the seats chooses who opens everything.
        ///
        /// Fails with [`WrongCommittee`](Error::WrongCommittee).
        #[pallet::call_index(8)]
        pub fn seat(origin: OriginFor<T>, committee: Option<Seats>) -> DispatchResult {
            ensure_root(origin)?;
            let is_valid = committee.as_ref().is_none_or(Self::can_be_chosen);
            ensure!(is_valid, Error::<T>::WrongCommittee);
            Committee::<T>::set(committee.clone());
            Self::deposit_event(Event::CommitteeChosen { committee });
            Ok(())
        }

        /// Changes how long phases and epochs last. The present phase of a running ceremony keeps its deadline.
        /// Requires a council motion.
        ///
        /// Fails with [`WrongSchedule`](Error::WrongSchedule).
        #[pallet::call_index(9)]
        pub fn schedule(origin: OriginFor<T>, schedule: consortium::Schedule) -> DispatchResult {
            T::ScheduleOrigin::ensure_origin(origin)?;
            ensure!(schedule.is_valid(), Error::<T>::WrongSchedule);
            // The phases that are over lasted as long as they did.
            Self::settle();
            Schedule::<T>::put(schedule);
            Self::deposit_event(Event::ScheduleChanged { schedule });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The active hospital whose agent signed.
        fn agent(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            Ok(Self::hospital_of(&ensure_signed(origin)?)?)
        }

        /// The active hospital whose agent this is.
        fn hospital_of(agent: &AccountId) -> Result<HospitalId, Error<T>> {
            T::Hospitals::active_by_agent(agent).ok_or(Error::<T>::NotAgent)
        }
    }
}
