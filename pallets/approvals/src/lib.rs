//! Component C: ballots among hospitals, over subjects of any kind.
//!
//! The subject's owner opens a ballot for a hospital ([`Ballots::open`]). Every hospital active at
//! that moment is in the electorate; each but the opener votes once, by its agent. The ballot is
//! approved at [`approvals_needed`], rejected once so many can no longer be reached, and expires
//! after [`BALLOT_BLOCKS`]. The owner is told how it ended exactly once
//! ([`OnBallotClosed`](epione_primitives::ports::OnBallotClosed)), unless it withdrew it itself.
//! A closed ballot stays readable.
//!
//! A hospital that is suspended meanwhile keeps its place in the electorate, but cannot vote; what
//! it voted before still counts.
//!
//! Invariants, which `try_state` checks:
//! 1. an electorate is ascending and has the opener in it;
//! 2. votes are by others of the electorate, at most one each;
//! 3. an open ballot is undecided and listed under its deadline, which is not past; a closed one is
//!    not listed;
//! 4. the outcome follows from the votes: approved with enough, rejected with too few left.
//!
//! [`Ballots::open`]: epione_primitives::ports::Ballots::open
//! [`approvals_needed`]: epione_primitives::approval::approvals_needed
//! [`BALLOT_BLOCKS`]: epione_primitives::limits::BALLOT_BLOCKS

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

mod ballot;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod invariants;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
pub mod weights;

pub use pallet::*;
pub use weights::WeightInfo;

#[frame_support::pallet]
pub mod pallet {
    use epione_primitives::{
        AccountId, BlockNumber, HospitalId,
        approval::{Ballot, BallotOutcome, RejectReason},
        limits::MAX_BALLOTS_PER_BLOCK,
        ports::{Hospitals, OnBallotClosed},
    };
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        /// What is voted about.
        type Subject: Parameter + MaxEncodedLen;

        type Hospitals: Hospitals;

        /// The subject's owner.
        type OnClosed: OnBallotClosed<Self::Subject>;

        /// The most that the owner does when a ballot is approved.
        type OnClosedWeight: Get<Weight>;

        /// The most that the owner does when a ballot is rejected or expires.
        type OnDiscardedWeight: Get<Weight>;

        type WeightInfo: WeightInfo;
    }

    /// Every ballot, closed ones included.
    #[pallet::storage]
    pub type Ballots<T: Config> = StorageMap<_, Blake2_128Concat, T::Subject, Ballot>;

    /// The open ballots by the last block in which a vote counts.
    #[pallet::storage]
    pub type Deadlines<T: Config> = StorageMap<
        _,
        Twox64Concat,
        BlockNumber,
        BoundedVec<T::Subject, ConstU32<MAX_BALLOTS_PER_BLOCK>>,
        ValueQuery,
    >;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A ballot opened: so many approvals decide it, until the deadline.
        #[codec(index = 0)]
        Opened { subject: T::Subject, opener: HospitalId, needed: u32, deadline: BlockNumber },
        /// A hospital voted for the subject.
        #[codec(index = 1)]
        Approved { subject: T::Subject, hospital: HospitalId },
        /// A hospital voted against the subject.
        #[codec(index = 2)]
        Rejected { subject: T::Subject, hospital: HospitalId, reason: RejectReason },
        /// A ballot ended.
        #[codec(index = 3)]
        Closed { subject: T::Subject, outcome: BallotOutcome },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// No ballot was ever opened over this subject.
        #[codec(index = 1)]
        NoSuchBallot,
        /// The ballot has ended.
        #[codec(index = 2)]
        BallotClosed,
        /// The hospital was not active when the ballot opened.
        #[codec(index = 3)]
        NotElector,
        /// The hospital opened this ballot itself, which counts as its approval.
        #[codec(index = 4)]
        OwnBallot,
        /// The hospital has voted already; a vote is final.
        #[codec(index = 5)]
        AlreadyVoted,
        /// A ballot was opened over this subject before.
        #[codec(index = 6)]
        BallotExists,
        /// `MAX_BALLOTS_PER_BLOCK` ballots were opened in this block. Try again in the next one.
        #[codec(index = 7)]
        TooManyBallots,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Closes the ballots whose last block was the one before.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            let expired = Self::expire(now);
            T::WeightInfo::expire(expired)
                .saturating_add(T::OnDiscardedWeight::get().saturating_mul(expired.into()))
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Votes for a subject, after the hospital's worker has verified it. The decisive vote
        /// makes the owner act within this call; any other is refunded that part of its weight.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoSuchBallot`](Error::NoSuchBallot),
        /// [`BallotClosed`](Error::BallotClosed), [`OwnBallot`](Error::OwnBallot),
        /// [`NotElector`](Error::NotElector) or [`AlreadyVoted`](Error::AlreadyVoted).
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::approve().saturating_add(T::OnClosedWeight::get()))]
        pub fn approve(origin: OriginFor<T>, subject: T::Subject) -> DispatchResultWithPostInfo {
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &subject)?;
            ballot.approvals.try_push(hospital).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Approved { subject: subject.clone(), hospital });
            let decided = Self::settle(subject, ballot);
            Ok((!decided).then(T::WeightInfo::approve).into())
        }

        /// Votes against a subject.
        ///
        /// Fails as [`approve`](Self::approve) does.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::reject().saturating_add(T::OnDiscardedWeight::get()))]
        pub fn reject(
            origin: OriginFor<T>,
            subject: T::Subject,
            reason: RejectReason,
        ) -> DispatchResultWithPostInfo {
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &subject)?;
            ballot.rejections.try_push((hospital, reason)).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Rejected { subject: subject.clone(), hospital, reason });
            let decided = Self::settle(subject, ballot);
            Ok((!decided).then(T::WeightInfo::reject).into())
        }
    }
}
