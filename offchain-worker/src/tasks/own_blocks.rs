//! What happens to this hospital's own lite blocks on their way to the chain: announced, committed, or failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use epione_client::chain::Snapshot;
use epione_primitives::{
    AnnouncementId, BlockNumber, Moment,
    approval::RejectReason,
    block::{AnnouncedEntry, AnnouncedHeader, Announcement, Stage},
    limits::MAX_SIGNING_AGE_BLOCKS,
};

use super::{
    Context, TaskError,
    pack::{self, BlockBounds, Caution},
    task_journal::Batch,
    verification::{self, Checked},
};
use crate::{now, transfer::Fetcher};

/// This hospital's own lite blocks.
pub struct OwnBlocks {
    pub context: Arc<Context>,
    /// Says which segments are stored, as for the blocks of other hospitals.
    fetcher: Arc<Fetcher>,
    /// Of one block, as the configuration sets them.
    pub bounds: BlockBounds,
    caution: Mutex<Caution>,
}

/// Why one of them failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its content: the chain or other hospitals rejected it.
    Refused,
    /// Something else: too few hospitals decided in time; or the worker's own check found a fault, and finds the visit
    /// that has it when it packs them again.
    Unlucky,
}

impl OwnBlocks {
    pub fn new(context: Arc<Context>, fetcher: Arc<Fetcher>, bounds: BlockBounds) -> Self {
        Self { context, fetcher, bounds, caution: Mutex::default() }
    }

    /// Checks a lite block of this hospital as the others will: its body, its signatures as of the last chain block
    /// that may include the announcement, and that every segment is verified: those that were received before the
    /// worker's last start are read back. `head` is the newest finalized block.
    pub async fn check(
        &self,
        header: &AnnouncedHeader,
        entries: &[AnnouncedEntry],
        body: &[u8],
        head: BlockNumber,
    ) -> Checked<()> {
        let chain = self.context.chain()?;
        let (genesis, by) = (chain.genesis_hash(), announced_by(head));
        let checked = verification::content(genesis, &chain, header, entries, body, by).await?;
        let segments = match checked {
            Ok(segments) => segments,
            Err(reason) => return Ok(Err(reason)),
        };
        let missing = verification::missing(&self.fetcher, &segments, header.announcer).await?;
        Ok(match missing {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(_) => Err(RejectReason::SegmentMissing),
            Err(reason) => Err(reason),
        })
    }

    pub fn caution(&self) -> MutexGuard<'_, Caution> {
        self.caution.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This hospital's open or committed announcement of a batch. The chain looks only among the announcements of the
    /// hospital that the batch's header names: another hospital may have announced the same bytes.
    pub async fn announcement(
        &self,
        snapshot: &Snapshot,
        batch: &Batch,
    ) -> Result<Option<AnnouncementId>, TaskError> {
        Ok(snapshot.announcement_of(batch.header.announcer, batch.body_hash).await?)
    }

    /// Records that a batch is on the chain and its ballot open.
    pub async fn announced(&self, batch: &Batch, id: AnnouncementId) -> Result<(), TaskError> {
        if self.context.task_journal.announced(batch.id, id, now()).await? {
            self.context.metrics.announcements.inc();
            tracing::info!(batch = batch.id, announcement = id.0, "a lite block is announced");
        }
        Ok(())
    }

    /// Records that a batch is committed, and so are its visits.
    pub async fn committed(
        &self,
        batch: &Batch,
        id: AnnouncementId,
        height: u32,
    ) -> Result<(), TaskError> {
        let visits = self.context.task_journal.committed(batch.id, id, height, now()).await?;
        self.caution().committed(&self.bounds);
        tracing::info!(
            height,
            announcement = id.0,
            visits,
            "a lite block of this hospital is committed"
        );
        Ok(())
    }

    /// Puts the visits of a batch that failed back into the queue. Nothing is lost.
    pub async fn requeue(
        &self,
        batch: &Batch,
        cause: Cause,
        reason: &str,
    ) -> Result<(), TaskError> {
        let moment = now();
        let (refused, records) = (cause == Cause::Refused, batch.entries.len());
        {
            let mut caution = self.caution();
            if refused { caution.refused(records, moment) } else { caution.delay(moment) }
        }
        let hold: Option<fn(u32) -> u64> = if refused { Some(pack::hold) } else { None };
        let visits =
            self.context.task_journal.failed(batch.id, reason.into(), moment, hold).await?;
        self.context.metrics.announcements_failed.inc();
        tracing::warn!(
            batch = batch.id,
            visits,
            reason,
            "a lite block of this hospital failed; its visits are queued again"
        );
        Ok(())
    }
}

