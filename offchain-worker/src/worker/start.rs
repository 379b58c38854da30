//! What begins once the node answers: the worker finds out which hospital it serves, and starts its tasks.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use epione_primitives::limits::MAX_BALLOTS_PER_BLOCK;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::open::{ChainAccess, Exchange, Opened, Storage};
use crate::{
    chain::{ChainCalls, ChainView, Identity, NodeChain, ViewError},
    config::Config,
    consortium::{Member, Participant},
    control::{self, About, Desk},
    metrics::Metrics,
    millis, storage_origin,
    store::{Claimant, Claimed, Mark, RENEWAL, SILENCE, Store, StoreError},
    tasks::{
        self, Context, JobContext, Processed,
        consortium::Ceremonies,
        disk_budget::DiskBudget,
        inheriting::{ChainMembers, Inheriting},
        keeping::Keeping,
        offers::OfferFetcher,
        own_blocks::OwnBlocks,
        pack::BlockBounds,
        placement::Placing,
        readiness::Readiness,
        rewrap::Rewrap,
        scrub::{Scrubber, Sweeper},
        sections::Indexer,
        task_journal::{JobKind, TaskJournal},
        turns::Turns,
        wrapping::Wrapping,
    },
};

/// Ballots whose blocks are verified at once, and whose segments are fetched at once; and those of one announcing
/// hospital. Their downloads share the bounds of `[transfer]`.
const BALLOTS: usize = 8;
const BALLOTS_OF_ONE: usize = 3;
/// Committed lite blocks fetched at once, and those of one announcing hospital.
const KEPT_AT_ONCE: usize = 3;
const KEPT_OF_ONE: usize = 2;
/// Jobs for committed lite blocks at once. Those that do not fetch wait for a turn.
pub(crate) const KEEPS: usize = 16;
/// Every open ballot has its job. Most of them wait for a turn.
const OPEN_BALLOTS: usize = MAX_BALLOTS_PER_BLOCK as usize;
const RETRY: Duration = Duration::from_secs(2);
/// After a claim that could not be confirmed, before the next attempt.
const CONFIRM_AGAIN: Duration = Duration::from_secs(10);

/// Does everything that needs the chain. Returns only errors.
pub(super) async fn work(opened: Opened) -> anyhow::Result<()> {
    let identity = identify(&opened.chain.view).await;
    bind(&opened.storage.task_journal, identity).await?;
    claim(&opened.storage, identity).await?;
    tracing::info!(hospital = identity.hospital.0, "this worker serves this hospital");
    storage_origin::check(opened.chain.view.as_ref(), &opened.storage.store).await;
    let mut tasks = begin(opened, identity);
    match tasks.join_next().await {
        Some(Err(error)) => Err(error).context("a task panicked: restart the worker"),
        _ => bail!("a task ended unexpectedly: restart the worker"),
    }
}

/// Starts every task. None of them ends.
fn begin(opened: Opened, identity: Identity) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    watch_over_members(&mut tasks, &opened);
    let Opened { config, metrics, chain, storage, exchange, maintenance, heard, .. } = opened;
    let about = About {
        identity,
        journal: storage.journal.clone(),
        task_journal: storage.task_journal.clone(),
        metrics: metrics.clone(),
        maintenance,
        heard,
    };
    let (processed_sender, processed) = watch::channel::<Option<Processed>>(None);
    let view = Arc::clone(&chain.view);
    let context = Arc::new(context(chain, &storage, metrics, identity, processed));
    let own = Arc::new(own_blocks(&context, &exchange, &config));
    tasks.spawn({
        let own = Arc::clone(&own);
        async move { tasks::replay::run(&own, processed_sender).await }
    });
    let seeder = Arc::clone(&exchange.seeder);
    tasks.spawn(async move { tasks::announce::run(&own, seeder).await });
    tasks.spawn(tasks::offers::run(Arc::new(OfferFetcher {
        journal: context.journal.clone(),
        fetcher: Arc::clone(&exchange.fetcher),
        metrics: context.metrics.clone(),
        reserve: storage.reserve.clone(),
        lifetime: config.transfer.offer_lifetime,
    })));
    let jobs = Arc::new(jobs(&context, &storage, &exchange, &config));
    tasks.spawn({
        let jobs = Arc::clone(&jobs);
        async move {
            tasks::announced::recount(&jobs).await;
            tasks::jobs::run(jobs, JobKind::Ballot, OPEN_BALLOTS).await;
        }
    });
    tasks.spawn(tasks::jobs::run(jobs, JobKind::Keep, KEEPS));
    let readiness = readiness(&context, Arc::clone(&view));
    tasks.spawn(async move { tasks::readiness::run(&readiness).await });
    let ceremonies = ceremonies(&context, view, identity);
    tasks.spawn(async move { tasks::consortium::run(&ceremonies).await });
    look_after(&mut tasks, context, &storage, &exchange, config, about);
    tasks
}

