//! Follows finalized blocks, and compares their state with what this hospital has done.
//!
//! Only the newest state counts. A worker that was away does not process the chain blocks that it missed. It stores the
//! lite blocks above the height that it had processed, votes in the ballots that are open now, and looks up what
//! happened to its own batches.

use std::{collections::HashMap, time::Duration};

use epione_client::chain::{BlockRef, Chain, Snapshot};
use epione_primitives::{AnnouncementId, BlockNumber, Moment, block::Stage};
use futures::StreamExt;
use tokio::sync::watch;

use super::{
    Context, Processed, TaskError, committed,
    own_blocks::{self, Cause, OwnBlocks},
    task_journal::{Batch, ChainProgress},
};
use crate::{backoff::Backoff, now};

const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
/// What the status of visits says if the chain has removed their announcement, or never had it.
const GONE: &str = "the chain no longer has this hospital's announcement of the lite block; the worker announces it \
                    again";
/// Attempts to process one block before the next one is awaited.
const MAX_ATTEMPTS: u32 = 6;

/// Follows the node. Never returns. `processed` tells the other tasks which block was processed.
pub async fn run(own: &OwnBlocks, processed: watch::Sender<Option<Processed>>) {
    let context = &own.context;
    let mut node = context.node.clone();
    let chain = match node.wait_for(Option::is_some).await {
        Ok(chain) => chain.clone(),
        Err(_) => return,
    };
    let Some(chain) = chain else { return };
    let mut failures = 0;
    let head = loop {
        match chain.finalized_head().await {
            Ok(head) => break head,
            Err(error) => {
                failures += 1;
                fail(context, &error.into());
                tokio::time::sleep(RETRY.after(failures)).await;
            }
        }
    };
    let mut announcers = Announcers::default();
    // The connection recovers automatically, so that this stream never ends.
    let mut blocks = chain.finalized_stream(head.number);
    while let Some(block) = blocks.next().await {
        match block {
            Ok(block) => process(own, &chain, block, &mut announcers, &processed).await,
            Err(error) => fail(context, &error.into()),
        }
    }
}

fn fail(context: &Context, error: &TaskError) {
    context.metrics.task_failures.with_label_values(&["replay"]).inc();
    tracing::warn!(%error, "following the chain failed; retrying");
}

async fn process(
    own: &OwnBlocks,
    chain: &Chain,
    block: BlockRef,
    announcers: &mut Announcers,
    processed: &watch::Sender<Option<Processed>>,
) {
    let context = &own.context;
    for attempt in 1..=MAX_ATTEMPTS {
        match look(own, chain, block, announcers).await {
            Ok(Some(state)) => {
                context.metrics.processed_block.set(block.number.into());
                processed.send_replace(Some(state));
                return;
            }
            Ok(None) => return,
            Err(error) => fail(context, &error),
        }
        tokio::time::sleep(RETRY.after(attempt)).await;
    }
}

/// Processes a finalized block's state, unless a newer one was processed before: then the node's database is an older
/// copy, whose state may be outdated. Progress is recorded last, together with the jobs.
async fn look(
    own: &OwnBlocks,
    chain: &Chain,
    block: BlockRef,
    announcers: &mut Announcers,
) -> Result<Option<Processed>, TaskError> {
    let context = &own.context;
    context.metrics.finalized_block.set(block.number.into());
    let before = context.task_journal.progress().await?;
    if block.number < before.block {
        tracing::debug!(
            block = block.number,
            processed = before.block,
            "waiting for the node to catch up"
        );
        return Ok(None);
    }
    let snapshot = chain.at(block.hash);
    watch_clock(context, snapshot.time().await?);
    let height = snapshot.height().await?;
    let open = snapshot.open_announcements().await?;
    for batch in context.task_journal.batches().await? {
        follow(own, &snapshot, block.number, &batch).await?;
    }
    for committed in before.height.saturating_add(1)..=height {
        committed::remember(context, chain, &snapshot, committed).await?;
    }
    let stray = announcers.has_stray(context, &snapshot, &open).await?;
    let progress = ChainProgress { block: block.number, height };
    context.task_journal.observe(progress, open.clone()).await?;
    Ok(Some(Processed { head: block, height, open: open.into(), stray }))
}

/// Whether each open announcement is this hospital's own.
#[derive(Default)]
struct Announcers(HashMap<AnnouncementId, bool>);

impl Announcers {
    /// Whether one of this hospital's own is in no batch of the journal. Each announcement is read once.
    async fn has_stray(
        &mut self,
        context: &Context,
        snapshot: &Snapshot,
        open: &[AnnouncementId],
    ) -> Result<bool, TaskError> {
        self.0.retain(|id, _| open.contains(id));
        for id in open {
            if !self.0.contains_key(id) {
                let found = snapshot.announcement(*id).await?;
                let own = found.is_some_and(|(it, _)| it.announcer == context.hospital);
                self.0.insert(*id, own);
            }
        }
        let known = context.task_journal.batches().await?;
        let is_known = |id: &AnnouncementId| known.iter().any(|it| it.announcement == Some(*id));
        Ok(self.0.iter().any(|(id, own)| *own && !is_known(id)))
    }
}

