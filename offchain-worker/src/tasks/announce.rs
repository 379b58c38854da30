//! Packs queued visits into lite blocks, and announces these.
//!
//! The worker checks a block as the other hospitals will, when it packs the block and again before it announces it. It
//! holds back a visit with a fault, so that the others are announced without it. It sets aside a visit that was signed
//! too long ago, or whose record id the chain has already: no block with such a visit would be committed.
//!
//! The segments of a large block are first offered to the other hospitals, so that its ballot need not wait for a
//! transfer. A batch is written to the journal, with its bytes, before anything is sent. A worker that stops anywhere
//! in between sends the same bytes again, unless the chain has them: the chain rejects a body that this hospital has
//! already announced. Other hospitals' announcements of the same bytes do not count.

use std::{
    collections::{HashMap, HashSet},
    slice,
    sync::Arc,
    time::Duration,
};

use epione_client::chain::{
    BlockRef, Chain, ChainEvent, Included, Snapshot, SubmitError, calls::lite_blocks,
};
use epione_envelope::body::Packed;
use epione_primitives::{
    AnnouncementId, BlockNumber, Moment, RecordId, approval::RejectReason, block::Stage,
    limits::MAX_PENDING_ANNOUNCEMENTS, ports::HashedBody,
};
use tokio::task::{Id, JoinSet};

use super::{
    Context, TaskError, committed,
    own_blocks::{self, Cause, OwnBlocks},
    pack::{self, Choice},
    task_journal::Batch,
    verification::Checked,
};
use crate::{
    backoff::Backoff,
    journal::{SealedVisit, visits::Aside},
    now,
    transfer::{Seeded, Seeder},
};

const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
/// How often the queue is read even if nothing happens.
const IDLE: Duration = Duration::from_secs(60);
/// What the status of visits says if the worker found a fault in their lite block before it announced the block.
const FAULTY: &str =
    "the worker found a fault in the lite block before it announced it; it packs the visits again";
/// What the status of visits says if the chain has a record of one of the visits in their block.
const REPEATED: &str =
    "the chain already has one of the block's records; the worker packs the other visits again";
/// What the status of a visit says that was not announced in time.
const OUTDATED: &str = "the visit was not announced within 24 hours after it was signed, so the other hospitals would \
                        reject it: its author must submit it again";
/// What the status of the visits of a batch says that cannot be announced in time any more.
const TOO_LATE: &str = "the lite block was not announced within 24 hours after one of its visits was signed; the \
                        worker packs the others again";
/// What the status of a visit says while it is not certain that it is outdated.
const CLOCKS_DIFFER: &str = "the newest block that the hospital's node shows and the clock of the worker's machine are \
                             more than ten minutes apart, so the worker does not decide whether the visit is outdated";
/// What the status of a visit says that was set aside and is queued again.
const IN_TIME: &str =
    "the worker had set the visit aside, but it is not outdated: the worker announces it";
/// How long a visit is held back of which that is not certain, in milliseconds.
const UNCERTAIN: fn(u32) -> Moment = |_| 10 * 60 * 1_000;
/// What the status of a visit says whose record id the chain has.
const COMMITTED_BEFORE: &str = "the chain already has a record of this hospital with this visit's record id. If that \
                                is another visit, its author must submit this one again, with a new record id";

/// When the next step is due.
enum Pause {
    No,
    /// Or earlier, if something happens.
    For(Duration),
}

/// Blocks of this hospital that are offered to the others before they are announced.
struct Seedings {
    seeder: Arc<Seeder>,
    tasks: JoinSet<Seeded>,
    underway: HashMap<Id, i64>,
    ended: HashSet<i64>,
}

impl Seedings {
    fn new(seeder: Arc<Seeder>) -> Self {
        Self { seeder, tasks: JoinSet::new(), underway: HashMap::new(), ended: HashSet::new() }
    }

    /// Whether a batch may be announced. If not, it is being offered from now on.
    async fn is_ready(&mut self, context: &Context, batch: &Batch) -> Result<bool, TaskError> {
        let offered = self.seeder.offers(batch.header.segments.bytes);
        // A batch that was sent may be on the chain.
        if !offered || batch.sent_until.is_some() || self.ended.contains(&batch.id) {
            return Ok(true);
        }
        if !self.underway.values().any(|id| *id == batch.id) {
            let segments = context.task_journal.segments(batch.id).await?;
            let seeder = Arc::clone(&self.seeder);
            let task = self.tasks.spawn(async move { seeder.seed(&segments).await });
            self.underway.insert(task.id(), batch.id);
        }
        Ok(false)
    }