/// What decides whether the hospital is ready to validate.
fn readiness(context: &Context, chain: Arc<NodeChain>) -> Readiness {
    Readiness {
        view: chain.clone(),
        calls: chain,
        task_journal: context.task_journal.clone(),
        metrics: context.metrics.clone(),
    }
}

/// The hospital's part in the ceremonies of the consortium key.
fn ceremonies(context: &Context, chain: Arc<NodeChain>, identity: Identity) -> Ceremonies {
    let Identity { genesis, hospital } = identity;
    let participant = Participant { genesis, hospital, agent: context.agent.clone() };
    Ceremonies {
        view: chain.clone(),
        calls: chain,
        member: Member::new(participant, context.journal.clone()),
        metrics: context.metrics.clone(),
    }
}

/// Starts the tasks that concern the hospital's members, not lite blocks.
fn watch_over_members(tasks: &mut JoinSet<()>, opened: &Opened) {
    let view: Arc<dyn ChainView> = opened.chain.view.clone();
    let calls: Arc<dyn ChainCalls> = opened.chain.view.clone();
    tasks.spawn(tasks::reviews::run(Arc::clone(&view), opened.metrics.clone()));
    tasks.spawn(tasks::recoveries::run(Arc::clone(&view), opened.metrics.clone()));
    let hospital_keys = Arc::clone(&opened.hospital_keys);
    let (journal, metrics) = (opened.storage.journal.clone(), opened.metrics.clone());
    let indexer = Indexer {
        hospital_keys: Arc::clone(&hospital_keys),
        view: Arc::clone(&view),
        journal: journal.clone(),
        metrics: metrics.clone(),
    };
    tasks.spawn(async move { tasks::sections::run(&indexer).await });
    let wrapping = Wrapping {
        hospital_keys: Arc::clone(&hospital_keys),
        view: Arc::clone(&view),
        calls: Arc::clone(&calls),
        journal: journal.clone(),
        metrics: metrics.clone(),
    };
    tasks.spawn(async move { tasks::wrapping::run(&wrapping).await });
    let keeping = Keeping {
        hospital_keys: Arc::clone(&hospital_keys),
        view: Arc::clone(&view),
        calls: Arc::clone(&calls),
        journal: journal.clone(),
        metrics: metrics.clone(),
        renewed: Default::default(),
    };
    tasks.spawn(async move { tasks::keeping::run(&keeping).await });
    let (node, agent) = (opened.chain.node.clone(), opened.chain.agent.clone());
    let inheriting = Inheriting {
        hospital_keys: Arc::clone(&hospital_keys),
        view: Arc::clone(&view),
        calls: Arc::clone(&calls),
        members: Arc::new(ChainMembers { node, agent }),
        journal: journal.clone(),
        metrics: metrics.clone(),
        wrong: Default::default(),
        resealed: Default::default(),
    };
    tasks.spawn(async move { tasks::inheriting::run(&inheriting).await });
    let (view_to_place, calls_to_place) = (Arc::clone(&view), Arc::clone(&calls));
    let placing = Placing { view: view_to_place, calls: calls_to_place, journal, metrics };
    tasks.spawn(async move { tasks::placement::run(&placing).await });
    let rewrap = Rewrap { hospital_keys, view, calls, metrics: opened.metrics.clone() };
    tasks.spawn(async move { tasks::rewrap::run(&rewrap).await });
}