/// Chain blocks after the newest finalized one in which a transaction of one submission may still be included: it is
/// mortal for 32 blocks, and may be sent again within two minutes.
const UNCERTAIN_BLOCKS: BlockNumber = 80;

/// The last chain block that may include an announcement that is sent when `head` is the newest finalized one.
pub fn announced_by(head: BlockNumber) -> BlockNumber {
    head.saturating_add(UNCERTAIN_BLOCKS)
}

/// The first chain block at which a visit may have been signed that is announced when `head` is the newest finalized
/// one. An earlier visit is outdated: other hospitals would reject it.
pub fn signed_since(head: BlockNumber) -> BlockNumber {
    announced_by(head).saturating_sub(MAX_SIGNING_AGE_BLOCKS)
}

/// How far the newest finalized block and this machine's clock may be apart, in milliseconds, so that the worker
/// believes both. While blocks are finalized, they are some seconds apart.
const CLOCK_TOLERANCE: Moment = 10 * 60 * 1_000;

/// Whether a block of this time may be the newest one.
pub fn is_of_now(block_time: Moment, now: Moment) -> bool {
    block_time.abs_diff(now) <= CLOCK_TOLERANCE
}

/// Whether an announcement is the one of this batch. The journal may have the id of an announcement that another fork
/// of the chain, or another hospital, has.
pub fn is_of(announcement: &Announcement, batch: &Batch) -> bool {
    announcement.announcer == batch.header.announcer && announcement.body_hash == batch.body_hash
}

/// Why an announcement in this stage has failed, and what its visits' status says about it; none while its ballot is
/// open, or once it is committed.
pub fn cause(stage: Stage) -> Option<(Cause, &'static str)> {
    match stage {
        Stage::Announced | Stage::Committed { .. } => None,
        Stage::Rejected => Some((
            Cause::Refused,
            "other hospitals rejected the lite block; the worker announces it again",
        )),
        Stage::Expired => Some((
            Cause::Unlucky,
            "too few hospitals verified the lite block in time; the worker announces it again",
        )),
        Stage::Withdrawn => Some((
            Cause::Unlucky,
            "this hospital withdrew the lite block; the worker announces it again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        Hash, HospitalId,
        block::{AnnouncedEntries, AnnouncedHeader, Segments},
    };

    use super::*;
    use crate::tasks::signatures::is_in_time;

    const OWN: HospitalId = HospitalId(1);
    const OTHER: HospitalId = HospitalId(2);

    fn batch() -> Batch {
        Batch {
            id: 1,
            body_hash: Hash::repeat_byte(1),
            header: AnnouncedHeader { announcer: OWN, segments: Segments::default() },
            entries: AnnouncedEntries::default(),
            announcement: Some(AnnouncementId(7)),
            sent_until: None,
        }
    }

    fn announcement(announcer: HospitalId, body: u8) -> Announcement {
        Announcement {
            announcer,
            body_hash: Hash::repeat_byte(body),
            body_bytes: 1,
            records: 1,
            segments: Segments::default(),
            announced_at: 1,
            stage: Stage::Announced,
        }
    }

    #[test]
    fn a_visit_is_announced_only_if_its_block_is_in_time_wherever_it_is_included() {
        let head = 2 * MAX_SIGNING_AGE_BLOCKS;
        let first = signed_since(head);
        assert!(is_in_time(first, head) && is_in_time(first, announced_by(head)));
        assert!(!is_in_time(first - 1, announced_by(head)));
        assert_eq!(signed_since(0), 0);
    }

    #[test]
    fn a_head_counts_as_the_newest_only_if_the_clock_agrees() {
        let now = 1_000_000_000;
        for (time, agrees) in [
            (now, true),
            (now - 6_000, true),
            (now - CLOCK_TOLERANCE - 1, false),
            (now + CLOCK_TOLERANCE, true),
            (now + CLOCK_TOLERANCE + 1, false),
            (0, false),
        ] {
            assert_eq!(is_of_now(time, now), agrees, "{time}");
        }
    }

    #[test]
    fn another_hospitals_announcement_of_the_same_bytes_is_not_taken_for_the_own() {
        assert!(is_of(&announcement(OWN, 1), &batch()));
        assert!(!is_of(&announcement(OTHER, 1), &batch()));
        assert!(!is_of(&announcement(OWN, 2), &batch()));
    }
}