    /// Returns when another batch is ready.
    async fn changed(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, _))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "offering a block panicked; the block is announced now");
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

/// Packs and announces. Never returns.
pub async fn run(own: &OwnBlocks, seeder: Arc<Seeder>) {
    let context = &own.context;
    let mut seedings = Seedings::new(seeder);
    let mut arrivals = context.journal.arrivals();
    let mut processed = context.processed.clone();
    let mut failures = 0;
    loop {
        arrivals.mark_unchanged();
        let pause = match step(own, &mut seedings).await {
            Ok(Pause::No) => {
                failures = 0;
                continue;
            }
            Ok(Pause::For(pause)) => {
                failures = 0;
                pause
            }
            // Not counted as a failure: it ends when the node answers again.
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
            changed = processed.changed() => if changed.is_err() { return },
        }
    }
}

fn report(context: &Context, error: &TaskError, pause: Duration) {
    context.metrics.task_failures.with_label_values(&["announce"]).inc();
    tracing::warn!(%error, retry_in = ?pause, "announcing failed; the visits stay queued");
}

async fn step(own: &OwnBlocks, seedings: &mut Seedings) -> Result<Pause, TaskError> {
    let context = &own.context;
    // Until the chain was read, it is not known which batches it has.
    let (_, snapshot) = context.look()?;
    // What is queued then becomes outdated, and its authors are told so.
    let leaves = context.is_leaving(&snapshot).await?;
    if context.processed.borrow().as_ref().is_some_and(|processed| processed.stray) {
        return Ok(Pause::For(IDLE));
    }
    let batches = context.task_journal.batches().await?;
    seedings.forget_all_but(&batches);
    for batch in batches.iter().filter(|batch| batch.announcement.is_none()) {
        // A batch that is still being offered does not delay later ones.
        let is_ready = leaves || seedings.is_ready(context, batch).await?;
        if is_ready && send(own, batch, leaves).await? == Sent::Yes {
            return Ok(Pause::No);
        }
    }
    // One for all that is decided in this step, so that the reasons agree with each other.
    let head = context.chain()?.finalized_head().await?;
    set_outdated_aside(context, head).await?;
    if leaves || batches.len() >= MAX_PENDING_ANNOUNCEMENTS as usize {
        return Ok(Pause::For(IDLE));
    }
    pack_next(own, head.number).await
}

/// Sets those queued visits aside that were signed too long ago to be announced. Their authors are told to submit them
/// again, so the worker believes the newest block only if the clock agrees.
async fn set_outdated_aside(context: &Context, head: BlockRef) -> Result<(), TaskError> {
    let (since, moment) = (own_blocks::signed_since(head.number), now());
    take_back(context, since, moment).await?;
    let rows = context.task_journal.outdated(since, moment).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let block_time = context.chain()?.at(head.hash).time().await?;
    if !own_blocks::is_of_now(block_time, moment) {
        tracing::error!(
            visits = rows.len(),
            block_time,
            clock = moment,
            "the newest block and this machine's clock are more than ten minutes apart: the worker holds visits back \
             that seem outdated. Correct the clock, or wait until the node has caught up"
        );
        for row in rows {
            context.task_journal.hold(row, moment, UNCERTAIN, CLOCKS_DIFFER).await?;
        }
        return Ok(());
    }
    let outdated = context.task_journal.set_outdated_aside(since, moment, OUTDATED).await?;
    for record in outdated {
        tracing::error!(
            %record,
            "A VISIT WAS NOT ANNOUNCED IN TIME: it was signed more than a day ago, so the other hospitals would reject \
             it. Its author must submit it again. The journal keeps it, and the worker keeps its media for two weeks"
        );
    }
    Ok(())
}

/// Queues visits again that were set aside although they are in time: a node had shown a block that is not on the
/// chain.
async fn take_back(context: &Context, since: BlockNumber, moment: Moment) -> Result<(), TaskError> {
    for record in context.task_journal.take_back(since, moment, IN_TIME).await? {
        tracing::warn!(%record, "a visit was set aside too early; it is queued again");
    }
    Ok(())
}

