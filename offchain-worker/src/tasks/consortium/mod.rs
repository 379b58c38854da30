//! Takes part in the ceremonies of the consortium key, at each finalized block: no human has to do anything.
//!
//! A call is sent again only if the chain's finalized state does not show its effect. So a worker that was killed, or
//! that never learned what became of a call, goes on where the chain is.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use epione_client::chain::{Call, DispatchFailure};
use epione_primitives::{BlockNumber, Hash, consortium::Phase, refusal::Refusal};
use futures::future::join_all;

use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, ConsortiumView, ViewError},
    consortium::{Bodies, Idle, Member, MemberError},
    journal::JournalError,
    metrics::Metrics,
};

/// How often the worker looks for another finalized block.
const POLL: Duration = Duration::from_secs(2);
const RETRY: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

/// Errors of calls that came too late, or that somebody else's call made needless. The next look shows what is due.
const OVERTAKEN: [&str; 11] = [
    "CeremonyRunning",
    "TooEarly",
    "NothingToDo",
    "JoinedLately",
    "AnotherCeremony",
    "WrongPhase",
    "AlreadyEnrolled",
    "AlreadyDealt",
    "AlreadyJudged",
    "AlreadyAnswered",
    "AlreadyConfirmed",
];

/// What the task works with.
pub struct Ceremonies {
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub member: Member,
    pub metrics: Metrics,
}

/// Why a look had no result.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// What the task remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// The finalized block at which everything was done.
    done_at: Option<BlockNumber>,
    /// Bodies of the newest ceremony, and of the one that made the current epoch.
    bodies: Arc<Bodies>,
    /// What was logged, and is not to be logged again while it lasts.
    idle: Option<Idle>,
    has_lost_share: bool,
    failure: Option<String>,
    log_failure: Option<String>,
}

