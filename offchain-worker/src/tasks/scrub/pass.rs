//! One complete pass: it reads from the chain which segments are needed, checks that all are stored, and reads each of
//! them. Missing and damaged segments are fetched from other hospitals.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use epione_primitives::{AnnouncementId, Moment, block::Segment};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::{sync::watch, time::sleep};

use super::{Blocks, ScrubProgress, ScrubReport};
use crate::{
    config::Config,
    journal::{self, Journal, Owner},
    metrics::Metrics,
    millis, now,
    repair::{Repair, RepairError},
    store::{Store, StoreError},
    tasks::{Context, TaskError, task_journal::TaskJournal},
};

/// Segments listed at once.
const PAGE: u32 = 256;
/// Segments looked up in the storage at once, by metadata.
const LOOKS: usize = 8;
/// If the storage fails to return more segments than this in a row, without saying that it archived them, then the
/// storage has failed, not the segments.
const MAX_UNREADABLE: u32 = 16;

/// Checks everything that must be stored here. There is one for the whole worker.
pub struct Scrubber {
    pub blocks: Arc<dyn Blocks>,
    pub journal: Journal,
    pub task_journal: TaskJournal,
    pub store: Store,
    pub repair: Arc<dyn Repair>,
    pub metrics: Metrics,
    /// Segments repaired at once.
    pub parallel: usize,
    /// How long an orphan is kept.
    pub orphan_grace: Moment,
    pub progress: watch::Sender<ScrubProgress>,
}

/// What a check of a segment found.
enum SegmentState {
    Intact,
    Missing,
    Damaged,
    /// The storage lists it, and does not return it.
    Unreadable,
}

struct Pass<'a> {
    scrubber: &'a Scrubber,
    report: ScrubReport,
    /// Names of the segments that were not repaired yet.
    unrepaired: HashSet<[u8; 32]>,
    unreadable: u32,
}

impl Scrubber {
    pub fn of(
        context: &Arc<Context>,
        store: Store,
        repair: Arc<dyn Repair>,
        config: &Config,
    ) -> Self {
        let blocks: Arc<dyn Blocks> = context.clone();
        Self {
            blocks,
            journal: context.journal.clone(),
            task_journal: context.task_journal.clone(),
            store,
            repair,
            metrics: context.metrics.clone(),
            parallel: config.transfer.parallel,
            orphan_grace: millis(config.scrub.orphan_grace),
            progress: watch::Sender::new(ScrubProgress::Idle),
        }
    }

    /// One pass, with a pause after each segment that is read. If it is dropped half-way, only the rest is not checked.
    pub fn pass(&self, pause: Option<Duration>) -> BoxFuture<'_, Result<ScrubReport, TaskError>> {
        self.whole_pass(pause).boxed()
    }

    async fn whole_pass(&self, pause: Option<Duration>) -> Result<ScrubReport, TaskError> {
        let begun = Instant::now();
        let report = ScrubReport { began: now(), ..ScrubReport::default() };
        let mut pass = Pass { scrubber: self, report, unrepaired: HashSet::new(), unreadable: 0 };
        let done = pass.run(pause).await;
        self.progress.send_replace(ScrubProgress::Idle);
        done?;
        let mut report = pass.report;
        report.seconds = begun.elapsed().as_secs_f64();
        report.show(&self.metrics);
        if report.is_whole() {
            tracing::info!(
                segments = report.segments,
                missing = report.missing,
                damaged = report.damaged,
                unreadable = report.unreadable,
                repaired = report.repaired,
                orphans = report.orphans.count,
                "scrub finished: every needed segment is stored and intact"
            );
        } else {
            tracing::error!(
                unrepaired = report.unrepaired.count,
                contradictory = report.contradictory_blocks,
                "scrub finished: segments are missing, and no other hospital could supply them now"
            );
        }
        Ok(report)
    }

    fn report_progress(&self, progress: ScrubProgress) {
        self.progress.send_replace(progress);
    }
}

/// A segment's name, and what the storage lists under it.
type Listed = ([u8; 32], Result<Option<Segment>, StoreError>);

async fn look(store: Store, hash: [u8; 32]) -> Listed {
    let found = store.find(&hash).await;
    (hash, found)
}

async fn mended(repair: Arc<dyn Repair>, hash: [u8; 32]) -> ([u8; 32], Result<(), RepairError>) {
    let repaired = repair.repair(hash).await;
    (hash, repaired)
}

