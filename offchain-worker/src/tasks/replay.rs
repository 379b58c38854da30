//! Follows finalized blocks, and compares what they say with what this hospital has done.
//!
//! Only the newest state counts: a worker that was away does not walk through the blocks that it
//! missed, but keeps the lite blocks above the height that it had seen, looks at the ballots that are open
//! now, and asks what became of its own batches.

use std::{collections::HashMap, time::Duration};

use epione_client::chain::{BlockRef, Chain, Snapshot};
use epione_primitives::{AnnouncementId, BlockNumber, Moment, block::Stage};
use futures::StreamExt;
use tokio::sync::watch;

use super::{
    Context, Seen, TaskError, announce, committed,
    task_journal::{Batch, ChainProgress},
    undone::{self, Cause},
};
use crate::{backoff::Backoff, now};

const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
/// Looks at one block before the next one is waited for.
const MAX_LOOKS: u32 = 6;

/// Follows the node, for ever. `seen` tells the other tasks what was acted upon.
pub async fn run(context: &Context, seen: watch::Sender<Option<Seen>>) {
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
    let mut own = Own::default();
    // The connection mends itself, so that this stream never ends.
    let mut blocks = chain.finalized_stream(head.number);
    while let Some(block) = blocks.next().await {
        match block {
            Ok(block) => act(context, &chain, block, &mut own, &seen).await,
            Err(error) => fail(context, &error.into()),
        }
    }
}

fn fail(context: &Context, error: &TaskError) {
    context.metrics.task_failures.with_label_values(&["replay"]).inc();
    tracing::warn!(%error, "the chain cannot be followed just now; trying again");
}

async fn act(
    context: &Context,
    chain: &Chain,
    block: BlockRef,
    own: &mut Own,
    seen: &watch::Sender<Option<Seen>>,
) {
    for attempt in 1..=MAX_LOOKS {
        match look(context, chain, block, own).await {
            Ok(Some(now_seen)) => {
                context.metrics.processed_block.set(block.number.into());
                seen.send_replace(Some(now_seen));
                return;
            }
            Ok(None) => return,
            Err(error) => fail(context, &error),
        }
        tokio::time::sleep(RETRY.after(attempt)).await;
    }
}

/// Acts on a finalized block's state, unless a newer one was acted upon before: then the node's database
/// is an older copy, and what it says may not be true any more. ChainProgress is noted last, together with the
/// jobs.
async fn look(
    context: &Context,
    chain: &Chain,
    block: BlockRef,
    own: &mut Own,
) -> Result<Option<Seen>, TaskError> {
    context.metrics.finalised_block.set(block.number.into());
    let before = context.task_journal.progress().await?;
    if block.number < before.block {
        tracing::debug!(
            block = block.number,
            seen = before.block,
            "waiting for the node to catch up"
        );
        return Ok(None);
    }
    let snapshot = chain.at(block.hash);
    watch_clock(context, snapshot.time().await?);
    let height = snapshot.height().await?;
    let open = snapshot.open_announcements().await?;
    for batch in context.task_journal.batches().await? {
        follow(context, &snapshot, block.number, &batch).await?;
    }
    for committed in before.height.saturating_add(1)..=height {
        committed::remember(context, chain, &snapshot, committed).await?;
    }
    let stray = own.has_stray(context, &snapshot, &open).await?;
    let progress = ChainProgress { block: block.number, height };
    context.task_journal.observe(progress, open.clone()).await?;
    Ok(Some(Seen { head: block, height, open: open.into(), stray }))
}

/// Which open announcements are this hospital's own.
#[derive(Default)]
struct Own(HashMap<AnnouncementId, bool>);

impl Own {
    /// Whether one of them is in no batch of the journal. Each announcement is looked at once.
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

/// A final block is some seconds old when it is seen. Anything else is this machine's clock, or the
/// others'.
fn watch_clock(context: &Context, block_time: Moment) {
    let to_signed = |moment: Moment| i64::try_from(moment).unwrap_or(i64::MAX);
    let offset = to_signed(now()).saturating_sub(to_signed(block_time)) / 1_000;
    context.metrics.clock_offset_seconds.set(offset);
}

/// What became of one of this hospital's own batches.
async fn follow(
    context: &Context,
    snapshot: &Snapshot,
    block: BlockNumber,
    batch: &Batch,
) -> Result<(), TaskError> {
    // A batch may have been announced again; what the chain holds for its body goes first.
    let live = snapshot.announcement_of(batch.body_hash).await?;
    let Some(id) = live.or(batch.announcement) else {
        return Ok(());
    };
    let Some((announcement, _)) = snapshot.announcement(id).await? else {
        return Ok(());
    };
    if live.is_some() && live != batch.announcement {
        announce::note(context, batch, id).await?;
    }
    match fate(announcement.stage, batch.sent_until, block) {
        Fate::Open => Ok(()),
        Fate::Committed(height) => committed::settle(context, batch, id, height).await,
        Fate::Undone(cause, reason) => {
            let reason = match announcement.stage {
                Stage::Rejected => format!("{reason}{}", votes(snapshot, id).await?),
                _ => reason.into(),
            };
            undone::requeue(context, batch, cause, &reason).await
        }
    }
}

/// What an announcement's stage means for its batch.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing is decided, or it may still change.
    Open,
    Committed(u32),
    Undone(Cause, &'static str),
}

/// While a transaction of unknown fate may still announce the same bytes again, their visits must not
/// be packed anew: they would be committed twice.
fn fate(stage: Stage, sent_until: Option<BlockNumber>, block: BlockNumber) -> Fate {
    if let Stage::Committed { height } = stage {
        return Fate::Committed(height);
    }
    match undone::cause(stage) {
        Some((cause, reason)) if sent_until.is_none_or(|until| until < block) => {
            Fate::Undone(cause, reason)
        }
        _ => Fate::Open,
    }
}

/// Who rejected, and why.
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
    fn a_committed_batch_is_settled_whatever_may_still_be_under_way() {
        assert_eq!(fate(Stage::Committed { height: 7 }, Some(99), 10), Fate::Committed(7));
    }

    #[test]
    fn visits_are_queued_again_only_when_nothing_can_announce_their_old_block_any_more() {
        for stage in [Stage::Rejected, Stage::Expired, Stage::Withdrawn] {
            assert_eq!(fate(stage, Some(10), 10), Fate::Open);
            assert!(matches!(fate(stage, Some(10), 11), Fate::Undone(..)), "{stage:?}");
            assert!(matches!(fate(stage, None, 10), Fate::Undone(..)), "{stage:?}");
        }
    }

    #[test]
    fn only_a_rejection_is_blamed_on_the_visits() {
        let blamed = |stage| matches!(fate(stage, None, 1), Fate::Undone(Cause::Refused, _));
        assert!(blamed(Stage::Rejected));
        assert!(!blamed(Stage::Expired) && !blamed(Stage::Withdrawn));
    }
}
