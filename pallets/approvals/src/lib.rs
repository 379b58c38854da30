//! Component C: ballots among hospitals, over subjects of any type.
//!
//! The pallet that owns the subject opens a ballot for a hospital ([`Ballots::open`]). The electorate
//! consists of all hospitals that are active at that moment. Each of them except the opener votes once,
//! through its agent. The ballot is approved with [`approvals_needed`] approvals, rejected when that number
//! can no longer be reached, and expires after [`BALLOT_BLOCKS`]. The owner is notified of the outcome
//! exactly once ([`OnBallotClosed`](epione_primitives::ports::OnBallotClosed)), unless it withdrew the
//! ballot. A closed ballot stays readable until the owner removes it.
//!
//! A hospital that is suspended while a ballot is open stays in the electorate, but cannot vote. Its
//! earlier vote still counts. The owner withdraws the ballots that the hospital opened.
//!
//! Invariants, which `try_state` checks:
//! 1. an electorate is ascending and contains the opener;
//! 2. votes are by other members of the electorate, at most one each;
//! 3. an open ballot is undecided and listed under its deadline, which is not past; a closed ballot is
//!    not listed;
//! 4. the outcome follows from the votes: approved with enough approvals, rejected if too few could follow.
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
    use frame_support::{dispatch::WithPostDispatchInfo, pallet_prelude::*};
    use frame_system::pallet_prelude::*;

    use crate::WeightInfo;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        /// The subject of a ballot.
        type Subject: Parameter + MaxEncodedLen;

        type Hospitals: Hospitals;

        /// The pallet that owns the subject.
        type OnClosed: OnBallotClosed<Self::Subject>;

        /// The owner's maximum weight when a ballot is approved.
        type OnClosedWeight: Get<Weight>;

        /// The owner's maximum weight when a ballot is rejected.
        type OnDiscardedWeight: Get<Weight>;

        type WeightInfo: WeightInfo;
    }

    /// Every ballot, including closed ones that the owner has not removed.
    #[pallet::storage]
    pub type Ballots<T: Config> = StorageMap<_, Blake2_128Concat, T::Subject, Ballot>;

    /// The open ballots, by the last block in which a vote counts.
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
        /// A ballot was opened. It needs this number of approvals by the deadline.
        #[codec(index = 0)]
        Opened { subject: T::Subject, opener: HospitalId, needed: u32, deadline: BlockNumber },
        /// A hospital voted for the subject.
        #[codec(index = 1)]
        Approved { subject: T::Subject, hospital: HospitalId },
        /// A hospital voted against the subject.
        #[codec(index = 2)]
        Rejected { subject: T::Subject, hospital: HospitalId, reason: RejectReason },
        /// A ballot was closed.
        #[codec(index = 3)]
        Closed { subject: T::Subject, outcome: BallotOutcome },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// There is no ballot over this subject.
        #[codec(index = 1)]
        NoSuchBallot,
        /// The ballot is closed.
        #[codec(index = 2)]
        BallotClosed,
        /// The hospital is not in the electorate, because it was not active when the ballot opened.
        #[codec(index = 3)]
        NotElector,
        /// The hospital opened this ballot. Opening counts as its approval.
        #[codec(index = 4)]
        OwnBallot,
        /// The hospital has already voted on this ballot. A vote is final.
        #[codec(index = 5)]
        AlreadyVoted,
        /// There is already a ballot over this subject.
        #[codec(index = 6)]
        BallotExists,
        /// `MAX_BALLOTS_PER_BLOCK` ballots were opened in this block. Retry in the next block.
        #[codec(index = 7)]
        TooManyBallots,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Closes the ballots whose deadline was the previous block.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            T::WeightInfo::expire(Self::expire(now))
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Votes for a subject, after the hospital's worker has verified it. The decisive vote closes
        /// the ballot and makes the owner act within this call. Every vote, also one that fails, is
        /// refunded the weight of what it did not do.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoSuchBallot`](Error::NoSuchBallot),
        /// [`BallotClosed`](Error::BallotClosed), [`OwnBallot`](Error::OwnBallot),
        /// [`NotElector`](Error::NotElector) or [`AlreadyVoted`](Error::AlreadyVoted).
        #[pallet::call_index(0)]
        #[pallet::weight(decisive::<T>(T::WeightInfo::approve(), T::OnClosedWeight::get()))]
        pub fn approve(origin: OriginFor<T>, subject: T::Subject) -> DispatchResultWithPostInfo {
            let vote = T::WeightInfo::approve();
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &subject)
                .map_err(|refused| refused.with_weight(vote))?;
            ballot.approvals.try_push(hospital).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Approved { subject: subject.clone(), hospital });
            Ok(Some(vote.saturating_add(Self::settle(subject, ballot))).into())
        }

        /// Votes against a subject.
        ///
        /// Fails with the same errors as [`approve`](Self::approve).
        #[pallet::call_index(1)]
        #[pallet::weight(decisive::<T>(T::WeightInfo::reject(), T::OnDiscardedWeight::get()))]
        pub fn reject(
            origin: OriginFor<T>,
            subject: T::Subject,
            reason: RejectReason,
        ) -> DispatchResultWithPostInfo {
            let vote = T::WeightInfo::reject();
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &subject)
                .map_err(|refused| refused.with_weight(vote))?;
            ballot.rejections.try_push((hospital, reason)).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Rejected { subject: subject.clone(), hospital, reason });
            Ok(Some(vote.saturating_add(Self::settle(subject, ballot))).into())
        }
    }

    /// The weight of a vote that closes its ballot: the vote, the closing, and the owner's work.
    fn decisive<T: Config>(vote: Weight, owner: Weight) -> Weight {
        vote.saturating_add(T::WeightInfo::close()).saturating_add(owner)
    }
}