async fn pack_next(own: &OwnBlocks, head: BlockNumber) -> Result<Pause, TaskError> {
    let (context, moment) = (&own.context, now());
    let (bounds, pause) = {
        let caution = own.caution();
        (caution.narrow(own.bounds), caution.pause(moment))
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
    match sound_block(own, &visits, head).await? {
        Ok(packed) => {
            let bytes = packed.body.len();
            let batch = context.task_journal.pack(packed, rows, moment).await?;
            tracing::info!(batch, records = count, bytes, "packed a lite block");
        }
        Err(_) => hold_faulty(own, &visits, head, moment).await?,
    }
    Ok(Pause::No)
}

/// The lite block of these visits, if the other hospitals will approve it.
async fn sound_block(
    own: &OwnBlocks,
    visits: &[SealedVisit],
    head: BlockNumber,
) -> Checked<Packed> {
    let packed = match pack::assemble(own.context.hospital, visits) {
        Ok(packed) => packed,
        Err(error) => {
            tracing::warn!(visit = error.row, %error, "a visit cannot be packed into a lite block");
            return Ok(Err(RejectReason::MalformedBody));
        }
    };
    let checked = own.check(&packed.header, &packed.entries, &packed.body, head).await?;
    Ok(checked.map(|()| packed))
}

/// Holds back those of these visits for which the other hospitals would reject a block.
async fn hold_faulty(
    own: &OwnBlocks,
    visits: &[SealedVisit],
    head: BlockNumber,
    moment: Moment,
) -> Result<(), TaskError> {
    let context = &own.context;
    let mut held = 0;
    for visit in visits {
        let Err(reason) = sound_block(own, slice::from_ref(visit), head).await? else { continue };
        held += 1;
        context.metrics.visits_held.with_label_values(&[&format!("{reason:?}")]).inc();
        tracing::warn!(
            visit = visit.row,
            record = %visit.record_id,
            ?reason,
            "the worker holds a visit back and tries again later: {}. Do not delete its row from the journal",
            why_held(reason)
        );
        context.task_journal.hold(visit.row, moment, pack::hold, why_held(reason)).await?;
    }
    if held == 0 {
        // Only together they have a fault, or it has gone meanwhile.
        own.caution().refused(visits.len(), moment);
    }
    Ok(())
}

/// What the log and the visit's status say about a visit that is held back.
fn why_held(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::InvalidAuthor => {
            "when it was signed, its author, nurse or patient was not registered at this hospital, or had another \
             account than the one that signed it"
        }
        RejectReason::SegmentMissing => "this hospital's storage does not return all of its media",
        RejectReason::SegmentsMismatch => "its media are not those that its record names",
        RejectReason::MalformedBody => "its sealed record is damaged",
    }
}

/// Checks a batch that was packed earlier: meanwhile its media or the journal's bytes may be lost.
async fn check_again(
    own: &OwnBlocks,
    batch: &Batch,
    body: &[u8],
    head: BlockNumber,
) -> Checked<()> {
    if HashedBody::new(body).hash() != batch.body_hash {
        return Ok(Err(RejectReason::MalformedBody));
    }
    own.check(&batch.header, &batch.entries, body, head).await
}

/// Whether a batch was sent, or something else was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Yes,
    /// It waits until a transaction that was sent before is certain, or because the hospital is leaving.
    Waits,
}

/// Sends a batch, unless the chain has it or the hospital leaves.
async fn send(own: &OwnBlocks, batch: &Batch, leaves: bool) -> Result<Sent, TaskError> {
    let context = &own.context;
    let chain = context.chain()?;
    let head = chain.finalized_head().await?;
    if let Some(id) = own.announcement(&chain.at(head.hash), batch).await? {
        own.announced(batch, id).await?;
        return Ok(Sent::Yes);
    }
    let is_under_way = batch.sent_until.is_some_and(|until| until >= head.number);
    if is_too_late(context, batch, head.number).await? {
        return give_up(own, batch, is_under_way).await;
    }
    if leaves {
        return Ok(Sent::Waits);
    }
    let body = context.task_journal.body(batch.id).await?;
    // The chain may still include a batch that was sent, so its visits are not queued again.
    if !is_under_way && let Err(reason) = check_again(own, batch, &body, head.number).await? {
        tracing::error!(
            batch = batch.id,
            ?reason,
            "this hospital's own lite block has a fault and is not announced"
        );
        own.requeue(batch, Cause::Unlucky, FAULTY).await?;
        return Ok(Sent::Yes);
    }
    // Reading the media back may have taken long.
    let head = chain.finalized_head().await?.number;
    if is_too_late(context, batch, head).await? {
        return give_up(own, batch, is_under_way).await;
    }
    let call = lite_blocks::announce(&batch.header, &batch.entries, &body);
    let until = own_blocks::announced_by(head);
    context.task_journal.set_sent(batch.id, Some(until)).await?;
    let outcome = chain.submit(&call, &context.agent).await;
    let certain =
        matches!(outcome, Ok(_) | Err(SubmitError::Dispatch(_) | SubmitError::Refused(_)));
    // A transaction of an earlier attempt may still be included.
    if certain && !is_under_way {
        context.task_journal.set_sent(batch.id, None).await?;
    }
    conclude(own, &chain, batch, outcome).await?;
    Ok(Sent::Yes)
}