/// Takes part. Never returns.
pub async fn run(ceremonies: &Ceremonies) {
    let (mut memory, mut failures) = (Memory::default(), 0);
    loop {
        let pause = match ceremonies.step(&mut memory).await {
            Ok(()) => {
                (failures, memory.failure) = (0, None);
                POLL
            }
            Err(error) => {
                failures += 1;
                ceremonies.fail(&error, &mut memory);
                RETRY.after(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Ceremonies {
    /// Does what is due at the newest finalized block, unless that was done. After that, or if it failed, the worker
    /// empties the journal's log of what it erased. If it cannot, it still takes part, and tries again.
    pub(crate) async fn step(&self, memory: &mut Memory) -> Result<(), CeremonyError> {
        let done = self.take_part(memory).await;
        match self.member.forget_erased().await {
            Ok(()) => memory.log_failure = None,
            Err(error) => self.fail_to_forget(&error, memory),
        }
        done
    }

    async fn take_part(&self, memory: &mut Memory) -> Result<(), CeremonyError> {
        // First the number: the state may be of a later block, in which no phase is less advanced.
        let head = self.view.head().await?;
        if memory.done_at == Some(head) {
            return Ok(());
        }
        let view = Arc::new(self.view.finalized().await?.consortium().await?);
        let next = head.saturating_add(1);
        self.measure(&view, head, next);
        let is_erased = self.member.tidy(&view, next).await.map_err(MemberError::from)?;
        if is_erased {
            tracing::info!("secrets of the consortium key that nobody needs any more were erased");
        }
        self.fetch(&view, next, memory).await?;
        let act = self.member.act(&view, next, &memory.bodies).await?;
        self.report(&view, act.has_share, act.idle, memory);
        let results = join_all(act.calls.into_iter().map(|call| self.submit(call))).await;
        results.into_iter().collect::<Result<(), CallError>>()?;
        memory.done_at = Some(head);
        Ok(())
    }

    /// Reads the bodies that the next decision needs and that the node has.
    async fn fetch(
        &self,
        view: &ConsortiumView,
        next: BlockNumber,
        memory: &mut Memory,
    ) -> Result<(), CeremonyError> {
        let wanted: BTreeSet<_> = self.member.wanted(view, next).await?.into_iter().collect();
        let mut bodies = Bodies::with_capacity(wanted.len());
        for hash in wanted {
            let known = memory.bodies.get(&hash).cloned();
            let body = match known {
                Some(body) => Some(body),
                None => self.body(hash).await?,
            };
            bodies.extend(body.map(|body| (hash, body)));
        }
        memory.bodies = Arc::new(bodies);
        Ok(())
    }

    /// A body. None if the node does not have it, or has another one in its place.
    async fn body(&self, hash: Hash) -> Result<Option<Vec<u8>>, ViewError> {
        match self.view.body(hash).await {
            Err(error @ ViewError::Failed(_)) => {
                self.metrics.task_failures.with_label_values(&["consortium"]).inc();
                tracing::warn!(?error, ?hash, "a body of a ceremony cannot be read");
                Ok(None)
            }
            answer => answer,
        }
    }

    async fn submit(&self, call: Call) -> Result<(), CallError> {
        let name = call.name;
        match self.calls.submit(call).await {
            Ok(()) => {
                tracing::info!(call = name, "took part in a ceremony of the consortium key");
                Ok(())
            }
            Err(CallError::Failed(failure)) if is_overtaken(&failure) => {
                tracing::debug!(call = name, %failure, "a call came too late, or was needless");
                Ok(())
            }
            Err(CallError::Refused(Refusal::HospitalLeaving)) => {
                tracing::debug!(call = name, "a leaving hospital takes part in no ceremony");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn measure(&self, view: &ConsortiumView, head: BlockNumber, next: BlockNumber) {
        let (metrics, schedule) = (&self.metrics, view.key.schedule);
        metrics.consortium_refresh_blocks.set(schedule.refresh.into());
        if let Some(epoch) = &view.key.current {
            let without = epoch.members.len().saturating_sub(epoch.confirmed.len());
            metrics.consortium_epoch.set(epoch.id.0.into());
            metrics.consortium_epoch_age_blocks.set(head.saturating_sub(epoch.since).into());
            metrics.consortium_seats_without_share.set(i64::try_from(without).unwrap_or(i64::MAX));
        }
        let ceremony = view.advanced(next);
        let is_failed = |phase: &Phase| matches!(phase, Phase::Failed(_));
        // The chain's list does not have a failure that no call has noticed yet.
        let is_unnoticed = ceremony.as_ref().is_some_and(|it| is_failed(&it.phase))
            && view.newest().is_some_and(|stored| stored.is_running());
        let failed = view.past.iter().rev().take_while(|past| past.outcome.is_err()).count();
        let failed = failed.saturating_add(usize::from(is_unnoticed));
        metrics.consortium_ceremonies_failed.set(i64::try_from(failed).unwrap_or(i64::MAX));
        let running = ceremony.filter(|it| it.is_running());
        let since = running.map(|it| it.deadline.saturating_sub(schedule.phase));
        let lasts = since.map_or(0, |since| next.saturating_sub(since));
        metrics.consortium_phase_blocks.set(lasts.into());
    }

    /// Says once what an operator should know.
    fn report(
        &self,
        view: &ConsortiumView,
        has_share: bool,
        idle: Option<Idle>,
        memory: &mut Memory,
    ) {
        let hospital = self.member.participant().hospital;
        let epoch = view.key.current.as_ref().filter(|epoch| epoch.seat(hospital).is_some());
        let has_lost_share = epoch.is_some() && !has_share;
        self.metrics.consortium_share_held.set((!has_lost_share).into());
        if let Some(epoch) = epoch
            && has_lost_share
            && !memory.has_lost_share
        {
            tracing::warn!(
                epoch = epoch.id.0,
                "the journal does not have this hospital's share of the consortium key: the worker computes it if the \
                 ceremony allows; after a loss of the journal, the hospital has no share until the members renew theirs \
                 (epione consortium key refresh)"
            );
        }
        memory.has_lost_share = has_lost_share;
        if let Some(why) = idle
            && why.needs_operator()
            && memory.idle != idle
        {
            tracing::warn!(
                "the worker does not take part in a ceremony of the consortium key: {why}"
            );
        }
        memory.idle = idle;
    }

    fn fail_to_forget(&self, error: &JournalError, memory: &mut Memory) {
        self.metrics.task_failures.with_label_values(&["consortium"]).inc();
        let text = error.to_string();
        if memory.log_failure.as_ref() != Some(&text) {
            tracing::warn!(
                ?error,
                "the journal's log may still have secrets of the consortium key that were erased, and the worker tries \
                 to empty it again: {text}"
            );
            memory.log_failure = Some(text);
        }
    }

    fn fail(&self, error: &CeremonyError, memory: &mut Memory) {
        // Other tasks report that the node does not answer.
        if matches!(error, CeremonyError::View(ViewError::Away)) {
            return;
        }
        self.metrics.task_failures.with_label_values(&["consortium"]).inc();
        let text = error.to_string();
        if memory.failure.as_ref() != Some(&text) {
            tracing::warn!(
                ?error,
                "the worker could not take part in a ceremony of the consortium key, and retries: {text}"
            );
            memory.failure = Some(text);
        }
    }
}

fn is_overtaken(failure: &DispatchFailure) -> bool {
    failure.pallet == "ConsortiumKey" && OVERTAKEN.contains(&failure.error.as_str())
}

#[cfg(test)]
mod tests;
