//! Queued visits become a lite block, and the block is announced.
//!
//! The segments of a large block are offered to the other hospitals first, so that its ballot need not
//! wait for a transfer. The batch is in the journal, bytes and all, before anything is sent. A worker that
//! stops anywhere in between sends the same bytes again, unless the chain has them: the chain refuses a
//! body that it has.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use epione_client::chain::{Chain, ChainEvent, Included, SubmitError, calls::lite_blocks};
use epione_primitives::{AnnouncementId, BlockNumber, limits::MAX_PENDING_ANNOUNCEMENTS};
use tokio::task::{Id, JoinSet};

use super::{
    Context, TaskError,
    pack::{self, BlockBounds, Choice},
    task_journal::Batch,
    undone,
};
use crate::{backoff::Backoff, now, transfer::Seeded};

const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
/// Without anything happening, the queue is looked at again.
const IDLE: Duration = Duration::from_secs(60);
/// Chain blocks after the newest finalized one in which a transaction of one submission may still
/// be included: it is mortal for 32 blocks, and may be sent anew within two minutes.
const UNCERTAIN_BLOCKS: BlockNumber = 80;

/// When to go on.
enum Pause {
    No,
    /// Or earlier, if something happens.
    For(Duration),
}

/// Blocks of this hospital that are offered to the others before they are announced.
#[derive(Default)]
struct Seedings {
    tasks: JoinSet<Seeded>,
    underway: HashMap<Id, i64>,
    ended: HashSet<i64>,
}

impl Seedings {
    /// Whether a batch may be announced. If not, it is being offered from now on.
    async fn is_ready(&mut self, context: &Context, batch: &Batch) -> Result<bool, TaskError> {
        let offered = context.seeder.offers(batch.header.segments.bytes);
        // What was sent once may be on chain.
        if !offered || batch.sent_until.is_some() || self.ended.contains(&batch.id) {
            return Ok(true);
        }
        if !self.underway.values().any(|id| *id == batch.id) {
            let segments = context.task_journal.segments(batch.id).await?;
            let seeder = Arc::clone(&context.seeder);
            let task = self.tasks.spawn(async move { seeder.seed(&segments).await });
            self.underway.insert(task.id(), batch.id);
        }
        Ok(false)
    }

    /// Returns when a batch has become ready.
    async fn changed(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, _))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "offering a block failed in an unforeseen way; it is announced");
                error.id()
            }
            None => std::future::pending().await,
        };
        self.ended.extend(self.underway.remove(&id));
    }

    fn forget_all_but(&mut self, batches: &[Batch]) {
        self.ended.retain(|id| batches.iter().any(|batch| batch.id == *id));
    }
}

