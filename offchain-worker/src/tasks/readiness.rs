//! Says on the chain that this hospital is ready to validate, as soon as it is.
//!
//! A hospital that was admitted or reinstated, or whose node made no block in a whole session, does not validate until
//! its agent says that it is ready. The worker says so when its node shows a recent block and every committed segment
//! is stored here. What was stored before may be lost, with the disk or by a wrong configuration, so the worker first
//! looks for the segments of every committed block once more. Nobody has to do anything, and nobody can check it: a
//! hospital that says so and makes no blocks loses its place again. If that happens repeatedly, the worker waits longer
//! each time, because each change of the validators costs all hospitals something.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use epione_client::chain::{DispatchFailure, calls::hospitals};
use epione_primitives::{BlockNumber, Moment};

use super::task_journal::{ChainProgress, Fetching, PERSISTENT, TaskJournal};
use crate::{
    backoff::Backoff,
    chain::{CallError, ChainCalls, ChainView, FinalState, ViewError},
    journal::JournalError,
    metrics::Metrics,
    now,
};

/// How often the chain is read.
const POLL: Duration = Duration::from_secs(10);
const RETRY: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// The pause after the worker has said that the hospital is ready. The first is as long as a session.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(10 * 60), Duration::from_secs(6 * 60 * 60));
/// How long what was said counts for the next pause.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
/// How old the newest finalized block may be, in milliseconds, or ahead of this machine's clock.
const MAX_AGE: Moment = 2 * 60 * 1_000;
/// How many finalized blocks the worker may be behind its node.
const MAX_BEHIND: BlockNumber = 20;

/// What the task works with.
pub struct Readiness {
    pub view: Arc<dyn ChainView>,
    pub calls: Arc<dyn ChainCalls>,
    pub task_journal: TaskJournal,
    pub metrics: Metrics,
}

/// Why a look had no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadinessError {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ReadinessError {
    fn is_away(&self) -> bool {
        matches!(self, Self::View(ViewError::Away) | Self::Call(CallError::View(ViewError::Away)))
    }
}

/// Why the hospital is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Storage,
    OldBlock,
    Behind,
    Fetching,
    /// No hospital has delivered the segments of the committed block of this height, in many attempts.
    Unavailable(u32),
    /// The worker said it before, and it was not true.
    Repeated,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unavailable(height) => {
                return write!(
                    f,
                    "the segments of the committed lite block {height} could not be fetched in {PERSISTENT} attempts: \
                     epione-worker scrub names those that no hospital has. Call the operators of the other hospitals"
                );
            }
            Self::Storage => {
                "the storage does not accept segments: see store_writable and store_lost"
            }
            Self::OldBlock => {
                "the newest finalized block and this machine's clock are more than two minutes apart: wait until the \
                 node has caught up, or correct the clock"
            }
            Self::Behind => "the worker has not processed the newest finalized blocks yet",
            Self::Fetching => "segments of committed lite blocks are still being fetched",
            Self::Repeated => {
                "the worker said that the hospital is ready, and its node made no blocks nevertheless: check the \
                 node's session keys and its clock. The worker says it again after a pause"
            }
        };
        f.write_str(text)
    }
}

/// What the task remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// How often the worker said that the hospital is ready, and when it did so last.
    said: Option<(u32, Instant)>,
    /// What was logged, and is not to be logged again while it lasts.
    obstacle: Option<Obstacle>,
    /// Whether the committed blocks are being looked at again, since the hospital is unready or the worker said that it
    /// is ready.
    looks_again: bool,
}

impl Memory {
    /// Whether the worker waits after what it said.
    fn pauses(&self, at: Instant) -> bool {
        self.said.is_some_and(|(times, last)| at.duration_since(last) < AGAIN.after(times))
    }

    fn say(&mut self, at: Instant) {
        let recent = self.said.filter(|(_, last)| at.duration_since(*last) < REMEMBERED);
        let times = recent.map_or(0, |(times, _)| times);
        self.said = Some((times.saturating_add(1), at));
        self.looks_again = false;
    }
}