impl Pass<'_> {
    async fn run(&mut self, pause: Option<Duration>) -> Result<(), TaskError> {
        self.scrubber.store.confirm_claim().await?;
        self.compare_with_chain().await?;
        let needed = self.look_for_missing().await?;
        self.read_all(pause, needed).await?;
        self.retry().await?;
        self.adopt_orphans().await
    }

    /// Compares which segments the chain and the journal say are needed.
    async fn compare_with_chain(&mut self) -> Result<(), TaskError> {
        let Scrubber { blocks, journal, task_journal, .. } = self.scrubber;
        // Read before the height, so that a block which is committed later does not look like one that failed.
        let held = journal.announcements().await?;
        let height = blocks.height()?;
        self.report.blocks = height;
        let mut committed = HashSet::new();
        for at in 1..=height {
            self.scrubber.report_progress(ScrubProgress::Chain { done: at, of: height });
            let Some(block) = blocks.block(at).await? else {
                self.report.contradictory_blocks += 1;
                continue;
            };
            committed.insert(block.announcement);
            // Read first: once the job is done, the journal knows the segments.
            let underway = task_journal.keeps().await?.contains(&at);
            let owner = Owner::Announcement(block.announcement);
            let unreferenced = self.unreferenced(owner, block.segments).await?;
            if unreferenced.is_empty() {
                continue;
            }
            if !underway {
                tracing::warn!(
                    height = at,
                    segments = unreferenced.len(),
                    "the journal did not know segments of a committed block"
                );
                self.report.unknown_to_journal += unreferenced.len() as u64;
            }
            journal.reference(owner, &unreferenced).await?;
        }
        self.release_failed(held, &committed).await
    }

    async fn unreferenced(
        &self,
        owner: Owner,
        mut segments: Vec<Segment>,
    ) -> Result<Vec<Segment>, TaskError> {
        let known = self.scrubber.journal.references_of(owner).await?;
        let known: HashSet<[u8; 32]> = known.into_iter().map(|segment| segment.hash).collect();
        segments.retain(|segment| !known.contains(&segment.hash));
        Ok(segments)
    }

    /// Releases the segments of blocks of which the chain says explicitly that they failed.
    async fn release_failed(
        &mut self,
        held: Vec<AnnouncementId>,
        committed: &HashSet<AnnouncementId>,
    ) -> Result<(), TaskError> {
        let Scrubber { blocks, journal, .. } = self.scrubber;
        let open = blocks.open();
        for id in held {
            let settled = committed.contains(&id) || open.contains(&id);
            if !settled && blocks.has_failed(id).await? {
                journal.release(Owner::Announcement(id), now()).await?;
                self.report.held_in_vain += 1;
            }
        }
        Ok(())
    }

    /// Finds missing segments by metadata alone, and repairs them. Returns how many segments are needed.
    async fn look_for_missing(&mut self) -> Result<u64, TaskError> {
        let store = &self.scrubber.store;
        let (mut after, mut done) = (None, 0);
        loop {
            let page = self.scrubber.journal.all_referenced(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(done) };
            after = Some(*last);
            done += page.len() as u64;
            let (mut missing, mut failed) = (Vec::new(), Vec::new());
            let mut looks =
                stream::iter(page).map(|hash| look(store.clone(), hash)).buffer_unordered(LOOKS);
            while let Some((hash, found)) = looks.next().await {
                match found {
                    Ok(Some(_)) | Err(StoreError::Damaged) => self.unreadable = 0,
                    Ok(None) => {
                        self.unreadable = 0;
                        missing.push(hash);
                    }
                    Err(error) => failed.push((hash, error)),
                }
            }
            drop(looks);
            // Whether these can be read shows later.
            for (hash, error) in failed {
                self.tolerate(&hash, error).await?;
            }
            self.mend(missing, &SegmentState::Missing).await?;
            self.scrubber.report_progress(ScrubProgress::Presence { done });
        }
    }

    /// Reads every segment once, beginning at a random name: passes that are interrupted again and again still reach
    /// all of them.
    async fn read_all(&mut self, pause: Option<Duration>, of: u64) -> Result<(), TaskError> {
        let mut start = [0; 32];
        getrandom::fill(&mut start)
            .map_err(|error| StoreError::Backend(std::io::Error::from(error).into()))?;
        self.read_range(Some(start), None, pause, of).await?;
        self.read_range(None, Some(start), pause, of).await
    }

    async fn read_range(
        &mut self,
        mut after: Option<[u8; 32]>,
        up_to: Option<[u8; 32]>,
        pause: Option<Duration>,
        of: u64,
    ) -> Result<(), TaskError> {
        loop {
            let page = self.scrubber.journal.all_referenced(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            for hash in page {
                if up_to.is_some_and(|up_to| hash > up_to) {
                    return Ok(());
                }
                let found = self.read(&hash).await?;
                self.mend(vec![hash], &found).await?;
                self.report.segments += 1;
                self.scrubber
                    .report_progress(ScrubProgress::Reading { done: self.report.segments, of });
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
            }
        }
    }

    async fn read(&mut self, hash: &[u8; 32]) -> Result<SegmentState, TaskError> {
        let Scrubber { journal, store, .. } = self.scrubber;
        let error = match journal::read_back(journal, store, hash).await {
            Ok(bytes) => {
                self.report.bytes += bytes.len() as u64;
                self.unreadable = 0;
                return Ok(SegmentState::Intact);
            }
            Err(StoreError::Missing) => return Ok(SegmentState::Missing),
            Err(StoreError::Damaged) => return Ok(SegmentState::Damaged),
            Err(error) => error,
        };
        let is_damaged = store.shows_damage(hash, &error).await;
        self.tolerate(hash, error).await?;
        // Otherwise the bytes may be intact, and nobody else may have them.
        if is_damaged && let Err(error) = journal::quarantine(journal, store, hash).await {
            let segment = hex::encode(hash);
            tracing::warn!(%error, segment, "an unreadable segment could not be moved to the quarantine");
        }
        Ok(SegmentState::Unreadable)
    }

    /// Goes on after an error about one object. Returns the error if the storage itself has failed.
    async fn tolerate(&mut self, hash: &[u8; 32], error: StoreError) -> Result<(), TaskError> {
        let segment = hex::encode(hash);
        tracing::warn!(%error, segment, "the storage does not return a segment");
        if error.concerns_one_object() {
            return Ok(());
        }
        self.unreadable += 1;
        let works = self.unreadable <= MAX_UNREADABLE && self.scrubber.store.probe().await.is_ok();
        if works { Ok(()) } else { Err(error.into()) }
    }

    /// Fetches segments that were not found intact, except those that are still on their way.
    async fn mend(&mut self, hashes: Vec<[u8; 32]>, found: &SegmentState) -> Result<(), TaskError> {
        if matches!(found, SegmentState::Intact) {
            return Ok(());
        }
        let open = self.scrubber.blocks.open();
        let mut due = Vec::new();
        for hash in hashes {
            // Otherwise an earlier step has counted it.
            let is_new = !self.unrepaired.contains(&hash);
            if is_new && self.scrubber.task_journal.is_due(hash, Arc::clone(&open)).await? {
                due.push(hash);
            }
        }
        let count = due.len() as u64;
        match found {
            SegmentState::Intact => {}
            SegmentState::Missing => self.report.missing += count,
            SegmentState::Unreadable => self.report.unreadable += count,
            SegmentState::Damaged => {
                self.report.damaged += count;
                self.scrubber.metrics.segments_damaged.inc_by(count);
            }
        }
        self.repair(due).await
    }

    async fn repair(&mut self, hashes: Vec<[u8; 32]>) -> Result<(), TaskError> {
        let repair = &self.scrubber.repair;
        let mut repairs = stream::iter(hashes)
            .map(|hash| mended(Arc::clone(repair), hash))
            .buffer_unordered(self.scrubber.parallel);
        while let Some((hash, repaired)) = repairs.next().await {
            match repaired {
                Ok(()) => {
                    self.unrepaired.remove(&hash);
                    self.report.repaired += 1;
                    self.scrubber.metrics.segments_repaired.inc();
                }
                // Nothing needs it any more.
                Err(RepairError::UnknownSegment) => {
                    self.unrepaired.remove(&hash);
                }
                Err(RepairError::Store(error)) if error.needs_operator() => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::debug!(%error, segment = hex::encode(hash), "not repaired");
                    self.unrepaired.insert(hash);
                }
            }
        }
        Ok(())
    }

    /// Retries: other hospitals may be back, and jobs may have fetched what was missing.
    async fn retry(&mut self) -> Result<(), TaskError> {
        let mut left: Vec<_> = self.unrepaired.iter().copied().collect();
        left.sort_unstable();
        self.repair(left).await?;
        let mut names: Vec<_> = self.unrepaired.iter().collect();
        names.sort_unstable();
        for hash in names {
            self.report.unrepaired.add(hash);
        }
        Ok(())
    }

    /// Lists stored segments that the journal does not know, and schedules their deletion. Does nothing while the
    /// journal may be incomplete.
    async fn adopt_orphans(&mut self) -> Result<(), TaskError> {
        let Scrubber { journal, task_journal, store, orphan_grace, .. } = self.scrubber;
        if self.report.contradictory_blocks > 0 || !task_journal.keeps().await?.is_empty() {
            return Ok(());
        }
        self.scrubber.report_progress(ScrubProgress::Orphans);
        let until = now().saturating_add(*orphan_grace);
        let mut pages = store.list().chunks(PAGE as usize);
        while let Some(page) = pages.next().await {
            let stored: Result<Vec<_>, _> =
                page.into_iter().map(|listed| listed.map(|segment| segment.hash)).collect();
            for hash in journal.adopt_orphans(stored?, until).await? {
                self.report.orphans.add(&hash);
            }
        }
        Ok(())
    }
}
