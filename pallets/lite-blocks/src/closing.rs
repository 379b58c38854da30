//! Commits or discards an announced block when its ballot is closed.

use core::marker::PhantomData;
use epione_primitives::{
    AnnouncementId, HospitalId, RecordPointer,
    approval::BallotOutcome,
    block::{self, AnnouncedEntries, Announcement, BlockHashes, Entry, Header, Stage, cloud_hash},
    limits::{MAX_ENTRIES, MAX_HOSPITALS, MAX_PENDING_ANNOUNCEMENTS},
    ports::{Ballots, IndexLinks, OnBallotClosed, OnHospitalInactive},
};
use frame_support::{
    defensive,
    traits::{Get, Time},
    weights::Weight,
};

use crate::{
    AnnouncementOf, AnnouncementWith, Announcements, Config, Entries, Event, Hashes, Headers,
    Height, Pallet, Pending, PendingEntries, WeightInfo,
};

/// The weight of closing a ballot with approval, which commits a block of the maximum size.
pub struct CommitWeight<T>(PhantomData<T>);

impl<T: Config> Get<Weight> for CommitWeight<T> {
    fn get() -> Weight {
        T::WeightInfo::commit(MAX_ENTRIES)
    }
}

/// The weight of closing a ballot without approval, which discards a block of the maximum size.
pub struct DiscardWeight<T>(PhantomData<T>);

impl<T: Config> Get<Weight> for DiscardWeight<T> {
    fn get() -> Weight {
        T::WeightInfo::discard(MAX_ENTRIES)
    }
}

/// The weight of withdrawing all announcements of a hospital, which are found among those of all hospitals.
pub struct WithdrawalWeight<T>(PhantomData<T>);

impl<T: Config> Get<Weight> for WithdrawalWeight<T> {
    fn get() -> Weight {
        let open = u64::from(MAX_HOSPITALS).saturating_mul(MAX_PENDING_ANNOUNCEMENTS.into());
        let withdrawals =
            T::WeightInfo::withdraw(MAX_ENTRIES).saturating_mul(MAX_PENDING_ANNOUNCEMENTS.into());
        withdrawals.saturating_add(T::DbWeight::get().reads(open.saturating_mul(2)))
    }
}

impl<T: Config> OnHospitalInactive for Pallet<T> {
    /// Withdraws the open announcements of the hospital, with their ballots.
    fn on_hospital_inactive(hospital: HospitalId) {
        for id in Self::open_announcements() {
            let own = Announcements::<T>::get(id).filter(|open| open.announcer == hospital);
            if let Some(announcement) = own
                && T::Ballots::withdraw(id).is_ok()
            {
                Self::discard(id, announcement, Stage::Withdrawn);
                Self::deposit_event(Event::Withdrawn { id });
            }
        }
    }
}

impl<T: Config> OnBallotClosed<AnnouncementId> for Pallet<T> {
    fn on_ballot_closed(id: AnnouncementId, outcome: BallotOutcome) -> Weight {
        let open = Announcements::<T>::get(id).filter(|found| found.stage == Stage::Announced);
        let Some(announcement) = open else {
            defensive!("the announcement of a closed ballot was not open");
            return T::WeightInfo::discard(0);
        };
        let entries = announcement.records.into();
        let event = match outcome {
            BallotOutcome::Approved => {
                Self::commit(id, announcement);
                return T::WeightInfo::commit(entries);
            }
            BallotOutcome::Rejected => {
                Self::discard(id, announcement, Stage::Rejected);
                Event::Rejected { id }
            }
            BallotOutcome::Expired => {
                Self::discard(id, announcement, Stage::Expired);
                Event::Expired { id }
            }
            BallotOutcome::Withdrawn => {
                Self::discard(id, announcement, Stage::Withdrawn);
                Event::Withdrawn { id }
            }
        };
        Self::deposit_event(event);
        T::WeightInfo::discard(entries)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(opener: HospitalId) -> AnnouncementId {
        crate::benchmarking::announced::<T>(opener, MAX_ENTRIES)
    }
}

impl<T: Config> Pallet<T> {
    /// Appends an announced block to the chain of lite blocks, and links its records.
    fn commit(id: AnnouncementId, announcement: Announcement) {
        let last = Height::<T>::get();
        let (Some(height), Some(entries)) = (last.checked_add(1), PendingEntries::<T>::take(id))
        else {
            defensive!("an open announcement had no entries, or no height is left");
            return;
        };
        let entries = Self::link(height, entries);
        let previous = Hashes::<T>::get(last).unwrap_or_default();
        let header = Header {
            height,
            previous_lite: previous.lite,
            previous_cloud: previous.cloud,
            announcer: announcement.announcer,
            announcement: id,
            time: T::Time::now(),
            records: announcement.records,
            body_hash: announcement.body_hash,
            body_bytes: announcement.body_bytes,
            segments: announcement.segments,
        };
        let lite = header.lite_hash(&entries);
        let cloud = cloud_hash(lite, header.segments.root);

        Height::<T>::put(height);
        Headers::<T>::insert(height, header);
        Entries::<T>::insert(height, entries);
        Hashes::<T>::insert(height, BlockHashes { lite, cloud });
        Self::close(id, announcement, Stage::Committed { height });
        Self::deposit_event(Event::Committed { id, height, lite_hash: lite, cloud_hash: cloud });
    }

    /// Discards an announced block. Its body and its records can be announced again.
    pub(crate) fn discard(id: AnnouncementId, announcement: Announcement, stage: Stage) {
        for entry in PendingEntries::<T>::take(id).unwrap_or_default() {
            AnnouncementWith::<T>::remove(announcement.announcer, entry.record);
        }
        AnnouncementOf::<T>::remove(announcement.announcer, announcement.body_hash);
        Self::close(id, announcement, stage);
    }

    fn close(id: AnnouncementId, announcement: Announcement, stage: Stage) {
        Pending::<T>::mutate_exists(announcement.announcer, |pending| {
            *pending = pending.and_then(|open| open.checked_sub(1)).filter(|open| *open > 0);
        });
        Announcements::<T>::insert(id, Announcement { stage, ..announcement });
    }

    /// Links the records in order, so two records of the same patient in this block are linked to each other.
    fn link(height: u32, entries: AnnouncedEntries) -> block::Entries {
        let linked = entries.into_iter().zip(0_u16..).map(|(entry, index)| Entry {
            record: entry.record,
            hash: entry.hash,
            patient: entry.patient,
            text: entry.text,
            media: entry.media,
            previous: T::Links::link(entry.patient, RecordPointer { height, index }),
        });
        // The number of entries and its bound do not change.
        block::Entries::truncate_from(linked.collect())
    }
}
