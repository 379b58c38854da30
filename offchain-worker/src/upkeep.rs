//! Commands beside `run`: a worker that takes nothing in, announces nothing and serves nobody. It brings
//! here what its hospital should hold, checks it, says what it found, and ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    config::Config,
    control,
    journal::{Journal, StageCounts, visits},
    node,
    tasks::{
        Context, jobs, replay,
        scrub::{Progress, Report, Scrubber, pause},
        task_journal::JobKind,
    },
    worker::{self, KEEPS, Parts},
};

const POLL: Duration = Duration::from_secs(1);
/// A node that does not answer this long is not waited for.
const NODE_LIMIT: Duration = Duration::from_secs(120);
/// Nothing has come for so long: nobody who is there has what is still missing.
const STUCK: Duration = Duration::from_secs(300);

/// What a rebuild came to.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// Visits of this hospital that the journal did not know and the chain did.
    pub visits_restored: u64,
    /// What was checked afterwards.
    pub scrub: Report,
    /// What neither chain nor other hospitals have.
    pub not_restored: &'static [&'static str],
}

impl Rebuilt {
    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.scrub.lines();
        lines.push(format!("{} visits of this hospital are known again", self.visits_restored));
        lines.push("not restored, since neither chain nor other hospitals have it:".into());
        lines.extend(self.not_restored.iter().map(|lost| format!("  {lost}")));
        lines
    }
}

/// What is lost with a worker's disk.
pub const NOT_RESTORED: &[&str] = &[
    "visits that this worker had acknowledged and that no lite block on the chain holds: their authors' \
     programs still have them, and may submit them again without harm",
    "the memory of answered requests: requests that were signed before it began anew are refused",
    "objects that had been set aside as damaged",
];

/// Scrubs once: through the worker that runs with this configuration, or, if none does, in its place.
pub async fn scrub(
    config: Config,
    segments_per_minute: Option<u32>,
    mut tell: impl FnMut(String),
) -> anyhow::Result<Report> {
    let folder = config.control_path();
    let asked = control::scrub(&folder, segments_per_minute, |progress| {
        tell(progress.to_string());
    });
    if let Some(report) = asked.await? {
        return Ok(report);
    }
    let alone = Alone::begin(config, &mut tell).await?;
    alone.catch_up(&mut tell).await?;
    alone.pass(segments_per_minute, &mut tell).await
}

/// Brings back what can be had from the keys, the node and the other hospitals, and checks all of it.
pub async fn rebuild(config: Config, mut tell: impl FnMut(String)) -> anyhow::Result<Rebuilt> {
    let alone = Alone::begin(config, &mut tell).await?;
    let before = alone.before.committed;
    alone.catch_up(&mut tell).await?;
    let scrub = alone.pass(None, &mut tell).await?;
    let after = counts(&alone.context.journal).await?.committed;
    let visits_restored = after.saturating_sub(before);
    Ok(Rebuilt { visits_restored, scrub, not_restored: NOT_RESTORED })
}

async fn counts(journal: &Journal) -> anyhow::Result<StageCounts> {
    Ok(journal.read(visits::counts).await?)
}

/// A worker without its API. Its tasks end when it is dropped.
struct Alone {
    context: Arc<Context>,
    /// The journal's visits when it was opened.
    before: StageCounts,
    _tasks: JoinSet<()>,
}

impl Alone {
    async fn begin(config: Config, tell: &mut impl FnMut(String)) -> anyhow::Result<Self> {
        let node_url = config.node_url.clone();
        let (sender, node) = watch::channel(None);
        let parts = worker::open(config, node).await?;
        let mut tasks = JoinSet::new();
        let (metrics, seen) = (parts.metrics.clone(), parts.seen.clone());
        tasks.spawn(node::keep_connected(node_url, metrics, seen, sender));
        tell("waiting for the node".into());
        Self::bound(parts, tasks).await
    }

    async fn bound(parts: Parts, mut tasks: JoinSet<()>) -> anyhow::Result<Self> {
        let Ok(identity) = timeout(NODE_LIMIT, worker::identify(&parts.view)).await else {
            bail!(
                "the hospital's node did not answer within {} s, or knows less than this worker has seen: \
                 start it, wait until it has synchronized, and try again",
                NODE_LIMIT.as_secs()
            );
        };
        worker::bind(&parts.task_journal, identity).await?;
        worker::claim(&parts.store, identity).await?;
        let (seen_sender, seen) = watch::channel(None);
        let context = Arc::new(worker::context(parts, identity, seen));
        let before = counts(&context.journal).await?;
        tasks.spawn({
            let context = Arc::clone(&context);
            async move { replay::run(&context, seen_sender).await }
        });
        tasks.spawn(jobs::run(Arc::clone(&context), JobKind::Keep, KEEPS));
        Ok(Self { context, before, _tasks: tasks })
    }

    /// Waits until every committed lite block's segments were brought, or nobody has the rest.
    async fn catch_up(&self, tell: &mut impl FnMut(String)) -> anyhow::Result<()> {
        let (mut last, mut moved) = (None, Instant::now());
        loop {
            let pending = self.context.task_journal.keeps().await?.len();
            let height = self.context.seen.borrow().as_ref().map(|seen| seen.height);
            let synchronized = self.is_synchronized().await;
            match height {
                Some(_) if synchronized && pending == 0 => return Ok(()),
                Some(height) if synchronized => tell(format!(
                    "{} of {height} lite blocks are here",
                    height.saturating_sub(u32::try_from(pending).unwrap_or(u32::MAX))
                )),
                _ => tell("waiting until the node has synchronized".into()),
            }
            let now = Some((pending, height, self.context.metrics.segments_stored.get()));
            if now != last {
                (last, moved) = (now, Instant::now());
            } else if moved.elapsed() > STUCK && height.is_some() {
                tell(format!(
                    "nothing has come for {} s: going on without the rest",
                    STUCK.as_secs()
                ));
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Whether the node knows as much of the chain as the nodes that it knows.
    async fn is_synchronized(&self) -> bool {
        match self.context.chain() {
            Ok(chain) => chain.health().await.is_ok_and(|health| !health.is_syncing),
            Err(_) => false,
        }
    }

    async fn pass(
        &self,
        segments_per_minute: Option<u32>,
        tell: &mut impl FnMut(String),
    ) -> anyhow::Result<Report> {
        let scrubber = Scrubber::of(&self.context);
        let mut progress = scrubber.progress.subscribe();
        let pass = scrubber.pass(pause(segments_per_minute));
        tokio::pin!(pass);
        loop {
            tokio::select! {
                done = &mut pass => return done.context("the scrub did not come to its end"),
                () = sleep(POLL) => {
                    let now = *progress.borrow_and_update();
                    if now != Progress::Idle {
                        tell(now.to_string());
                    }
                }
            }
        }
    }
}