/// Starts the tasks that look after the storage: sweeps, and scrubs both scheduled and requested.
fn look_after(
    tasks: &mut JoinSet<()>,
    context: Arc<Context>,
    storage: &Storage,
    exchange: &Exchange,
    config: Config,
    about: About,
) {
    let sweeper = Sweeper {
        context: Arc::clone(&context),
        store: storage.store.clone(),
        garbage_grace: millis(config.store.garbage_grace),
        quarantine: millis(config.scrub.quarantine),
    };
    tasks.spawn(async move { sweeper.run().await });
    tasks.spawn(keep_claim(storage.store.clone()));
    let scrubber = scrubber(&context, storage, exchange, &config);
    let (requests, requested) = mpsc::channel(1);
    let progress = scrubber.progress.subscribe();
    tasks.spawn(control::serve(config.control_path(), Desk { scrubs: requests, progress, about }));
    tasks.spawn(async move {
        tasks::scrub::run(&context, &scrubber, &config.scrub, requested).await;
    });
}

/// What the tasks that follow the chain work with.
pub(crate) fn context(
    chain: ChainAccess,
    storage: &Storage,
    metrics: Metrics,
    identity: Identity,
    processed: watch::Receiver<Option<Processed>>,
) -> Context {
    Context {
        hospital: identity.hospital,
        agent: chain.agent,
        node: chain.node,
        processed,
        journal: storage.journal.clone(),
        task_journal: storage.task_journal.clone(),
        metrics,
    }
}

pub(crate) fn own_blocks(
    context: &Arc<Context>,
    exchange: &Exchange,
    config: &Config,
) -> OwnBlocks {
    let (context, fetcher) = (Arc::clone(context), Arc::clone(&exchange.fetcher));
    OwnBlocks::new(context, fetcher, BlockBounds::from(&config.pack))
}

pub(crate) fn jobs(
    context: &Arc<Context>,
    storage: &Storage,
    exchange: &Exchange,
    config: &Config,
) -> JobContext {
    JobContext {
        context: Arc::clone(context),
        fetcher: Arc::clone(&exchange.fetcher),
        signed: Default::default(),
        verifying: Turns::new(BALLOTS, BALLOTS_OF_ONE),
        ballots: Turns::new(BALLOTS, BALLOTS_OF_ONE),
        keeps: Turns::new(KEPT_AT_ONCE, KEPT_OF_ONE),
        budget: DiskBudget::new(config.transfer.announced_quota_bytes, config.store.garbage_grace),
        reserve: storage.reserve.clone(),
        reject_margin: config.transfer.reject_margin_blocks,
    }
}

pub(crate) fn scrubber(
    context: &Arc<Context>,
    storage: &Storage,
    exchange: &Exchange,
    config: &Config,
) -> Scrubber {
    Scrubber::of(context, storage.store.clone(), exchange.repair.clone(), config)
}

/// Waits for the node, and until the chain knows the agent.
pub(crate) async fn identify(view: &NodeChain) -> Identity {
    loop {
        match view.identity().await {
            Ok(identity) => return identity,
            Err(ViewError::Away) => {}
            Err(error) => tracing::error!(%error, "the worker cannot start its work; retrying"),
        }
        sleep(RETRY).await;
    }
}

/// Binds the journal to the hospital and the chain, or checks that it is bound to them.
pub(crate) async fn bind(task_journal: &TaskJournal, identity: Identity) -> anyhow::Result<()> {
    let known = task_journal.identity().await?;
    match known {
        None => Ok(task_journal.bind(identity).await?),
        Some(known) if known == identity => Ok(()),
        Some(known) => bail!(
            "the journal belongs to hospital {} of the chain {:?}, but the node says hospital {} of {:?}: \
             set data_dir, keystore and node_url to those of one hospital",
            known.hospital,
            known.genesis,
            identity.hospital,
            identity.genesis
        ),
    }
}

/// How long a rival for the storage has been silent.
#[derive(Default)]
struct Silence(Option<(Mark, Instant)>);

impl Silence {
    /// The mark of a rival that has been silent for so long that it does not run any more.
    fn long_enough(&self, now: Instant) -> Option<&Mark> {
        let (mark, since) = self.0.as_ref()?;
        (now.duration_since(*since) >= SILENCE).then_some(mark)
    }