/// A finalized block is some seconds old when it is processed. Any other difference is an error of this machine's
/// clock, or of the other hospitals'.
fn watch_clock(context: &Context, block_time: Moment) {
    let to_signed = |moment: Moment| i64::try_from(moment).unwrap_or(i64::MAX);
    let offset = to_signed(now()).saturating_sub(to_signed(block_time)) / 1_000;
    context.metrics.clock_offset_seconds.set(offset);
}

/// Records what happened to one of this hospital's own batches.
async fn follow(
    own: &OwnBlocks,
    snapshot: &Snapshot,
    block: BlockNumber,
    batch: &Batch,
) -> Result<(), TaskError> {
    // A batch may have been announced twice. This hospital's open or committed announcement of its body takes
    // precedence.
    let live = own.announcement(snapshot, batch).await?;
    let Some(id) = live.or(batch.announcement) else {
        return Ok(());
    };
    let found = snapshot.announcement(id).await?.map(|(announcement, _)| announcement);
    let Some(announcement) = found.filter(|found| own_blocks::is_of(found, batch)) else {
        let next = snapshot.next_announcement().await?;
        return if is_gone(id, next, batch.sent_until, block) {
            own.requeue(batch, Cause::Unlucky, GONE).await
        } else {
            Ok(())
        };
    };
    if live.is_some() && live != batch.announcement {
        own.announced(batch, id).await?;
    }
    match fate(announcement.stage, batch.sent_until, block) {
        Fate::Open => Ok(()),
        Fate::Committed(height) => own.committed(batch, id, height).await,
        Fate::Failed(cause, reason) => {
            let reason = match announcement.stage {
                Stage::Rejected => format!("{reason}{}", votes(snapshot, id).await?),
                _ => reason.into(),
            };
            own.requeue(batch, cause, &reason).await
        }
    }
}

/// What an announcement's stage means for its batch.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing is decided, or the decision may still change.
    Open,
    Committed(u32),
    Failed(Cause, &'static str),
}

/// While a transaction whose outcome is not known may still announce the same bytes again, their visits must not be
/// packed again: they would be committed twice.
fn fate(stage: Stage, sent_until: Option<BlockNumber>, block: BlockNumber) -> Fate {
    if let Stage::Committed { height } = stage {
        return Fate::Committed(height);
    }
    match own_blocks::cause(stage) {
        Some((cause, reason)) if is_certain(sent_until, block) => Fate::Failed(cause, reason),
        _ => Fate::Open,
    }
}

/// Whether an announcement that a state does not have was removed. One whose id is not assigned in that state is newer
/// than the state.
fn is_gone(
    id: AnnouncementId,
    next: AnnouncementId,
    sent_until: Option<BlockNumber>,
    block: BlockNumber,
) -> bool {
    id < next && is_certain(sent_until, block)
}

/// Whether no transaction with an unknown outcome can still announce the batch after this block.
fn is_certain(sent_until: Option<BlockNumber>, block: BlockNumber) -> bool {
    sent_until.is_none_or(|until| until < block)
}

/// The hospitals that rejected an announcement, and their reasons.
async fn votes(snapshot: &Snapshot, id: AnnouncementId) -> Result<String, TaskError> {
    let rejections = snapshot.ballot(id).await?.map(|ballot| ballot.rejections);
    let votes: Vec<String> = rejections
        .iter()
        .flatten()
        .map(|(hospital, reason)| format!("hospital {hospital}: {reason:?}"))
        .collect();
    Ok(if votes.is_empty() { String::new() } else { format!(" ({})", votes.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_while_its_ballot_is_open() {
        assert_eq!(fate(Stage::Announced, None, 10), Fate::Open);
    }

    #[test]
    fn a_committed_batch_is_committed_even_if_a_transaction_may_be_under_way() {
        assert_eq!(fate(Stage::Committed { height: 7 }, Some(99), 10), Fate::Committed(7));
    }

    #[test]
    fn visits_are_queued_again_only_when_no_transaction_can_announce_their_block() {
        for stage in [Stage::Rejected, Stage::Expired, Stage::Withdrawn] {
            assert_eq!(fate(stage, Some(10), 10), Fate::Open);
            assert!(matches!(fate(stage, Some(10), 11), Fate::Failed(..)), "{stage:?}");
            assert!(matches!(fate(stage, None, 10), Fate::Failed(..)), "{stage:?}");
        }
    }

    #[test]
    fn a_removed_announcement_is_gone_and_a_newer_one_is_not() {
        let gone = |id, sent_until| is_gone(AnnouncementId(id), AnnouncementId(7), sent_until, 10);
        assert!(gone(6, None) && gone(6, Some(9)));
        assert!(!gone(7, None) && !gone(8, None));
        assert!(!gone(6, Some(10)), "a transaction may still announce the batch");
    }

    #[test]
    fn only_a_rejection_is_blamed_on_the_visits() {
        let blamed = |stage| matches!(fate(stage, None, 1), Fate::Failed(Cause::Refused, _));
        assert!(blamed(Stage::Rejected));
        assert!(!blamed(Stage::Expired) && !blamed(Stage::Withdrawn));
    }
}
