//! What pallet-lite-blocks, pallet-index-links and pallet-approvals answer.

use epione_primitives::{
    AnnouncementId, Hash, HospitalId, RecordId, RecordPointer, UserId,
    approval::Ballot,
    block::{AnnouncedEntry, Announcement, BlockHashes, Entry, Header, Stage},
    limits::{MAX_HISTORY, MAX_PAGE},
};
use epione_proofs::StorageKey;

use super::{ChainError, Gap, Known, TWOX_64, VerifiedState, after_hash, keys};

impl VerifiedState {
    pub(in crate::chain) async fn height(&self) -> Result<u32, ChainError> {
        Ok(self.value(keys::height()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn header(
        &self,
        height: u32,
    ) -> Result<Option<(Header, BlockHashes)>, ChainError> {
        let needed = [keys::header(height), keys::hashes(height)];
        self.compute(needed, |known| {
            let header = known.value(keys::header(height))?;
            Ok(header.zip(known.value(keys::hashes(height))?))
        })
        .await
    }

    pub(in crate::chain) async fn entries_of(&self, height: u32) -> Result<Vec<Entry>, ChainError> {
        Ok(self.value(keys::entries(height)).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn announcement(
        &self,
        id: AnnouncementId,
    ) -> Result<Option<(Announcement, Vec<AnnouncedEntry>)>, ChainError> {
        let hints = [keys::announcement(id), keys::pending_entries(id)];
        self.compute(hints, |known| announcement(known, id)).await
    }

    pub(in crate::chain) async fn open_announcements(
        &self,
    ) -> Result<Vec<AnnouncementId>, ChainError> {
        let prefix = keys::pending();
        let mut open: Vec<AnnouncementId> = Vec::new();
        loop {
            let after = open.last().map(|id| keys::pending_entries(*id));
            let page = self.entries(&prefix, after.as_ref(), MAX_PAGE).await?;
            if page.is_empty() {
                break;
            }
            for (key, _) in page {
                let id = after_hash(&prefix, TWOX_64, &key);
                open.push(id.map_err(|error| self.chain().doubt(error))?);
            }
        }
        open.sort_unstable();
        Ok(open)
    }

    pub(in crate::chain) async fn next_announcement(&self) -> Result<AnnouncementId, ChainError> {
        Ok(self.value(keys::next_announcement()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn announcement_of(
        &self,
        announcer: HospitalId,
        body_hash: Hash,
    ) -> Result<Option<AnnouncementId>, ChainError> {
        self.value(keys::announcement_of(announcer, body_hash)).await
    }

    pub(in crate::chain) async fn announcement_with(
        &self,
        announcer: HospitalId,
        record: RecordId,
    ) -> Result<Option<AnnouncementId>, ChainError> {
        self.value(keys::announcement_with(announcer, record)).await
    }

    /// Follows the links from the patient's newest record, which is proven, so that no record can be left out. The
    /// node's own answer only says which blocks to request together.
    pub(in crate::chain) async fn history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<(RecordPointer, Entry, Hash)>, ChainError> {
        let limit = limit.min(MAX_HISTORY);
        let arguments = (patient, before, limit);
        let hint: Option<Vec<(RecordPointer, Entry, Hash)>> =
            self.unverified_hint("LiteBlocksApi_history", arguments).await;
        let pointers = hint.unwrap_or_default();
        let pointers = pointers.iter().map(|(pointer, ..)| *pointer).take(MAX_HISTORY as usize);
        let mut hints: Vec<StorageKey> =
            before.into_iter().chain(pointers).flat_map(keys_of).collect();
        hints.push(keys::latest_record(patient));
        hints.sort();
        hints.dedup();
        self.compute(hints, |known| history(known, patient, before, limit)).await
    }

    pub(in crate::chain) async fn record(
        &self,
        pointer: RecordPointer,
    ) -> Result<Option<(Entry, Hash)>, ChainError> {
        self.compute(keys_of(pointer), |known| record(known, pointer)).await
    }

    pub(in crate::chain) async fn ballot(
        &self,
        id: AnnouncementId,
    ) -> Result<Option<Ballot>, ChainError> {
        self.value(keys::ballot(id)).await
    }
}

/// Where the entry of a record is, and the header that names its body.
fn keys_of(pointer: RecordPointer) -> [StorageKey; 2] {
    [keys::header(pointer.height), keys::entries(pointer.height)]
}

fn announcement(
    known: &mut Known,
    id: AnnouncementId,
) -> Result<Option<(Announcement, Vec<AnnouncedEntry>)>, Gap> {
    let announcement: Option<Announcement> = known.value(keys::announcement(id))?;
    let Some(announcement) = announcement else { return Ok(None) };
    let entries = match announcement.stage {
        Stage::Announced => known.value_or_default(keys::pending_entries(id))?,
        Stage::Committed { height } => {
            let entries: Vec<Entry> = known.value_or_default(keys::entries(height))?;
            entries.into_iter().map(AnnouncedEntry::from).collect()
        }
        Stage::Rejected | Stage::Expired | Stage::Withdrawn => Vec::new(),
    };
    Ok(Some((announcement, entries)))
}

fn record(known: &mut Known, pointer: RecordPointer) -> Result<Option<(Entry, Hash)>, Gap> {
    known.need(keys_of(pointer))?;
    let header: Option<Header> = known.value(keys::header(pointer.height))?;
    let entries: Vec<Entry> = known.value_or_default(keys::entries(pointer.height))?;
    let entry = entries.into_iter().nth(usize::from(pointer.index));
    Ok(entry.zip(header.map(|header| header.body_hash)))
}

fn history(
    known: &mut Known,
    patient: UserId,
    before: Option<RecordPointer>,
    limit: u32,
) -> Result<Vec<(RecordPointer, Entry, Hash)>, Gap> {
    let mut next: Option<RecordPointer> = match before {
        None => known.value(keys::latest_record(patient))?,
        Some(pointer) => record(known, pointer)?
            .filter(|(entry, _)| entry.patient == patient)
            .and_then(|(entry, _)| entry.previous),
    };
    let mut records = Vec::new();
    while records.len() < limit as usize {
        let Some(pointer) = next else { break };
        let Some((entry, body_hash)) = record(known, pointer)? else { break };
        next = entry.previous;
        records.push((pointer, entry, body_hash));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::block::{Range, Segments};

    use super::*;

    const PATIENT: UserId = UserId([1; 32]);

    fn pointer(height: u32) -> RecordPointer {
        RecordPointer { height, index: 0 }
    }

    fn entry(patient: UserId, previous: Option<RecordPointer>) -> Entry {
        Entry {
            record: RecordId([3; 16]),
            hash: Hash::repeat_byte(4),
            patient,
            text: Range { offset: 0, length: 9 },
            media: Range::default(),
            previous,
        }
    }

    fn header(height: u32) -> Header {
        Header {
            height,
            previous_lite: Hash::zero(),
            previous_cloud: Hash::zero(),
            announcer: HospitalId(0),
            announcement: AnnouncementId(0),
            time: 1,
            records: 1,
            body_hash: Hash::repeat_byte(height as u8),
            body_bytes: 9,
            segments: Segments::default(),
        }
    }

    fn block(known: &mut Known, height: u32, entry: Entry) {
        known.learn(keys::header(height), Some(header(height).encode()));
        known.learn(keys::entries(height), Some(vec![entry].encode()));
    }

    /// A patient with records in the blocks 1, 3 and 5.
    fn three_records() -> Known {
        let mut known = Known::default();
        known.learn(keys::latest_record(PATIENT), Some(pointer(5).encode()));
        block(&mut known, 5, entry(PATIENT, Some(pointer(3))));
        block(&mut known, 3, entry(PATIENT, Some(pointer(1))));
        block(&mut known, 1, entry(PATIENT, None));
        known
    }

    fn heights(known: &mut Known, before: Option<RecordPointer>, limit: u32) -> Vec<u32> {
        let records = history(known, PATIENT, before, limit).unwrap();
        records.into_iter().map(|(pointer, ..)| pointer.height).collect()
    }

    #[test]
    fn a_history_follows_the_links_from_the_newest_record() {
        let mut known = three_records();
        assert_eq!(heights(&mut known, None, 10), [5, 3, 1]);
        assert_eq!(heights(&mut known, None, 2), [5, 3]);
        assert_eq!(heights(&mut known, Some(pointer(5)), 10), [3, 1]);
        assert_eq!(heights(&mut known, Some(pointer(1)), 10), [0_u32; 0]);
    }

    #[test]
    fn a_history_before_another_patients_record_is_empty() {
        let mut known = three_records();
        block(&mut known, 4, entry(UserId([9; 32]), Some(pointer(3))));
        assert_eq!(heights(&mut known, Some(pointer(4)), 10), [0_u32; 0]);
    }

    #[test]
    fn a_history_asks_for_the_block_of_the_next_record() {
        let mut known = Known::default();
        known.learn(keys::latest_record(PATIENT), Some(pointer(5).encode()));
        assert_eq!(history(&mut known, PATIENT, None, 10), Err(Gap::Missing));
        let mut expected = keys_of(pointer(5)).to_vec();
        expected.sort();
        assert_eq!(known.take_missing(), expected);
    }

    #[test]
    fn a_patient_without_records_is_proven_to_have_none() {
        let mut known = Known::default();
        known.learn(keys::latest_record(PATIENT), None);
        assert_eq!(history(&mut known, PATIENT, None, 10), Ok(vec![]));
    }
}