    /// The storage shows this mark of a rival. Fails if it has changed: the rival runs.
    fn see(&mut self, mark: Mark, now: Instant) -> Result<(), StoreError> {
        match &self.0 {
            Some((earlier, _)) if *earlier == mark => Ok(()),
            Some(_) => Err(StoreError::Foreign { owner: mark.to_string() }),
            None => {
                tracing::warn!(
                    owner = %mark,
                    "another process of this hospital has used the storage and did not say that it stopped; this \
                     worker starts its work in {} s, unless the other one still runs",
                    SILENCE.as_secs()
                );
                self.0 = Some((mark, now));
                Ok(())
            }
        }
    }

    /// The storage did not answer. The rival may not have reached it either, so that its silence proves nothing.
    fn forget(&mut self) {
        self.0 = None;
    }
}

/// The line that names a hospital in the mark of its storage.
pub(crate) fn owner_line(identity: Identity) -> String {
    format!("hospital {} of the chain {:?}", identity.hospital, identity.genesis)
}

/// Waits for the storage, and claims it for this worker. Another worker of this hospital may have used it: if that one
/// still runs, this is an error.
pub(crate) async fn claim(storage: &Storage, identity: Identity) -> anyhow::Result<()> {
    let claimant = Claimant::new(owner_line(identity), storage.journal.instance().await?)?;
    let store = &storage.store;
    let mut silence = Silence::default();
    loop {
        let claimed = match silence.long_enough(Instant::now()) {
            Some(mark) => store.take_over(&claimant, mark).await,
            None => store.claim(&claimant).await,
        };
        match claimed {
            Ok(Claimed::Ours) => return Ok(()),
            Ok(Claimed::Rival(mark)) => silence.see(mark, Instant::now())?,
            Err(error @ StoreError::Foreign { .. }) => return Err(error.into()),
            Err(error) => {
                silence.forget();
                tracing::error!(%error, "the worker cannot start its work; trying the storage again");
            }
        }
        sleep(RETRY).await;
    }
}

/// Says in the storage that this worker has stopped. Nothing may write to it after this.
pub(crate) async fn release(store: &Store) {
    if let Err(error) = store.release_claim().await {
        tracing::warn!(%error, "the storage does not say that this worker stopped: its next start takes longer");
    }
}

/// Confirms the claim again and again, so that no other worker takes the storage over. Never returns.
pub(crate) async fn keep_claim(store: Store) {
    loop {
        let pause = match store.confirm_claim().await {
            Ok(()) => RENEWAL,
            Err(error) => {
                tracing::error!(%error, "the worker could not confirm that the storage belongs to it");
                if error.needs_operator() { RENEWAL } else { CONFIRM_AGAIN }
            }
        };
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use epione_primitives::{Hash, HospitalId};

    use super::*;
    use crate::{journal::Journal, store::server::Server};

    #[tokio::test]
    async fn a_journal_of_another_chain_or_hospital_is_rejected_with_what_to_do() {
        let task_journal = TaskJournal::open(Journal::in_memory().await.unwrap()).await.unwrap();
        let identity = Identity { genesis: Hash::repeat_byte(1), hospital: HospitalId(2) };
        bind(&task_journal, identity).await.unwrap();
        bind(&task_journal, identity).await.unwrap();
        for other in [
            Identity { genesis: Hash::repeat_byte(9), ..identity },
            Identity { hospital: HospitalId(3), ..identity },
        ] {
            let refused = bind(&task_journal, other).await.unwrap_err().to_string();
            assert!(refused.contains("data_dir"), "{refused}");
        }
    }

    #[tokio::test]
    async fn an_outage_of_the_storage_is_no_silence_of_the_worker_that_owns_it() {
        let server = Server::start();
        let claimant = |instance| Claimant::new("hospital 0".into(), [instance; 16]).unwrap();
        server.store().claim(&claimant(1)).await.unwrap();
        let Claimed::Rival(mark) = server.store().claim(&claimant(2)).await.unwrap() else {
            panic!("the bucket has an owner");
        };
        let (mut silence, begun) = (Silence::default(), Instant::now());
        silence.see(mark.clone(), begun).unwrap();
        silence.see(mark.clone(), begun + SILENCE / 2).unwrap();
        assert_eq!(silence.long_enough(begun + SILENCE / 2), None);
        assert_eq!(silence.long_enough(begun + SILENCE), Some(&mark));
        silence.forget();
        silence.see(mark, begun + SILENCE).unwrap();
        assert_eq!(silence.long_enough(begun + SILENCE * 3 / 2), None);
    }
}
