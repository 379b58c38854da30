//! The commands `scrub` and `rebuild`: a worker that accepts no visits, announces nothing and serves nobody. It fetches
//! what its hospital should store, checks it, reports what it found, and ends.

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
        scrub::{ScrubProgress, ScrubReport, Scrubber, pause},
        task_journal::JobKind,
    },
    worker::{self, KEEPS, Opened},
};

const POLL: Duration = Duration::from_secs(1);
/// How long to wait for a node that does not answer.
const NODE_LIMIT: Duration = Duration::from_secs(120);
/// If nothing arrived for this long, no hospital that answers has what is still missing.
const STUCK: Duration = Duration::from_secs(300);

/// The result of a rebuild.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// Visits of this hospital that the chain has and the journal did not know.
    pub visits_restored: u64,
    /// The check afterwards.
    pub scrub: ScrubReport,
    /// What neither the chain nor other hospitals have.
    pub not_restored: &'static [&'static str],
}

impl Rebuilt {
    /// The result as text.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.scrub.lines();
        lines.push(format!("restored {} visits of this hospital", self.visits_restored));
        lines.push("not restored (neither the chain nor other hospitals have these):".into());
        lines.extend(self.not_restored.iter().map(|lost| format!("  {lost}")));
        lines
    }
}

/// What is lost with a worker's disk.
pub const NOT_RESTORED: &[&str] = &[
    "visits that this worker had acknowledged and that no lite block on the chain contains: their authors' clients \
     still have them, and can safely submit them again",
    "the memory of acknowledged commands: a client that submits the same visit again within a day, without its own \
     notes of the first attempt, makes a second record",
    "the memory of answered requests: the worker rejects requests that were signed before the new \
     memory began",
    "sealed grants of patients whose requesters have not collected them: the requesters ask the patients again",
    "the memory of today's counts: requesters can ask as many more questions today, and compare the answers",
    "which sections were placed by kind: the worker places those of later records only; patients place earlier ones",
    "damaged objects in quarantine",
];

/// Scrubs once: through the running worker of this configuration, or in its place if none runs.
pub async fn scrub(
    config: Config,
    segments_per_minute: Option<u32>,
    mut report: impl FnMut(String),
) -> anyhow::Result<ScrubReport> {
    let folder = config.control_path();
    let requested = control::scrub(&folder, segments_per_minute, |progress| {
        report(progress.to_string());
    });
    if let Some(found) = requested.await? {
        return Ok(found);
    }
    let alone = Alone::begin(config, &mut report).await?;
    let scrubbed = alone.scrub(segments_per_minute, &mut report).await;
    alone.end().await;
    scrubbed
}

/// Restores what the keys, the node and the other hospitals make possible, and checks all of it.
pub async fn rebuild(config: Config, mut report: impl FnMut(String)) -> anyhow::Result<Rebuilt> {
    let alone = Alone::begin(config, &mut report).await?;
    let rebuilt = alone.rebuild(&mut report).await;
    alone.end().await;
    rebuilt
}

async fn counts(journal: &Journal) -> anyhow::Result<StageCounts> {
    Ok(journal.read(visits::counts).await?)
}

/// A worker without its API. Its tasks end when it is dropped.
struct Alone {
    context: Arc<Context>,
    scrubber: Scrubber,
    /// The journal's visits when it was opened.
    before: StageCounts,
    tasks: JoinSet<()>,
}

impl Alone {
    async fn begin(config: Config, report: &mut impl FnMut(String)) -> anyhow::Result<Self> {
        let (node_url, trust) = (config.node_url.clone(), config.trust()?);
        let (sender, node) = watch::channel(None);
        let opened = worker::open(config, node).await?;
        let mut tasks = JoinSet::new();
        let (metrics, high_water) = (opened.metrics.clone(), opened.chain.high_water.clone());
        tasks.spawn(node::keep_connected(node_url, trust, metrics, high_water, sender));
        report("waiting for the node".into());
        Self::bound(opened, tasks).await
    }

