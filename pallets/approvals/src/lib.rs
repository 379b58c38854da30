//! Component C: ballots among hospitals, about anything that has an id and a hash.
//!
//! The pallet that owns the ids opens a ballot for a hospital ([`Ballots::open`]). The electorate consists of all
//! hospitals that are active at that moment. Each of them except the opener votes once, through its agent. Every vote
//! contains the ballot's subject: the hash of what the voter verified. On another fork, an id may belong to something
//! else; a hash does not. So a vote is evidence by itself, and the ballot lists the block of each approval, where
//! everybody finds the signed vote. A ballot is approved with [`approvals_needed`] approvals, rejected when that number
//! can no longer be reached, and expires after [`BALLOT_BLOCKS`]. The owner is notified of the outcome exactly once
//! ([`OnBallotClosed`](epione_primitives::ports::OnBallotClosed)), unless it withdrew the ballot. A closed ballot stays
//! readable until the owner removes it.
//!
//! A hospital that is suspended while a ballot is open stays in the electorate, but cannot vote. Its
//! earlier vote still counts. The owner withdraws the ballots that the hospital opened.
//!
//! Invariants, which `try_state` checks:
//! 1. an electorate is ascending and contains the opener;
//! 2. votes are by other members of the electorate, at most one each; the blocks of the approvals ascend,
//!    and none is in the future or after the deadline;
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
        AccountId, BlockNumber, Hash, HospitalId,
        approval::{Approval, Ballot, BallotOutcome, RejectReason},
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
        /// The id of what a ballot is about. Each id has at most one ballot.
        type Id: Parameter + MaxEncodedLen;

        type Hospitals: Hospitals;

        /// The pallet that owns the ids.
        type OnClosed: OnBallotClosed<Self::Id>;

        /// The owner's maximum weight when a ballot is approved.
        type OnClosedWeight: Get<Weight>;

        /// The owner's maximum weight when a ballot is rejected.
        type OnDiscardedWeight: Get<Weight>;

        type WeightInfo: WeightInfo;
    }

    /// Every ballot, including closed ones that the owner has not removed.
    #[pallet::storage]
    pub type Ballots<T: Config> = StorageMap<_, Blake2_128Concat, T::Id, Ballot>;

    /// The open ballots, by the last block in which a vote counts.
    #[pallet::storage]
    pub type Deadlines<T: Config> = StorageMap<
        _,
        Twox64Concat,
        BlockNumber,
        BoundedVec<T::Id, ConstU32<MAX_BALLOTS_PER_BLOCK>>,
        ValueQuery,
    >;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A ballot was opened. It needs this number of approvals by the deadline.
        #[codec(index = 0)]
        Opened { id: T::Id, opener: HospitalId, needed: u32, deadline: BlockNumber },
        /// A hospital voted for the ballot's subject.
        #[codec(index = 1)]
        Approved { id: T::Id, hospital: HospitalId },
        /// A hospital voted against the ballot's subject.
        #[codec(index = 2)]
        Rejected { id: T::Id, hospital: HospitalId, reason: RejectReason },
        /// A ballot was closed.
        #[codec(index = 3)]
        Closed { id: T::Id, outcome: BallotOutcome },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// There is no ballot with this id.
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
        /// There is already a ballot with this id.
        #[codec(index = 6)]
        BallotExists,
        /// `MAX_BALLOTS_PER_BLOCK` ballots were opened in this block. Retry in the next block.
        #[codec(index = 7)]
        TooManyBallots,
        /// The vote is about another subject than the ballot: the hash of what the hospital verified is not the
        /// hash of what was announced. Verify what the chain has under this id, and vote again.
        #[codec(index = 8)]
        AnotherSubject,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Closes the ballots whose deadline was the previous block.
        fn on_initialize(now: BlockNumberFor<T>) -> Weight {
            Self::expire(now)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Votes for `subject`, the hash of what the hospital's worker has verified, on the ballot with this id.
        /// The decisive vote closes the ballot and makes the owner act within this call. Every vote, also one
        /// that fails, is refunded the weight of what it did not do.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoSuchBallot`](Error::NoSuchBallot),
        /// [`BallotClosed`](Error::BallotClosed), [`OwnBallot`](Error::OwnBallot),
        /// [`NotElector`](Error::NotElector), [`AlreadyVoted`](Error::AlreadyVoted) or
        /// [`AnotherSubject`](Error::AnotherSubject).
        #[pallet::call_index(0)]
        #[pallet::weight(decisive::<T>(T::WeightInfo::approve(), T::OnClosedWeight::get()))]
        pub fn approve(
            origin: OriginFor<T>,
            id: T::Id,
            subject: Hash,
        ) -> DispatchResultWithPostInfo {
            let vote = T::WeightInfo::approve();
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &id, subject)
                .map_err(|refused| refused.with_weight(vote))?;
            let approval = Approval { hospital, block: Self::block() };
            ballot.approvals.try_push(approval).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Approved { id: id.clone(), hospital });
            Ok(Some(vote.saturating_add(Self::settle(id, ballot))).into())
        }

        /// Votes against `subject`, the hash of what the hospital's worker has verified.
        ///
        /// Fails with the same errors as [`approve`](Self::approve).
        #[pallet::call_index(1)]
        #[pallet::weight(decisive::<T>(T::WeightInfo::reject(), T::OnDiscardedWeight::get()))]
        pub fn reject(
            origin: OriginFor<T>,
            id: T::Id,
            subject: Hash,
            reason: RejectReason,
        ) -> DispatchResultWithPostInfo {
            let vote = T::WeightInfo::reject();
            let (hospital, mut ballot) = Self::voter(ensure_signed(origin)?, &id, subject)
                .map_err(|refused| refused.with_weight(vote))?;
            ballot.rejections.try_push((hospital, reason)).map_err(|_| Error::<T>::AlreadyVoted)?;
            Self::deposit_event(Event::Rejected { id: id.clone(), hospital, reason });
            Ok(Some(vote.saturating_add(Self::settle(id, ballot))).into())
        }
    }

    /// The weight of a vote that closes its ballot: the vote, the closing, and the owner's work.
    fn decisive<T: Config>(vote: Weight, owner: Weight) -> Weight {
        vote.saturating_add(T::WeightInfo::close()).saturating_add(owner)
    }
}
