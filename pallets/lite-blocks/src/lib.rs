//! The chain of lite blocks (R_MER). A hospital announces a block of records; the others verify
//! what it names and approve; then the block gets its height, is chained to the one before by hash,
//! and each of its records is linked to the same patient's record before.
//!
//! The records' ciphertext (the body) travels in the announcing extrinsic and is kept by the nodes
//! outside the state ([`Bodies`]); the state holds headers, entries, hashes and how far each
//! announcement has come. [`shape`] decides purely whether entries fit their body and segments;
//! [`closing`] commits or discards; [`reading`] answers the runtime API.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use closing::{CommitWeight, DiscardWeight};
pub use pallet::*;
pub use weights::WeightInfo;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
pub mod closing;
mod invariants;
#[cfg(test)]
mod mock;
pub mod reading;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod weights;

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, Moment,
    block::{self, AnnouncedEntries, AnnouncedHeader, Announcement, BlockHashes, Header, Stage},
    limits::{MAX_BODY_BYTES, MAX_PENDING_ANNOUNCEMENTS},
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
        /// Who an agent acts for.
        type Hospitals: Hospitals;
        /// Whether a patient is registered where the record was written.
        type Users: Users;
        /// Asks the other hospitals, and tells this pallet how it ended.
        type Ballots: Ballots<AnnouncementId>;
        /// The latest record of each patient.
        type Links: IndexLinks;
        /// Keeps the bodies.
        type Bodies: Bodies;
        /// The chain's clock, in milliseconds.
        type Time: Time<Moment = Moment>;
    }

    /// The id that the next announcement gets.
    #[pallet::storage]
    pub type NextId<T: Config> = StorageValue<_, AnnouncementId, ValueQuery>;

    /// Every announcement, however it ended.
    #[pallet::storage]
    pub type Announcements<T: Config> = StorageMap<_, Twox64Concat, AnnouncementId, Announcement>;

    /// The entries of the announcements whose ballots are open.
    #[pallet::storage]
    pub type PendingEntries<T: Config> =
        StorageMap<_, Twox64Concat, AnnouncementId, AnnouncedEntries>;

    /// How many ballots of a hospital are open.
    #[pallet::storage]
    pub type Pending<T: Config> = StorageMap<_, Twox64Concat, HospitalId, u32, ValueQuery>;

    /// The announcement that carries a body (by its hash): open or committed.
    #[pallet::storage]
    pub type AnnouncementOf<T: Config> = StorageMap<_, Blake2_128Concat, Hash, AnnouncementId>;

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
        /// A hospital asks the others to verify and approve a lite block.
        #[codec(index = 0)]
        Announced { id: AnnouncementId, announcer: HospitalId, body_hash: Hash },
        /// A lite block was approved and chained. It will never change.
        #[codec(index = 1)]
        Committed { id: AnnouncementId, height: u32, lite_hash: Hash, cloud_hash: Hash },
        /// Enough approvals could no longer be reached.
        #[codec(index = 2)]
        Rejected { id: AnnouncementId },
        /// The ballot was undecided at its deadline.
        #[codec(index = 3)]
        Expired { id: AnnouncementId },
        /// The announcer took the announcement back.
        #[codec(index = 4)]
        Withdrawn { id: AnnouncementId },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The signer is not the agent of an active hospital.
        #[codec(index = 0)]
        NotAgent,
        /// The announcement names, or is of, another hospital than the signer's.
        #[codec(index = 1)]
        NotAnnouncer,
        /// The body is empty.
        #[codec(index = 2)]
        EmptyBody,
        /// The body exceeds `MAX_BODY_BYTES`.
        #[codec(index = 3)]
        BodyTooLarge,
        /// A lite block needs at least one record.
        #[codec(index = 4)]
        NoEntries,
        /// A record has no bytes in the body.
        #[codec(index = 5)]
        EmptyRange,
        /// A record's bytes begin before those of the record before it end.
        #[codec(index = 6)]
        RangeOverlap,
        /// A record's bytes lie beyond the end of the body.
        #[codec(index = 7)]
        RangeOverrun,
        /// Some of the body's bytes belong to no record.
        #[codec(index = 8)]
        BodyNotCovered,
        /// A record's segments begin before those of the record before it end.
        #[codec(index = 9)]
        MediaOverlap,
        /// A record's segments lie beyond the end of the block's list.
        #[codec(index = 10)]
        MediaOverrun,
        /// Some segments belong to no record.
        #[codec(index = 11)]
        SegmentsNotCovered,
        /// More than `MAX_SEGMENTS` segments.
        #[codec(index = 12)]
        TooManySegments,
        /// So many segments cannot have so many bytes together.
        #[codec(index = 13)]
        SegmentBytesMismatch,
        /// The segments root is that of an empty list although there are segments, or is not
        /// although there are none.
        #[codec(index = 14)]
        SegmentsRootMismatch,
        /// A record's patient is not registered at the announcing hospital.
        #[codec(index = 15)]
        PatientNotRegistered,
        /// The hospital has `MAX_PENDING_ANNOUNCEMENTS` open ballots. Wait until one is closed.
        #[codec(index = 16)]
        TooManyPending,
        /// This body was announced before, and not rejected, expired or withdrawn.
        #[codec(index = 17)]
        AlreadyAnnounced,
        /// There is no announcement of this id.
        #[codec(index = 18)]
        UnknownAnnouncement,
        /// The announcement was already committed, rejected, expired or withdrawn.
        #[codec(index = 19)]
        AlreadyClosed,
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
        /// Announces a lite block and opens its ballot. Where no other hospital's approval is
        /// needed, it is committed at once.
        ///
        /// Signed by the announcing hospital's agent. The records' bytes must lie back to back in
        /// the body and cover it, and their segments likewise in the block's list of segments; a
        /// record without media has the empty range at its place. Every patient must be registered
        /// at the hospital. `body` comes last, since the node keeps the extrinsic's tail.
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
            ensure!(!AnnouncementOf::<T>::contains_key(body.hash()), Error::<T>::AlreadyAnnounced);

            let records = entries.len();
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
            T::Ballots::open(id, announcer)?;

            let committed = !PendingEntries::<T>::contains_key(id);
            let weight = announce_weight::<T>(records, body.bytes().len(), committed);
            T::Bodies::keep(body)?;
            Ok(Some(weight).into())
        }

        /// Takes an announcement back while its ballot is open.
        ///
        /// Signed by the announcing hospital's agent.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::withdraw())]
        pub fn withdraw(origin: OriginFor<T>, id: AnnouncementId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let hospital = T::Hospitals::active_by_agent(&who).ok_or(Error::<T>::NotAgent)?;
            let announcement =
                Announcements::<T>::get(id).ok_or(Error::<T>::UnknownAnnouncement)?;
            ensure!(announcement.announcer == hospital, Error::<T>::NotAnnouncer);
            ensure!(announcement.stage == Stage::Announced, Error::<T>::AlreadyClosed);

            T::Ballots::withdraw(id)?;
            Self::discard(id, announcement, Stage::Withdrawn);
            Self::deposit_event(Event::Withdrawn { id });
            Ok(())
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
            let now = T::Time::now();
            let registered =
                entries.iter().all(|entry| T::Users::registered(hospital, entry.patient, now));
            ensure!(registered, Error::<T>::PatientNotRegistered);
            Ok(())
        }

        /// Stores an announcement as the next one, and counts it as pending.
        pub(crate) fn store(
            announcement: Announcement,
            entries: AnnouncedEntries,
        ) -> Result<AnnouncementId, DispatchError> {
            let id = NextId::<T>::get();
            NextId::<T>::put(AnnouncementId(id.0.checked_add(1).ok_or(ArithmeticError::Overflow)?));
            AnnouncementOf::<T>::insert(announcement.body_hash, id);
            Pending::<T>::mutate(announcement.announcer, |pending| {
                *pending = pending.saturating_add(1);
            });
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

    /// Of announcing, and of committing where that happens within.
    fn announce_weight<T: Config>(entries: usize, body_bytes: usize, committed: bool) -> Weight {
        let entries = entries.saturated_into();
        let announce = T::WeightInfo::announce(entries, body_bytes.saturated_into());
        if committed { announce.saturating_add(T::WeightInfo::commit(entries)) } else { announce }
    }
}