/// Packs and announces, for ever.
pub async fn run(context: &Context) {
    let mut seedings = Seedings::default();
    let mut arrivals = context.journal.arrivals();
    let mut seen = context.seen.clone();
    let mut failures = 0;
    loop {
        arrivals.mark_unchanged();
        let pause = match step(context, &mut seedings).await {
            Ok(Pause::No) => {
                failures = 0;
                continue;
            }
            Ok(Pause::For(pause)) => {
                failures = 0;
                pause
            }
            // Nothing failed that the node's return would not mend.
            Err(TaskError::NodeAway) => RETRY.first,
            Err(error) => {
                failures += 1;
                let pause = RETRY.after(failures);
                report(context, &error, pause);
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = seedings.changed() => {}
            changed = arrivals.changed() => if changed.is_err() { return },
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

fn report(context: &Context, error: &TaskError, pause: Duration) {
    context.metrics.task_failures.with_label_values(&["announce"]).inc();
    tracing::warn!(%error, retry_in = ?pause, "announcing did not succeed; visits stay queued");
}

async fn step(context: &Context, seedings: &mut Seedings) -> Result<Pause, TaskError> {
    // Before the chain was looked at, it is not known which batches it has.
    context.look()?;
    if context.seen.borrow().as_ref().is_some_and(|seen| seen.stray) {
        return Ok(Pause::For(IDLE));
    }
    let batches = context.task_journal.batches().await?;
    seedings.forget_all_but(&batches);
    for batch in batches.iter().filter(|batch| batch.announcement.is_none()) {
        // One that is still offered keeps no later one waiting.
        if seedings.is_ready(context, batch).await? {
            send(context, batch).await?;
            return Ok(Pause::No);
        }
    }
    if batches.len() >= MAX_PENDING_ANNOUNCEMENTS as usize {
        return Ok(Pause::For(IDLE));
    }
    pack_next(context).await
}

async fn pack_next(context: &Context) -> Result<Pause, TaskError> {
    let moment = now();
    let (bounds, pause) = {
        let caution = context.caution();
        (caution.narrow(BlockBounds::from(&context.config.pack)), caution.pause(moment))
    };
    if let Some(pause) = pause {
        return Ok(Pause::For(pause));
    }
    let queue = context.task_journal.queue(bounds.records.saturating_add(1), moment).await?;
    let count = match pack::choose(&queue, &bounds, moment) {
        Choice::Empty => return Ok(Pause::For(IDLE)),
        Choice::Later(pause) => return Ok(Pause::For(pause.min(IDLE))),
        Choice::Pack(count) => count,
    };
    let rows: Vec<i64> = queue.iter().take(count).map(|visit| visit.row).collect();
    let visits = context.task_journal.sealed(rows.clone()).await?;
    match pack::assemble(context.hospital, &visits) {
        Ok(packed) => {
            let bytes = packed.body.len();
            let batch = context.task_journal.pack(packed, rows, moment).await?;
            tracing::info!(batch, records = count, bytes, "packed a lite block");
        }
        Err(unpackable) => {
            tracing::error!(
                visit = unpackable.row, error = %unpackable,
                "a queued visit fits into no lite block; it is held back, the others go on. \
                 Keep its row of the journal and report this"
            );
            context.task_journal.hold(unpackable.row, moment, pack::hold).await?;
        }
    }
    Ok(Pause::No)
}

/// Sends a batch, unless the chain has it.
async fn send(context: &Context, batch: &Batch) -> Result<(), TaskError> {
    let chain = context.chain()?;
    if let Some(id) = chain.finalized().await?.announcement_of(batch.body_hash).await? {
        return note(context, batch, id).await;
    }
    let body = context.task_journal.body(batch.id).await?;
    let call = lite_blocks::announce(&batch.header, &batch.entries, &body);
    let until = chain.finalized_head().await?.number.saturating_add(UNCERTAIN_BLOCKS);
    context.task_journal.set_sent(batch.id, Some(until)).await?;
    let outcome = chain.submit(&call, &context.agent).await;
    let certain =
        matches!(outcome, Ok(_) | Err(SubmitError::Dispatch(_) | SubmitError::Refused(_)));
    // What an earlier attempt sent may still be on its way.
    if certain && batch.sent_until.is_none() {
        context.task_journal.set_sent(batch.id, None).await?;
    }
    conclude(context, &chain, batch, outcome).await
}

async fn conclude(
    context: &Context,
    chain: &Chain,
    batch: &Batch,
    outcome: Result<Included, SubmitError>,
) -> Result<(), TaskError> {
    let failure = match outcome {
        Ok(included) => {
            let id = announced_id(&included)
                .ok_or(TaskError::Inconsistent("an announcement without its event"))?;
            return note(context, batch, id).await;
        }
        Err(SubmitError::Dispatch(failure)) => failure,
        Err(error) => return Err(error.into()),
    };
    if failure.is("LiteBlocks", "AlreadyAnnounced") {
        let known = chain.finalized().await?.announcement_of(batch.body_hash).await?;
        // If it is gone again it was rejected meanwhile, and is announced anew.
        return match known {
            Some(id) => note(context, batch, id).await,
            None => Ok(()),
        };
    }
    let about_contents = failure.pallet == "LiteBlocks"
        && !["NotAgent", "NotAnnouncer", "TooManyPending"].contains(&failure.error.as_str());
    if !about_contents {
        return Err(SubmitError::Dispatch(failure).into());
    }
    tracing::warn!(batch = batch.id, %failure, "the chain did not take a lite block; its visits are queued again");
    undone::requeue(context, batch, undone::Cause::Refused, &failure.to_string()).await
}

fn announced_id(included: &Included) -> Option<AnnouncementId> {
    included.events.iter().find_map(|event| match event {
        ChainEvent::Announced { id, .. } => Some(*id),
        _ => None,
    })
}

/// Notes that a batch is on chain.
pub(super) async fn note(
    context: &Context,
    batch: &Batch,
    id: AnnouncementId,
) -> Result<(), TaskError> {
    if context.task_journal.announced(batch.id, id, now()).await? {
        context.metrics.announcements.inc();
        tracing::info!(batch = batch.id, announcement = id.0, "a lite block is announced");
    }
    Ok(())
}