/// Says that the hospital is ready whenever the chain waits for it. Never returns.
pub async fn run(readiness: &Readiness) {
    let (mut memory, mut failures) = (Memory::default(), 0);
    loop {
        let pause = match readiness.step(&mut memory, Instant::now()).await {
            Ok(()) => {
                failures = 0;
                POLL
            }
            Err(error) => {
                failures += 1;
                readiness.fail(&error);
                RETRY.after(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Readiness {
    pub(crate) async fn step(
        &self,
        memory: &mut Memory,
        at: Instant,
    ) -> Result<(), ReadinessError> {
        let hospital = self.view.identity().await?.hospital;
        let state = self.view.finalized().await?;
        let is_unready = state.unready().await?.contains(&hospital);
        self.metrics.unready.set(is_unready.into());
        if !is_unready {
            (memory.obstacle, memory.looks_again) = (None, false);
            return Ok(());
        }
        let obstacle = match self.obstacle(memory, state.as_ref()).await? {
            None if memory.pauses(at) => Some(Obstacle::Repeated),
            obstacle => obstacle,
        };
        if let Some(why) = obstacle {
            if memory.obstacle != obstacle {
                tracing::warn!("this hospital does not validate, and is not ready for it: {why}");
            }
            memory.obstacle = obstacle;
            return Ok(());
        }
        memory.obstacle = None;
        match self.calls.submit(hospitals::ready()).await {
            Ok(()) => tracing::info!(
                "the worker said on the chain that this hospital is ready: it validates from the session after the \
                 next one on, if the chain has its session keys"
            ),
            Err(CallError::Failed(failure)) if is_ready_already(&failure) => {}
            Err(error) => return Err(error.into()),
        }
        memory.say(at);
        Ok(())
    }

    /// Why the hospital is not ready by what its node and its journal say.
    async fn obstacle(
        &self,
        memory: &mut Memory,
        state: &dyn FinalState,
    ) -> Result<Option<Obstacle>, ReadinessError> {
        let Metrics { store_lost, store_writable, .. } = &self.metrics;
        if store_lost.get() != 0 || store_writable.get() == 0 {
            return Ok(Some(Obstacle::Storage));
        }
        if !memory.looks_again {
            self.task_journal.keep_again().await?;
            memory.looks_again = true;
        }
        if now().abs_diff(state.time().await?) > MAX_AGE {
            return Ok(Some(Obstacle::OldBlock));
        }
        let head = self.view.head().await?;
        let ChainProgress { block, .. } = self.task_journal.progress().await?;
        // A journal that is new, or was lost, has processed nothing.
        if block == 0 || head.saturating_sub(block) > MAX_BEHIND {
            return Ok(Some(Obstacle::Behind));
        }
        // Every lite block up to this one has or had such a job.
        let Fetching { blocks, persistent } = self.task_journal.fetching().await?;
        Ok(match persistent.first() {
            Some(height) => Some(Obstacle::Unavailable(*height)),
            None => (blocks > 0).then_some(Obstacle::Fetching),
        })
    }

    fn fail(&self, error: &ReadinessError) {
        // Other tasks report that the node does not answer.
        if !error.is_away() {
            self.metrics.task_failures.with_label_values(&["readiness"]).inc();
            tracing::warn!(
                ?error,
                "the worker could not say that this hospital is ready; retrying: {error}"
            );
        }
    }
}

fn is_ready_already(failure: &DispatchFailure) -> bool {
    failure.pallet == "Hospitals" && failure.error == "NotUnready"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::tests::fake::{ELSEWHERE, FakeChain, HOSPITAL, failure, genesis},
        chain::Identity,
        journal::Journal,
        tasks::task_journal::Job,
    };

    const HEAD: BlockNumber = 100;

    struct World {
        chain: FakeChain,
        readiness: Readiness,
        memory: Memory,
        begun: Instant,
    }

    impl World {
        /// An unready hospital that stores everything up to the newest block.
        async fn new() -> Self {
            let chain = FakeChain::default();
            chain.facts().head = HEAD;
            chain.facts().unready = vec![ELSEWHERE, HOSPITAL];
            let journal = Journal::in_memory().await.unwrap();
            let task_journal = TaskJournal::open(journal).await.unwrap();
            let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
            task_journal.bind(identity).await.unwrap();
            let readiness = Readiness {
                view: Arc::new(chain.clone()),
                calls: Arc::new(chain.clone()),
                task_journal,
                metrics: Metrics::new().unwrap(),
            };
            let world = Self { chain, readiness, memory: Memory::default(), begun: Instant::now() };
            world.process(HEAD, 0).await;
            world
        }

        async fn process(&self, block: BlockNumber, height: u32) {
            let seen = ChainProgress { block, height };
            self.readiness.task_journal.observe(seen, Vec::new()).await.unwrap();
        }

        /// The segments of the committed blocks of these heights are stored.
        async fn finish(&self, heights: &[u32]) {
            for height in heights {
                self.readiness.task_journal.finish(Job::Keep(*height)).await.unwrap();
            }
        }

        /// Looks so long after the begin. Returns how many calls were sent altogether.
        async fn look(&mut self, after: Duration) -> usize {
            self.readiness.step(&mut self.memory, self.begun + after).await.unwrap();
            self.chain.facts().submitted
        }

        fn gauge(&self) -> i64 {
            self.readiness.metrics.unready.get()
        }
    }

    #[tokio::test]
    async fn a_hospital_that_stores_everything_says_once_that_it_is_ready() {
        let mut world = World::new().await;
        assert_eq!(world.look(Duration::ZERO).await, 1);
        assert_eq!(world.gauge(), 1, "until the next look");
        assert_eq!(world.chain.facts().calls[0].name, "ready");
        assert_eq!(world.look(POLL).await, 1);
        assert_eq!(world.gauge(), 0);
        assert_eq!(world.chain.facts().unready, [ELSEWHERE], "only for itself");
    }

    #[tokio::test]
    async fn a_ready_hospital_says_nothing() {
        let mut world = World::new().await;
        world.chain.facts().unready = vec![ELSEWHERE];
        assert_eq!(world.look(Duration::ZERO).await, 0);
        assert_eq!(world.gauge(), 0);
    }

    #[tokio::test]
    async fn it_waits_for_the_segments_of_every_committed_block() {
        let mut world = World::new().await;
        world.process(HEAD, 2).await;
        assert_eq!(world.look(Duration::ZERO).await, 0);
        assert_eq!((world.gauge(), world.memory.obstacle), (1, Some(Obstacle::Fetching)));
        world.readiness.task_journal.finish(Job::Keep(1)).await.unwrap();
        assert_eq!(world.look(POLL).await, 0);
        world.readiness.task_journal.finish(Job::Keep(2)).await.unwrap();
        assert_eq!(world.look(2 * POLL).await, 1);
    }

    /// A hospital whose disk or bucket was lost while it was suspended, or whose node stood still.
    #[tokio::test]
    async fn it_looks_again_for_what_it_stored_before_it_was_unready() {
        let mut world = World::new().await;
        world.chain.facts().unready.clear();
        world.process(HEAD, 2).await;
        world.finish(&[1, 2]).await;
        assert_eq!(world.look(Duration::ZERO).await, 0);
        for (begun, calls) in [(POLL, 1), (REMEMBERED, 2)] {
            world.chain.facts().unready = vec![HOSPITAL];
            assert_eq!(world.look(begun).await, calls - 1);
            assert_eq!(world.memory.obstacle, Some(Obstacle::Fetching));
            world.finish(&[1]).await;
            assert_eq!(world.look(begun + POLL).await, calls - 1);
            world.finish(&[2]).await;
            assert_eq!(world.look(begun + 2 * POLL).await, calls, "once for each time");
        }
    }

    #[tokio::test]
    async fn a_block_that_no_hospital_delivers_is_named() {
        let mut world = World::new().await;
        world.process(HEAD, 2).await;
        for _ in 0..PERSISTENT {
            world.readiness.task_journal.start(Job::Keep(2), 1_000).await.unwrap();
        }
        assert_eq!(world.look(Duration::ZERO).await, 0);
        let obstacle = world.memory.obstacle.unwrap();
        assert_eq!(obstacle, Obstacle::Unavailable(2));
        assert!(obstacle.to_string().contains("lite block 2 could not be fetched"), "{obstacle}");
        world.finish(&[2]).await;
        assert_eq!(world.look(POLL).await, 0);
        assert_eq!(world.memory.obstacle, Some(Obstacle::Fetching));
    }

    #[tokio::test]
    async fn it_waits_until_the_worker_has_processed_the_newest_blocks() {
        let mut world = World::new().await;
        world.chain.facts().head = HEAD + MAX_BEHIND + 1;
        assert_eq!(world.look(Duration::ZERO).await, 0);
        assert_eq!(world.memory.obstacle, Some(Obstacle::Behind));
        world.process(HEAD + 1, 0).await;
        assert_eq!(world.look(POLL).await, 1);
    }

    #[tokio::test]
    async fn a_worker_that_lost_its_journal_is_not_ready() {
        let mut world = World::new().await;
        let journal = Journal::in_memory().await.unwrap();
        world.readiness.task_journal = TaskJournal::open(journal).await.unwrap();
        world.chain.facts().head = 1;
        assert_eq!(world.look(Duration::ZERO).await, 0);
        assert_eq!(world.memory.obstacle, Some(Obstacle::Behind));
    }

    #[tokio::test]
    async fn it_waits_while_the_node_shows_an_old_block() {
        let mut world = World::new().await;
        world.chain.facts().head_age = 2 * MAX_AGE;
        assert_eq!(world.look(Duration::ZERO).await, 0);
        assert_eq!(world.memory.obstacle, Some(Obstacle::OldBlock));
        world.chain.facts().head_age = 0;
        assert_eq!(world.look(POLL).await, 1);
    }

    #[tokio::test]
    async fn it_waits_while_the_storage_accepts_nothing() {
        let mut world = World::new().await;
        world.readiness.metrics.store_writable.set(0);
        assert_eq!(world.look(Duration::ZERO).await, 0);
        world.readiness.metrics.store_writable.set(1);
        world.readiness.metrics.store_lost.set(1);
        assert_eq!(world.look(POLL).await, 0);
        assert_eq!(world.memory.obstacle, Some(Obstacle::Storage));
        world.readiness.metrics.store_lost.set(0);
        assert_eq!(world.look(2 * POLL).await, 1);
    }

    #[tokio::test]
    async fn a_hospital_that_is_unseated_again_and_again_waits_longer_each_time() {
        let mut world = World::new().await;
        let unseat = |world: &World| world.chain.facts().unready = vec![HOSPITAL];
        assert_eq!(world.look(Duration::ZERO).await, 1);
        unseat(&world);
        assert_eq!(world.look(AGAIN.first - POLL).await, 1);
        assert_eq!(world.memory.obstacle, Some(Obstacle::Repeated));
        let second = AGAIN.first;
        assert_eq!(world.look(second).await, 2);
        unseat(&world);
        assert_eq!(world.look(second + AGAIN.first).await, 2);
        let third = second + 2 * AGAIN.first;
        assert_eq!(world.look(third).await, 3);
        unseat(&world);
        assert_eq!(world.look(third + REMEMBERED).await, 4);
        unseat(&world);
        assert_eq!(world.look(third + REMEMBERED + AGAIN.first).await, 5, "a day is forgotten");
    }

    #[tokio::test]
    async fn a_call_that_failed_is_repeated_without_that_pause() {
        let mut world = World::new().await;
        world.chain.facts().failure = Some(failure("System", "CallFiltered"));
        let error = world.readiness.step(&mut world.memory, world.begun).await.unwrap_err();
        assert!(matches!(error, ReadinessError::Call(CallError::Failed(_))), "{error}");
        world.chain.facts().failure = None;
        assert_eq!(world.look(POLL).await, 2);
    }

    #[tokio::test]
    async fn somebody_who_said_it_first_is_no_failure() {
        let mut world = World::new().await;
        let meanwhile = |facts: &mut crate::api::tests::fake::Facts| facts.unready.clear();
        world.chain.facts().meanwhile = Some(Box::new(meanwhile));
        assert_eq!(world.look(Duration::ZERO).await, 1);
    }
}
