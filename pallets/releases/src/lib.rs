//! A receipt for every access to a record, and a review for every emergency.
//!
//! A requester signs what they ask a hospital for ([`Request`]). Before the hospital's worker returns an access grant,
//! it records here what the grant releases, with that request. The pallet checks the requester's signature, that the
//! grant releases nothing else, and that the rights open the sections: those that a consent of the patient shares with
//! the requester for this purpose now (pallet-sharing) are shared, all others private. It checks the policies again at
//! that moment, and does not record what they do not allow. A grant that is not recorded is not usable. Refusals are
//! recorded too, with the request that was refused. A request is answered once, and only within minutes, so a hospital
//! can record no access that nobody asked for. Breaking the glass opens a review among the other hospitals. The same
//! verdict of more than half of them closes the review; otherwise it expires, with an event that everyone who follows
//! the chain sees.
//!
//! Hospitals that open sections together in an emergency (pallet-openings) count it here. It uses one of the
//! emergencies of the hospital for which the requester asks, of which openings are at most half. A requester has three
//! in a day, for all hospitals together. It gets its review among the others, and no hospital at which the requester's
//! registration was in force judges it. A requester whose last reviewed emergency was found unjustified has none for 30
//! days.
//!
//! When the council has removed a hospital, its custodian (pallet-custody) answers for its records: the request names
//! the custodian, whose policies and registrations decide, and whose limits count. Such a grant is in force only while
//! the custodian is ([`OfDeparted`]). What the removed hospital answered stays as it is.
//!
//! A patient reads own records by the own key, without any of this. Such a reading leaves nothing on the chain, unless
//! the patient notes it ([`Call::note`]): for the patient's own records, and as no proof for anybody else.
//!
//! The chain does not see which sections are text and which are media. So it compares the rights with all sections
//! together ([`Right::open`]): while one section is private, each action needs its right to private sections. The
//! hospital's worker compares each section with its own right.
//!
//! [`shape`] checks without storage whether a requester can make a request and a grant a release. [`requests`] checks
//! who asked, whom and when. [`classes`] reads what the patient shares with the requester. [`rights`] checks the
//! policies. [`recording`] stores. [`notes`] stores a patient's notes. [`review`] opens, closes and expires reviews.
//! [`reading`] implements the runtime API.
//!
//! Invariants, which `try_state` checks:
//! 1. a patient's receipts are numbered without gaps, belong to that patient, have a policy for each of their rights,
//!    and release only what was requested of their hospital; each receipt is found by its grant, and each grant leads
//!    to a receipt;
//! 2. a patient's refusals are numbered without gaps, and belong to that patient;
//! 3. reviews are numbered without gaps, and their deadlines ascend; each review is about an opening, or about one
//!    receipt, which is an emergency and agrees with it; each emergency among the receipts has one review (the runtime
//!    compares the other reviews with their openings);
//! 4. a patient's emergencies are numbered without gaps, and point to all of the patient's reviews,
//!    ascending;
//! 5. a hospital gives at most one verdict on a review, and none on its own review while that is open;
//! 6. reviews before the cursor are closed or expired, and all others are open or closed;
//! 7. no tally exceeds the daily limits, or has a future day;
//! 8. no hospital's usage exceeds its limits, has more emergencies than receipts, or more visitors or openings than
//!    emergencies, or begins in the future;
//! 9. the requesters of one hospital cause at most their share of another hospital's emergencies;
//! 10. each receipt and each refusal is the only answer to its request, and each answer is one of them;
//! 11. a patient's notes are numbered without gaps, and name the patient's records as a note can;
//! 12. whose emergency was unjustified has a review that was closed so, at that moment;
//! 13. the removed hospitals of a grant ascend, there is at least one, and the grant has a receipt of another hospital.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use pallet::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod classes;
mod invariants;
#[cfg(test)]
mod mock;
pub mod notes;
pub mod reading;
pub mod recording;
pub mod requests;
pub mod review;
pub mod rights;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod weights;

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, Signature, UserId,
    limits::MAX_RELEASED_RECORDS,
    ports::{AccessPolicies, Custodians, Hospitals, Records, Sharing, Users},
    profile::Role,
    release::{
        OwnRead, Receipt, RefusedAccess, Release, ReleasedRecords, Request, Review, ReviewId,
        Right, Tally, Usage, Visitors,
    },
};
use frame_support::traits::Time;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    use crate::{classes::Classes, requests::Answer, rights::Question};

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId, Hash = Hash> {
        type WeightInfo: WeightInfo;
        /// Finds the hospital of an agent or governance account, and the hospitals that review.
        type Hospitals: Hospitals;
        /// Finds the account and the role of a user.
        type Users: Users;
        /// Decides what the policies allow.
        type Policies: AccessPolicies;
        /// Finds the patient and hospital of a record.
        type Records: Records;
        /// Finds the hospital that answers for the records of a removed one.
        type Custodians: Custodians;
        /// Finds the sections of a record that its patient shares with a requester.
        type Sharing: Sharing;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
        /// Number of chain blocks in which the other hospitals can review an emergency.
        #[pallet::constant]
        type ReviewBlocks: Get<BlockNumber>;
        /// Maximum number of receipts, apart from emergencies, that one hospital records in 24 hours of chain blocks,
        /// so that a hospital that registers requesters at will cannot fabricate receipts without a bound.
        #[pallet::constant]
        type MaxReceipts: Get<u32>;
        /// Maximum number of emergencies in the same time. Requesters who are not registered at the hospital cause at
        /// most half of them, and those of one other hospital at most a quarter of this half, or one.
        #[pallet::constant]
        type MaxEmergencies: Get<u32>;
        /// Maximum number of refusals that one hospital records in 24 hours of chain blocks, for all requesters
        /// together.
        #[pallet::constant]
        type MaxRefusals: Get<u32>;
    }

    /// Every receipt, by patient and the receipt's number among the patient's receipts.
    #[pallet::storage]
    pub type Receipts<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, Receipt>;

    /// The number of a patient's receipts.
    #[pallet::storage]
    pub type ReceiptCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The patient and the number of the receipt of a grant, by the grant's hash.
    #[pallet::storage]
    pub type ByGrant<T: Config> = StorageMap<_, Blake2_128Concat, Hash, (UserId, u32)>;

    /// The removed hospitals whose records a grant of their custodian releases, by the grant's hash: ascending, none
    /// twice. Other grants have no entry. Nothing is ever changed or deleted.
    #[pallet::storage]
    pub type OfDeparted<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        Hash,
        BoundedVec<HospitalId, ConstU32<MAX_RELEASED_RECORDS>>,
        ValueQuery,
    >;

    /// The answer to a request, by the request's hash. While a block still accepts the request, for
    /// `MAX_REQUEST_AGE_MILLIS`, it prevents a second answer. Afterwards it leads to the grant, as long as the receipt
    /// or the refusal that names the request: for ever.
    #[pallet::storage]
    pub type ByRequest<T: Config> = StorageMap<_, Blake2_128Concat, Hash, Answer>;

    /// Every recorded refusal, by patient and the refusal's number among the patient's refusals.
    #[pallet::storage]
    pub type Refusals<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, RefusedAccess>;

    /// The number of a patient's refusals.
    #[pallet::storage]
    pub type RefusalCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// What each patient noted of own readings, by patient and the note's number among the patient's notes.
    #[pallet::storage]
    pub type OwnReads<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, OwnRead>;

    /// The number of a patient's notes.
    #[pallet::storage]
    pub type OwnReadCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// The reviews of a patient's emergencies, by the emergency's number among the patient's emergencies.
    #[pallet::storage]
    pub type Emergencies<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, UserId, Twox64Concat, u32, ReviewId>;

    /// The number of a patient's emergencies.
    #[pallet::storage]
    pub type EmergencyCount<T: Config> = StorageMap<_, Blake2_128Concat, UserId, u32, ValueQuery>;

    /// Every review of a receipt or of an opening, whatever its status.
    #[pallet::storage]
    pub type Reviews<T: Config> = StorageMap<_, Twox64Concat, ReviewId, Review>;

    /// The id of the next review.
    #[pallet::storage]
    pub type NextReview<T: Config> = StorageValue<_, ReviewId, ValueQuery>;

    /// The first review whose deadline has not been processed.
    #[pallet::storage]
    pub type ExpiryCursor<T: Config> = StorageValue<_, ReviewId, ValueQuery>;

    /// How many refusals and emergencies a requester caused at a hospital on the last day with one of them.
    #[pallet::storage]
    pub type Tallies<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, UserId, Tally, ValueQuery>;

    /// How many openings in emergencies a requester had on the last day with one of them, for all hospitals together.
    #[pallet::storage]
    pub type OpeningTallies<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Tally, ValueQuery>;

    /// When the last reviewed emergency of a requester was found unjustified. None if it was found justified.
    #[pallet::storage]
    pub type Unjustified<T: Config> = StorageMap<_, Blake2_128Concat, UserId, Moment>;

    /// How many receipts and refusals each hospital recorded in its last window.
    #[pallet::storage]
    pub type Usages<T: Config> = StorageMap<_, Twox64Concat, HospitalId, Usage, ValueQuery>;

    /// How many emergencies requesters who are not registered at a hospital (the first key) caused there in its last
    /// window, by the hospital at which they are registered (the second key). The second key is the same hospital for
    /// those who are registered nowhere.
    #[pallet::storage]
    pub type VisitorsFrom<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        HospitalId,
        Twox64Concat,
        HospitalId,
        Visitors,
        ValueQuery,
    >;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A grant was recorded. The worker may return it after this event is finalized.
        #[codec(index = 0)]
        Released {
            hospital: HospitalId,
            requester: UserId,
            patient: UserId,
            /// The receipt's number among the patient's receipts.
            receipt: u32,
            grant: Hash,
            emergency: bool,
        },
        /// A requester was refused access.
        #[codec(index = 1)]
        Refused {
            hospital: HospitalId,
            requester: UserId,
            patient: UserId,
            /// The refusal's number among the patient's refusals.
            refusal: u32,
        },
        /// A requester broke the glass. The other hospitals are to judge the emergency.
        #[codec(index = 2)]
        ReviewOpened { review: ReviewId, deadline: BlockNumber },
        /// A hospital gave its verdict on an emergency.
        #[codec(index = 3)]
        Judged { review: ReviewId, hospital: HospitalId, justified: bool },
        /// A review was closed: more than half of the other hospitals gave this verdict.
        #[codec(index = 4)]
        ReviewClosed { review: ReviewId, justified: bool },
        /// A review expired: the hospitals did not agree before the deadline.
        #[codec(index = 5)]
        ReviewExpired { review: ReviewId },
        /// A patient noted an own reading.
        #[codec(index = 6)]
        Noted {
            patient: UserId,
            /// The note's number among the patient's notes.
            note: u32,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active or leaving hospital.
        #[codec(index = 0)]
        NotAgent,
        /// No user has the requester's id.
        #[codec(index = 1)]
        UnknownRequester,
        /// No patient has this id.
        #[codec(index = 2)]
        UnknownPatient,
        /// A request and a release need at least one record.
        #[codec(index = 3)]
        NoRecords,
        /// The records are not strictly ascending by their pointers.
        #[codec(index = 4)]
        RecordsOutOfOrder,
        /// A record is requested or released without sections.
        #[codec(index = 5)]
        NoSections,
        /// A pointer does not point to a committed record.
        #[codec(index = 6)]
        UnknownRecord,
        /// A record belongs to another patient.
        #[codec(index = 7)]
        RecordOfAnotherPatient,
        /// A record belongs to another hospital. Only that hospital can release it, or the custodian after the council
        /// removed that hospital.
        #[codec(index = 8)]
        RecordOfAnotherHospital,
        /// A release needs at least one right.
        #[codec(index = 9)]
        NoRights,
        /// The release contains a right twice.
        #[codec(index = 10)]
        RepeatedRight,
        /// The rights and the emergency's reason do not match: rights to read need a release without a
        /// reason, and rights to break the glass need one with a reason.
        #[codec(index = 11)]
        RightsMismatch,
        /// Breaking the glass needs the purpose emergency.
        #[codec(index = 12)]
        PurposeNotEmergency,
        /// The grant is already recorded.
        #[codec(index = 13)]
        AlreadyRecorded,
        /// The hospital's policies do not allow one of the rights now.
        #[codec(index = 14)]
        NotAllowed,
        /// The requester has already broken the glass `MAX_EMERGENCIES_PER_DAY` times at this hospital today.
        #[codec(index = 15)]
        TooManyEmergencies,
        /// The hospital's policies allow everything that was requested, so there is nothing to refuse.
        #[codec(index = 16)]
        NotRefused,
        /// `MAX_REFUSALS_PER_DAY` refusals of the requester at this hospital are already recorded today.
        #[codec(index = 17)]
        TooManyRefusals,
        /// The signer is not the governance account of an active hospital.
        #[codec(index = 18)]
        NotGovernance,
        /// There is no review with this id.
        #[codec(index = 19)]
        UnknownReview,
        /// The review is closed.
        #[codec(index = 20)]
        ReviewIsClosed,
        /// The review's deadline has passed.
        #[codec(index = 21)]
        DeadlinePassed,
        /// The emergency was at the signer's own hospital, or of an opening for a requester whose registration was in
        /// force at it, and other hospitals can judge it.
        #[codec(index = 22)]
        OwnReview,
        /// The hospital has already given its verdict. A verdict is final.
        #[codec(index = 23)]
        AlreadyJudged,
        /// The hospital has recorded as many receipts as it can in 24 hours of chain blocks. Retry later: its limit
        /// is reset 24 hours after the first receipt or refusal of these 24 hours.
        #[codec(index = 24)]
        TooManyHospitalReceipts,
        /// The hospital has recorded as many emergencies as it can in 24 hours of chain blocks, or as many of
        /// requesters who are not registered at it, or of those of one other hospital. Retry later: its limit is
        /// reset 24 hours after the first receipt or refusal of these 24 hours.
        #[codec(index = 25)]
        TooManyHospitalEmergencies,
        /// The hospital has recorded as many refusals as it can in 24 hours of chain blocks. Retry later: its limit
        /// is reset 24 hours after the first receipt or refusal of these 24 hours.
        #[codec(index = 26)]
        TooManyHospitalRefusals,
        /// The request is to another hospital. Only that hospital answers it.
        #[codec(index = 27)]
        RequestToAnotherHospital,
        /// The requester signed the request more than `MAX_REQUEST_AGE_MILLIS` ago. Let the requester ask again.
        #[codec(index = 28)]
        RequestTooOld,
        /// The request is more than `MAX_CLOCK_LEAD_MILLIS` ahead of the chain's time. Let the requester set their
        /// clock and ask again.
        #[codec(index = 29)]
        RequestFromTheFuture,
        /// The signature is not of the requester's current account over this request and this chain. Let the requester
        /// ask again.
        #[codec(index = 30)]
        InvalidRequest,
        /// The request already has an answer, a receipt or a refusal. Let the requester ask again.
        #[codec(index = 31)]
        AlreadyAnswered,
        /// The release contains a record or a section that was not requested.
        #[codec(index = 32)]
        NotRequested,
        /// The rights do not open the released sections: a section is private, and an action among the rights has no
        /// right to private sections. The patient may have changed what they share meanwhile: read the classes again.
        #[codec(index = 33)]
        ClassMismatch,
        /// The signer is not a patient. Only patients note that they read their own records.
        #[codec(index = 34)]
        NotPatient,
        /// The requester has already had `MAX_EMERGENCIES_PER_DAY` openings in emergencies today, for all hospitals
        /// together.
        #[codec(index = 35)]
        TooManyOpenings,
        /// The requesters of the hospital have had as many openings in emergencies as they can in 24 hours of chain
        /// blocks. Retry later, or ask for another hospital: the limit is reset 24 hours after the hospital's first
        /// receipt, opening or refusal of these 24 hours.
        #[codec(index = 36)]
        TooManyHospitalOpenings,
        /// The hospitals found the requester's last reviewed emergency unjustified less than `UNJUSTIFIED_MILLIS` ago.
        #[codec(index = 37)]
        UnjustifiedLately,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Expires reviews whose deadline has passed.
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
        /// Records what an access grant releases, if the requester asked for it, and the hospital's policies allow each
        /// of its rights now. Opens a review if the release is an emergency.
        ///
        /// Signed by the agent of the hospital of the records, or of the custodian of their removed hospital, whose
        /// policies decide then. [`Release`] and [`Request`] document the rules of a release and its request. The call
        /// fails with the error of the first broken rule.
        #[pallet::call_index(0)]
        #[pallet::weight(crate::weights::of_record::<T>(release))]
        pub fn record(origin: OriginFor<T>, release: Release) -> DispatchResult {
            let hospital = Self::agents_hospital(origin)?;
            shape::check(&release).map_err(Error::<T>::from)?;
            let now = T::Time::now();
            Self::ensure_asked(&release.request, &release.signature, hospital, now)?;
            ensure!(shape::is_requested(&release), Error::<T>::NotRequested);
            let question = Question::of(&release.request, now);
            let classes = Classes::of_sections::<T>(&question, &release.records);
            let open = Right::open(&release.rights, classes.private);
            ensure!(open, Error::<T>::ClassMismatch);
            ensure!(!ByGrant::<T>::contains_key(release.grant), Error::<T>::AlreadyRecorded);
            let departed = Self::ensure_records_of(&release.request, &release.records)?;
            let grounds = question.grounds::<T>(&release.rights).ok_or(Error::<T>::NotAllowed)?;
            let emergency = release.request.emergency.is_some();
            if emergency {
                Self::tally_emergency(&question)?;
            }
            Self::count_receipt(&question, emergency)?;

            Self::store_receipt(release, grounds, departed, &question)
        }

        /// Records that a requester was refused what they asked for, if the hospital's policies refuse the requester
        /// some right now: to read, or in an emergency to break the glass. Only rights to sections of the classes that
        /// occur in the request count: the others were not needed.
        ///
        /// Signed by the agent of the hospital of the requested records, or of its custodian. The signature is the
        /// requester's, over [`Request::signed_bytes`].
        ///
        /// Fails with [`NotAgent`](Error::NotAgent), [`NoRecords`](Error::NoRecords),
        /// [`RecordsOutOfOrder`](Error::RecordsOutOfOrder), [`NoSections`](Error::NoSections),
        /// [`PurposeNotEmergency`](Error::PurposeNotEmergency),
        /// [`RequestToAnotherHospital`](Error::RequestToAnotherHospital),
        /// [`RequestTooOld`](Error::RequestTooOld), [`RequestFromTheFuture`](Error::RequestFromTheFuture),
        /// [`UnknownRequester`](Error::UnknownRequester), [`UnknownPatient`](Error::UnknownPatient),
        /// [`InvalidRequest`](Error::InvalidRequest), [`AlreadyAnswered`](Error::AlreadyAnswered),
        /// [`UnknownRecord`](Error::UnknownRecord), [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient),
        /// [`RecordOfAnotherHospital`](Error::RecordOfAnotherHospital), [`NotRefused`](Error::NotRefused),
        /// [`TooManyRefusals`](Error::TooManyRefusals) or
        /// [`TooManyHospitalRefusals`](Error::TooManyHospitalRefusals).
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::refuse())]
        pub fn refuse(
            origin: OriginFor<T>,
            request: Request,
            signature: Signature,
        ) -> DispatchResult {
            let hospital = Self::agents_hospital(origin)?;
            shape::check_request(&request).map_err(Error::<T>::from)?;
            let now = T::Time::now();
            Self::ensure_asked(&request, &signature, hospital, now)?;
            Self::ensure_records_of(&request, &request.records)?;
            let question = Question::of(&request, now);
            let emergency = request.emergency.is_some();
            let classes = Classes::of_sections::<T>(&question, &request.records);
            ensure!(question.is_refused_some::<T>(emergency, classes), Error::<T>::NotRefused);
            Self::tally_refusal(&question)?;
            Self::count_refusal(hospital)?;

            Self::store_refusal(&request, &question)
        }

        /// Gives the verdict of the signer's hospital on an emergency at another hospital: whether it was justified.
        /// The same verdict of more than half of the other active hospitals closes the review. Of an opening, those do
        /// not judge at which the requester's registration was in force, unless nobody else is left. If there is no
        /// other active hospital, the hospital judges its own emergency.
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
            let judges = Self::judges(&open);
            // The signer's hospital is active, so it is not a judge only if the emergency is its own.
            ensure!(judges.contains(&hospital), Error::<T>::OwnReview);
            let judged = open.verdicts.iter().any(|(judge, _)| *judge == hospital);
            ensure!(!judged, Error::<T>::AlreadyJudged);

            Self::give_verdict(review, open, (hospital, justified), &judges)
        }

        /// Notes that the signer has read these own records by the own key, at any hospitals. Nobody checks whether the
        /// reading took place, and a reading needs no note.
        ///
        /// Signed by the patient's current account.
        ///
        /// Fails with [`NotPatient`](Error::NotPatient), [`NoRecords`](Error::NoRecords),
        /// [`RecordsOutOfOrder`](Error::RecordsOutOfOrder), [`NoSections`](Error::NoSections),
        /// [`UnknownRecord`](Error::UnknownRecord) or
        /// [`RecordOfAnotherPatient`](Error::RecordOfAnotherPatient).
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::note(records.len() as u32))]
        pub fn note(origin: OriginFor<T>, records: ReleasedRecords) -> DispatchResult {
            let patient = Self::patient(origin)?;
            shape::check_records(&records).map_err(Error::<T>::from)?;
            Self::ensure_own(patient, &records)?;

            Self::store_note(patient, records)
        }
    }

    impl<T: Config> Pallet<T> {
        fn agents_hospital(origin: OriginFor<T>) -> Result<HospitalId, DispatchError> {
            let who = ensure_signed(origin)?;
            T::Hospitals::serving_by_agent(&who).ok_or_else(|| Error::<T>::NotAgent.into())
        }

        fn patient(origin: OriginFor<T>) -> Result<UserId, DispatchError> {
            let who = ensure_signed(origin)?;
            let user = T::Users::by_account(&who).ok_or(Error::<T>::NotPatient)?;
            ensure!(T::Users::role(user) == Some(Role::Patient), Error::<T>::NotPatient);
            Ok(user)
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