    async fn bound(opened: Opened, mut tasks: JoinSet<()>) -> anyhow::Result<Self> {
        let Opened { config, metrics, chain, storage, exchange, .. } = opened;
        let Ok(identity) = timeout(NODE_LIMIT, worker::identify(&chain.view)).await else {
            bail!(
                "the hospital's node did not answer within {} s, or its newest finalized block is older than what \
                 this worker has seen: start the node, wait until it has synchronized, and retry",
                NODE_LIMIT.as_secs()
            );
        };
        worker::bind(&storage.task_journal, identity).await?;
        worker::claim(&storage, identity).await?;
        tasks.spawn(worker::keep_claim(storage.store.clone()));
        let (processed_sender, processed) = watch::channel(None);
        let context = Arc::new(worker::context(chain, &storage, metrics, identity, processed));
        let before = counts(&context.journal).await?;
        let own = worker::own_blocks(&context, &exchange, &config);
        tasks.spawn(async move { replay::run(&own, processed_sender).await });
        let keeps = Arc::new(worker::jobs(&context, &storage, &exchange, &config));
        tasks.spawn(jobs::run(keeps, JobKind::Keep, KEEPS));
        let scrubber = worker::scrubber(&context, &storage, &exchange, &config);
        Ok(Self { context, scrubber, before, tasks })
    }

    async fn scrub(
        &self,
        segments_per_minute: Option<u32>,
        report: &mut impl FnMut(String),
    ) -> anyhow::Result<ScrubReport> {
        self.catch_up(report).await?;
        self.pass(segments_per_minute, report).await
    }

    async fn rebuild(&self, report: &mut impl FnMut(String)) -> anyhow::Result<Rebuilt> {
        let scrub = self.scrub(None, report).await?;
        let after = counts(&self.context.journal).await?.committed;
        let visits_restored = after.saturating_sub(self.before.committed);
        Ok(Rebuilt { visits_restored, scrub, not_restored: NOT_RESTORED })
    }

    /// Ends the tasks, and releases the storage for the worker.
    async fn end(mut self) {
        self.tasks.shutdown().await;
        worker::release(&self.scrubber.store).await;
    }

    /// Waits until the segments of every committed lite block were fetched, or no hospital has the rest.
    async fn catch_up(&self, report: &mut impl FnMut(String)) -> anyhow::Result<()> {
        let (mut last, mut moved) = (None, Instant::now());
        loop {
            let pending = self.context.task_journal.keeps().await?.len();
            let height = self.context.processed.borrow().as_ref().map(|processed| processed.height);
            let synchronized = self.is_synchronized().await;
            match height {
                Some(_) if synchronized && pending == 0 => return Ok(()),
                Some(height) if synchronized => report(format!(
                    "fetched {} of {height} lite blocks",
                    height.saturating_sub(u32::try_from(pending).unwrap_or(u32::MAX))
                )),
                _ => report("waiting until the node has synchronized".into()),
            }
            let now = Some((pending, height, self.context.metrics.segments_stored.get()));
            if now != last {
                (last, moved) = (now, Instant::now());
            } else if moved.elapsed() > STUCK && height.is_some() {
                report(format!(
                    "no segment arrived for {} s: continuing without the missing segments",
                    STUCK.as_secs()
                ));
                return Ok(());
            }
            sleep(POLL).await;
        }
    }

    /// Whether the node has as much of the chain as its peers.
    async fn is_synchronized(&self) -> bool {
        match self.context.chain() {
            Ok(chain) => chain.health().await.is_ok_and(|health| !health.is_syncing),
            Err(_) => false,
        }
    }

    async fn pass(
        &self,
        segments_per_minute: Option<u32>,
        report: &mut impl FnMut(String),
    ) -> anyhow::Result<ScrubReport> {
        let mut progress = self.scrubber.progress.subscribe();
        let pass = self.scrubber.pass(pause(segments_per_minute));
        tokio::pin!(pass);
        loop {
            tokio::select! {
                done = &mut pass => return done.context("the scrub failed"),
                () = sleep(POLL) => {
                    let now = *progress.borrow_and_update();
                    if now != ScrubProgress::Idle {
                        report(now.to_string());
                    }
                }
            }
        }
    }
}
