//! A receipt for every look at a record, and a review for every emergency.
//!
//! Before a hospital's worker hands out an access grant, it records here what the grant releases. The
//! policies are asked again at that moment; what they do not allow is not recorded, and a grant that
//! is not recorded is of no use. Refusals are recorded too. Whoever breaks the glass has a review
//! opened among the other hospitals: the verdict of more than half of them closes it, and without one
//! it expires, which every chain follower hears of.
//!
//! [`shape`] decides purely whether a release is one that a grant can make; [`rights`] asks the
//! policies; [`recording`] stores; [`review`] is the life of a review; [`reading`] answers the runtime
//! API.
//!
//! Invariants, which `try_state` checks:
//! 1. a patient's receipts are numbered without gaps, each of that patient, with a policy for each of
//!    its rights; each is found by its grant, and nothing else is;
//! 2. a patient's refusals are numbered without gaps, each of that patient;
//! 3. reviews are numbered without gaps and their deadlines ascend; each is of one receipt, which is
//!    an emergency and says the same; each emergency has one;
//! 4. a patient's emergencies are numbered without gaps and lead, ascending, to the patient's reviews,
//!    and to all of them;
//! 5. a hospital gives one verdict on a review, and none on its own while that is open;
//! 6. reviews before the cursor are closed or expired, those from it on are open or closed;
//! 7. no tally exceeds the day's bounds, or is of a day to come.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use pallet::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod invariants;
#[cfg(test)]
mod mock;
pub mod reading;
pub mod recording;
pub mod review;
pub mod rights;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod weights;

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId,
    access::Purpose,
    ports::{AccessPolicies, Hospitals, Records, Users},
    release::{Receipt, RefusedAccess, Release, Review, ReviewId, Tally},
};
use frame_support::traits::Time;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::rights::Question;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Who an agent or a governance account acts for, and who reviews.
        type Hospitals: Hospitals;
        /// Who is known, and as what.
        type Users: Users;
        /// Who may do what.
        type Policies: AccessPolicies;
        /// Whose records they are.
        type Records: Records;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
        /// Chain blocks within which the other hospitals review an emergency.
        #[pallet::constant]
        type ReviewBlocks: Get<BlockNumber>;
    }

    /// Every release, by the patient and its number among the patient's.
    #[pallet::storage]
    pub type Receipts<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, Receipt>;

    /// How many receipts a patient has.
    #[pallet::storage]
    pub type ReceiptCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The patient and the number of the receipt, by the grant's hash.
    #[pallet::storage]
    pub type ByGrant<T: Config> = StorageMap<_, Blake2_128Concat, Hash, (UserId, u32)>;

    /// Every recorded refusal, by the patient and its number among the patient's.
    #[pallet::storage]
    pub type Refusals<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, RefusedAccess>;

    /// How many refusals a patient has.
    #[pallet::storage]
    pub type RefusalCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The reviews of a patient's emergencies, by the emergency's number among the patient's.
    #[pallet::storage]
    pub type Emergencies<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, ReviewId>;

    /// How many emergencies a patient has.
    #[pallet::storage]
    pub type EmergencyCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// Every review, however it ended.
    #[pallet::storage]
    pub type Reviews<T: Config> = StorageMap<_, Twox64Concat, ReviewId, Review>;

    /// The id that the next review gets.
    #[pallet::storage]
    pub type NextReview<T: Config> = StorageValue<_, ReviewId, ValueQuery>;

    /// The first review whose deadline has not been attended to.
    #[pallet::storage]
    pub type ExpiryCursor<T: Config> = StorageValue<_, ReviewId, ValueQuery>;

    /// What a requester caused at a hospital on the day of the last refusal or emergency.
    #[pallet::storage]
    pub type Tallies<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, UserId, Tally, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A grant was recorded; it may be handed out once this is final.
        #[codec(index = 0)]
        Released {
            hospital: HospitalId,
            requester: UserId,
            patient: UserId,
            /// Number among the patient's receipts.
            receipt: u32,
            grant: Hash,
            emergency: bool,
        },
        /// Somebody was refused access.
        #[codec(index = 1)]
        Refused {
            hospital: HospitalId,
            requester: UserId,
            patient: UserId,
            /// Number among the patient's refusals.
            refusal: u32,
        },
        /// Somebody broke the glass: the other hospitals are to judge.
        #[codec(index = 2)]
        ReviewOpened { review: ReviewId, deadline: BlockNumber },
        /// A hospital gave its verdict on an emergency.
        #[codec(index = 3)]
        Judged { review: ReviewId, hospital: HospitalId, justified: bool },
        /// More than half of the other hospitals agreed.
        #[codec(index = 4)]
        ReviewClosed { review: ReviewId, justified: bool },
        /// Nobody can say whether an emergency was one: the hospitals did not agree in time.
        #[codec(index = 5)]
        ReviewExpired { review: ReviewId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// No user of the requester's id is registered anywhere.
        #[codec(index = 1)]
        UnknownRequester,
        /// No patient of this id is registered anywhere.
        #[codec(index = 2)]
        UnknownPatient,
        /// A release needs at least one record.
        #[codec(index = 3)]
        NoRecords,
        /// The records do not ascend strictly by their pointers.
        #[codec(index = 4)]
        RecordsOutOfOrder,
        /// A record is released without any of its sections.
        #[codec(index = 5)]
        NoSections,
        /// There is no committed record at a pointer.
        #[codec(index = 6)]
        UnknownRecord,
        /// A record is another patient's.
        #[codec(index = 7)]
        RecordOfAnotherPatient,
        /// A record is another hospital's, whose worker would have to release it.
        #[codec(index = 8)]
        RecordOfAnotherHospital,
        /// A release needs at least one right.
        #[codec(index = 9)]
        NoRights,
        /// A right is named twice.
        #[codec(index = 10)]
        RepeatedRight,
        /// The rights are neither all to read, without an emergency's reason, nor all to break the
        /// glass, with one.
        #[codec(index = 11)]
        RightsMismatch,
        /// The glass is broken for the purpose of emergency only.
        #[codec(index = 12)]
        PurposeNotEmergency,
        /// The grant was recorded before.
        #[codec(index = 13)]
        AlreadyRecorded,
        /// The hospital's policies do not allow one of the rights now.
        #[codec(index = 14)]
        NotAllowed,
        /// The requester has broken the glass `MAX_EMERGENCIES_PER_DAY` times at this hospital today.
        #[codec(index = 15)]
        TooManyEmergencies,
        /// The hospital's policies allow all that could be refused.
        #[codec(index = 16)]
        NotRefused,
        /// `MAX_REFUSALS_PER_DAY` refusals of the requester at this hospital are recorded today.
        #[codec(index = 17)]
        TooManyRefusals,
        /// The signer is not the governance account of an active hospital.
        #[codec(index = 18)]
        NotGovernance,
        /// There is no review of this id.
        #[codec(index = 19)]
        UnknownReview,
        /// The review is closed.
        #[codec(index = 20)]
        ReviewIsClosed,
        /// The review's deadline has passed.
        #[codec(index = 21)]
        DeadlinePassed,
        /// The emergency was at the signer's own hospital, and there are others to judge it.
        #[codec(index = 22)]
        OwnReview,
        /// The hospital has given its verdict already; it is final.
        #[codec(index = 23)]
        AlreadyJudged,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Attends to reviews whose last block has passed.
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
        /// Records what an access grant releases, if the hospital's policies allow each of its
        /// rights now. An emergency's review is opened with it.
        ///
        /// Signed by the agent of the hospital whose records they are. What a release must be,
        /// [`Release`] says; it fails with the error of the first rule broken.
        #[pallet::call_index(0)]
        #[pallet::weight(crate::weights::of_record::<T>(release))]
        pub fn record(origin: OriginFor<T>, release: Release) -> DispatchResult {
            let hospital = Self::agents_hospital(origin)?;
            shape::check(&release).map_err(Error::<T>::from)?;
            Self::ensure_known(release.requester, release.patient)?;
            ensure!(!ByGrant::<T>::contains_key(release.grant), Error::<T>::AlreadyRecorded);
            Self::ensure_records_of(&release, hospital)?;
            let question = Question::of(&release, hospital, T::Time::now());
            let grounds = question.grounds::<T>(&release.rights).ok_or(Error::<T>::NotAllowed)?;
            if release.emergency.is_some() {
                Self::tally_emergency(&question)?;
            }

            Self::store_receipt(release, grounds, &question)
        }

        /// Records that somebody was refused access to a patient's records, if the hospital's
        /// policies do refuse them something now: reading, or in an emergency breaking the glass.
        ///
        /// Signed by the agent of the hospital whose records were asked for.
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`UnknownRequester`](Error::UnknownRequester),
        /// [`UnknownPatient`](Error::UnknownPatient), [`NotRefused`](Error::NotRefused) or
        /// [`TooManyRefusals`](Error::TooManyRefusals).
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::refuse())]
        pub fn refuse(
            origin: OriginFor<T>,
            requester: UserId,
            patient: UserId,
            purpose: Purpose,
            emergency: bool,
        ) -> DispatchResult {
            let hospital = Self::agents_hospital(origin)?;
            Self::ensure_known(requester, patient)?;
            let question = Question { requester, patient, hospital, purpose, at: T::Time::now() };
            ensure!(question.is_refused_some::<T>(emergency), Error::<T>::NotRefused);
            Self::tally_refusal(&question)?;

            Self::store_refusal(emergency, &question)
        }

        /// Gives the signer's hospital's verdict on an emergency at another hospital: whether it was
        /// justified. The same verdict of more than half of the other active hospitals closes the
        /// review. A hospital that is alone on the chain judges itself.
        ///
        /// Signed by an active hospital's governance account.
        ///
        /// Fails with [`NotGovernance`](Error::NotGovernance),
        /// [`UnknownReview`](Error::UnknownReview), [`ReviewIsClosed`](Error::ReviewIsClosed),
        /// [`DeadlinePassed`](Error::DeadlinePassed), [`OwnReview`](Error::OwnReview) or
        /// [`AlreadyJudged`](Error::AlreadyJudged).
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::judge())]
        pub fn judge(origin: OriginFor<T>, review: ReviewId, justified: bool) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let hospital =
                T::Hospitals::active_by_governance(&who).ok_or(Error::<T>::NotGovernance)?;
            let open = Self::open_review(review)?;
            let judges = Self::judges(open.hospital);
            // The signer's hospital is active: it is missing only where it would judge itself.
            ensure!(judges.contains(&hospital), Error::<T>::OwnReview);
            let judged = open.verdicts.iter().any(|(judge, _)| *judge == hospital);
            ensure!(!judged, Error::<T>::AlreadyJudged);

            Self::give_verdict(review, open, (hospital, justified), &judges)
        }
    }

    impl<T: Config> Pallet<T> {
        fn agents_hospital(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            let who = ensure_signed(origin)?;
            T::Hospitals::active_by_agent(&who).ok_or_else(|| Error::<T>::NotAgent.into())
        }
    }

    impl<T> From<shape::Misfit> for Error<T> {
        fn from(misfit: shape::Misfit) -> Self {
            use shape::Misfit;
            match misfit {
                Misfit::NoRecords => Self::NoRecords,
                Misfit::RecordsOutOfOrder => Self::RecordsOutOfOrder,
                Misfit::NoSections => Self::NoSections,
                Misfit::NoRights => Self::NoRights,
                Misfit::RepeatedRight => Self::RepeatedRight,
                Misfit::RightsMismatch => Self::RightsMismatch,
                Misfit::PurposeNotEmergency => Self::PurposeNotEmergency,
            }
        }
    }
}
