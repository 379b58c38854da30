//! The invariants of this pallet's state.

use alloc::collections::BTreeMap;
use epione_primitives::{
    AnnouncementId, HospitalId, RecordId, RecordPointer, UserId,
    block::{Announcement, BlockHashes, Entry, Header, Stage, cloud_hash},
    limits::MAX_PENDING_ANNOUNCEMENTS,
    ports::IndexLinks,
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    AnnouncementOf, AnnouncementWith, Announcements, Config, Entries, Hashes, Headers, Height,
    NextId, Pallet, Pending, PendingEntries, PruneCursor, shape,
};

type Latest = BTreeMap<UserId, RecordPointer>;

impl<T: Config> Pallet<T> {
    /// Invariants:
    /// - committed blocks have the heights from 1 to [`Height`] without gaps, each with header,
    ///   entries and hashes, and no other blocks are stored;
    /// - each block's hashes follow from its header and entries, and its header refers to the
    ///   hashes of the previous block;
    /// - each header agrees with its announcement, which is committed at that height;
    /// - each entry points to the same patient's previous entry, and the index links point to each
    ///   patient's last entry;
    /// - announcements have ids below [`NextId`], without gaps from [`PruneCursor`] on; those before it are
    ///   committed;
    /// - those at stage announced, and only those,
    ///   have pending entries that fit, and are counted as pending, within the limit;
    /// - the open and committed announcements, and only those, are found by their hospital and body, and by
    ///   their hospital and each of their records, so no two of a hospital contain the same record.
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_chain()?;
        Self::check_announcements()?;
        Self::check_records()
    }

    fn check_chain() -> Result<(), TryRuntimeError> {
        let mut previous = BlockHashes::default();
        let mut latest = Latest::new();
        let top = Height::<T>::get();
        for height in 1..=top {
            let (header, hashes) = Self::header(height).ok_or("a height has no block")?;
            let entries = Entries::<T>::get(height).ok_or("a block has no entries")?;
            ensure!(
                header.height == height && usize::from(header.records) == entries.len(),
                "a header disagrees with its height or entries"
            );
            ensure!(
                (header.previous_lite, header.previous_cloud) == (previous.lite, previous.cloud),
                "a block does not refer to the previous block"
            );
            let lite = header.lite_hash(&entries);
            let cloud = cloud_hash(lite, header.segments.root);
            ensure!(
                hashes == BlockHashes { lite, cloud },
                "a block's hashes do not follow from its header and entries"
            );
            Self::check_committed(&header)?;
            check_links(height, &entries, &mut latest)?;
            previous = hashes;
        }
        let stored = [
            Headers::<T>::iter_keys().count(),
            Entries::<T>::iter_keys().count(),
            Hashes::<T>::iter_keys().count(),
        ];
        ensure!(
            stored.iter().all(|count| *count == top as usize),
            "a block is stored beyond the height"
        );
        for (patient, pointer) in latest {
            ensure!(
                T::Links::latest(patient) == Some(pointer),
                "the index links do not point to a patient's last record"
            );
        }
        Ok(())
    }

    fn check_committed(header: &Header) -> Result<(), TryRuntimeError> {
        let found = Announcements::<T>::get(header.announcement);
        let same = found.is_some_and(|announcement| {
            announcement.stage == Stage::Committed { height: header.height }
                && announcement.announcer == header.announcer
                && announcement.records == header.records
                && announcement.body_hash == header.body_hash
                && announcement.body_bytes == header.body_bytes
                && announcement.segments == header.segments
        });
        ensure!(same, "a header disagrees with its announcement");
        Ok(())
    }

    fn check_announcements() -> Result<(), TryRuntimeError> {
        let mut pending = BTreeMap::<HospitalId, u32>::new();
        let (mut open, mut committed, mut recent) = (0, 0, 0_u64);
        let (cursor, next) = (PruneCursor::<T>::get(), NextId::<T>::get());
        for (id, announcement) in Announcements::<T>::iter() {
            ensure!(id < next, "an announcement has an id that was not assigned yet");
            let kept = matches!(announcement.stage, Stage::Committed { .. });
            ensure!(kept || cursor <= id, "an announcement before the cursor is not committed");
            recent += u64::from(cursor <= id);
            Self::check_entries(id, &announcement)?;
            match announcement.stage {
                Stage::Announced => {
                    *pending.entry(announcement.announcer).or_default() += 1;
                    open += 1;
                }
                Stage::Committed { .. } => committed += 1,
                Stage::Rejected | Stage::Expired | Stage::Withdrawn => continue,
            }
            ensure!(
                AnnouncementOf::<T>::get(announcement.announcer, announcement.body_hash)
                    == Some(id),
                "an announcement is not found by its body"
            );
        }
        ensure!(
            cursor.0.checked_add(recent) == Some(next.0),
            "an announcement after the cursor is missing"
        );
        ensure!(
            PendingEntries::<T>::iter_keys().count() == open,
            "entries are pending without an announcement"
        );
        ensure!(committed == Height::<T>::get() as usize, "a committed announcement has no block");
        ensure!(
            AnnouncementOf::<T>::iter_keys().count() == open + committed,
            "a body points to an announcement that is neither open nor committed"
        );
        ensure!(
            pending.values().all(|count| *count <= MAX_PENDING_ANNOUNCEMENTS),
            "a hospital has too many open ballots"
        );
        let counted: BTreeMap<_, _> = Pending::<T>::iter().collect();
        ensure!(pending == counted, "pending announcements are miscounted");
        Ok(())
    }

    fn check_records() -> Result<(), TryRuntimeError> {
        let mut records = 0;
        for (id, announcement) in Announcements::<T>::iter() {
            let entries = Self::announced_entries(id, announcement.stage);
            let found =
                |record: RecordId| AnnouncementWith::<T>::get(announcement.announcer, record);
            ensure!(
                entries.iter().all(|entry| found(entry.record) == Some(id)),
                "an announcement is not found by its records"
            );
            records += entries.len();
        }
        ensure!(
            AnnouncementWith::<T>::iter_keys().count() == records,
            "a record is announced twice, or points to an announcement without it"
        );
        Ok(())
    }

    fn check_entries(
        id: AnnouncementId,
        announcement: &Announcement,
    ) -> Result<(), TryRuntimeError> {
        let entries = PendingEntries::<T>::get(id);
        if announcement.stage != Stage::Announced {
            ensure!(entries.is_none(), "a closed announcement has pending entries");
            return Ok(());
        }
        let entries = entries.ok_or("an open announcement has no entries")?;
        ensure!(
            usize::from(announcement.records) == entries.len()
                && shape::check(announcement.body_bytes, &announcement.segments, &entries).is_ok(),
            "an open announcement's entries do not fit"
        );
        Ok(())
    }
}

/// Checks a block's links, given each patient's last record in the earlier blocks. Each entry must point to
/// exactly that record.
fn check_links(height: u32, entries: &[Entry], latest: &mut Latest) -> Result<(), TryRuntimeError> {
    for (entry, index) in entries.iter().zip(0_u16..) {
        let before = latest.insert(entry.patient, RecordPointer { height, index });
        ensure!(
            entry.previous == before,
            "an entry does not point to the patient's previous record"
        );
    }
    Ok(())
}
