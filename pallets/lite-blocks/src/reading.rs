//! Reading lite blocks: for the runtime API, and for other pallets.

use alloc::vec::Vec;
use core::marker::PhantomData;
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    block::{self, AnnouncedEntry, Announcement, BlockHashes, Entry, Header, Stage},
    limits::MAX_HISTORY,
    ports::{IndexLinks, Records},
};
use sp_runtime::SaturatedConversion;

use crate::{
    AnnouncementOf, AnnouncementWith, Announcements, Config, Entries, Hashes, Headers, Height,
    NextId, Pallet, PendingEntries,
};

impl<T: Config> Pallet<T> {
    /// Height of the newest committed block; 0 before the first.
    pub fn height() -> u32 {
        Height::<T>::get()
    }

    pub fn header(height: u32) -> Option<(Header, BlockHashes)> {
        Headers::<T>::get(height).zip(Hashes::<T>::get(height))
    }

    /// A committed block's entries. Empty if there is no such block.
    pub fn entries(height: u32) -> Vec<Entry> {
        Entries::<T>::get(height).unwrap_or_default().into_inner()
    }

    /// An announcement, with its entries unless they were discarded.
    pub fn announcement(id: AnnouncementId) -> Option<(Announcement, Vec<AnnouncedEntry>)> {
        let announcement = Announcements::<T>::get(id)?;
        let entries = Self::announced_entries(id, announcement.stage);
        Some((announcement, entries))
    }

    /// The entries of an announcement at this stage, unless they were discarded.
    pub(crate) fn announced_entries(id: AnnouncementId, stage: Stage) -> Vec<AnnouncedEntry> {
        match stage {
            Stage::Announced => PendingEntries::<T>::get(id).unwrap_or_default().into_inner(),
            Stage::Committed { height } => {
                Self::entries(height).into_iter().map(AnnouncedEntry::from).collect()
            }
            Stage::Rejected | Stage::Expired | Stage::Withdrawn => Vec::new(),
        }
    }

    /// The announcements with open ballots, ascending by id: at most
    /// `MAX_PENDING_ANNOUNCEMENTS` of each hospital.
    pub fn open_announcements() -> Vec<AnnouncementId> {
        let mut open: Vec<_> = PendingEntries::<T>::iter_keys().collect();
        open.sort_unstable();
        open
    }

    /// The id of the next announcement.
    pub fn next_announcement() -> AnnouncementId {
        NextId::<T>::get()
    }

    /// This hospital's announcement of this body, unless it was rejected, expired or withdrawn.
    pub fn announcement_of(announcer: HospitalId, body_hash: Hash) -> Option<AnnouncementId> {
        AnnouncementOf::<T>::get(announcer, body_hash)
    }

    /// The open or committed announcement that contains this hospital's record.
    pub fn announcement_with(announcer: HospitalId, record: RecordId) -> Option<AnnouncementId> {
        AnnouncementWith::<T>::get(announcer, record)
    }

    /// The entry of a committed record, and the hash of the body that contains it.
    pub fn record(pointer: RecordPointer) -> Option<(Entry, Hash)> {
        Reader::<T>::default().record(pointer)
    }

    /// A patient's records, newest first. The list begins before `before`, or with the latest record if
    /// absent, and has at most `limit` and [`MAX_HISTORY`] entries. Empty if `before` is not a record of
    /// this patient.
    pub fn history(
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Vec<(RecordPointer, Entry, Hash)> {
        let mut reader = Reader::<T>::default();
        let first = match before {
            None => T::Links::latest(patient),
            Some(pointer) => reader
                .record(pointer)
                .filter(|(entry, _)| entry.patient == patient)
                .and_then(|(entry, _)| entry.previous),
        };
        let record = |pointer| {
            let (entry, body_hash) = reader.record(pointer)?;
            Some((pointer, entry, body_hash))
        };
        walk(first, record).take(limit.min(MAX_HISTORY).saturated_into()).collect()
    }
}

impl<T: Config> Records for Pallet<T> {
    fn owner(pointer: RecordPointer) -> Option<(UserId, HospitalId)> {
        let entries = Entries::<T>::get(pointer.height)?;
        let entry = entries.get(usize::from(pointer.index))?;
        Some((entry.patient, Headers::<T>::get(pointer.height)?.announcer))
    }

    fn committed_at(pointer: RecordPointer) -> Option<Moment> {
        let header = Headers::<T>::get(pointer.height)?;
        (pointer.index < header.records).then_some(header.time)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId, patient: UserId, height: u32) -> RecordPointer {
        crate::benchmarking::store_largest::<T>(hospital, patient, height)
    }
}

/// Follows the links from `first` on. Reads only the records that the caller consumes.
fn walk(
    first: Option<RecordPointer>,
    mut record: impl FnMut(RecordPointer) -> Option<(RecordPointer, Entry, Hash)>,
) -> impl Iterator<Item = (RecordPointer, Entry, Hash)> {
    let mut next = first;
    core::iter::from_fn(move || {
        let found = next.and_then(&mut record)?;
        next = found.1.previous;
        Some(found)
    })
}

/// Reads records, and caches the last block, because a patient's records are often in the same block.
struct Reader<T> {
    block: Option<Block>,
    config: PhantomData<T>,
}

struct Block {
    height: u32,
    entries: block::Entries,
    body_hash: Hash,
}

impl<T> Default for Reader<T> {
    fn default() -> Self {
        Self { block: None, config: PhantomData }
    }
}

impl<T: Config> Reader<T> {
    fn record(&mut self, pointer: RecordPointer) -> Option<(Entry, Hash)> {
        if self.block.as_ref().is_none_or(|block| block.height != pointer.height) {
            self.block = Some(Self::read(pointer.height)?);
        }
        let block = self.block.as_ref()?;
        let entry = block.entries.get(usize::from(pointer.index))?;
        Some((entry.clone(), block.body_hash))
    }

    fn read(height: u32) -> Option<Block> {
        let body_hash = Headers::<T>::get(height)?.body_hash;
        Some(Block { height, entries: Entries::<T>::get(height)?, body_hash })
    }
}