/// Whether the other hospitals would reject a batch that is sent now, because one of its visits was signed too long
/// ago.
async fn is_too_late(
    context: &Context,
    batch: &Batch,
    head: BlockNumber,
) -> Result<bool, TaskError> {
    let first = context.task_journal.first_signed(batch.id).await?;
    Ok(first.is_some_and(|signed_at| signed_at < own_blocks::signed_since(head)))
}

/// Queues the visits of a batch again that is too late, once no transaction with it can be included any more.
async fn give_up(own: &OwnBlocks, batch: &Batch, is_under_way: bool) -> Result<Sent, TaskError> {
    if is_under_way {
        return Ok(Sent::Waits);
    }
    own.requeue(batch, Cause::Unlucky, TOO_LATE).await?;
    Ok(Sent::Yes)
}

async fn conclude(
    own: &OwnBlocks,
    chain: &Chain,
    batch: &Batch,
    outcome: Result<Included, SubmitError>,
) -> Result<(), TaskError> {
    let failure = match outcome {
        Ok(included) => {
            let id = announced_id(&included)
                .ok_or(TaskError::Inconsistent("an announcement has no event"))?;
            return own.announced(batch, id).await;
        }
        Err(SubmitError::Dispatch(failure)) => failure,
        Err(error) => return Err(error.into()),
    };
    if failure.is("LiteBlocks", "AlreadyAnnounced") {
        let known = own.announcement(&chain.finalized().await?, batch).await?;
        // If it is not there any more, it was rejected meanwhile, and is announced again.
        return match known {
            Some(id) => own.announced(batch, id).await,
            None => Ok(()),
        };
    }
    if failure.is("LiteBlocks", "RepeatedRecord") {
        return part_from_repeated(own, &chain.finalized().await?, batch).await;
    }
    let about_contents = failure.pallet == "LiteBlocks"
        && !["NotAgent", "NotAnnouncer", "TooManyPending"].contains(&failure.error.as_str());
    if !about_contents {
        return Err(SubmitError::Dispatch(failure).into());
    }
    tracing::warn!(batch = batch.id, %failure, "the chain rejected a lite block; its visits are queued again");
    own.requeue(batch, Cause::Refused, &failure.to_string()).await
}

/// Queues the visits of a batch again, except those whose record ids the chain has in a committed block.
async fn part_from_repeated(
    own: &OwnBlocks,
    snapshot: &Snapshot,
    batch: &Batch,
) -> Result<(), TaskError> {
    let context = &own.context;
    if let Some(id) = own.announcement(snapshot, batch).await? {
        return own.announced(batch, id).await;
    }
    own.requeue(batch, Cause::Unlucky, REPEATED).await?;
    for record in batch.entries.iter().map(|entry| entry.record) {
        if let Some(height) = committed_in(context, snapshot, record).await? {
            // If it is the same visit, accepted again after the journal was lost, it is committed now.
            committed::remember(context, &context.chain()?, snapshot, height).await?;
            set_repeated_aside(context, record).await?;
        }
    }
    Ok(())
}

/// The height of the committed block that has this hospital's record.
async fn committed_in(
    context: &Context,
    snapshot: &Snapshot,
    record: RecordId,
) -> Result<Option<u32>, TaskError> {
    let Some(id) = snapshot.announcement_with(context.hospital, record).await? else {
        return Ok(None);
    };
    let found = snapshot.announcement(id).await?;
    Ok(found.and_then(|(announcement, _)| match announcement.stage {
        Stage::Committed { height } => Some(height),
        // While its ballot is open, the visit waits.
        _ => None,
    }))
}

/// Sets a visit aside, if it is queued, whose record id the chain has.
async fn set_repeated_aside(context: &Context, record: RecordId) -> Result<(), TaskError> {
    let repeated = Aside::Repeated;
    if context.task_journal.set_aside(record, repeated, now(), COMMITTED_BEFORE).await? {
        tracing::error!(
            %record,
            "a visit has the record id of a committed record, and is another visit: its author must submit it again, \
             with a new record id. The journal keeps it, and the worker keeps its media for two weeks"
        );
    }
    Ok(())
}

fn announced_id(included: &Included) -> Option<AnnouncementId> {
    included.events.iter().find_map(|event| match event {
        ChainEvent::Announced { id, .. } => Some(*id),
        _ => None,
    })
}
