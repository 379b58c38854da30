//! How many bytes of announced blocks the worker stores for each other hospital before they are committed. Offers have
//! a quota of their own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use epione_primitives::{AnnouncementId, HospitalId, block::Segment};

use super::TaskError;
use crate::{
    journal::{Journal, JournalError, Owner},
    shares::{Bounds, Place, Shares},
};

/// The bytes of announced blocks that are not committed yet. After a restart, they are counted again from the journal.
pub struct DiskBudget {
    bytes: Arc<Shares<HospitalId>>,
    blocks: Mutex<HashMap<AnnouncementId, Place<HospitalId>>>,
    /// How long the segments of a failed announcement are kept.
    grace: Duration,
}

impl DiskBudget {
    pub fn new(quota: u64, grace: Duration) -> Self {
        let each = usize::try_from(quota).unwrap_or(usize::MAX);
        let bytes = Shares::new(Bounds::at_once(usize::MAX, each));
        Self { bytes, blocks: Mutex::default(), grace }
    }

    fn blocks(&self) -> MutexGuard<'_, HashMap<AnnouncementId, Place<HospitalId>>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the segments of an announcement, once.
    pub fn count(
        &self,
        id: AnnouncementId,
        announcer: HospitalId,
        segments: &[Segment],
    ) -> Result<(), TaskError> {
        let mut blocks = self.blocks();
        if blocks.contains_key(&id) {
            return Ok(());
        }
        let bytes = usize::try_from(bytes(segments)).unwrap_or(usize::MAX);
        let place =
            self.bytes.try_take(announcer, bytes).map_err(|_| TaskError::OverBudget(announcer))?;
        blocks.insert(id, place);
        Ok(())
    }

    /// Counts the segments that the journal knows of an announcement, once.
    pub async fn recount(
        &self,
        journal: &Journal,
        id: AnnouncementId,
        announcer: HospitalId,
    ) -> Result<(), JournalError> {
        let segments = journal.references_of(Owner::Announcement(id)).await?;
        if segments.is_empty() {
            // It is counted when it has been verified.
            return Ok(());
        }
        // An operator may have lowered the quota meanwhile.
        if let Err(error) = self.count(id, announcer, &segments) {
            tracing::warn!(announcement = id.0, %error, "the stored segments of an announced block do not count");
        }
        Ok(())
    }

    /// The block is committed: its segments are the chain's, not the announcer's.
    pub fn committed(&self, id: AnnouncementId) {
        let place = self.blocks().remove(&id);
        drop(place);
    }

    /// The announcement has failed. Its segments count until they are deleted.
    pub fn failed(&self, id: AnnouncementId) {
        let (place, grace) = (self.blocks().remove(&id), self.grace);
        if let Some(place) = place {
            tokio::spawn(async move {
                tokio::time::sleep(grace).await;
                drop(place);
            });
        }
    }
}

/// The bytes of all these segments together.
pub(super) fn bytes(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.length)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: HospitalId = HospitalId(1);

    fn segments(bytes: u32) -> Vec<Segment> {
        vec![Segment { hash: [1; 32], length: bytes }]
    }

    #[tokio::test]
    async fn a_hospital_that_announces_and_withdraws_cannot_fill_the_disk() {
        let budget = DiskBudget::new(100, Duration::from_millis(50));
        budget.count(AnnouncementId(1), ONE, &segments(60)).unwrap();
        // The same announcement counts once.
        budget.count(AnnouncementId(1), ONE, &segments(60)).unwrap();
        let over = budget.count(AnnouncementId(2), ONE, &segments(60));
        assert!(matches!(over, Err(TaskError::OverBudget(ONE))), "{over:?}");
        budget.count(AnnouncementId(3), HospitalId(2), &segments(60)).unwrap();
        // What was withdrawn is still on the disk for a while.
        budget.failed(AnnouncementId(1));
        budget.count(AnnouncementId(2), ONE, &segments(60)).unwrap_err();
        let is_deleted = async {
            while budget.count(AnnouncementId(2), ONE, &segments(60)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), is_deleted).await.unwrap();
        budget.committed(AnnouncementId(2));
        budget.count(AnnouncementId(4), ONE, &segments(100)).unwrap();
    }

    #[tokio::test]
    async fn a_restart_does_not_renew_the_budget_of_a_hospital() {
        let journal = Journal::in_memory().await.unwrap();
        let first = AnnouncementId(1);
        let owner = Owner::Announcement(first);
        journal.reference_announced(owner, ONE, &segments(60), 1).await.unwrap();
        // The worker has voted, and is restarted. It has not verified the third block yet.
        let budget = DiskBudget::new(100, Duration::from_millis(50));
        for _ in 0..2 {
            budget.recount(&journal, first, ONE).await.unwrap();
        }
        budget.recount(&journal, AnnouncementId(3), ONE).await.unwrap();
        let over = budget.count(AnnouncementId(2), ONE, &segments(60));
        assert!(matches!(over, Err(TaskError::OverBudget(ONE))), "{over:?}");
        budget.count(AnnouncementId(3), ONE, &segments(40)).unwrap();
        budget.count(AnnouncementId(4), ONE, &segments(1)).unwrap_err();
        budget.committed(first);
        budget.count(AnnouncementId(2), ONE, &segments(60)).unwrap();
    }
}
