//! The chain of lite blocks (R_MER). A hospital announces a block of records. The other hospitals verify
//! and approve it. Then the chain commits it: the block gets its height, its header refers to the previous
//! block by hash, and each record is linked to the same patient's previous record.
//!
//! The records' ciphertext (the body) is in the announcing extrinsic, and nodes store it outside the state
//! ([`Bodies`]). The state contains headers, entries, hashes and the stage of each announcement.
//! An entry names the hash of its record's bytes; the other hospitals compare it with the body, this pallet does not.
//! [`shape`] checks without storage whether entries fit their body and segments. [`closing`] commits or
//! discards. [`pruning`] removes what was not committed. [`reading`] implements the runtime API.
//!
//! A hospital's records are committed once: while an announcement with a record is open or committed, the hospital
//! announces no other block with this record.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use closing::{CommitWeight, DiscardWeight, WithdrawalWeight};
pub use pallet::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod closing;
mod invariants;
#[cfg(test)]
mod mock;
pub mod pruning;
pub mod reading;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod weights;

use alloc::{collections::BTreeSet, vec::Vec};
use epione_primitives::{
    AccountId, AnnouncementId, BlockNumber, Hash, HospitalId, Moment, RecordId,
    block::{self, AnnouncedEntries, AnnouncedHeader, Announcement, BlockHashes, Header, Stage},
    limits::{MAX_BODY_BYTES, MAX_ENTRIES, MAX_PENDING_ANNOUNCEMENTS},
    ports::{Ballots, Bodies, HashedBody, Hospitals, IndexLinks, Users},
};
use frame_support::traits::Time;
use sp_runtime::{ArithmeticError, SaturatedConversion};

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<AccountId = AccountId> {
        type WeightInfo: WeightInfo;
        /// Finds an agent's hospital.
        type Hospitals: Hospitals;
        /// Checks that patients are or were registered at the announcing hospital.
        type Users: Users;
        /// Opens ballots among the hospitals, and calls this pallet with their outcomes.
        type Ballots: Ballots<AnnouncementId>;
        /// The latest record of each patient.
        type Links: IndexLinks;
        /// Stores the bodies.
        type Bodies: Bodies;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
        /// Number of chain blocks after which an announcement that was not committed is removed.
        #[pallet::constant]
        type RetentionBlocks: Get<BlockNumber>;
    }

    /// The id of the next announcement.
    #[pallet::storage]
    pub type NextId<T: Config> = StorageValue<_, AnnouncementId, ValueQuery>;

    /// The first announcement whose retention has not been checked.
    #[pallet::storage]
    pub type PruneCursor<T: Config> = StorageValue<_, AnnouncementId, ValueQuery>;

    /// Every announcement: committed ones forever, others until their retention ends.
    #[pallet::storage]
    pub type Announcements<T: Config> = StorageMap<_, Twox64Concat, AnnouncementId, Announcement>;

    /// The entries of the announcements with open ballots.
    #[pallet::storage]
    pub type PendingEntries<T: Config> =
        StorageMap<_, Twox64Concat, AnnouncementId, AnnouncedEntries>;

    /// The number of a hospital's open ballots.
    #[pallet::storage]
    pub type Pending<T: Config> = StorageMap<_, Twox64Concat, HospitalId, u32, ValueQuery>;

    /// A hospital's open or committed announcement of a body, by hospital and the body's hash. The
    /// hospital is part of the key, so that no hospital can prevent another one from announcing a body.
    #[pallet::storage]
    pub type AnnouncementOf<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, Hash, AnnouncementId>;

    /// A hospital's open or committed announcement that contains a record, by hospital and the record's id. The
    /// hospital is part of the key, so that no hospital can prevent another one from announcing a record. What is
    /// committed stays here forever, because a record must never be committed again.
    #[pallet::storage]
    pub type AnnouncementWith<T: Config> =
        StorageDoubleMap<_, Twox64Concat, HospitalId, Blake2_128Concat, RecordId, AnnouncementId>;

    /// Height of the newest committed block; 0 before the first.
    #[pallet::storage]
    pub type Height<T: Config> = StorageValue<_, u32, ValueQuery>;

    /// Headers of the committed blocks, by height.
    #[pallet::storage]
    pub type Headers<T: Config> = StorageMap<_, Twox64Concat, u32, Header>;

    /// Entries of the committed blocks, by height.
    #[pallet::storage]
    pub type Entries<T: Config> = StorageMap<_, Twox64Concat, u32, block::Entries>;

    /// Hashes of the committed blocks, by height.
    #[pallet::storage]
    pub type Hashes<T: Config> = StorageMap<_, Twox64Concat, u32, BlockHashes>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A hospital announced a lite block. The other hospitals are to verify it and vote.
        #[codec(index = 0)]
        Announced { id: AnnouncementId, announcer: HospitalId, body_hash: Hash },
        /// A lite block was approved and committed. It will never change.
        #[codec(index = 1)]
        Committed { id: AnnouncementId, height: u32, lite_hash: Hash, cloud_hash: Hash },
        /// A lite block was rejected: the needed number of approvals could no longer be reached.
        #[codec(index = 2)]
        Rejected { id: AnnouncementId },
        /// An announcement expired: its ballot was undecided at the deadline.
        #[codec(index = 3)]
        Expired { id: AnnouncementId },
        /// An announcement was withdrawn: by its announcer, or because the announcer is not active any more.
        #[codec(index = 4)]
        Withdrawn { id: AnnouncementId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// The announcement belongs to another hospital than the signer's.
        #[codec(index = 1)]
        NotAnnouncer,
        /// The body is empty.
        #[codec(index = 2)]
        EmptyBody,
        /// The body is longer than `MAX_BODY_BYTES`.
        #[codec(index = 3)]
        BodyTooLarge,
        /// A lite block needs at least one record.
        #[codec(index = 4)]
        NoEntries,
        /// A record has no bytes in the body.
        #[codec(index = 5)]
        EmptyRange,
        /// The bytes of a record begin before the bytes of the previous record end.
        #[codec(index = 6)]
        RangeOverlap,
        /// The bytes of a record extend beyond the body.
        #[codec(index = 7)]
        RangeOverrun,
        /// Some bytes of the body belong to no record.
        #[codec(index = 8)]
        BodyNotCovered,
        /// The segments of a record begin before the segments of the previous record end.
        #[codec(index = 9)]
        MediaOverlap,
        /// The segments of a record extend beyond the block's list.
        #[codec(index = 10)]
        MediaOverrun,
        /// Some segments belong to no record.
        #[codec(index = 11)]
        SegmentsNotCovered,
        /// The block has more than `MAX_SEGMENTS` segments.
        #[codec(index = 12)]
        TooManySegments,
        /// The number of segments and the sum of their bytes contradict each other.
        #[codec(index = 13)]
        SegmentBytesMismatch,
        /// The segments root belongs to an empty list although there are segments, or to a list that is
        /// not empty although there are none.
        #[codec(index = 14)]
        SegmentsRootMismatch,
        /// A record's patient was never registered at the announcing hospital.
        #[codec(index = 15)]
        PatientNotRegistered,
        /// The hospital has `MAX_PENDING_ANNOUNCEMENTS` open ballots. Retry after one is closed.
        #[codec(index = 16)]
        TooManyPending,
        /// The hospital's own announcement of this body is open or committed.
        #[codec(index = 17)]
        AlreadyAnnounced,
        /// There is no announcement with this id.
        #[codec(index = 18)]
        UnknownAnnouncement,
        /// The announcement is already committed, rejected, expired or withdrawn.
        #[codec(index = 19)]
        AlreadyClosed,
        /// The block contains a record twice, or one of its records is in another announcement of the hospital that
        /// is open or committed. Announce each record once.
        #[codec(index = 20)]
        RepeatedRecord,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Removes old announcements that were not committed, if the block has weight left.
        fn on_idle(now: BlockNumberFor<T>, remaining: Weight) -> Weight {
            Self::prune(now, remaining)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Announces a lite block, and opens its ballot. If no other hospital's approval is needed, the
        /// block is committed immediately.
        ///
        /// Signed by the announcing hospital's agent. The records' byte ranges must cover the body in
        /// order, without gaps or overlaps. Their segment ranges must cover the block's list of segments
        /// in the same way; a record without media has an empty range at its position. Every patient must
        /// be or have been registered at the hospital; whether the registration was in force when the author signed,
        /// the other hospitals verify. No record may be in another announcement of the hospital that is
        /// open or committed. Another hospital's announcement of the same body or the same records changes
        /// nothing: each announcement has its own ballot. `body` must be the last argument, because the
        /// node stores the extrinsic's last bytes.
        #[pallet::call_index(0)]
        #[pallet::weight(announce_weight::<T>(entries.len(), body.len(), true))]
        pub fn announce(
            origin: OriginFor<T>,
            header: AnnouncedHeader,
            entries: AnnouncedEntries,
            body: Vec<u8>,
        ) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let announcer = T::Hospitals::active_by_agent(&who).ok_or(Error::<T>::NotAgent)?;
            ensure!(header.announcer == announcer, Error::<T>::NotAnnouncer);
            let body_bytes = Self::ensure_body_bytes(&body)?;
            shape::check(body_bytes, &header.segments, &entries).map_err(Error::<T>::from)?;
            Self::ensure_patients_registered(announcer, &entries)?;
            let pending = Pending::<T>::get(announcer);
            ensure!(pending < MAX_PENDING_ANNOUNCEMENTS, Error::<T>::TooManyPending);
            let body = HashedBody::new(&body);
            let known = AnnouncementOf::<T>::contains_key(announcer, body.hash());
            ensure!(!known, Error::<T>::AlreadyAnnounced);
            Self::ensure_records_new(announcer, &entries)?;

            let records = entries.len();
            let subject = header.subject(&entries, body.hash());
            let announcement = Announcement {
                announcer,
                body_hash: body.hash(),
                body_bytes,
                records: records.saturated_into(),
                segments: header.segments,
                announced_at: frame_system::Pallet::<T>::block_number().saturated_into(),
                stage: Stage::Announced,
            };
            let id = Self::store(announcement, entries)?;
            Self::deposit_event(Event::Announced { id, announcer, body_hash: body.hash() });
            T::Ballots::open(id, subject, announcer)?;

            let committed = !PendingEntries::<T>::contains_key(id);
            let weight = announce_weight::<T>(records, body.bytes().len(), committed);
            T::Bodies::keep(body)?;
            Ok(Some(weight).into())
        }

        /// Withdraws an announcement while its ballot is open. Its body and its records can be announced again.
        ///
        /// Signed by the announcing hospital's agent.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::withdraw(MAX_ENTRIES))]
        pub fn withdraw(origin: OriginFor<T>, id: AnnouncementId) -> DispatchResultWithPostInfo {
            let who = ensure_signed(origin)?;
            let hospital = T::Hospitals::active_by_agent(&who).ok_or(Error::<T>::NotAgent)?;
            let announcement =
                Announcements::<T>::get(id).ok_or(Error::<T>::UnknownAnnouncement)?;
            ensure!(announcement.announcer == hospital, Error::<T>::NotAnnouncer);
            ensure!(announcement.stage == Stage::Announced, Error::<T>::AlreadyClosed);

            T::Ballots::withdraw(id)?;
            let weight = T::WeightInfo::withdraw(announcement.records.into());
            Self::discard(id, announcement, Stage::Withdrawn);
            Self::deposit_event(Event::Withdrawn { id });
            Ok(Some(weight).into())
        }
    }

    impl<T: Config> Pallet<T> {
        fn ensure_body_bytes(body: &[u8]) -> Result<u32, Error<T>> {
            let bytes = u32::try_from(body.len()).map_err(|_| Error::<T>::BodyTooLarge)?;
            ensure!(bytes > 0, Error::<T>::EmptyBody);
            ensure!(bytes <= MAX_BODY_BYTES, Error::<T>::BodyTooLarge);
            Ok(bytes)
        }

        fn ensure_patients_registered(
            hospital: HospitalId,
            entries: &AnnouncedEntries,
        ) -> Result<(), Error<T>> {
            let registered =
                entries.iter().all(|entry| T::Users::was_registered(hospital, entry.patient));
            ensure!(registered, Error::<T>::PatientNotRegistered);
            Ok(())
        }

        /// Checks that the block contains no record twice, and none that an open or committed announcement of the
        /// hospital contains.
        fn ensure_records_new(
            announcer: HospitalId,
            entries: &AnnouncedEntries,
        ) -> Result<(), Error<T>> {
            let mut seen = BTreeSet::new();
            let new = entries.iter().all(|entry| {
                seen.insert(entry.record)
                    && !AnnouncementWith::<T>::contains_key(announcer, entry.record)
            });
            ensure!(new, Error::<T>::RepeatedRecord);
            Ok(())
        }

        /// Stores an announcement under the next id, and counts it as pending.
        pub(crate) fn store(
            announcement: Announcement,
            entries: AnnouncedEntries,
        ) -> Result<AnnouncementId, DispatchError> {
            let id = NextId::<T>::get();
            NextId::<T>::put(AnnouncementId(id.0.checked_add(1).ok_or(ArithmeticError::Overflow)?));
            AnnouncementOf::<T>::insert(announcement.announcer, announcement.body_hash, id);
            Pending::<T>::mutate(announcement.announcer, |pending| {
                *pending = pending.saturating_add(1);
            });
            for entry in &entries {
                AnnouncementWith::<T>::insert(announcement.announcer, entry.record, id);
            }
            PendingEntries::<T>::insert(id, entries);
            Announcements::<T>::insert(id, announcement);
            Ok(id)
        }
    }

    impl<T> From<shape::Misfit> for Error<T> {
        fn from(misfit: shape::Misfit) -> Self {
            use shape::Misfit;
            match misfit {
                Misfit::NoEntries => Self::NoEntries,
                Misfit::EmptyRange => Self::EmptyRange,
                Misfit::RangeOverlap => Self::RangeOverlap,
                Misfit::RangeOverrun => Self::RangeOverrun,
                Misfit::BodyNotCovered => Self::BodyNotCovered,
                Misfit::MediaOverlap => Self::MediaOverlap,
                Misfit::MediaOverrun => Self::MediaOverrun,
                Misfit::SegmentsNotCovered => Self::SegmentsNotCovered,
                Misfit::TooManySegments => Self::TooManySegments,
                Misfit::SegmentBytesMismatch => Self::SegmentBytesMismatch,
                Misfit::SegmentsRootMismatch => Self::SegmentsRootMismatch,
            }
        }
    }

    /// The weight of announcing, plus that of committing if the call commits.
    fn announce_weight<T: Config>(entries: usize, body_bytes: usize, committed: bool) -> Weight {
        let entries = entries.saturated_into();
        let announce = T::WeightInfo::announce(entries, body_bytes.saturated_into());
        if committed { announce.saturating_add(T::WeightInfo::commit(entries)) } else { announce }
    }
}
