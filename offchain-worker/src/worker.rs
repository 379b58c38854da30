//! The whole worker: opens what it keeps, follows its node, does its tasks, serves its API, and stops
//! when it is told to. Being killed is as good as being stopped: whatever was under way is done again.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use epione_client::signer::Account;
use epione_envelope::{keystore::ActorKeys, sealing::SealingKeyPair};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{
    api::{self, AppState, Services},
    chain::{ChainCalls, ChainView, Identity, NodeChain, ViewError},
    config::{Config, Transfer},
    control,
    hospital_keys::HospitalKeys,
    journal::{Journal, Nonces},
    keys::{self, TlsKeys},
    metrics::Metrics,
    node::{self, HighWater, NodeHandle},
    store::{Store, StoreError},
    tasks::{
        self, Context, Seen,
        offers::OfferFetcher,
        rewrap::Rewrap,
        scrub::Scrubber,
        task_journal::{JobKind, TaskJournal},
    },
    tls::Tls,
    transfer::{
        ChainRoster, Courier, FetchBounds, Fetcher, Holdings, PeerRepair, Rules, Seeder,
        SeedingTerms, Timings,
    },
};

/// Ballots seen through at once. Their downloads share the bounds of `[transfer]`.
const BALLOTS: usize = 8;
/// Committed lite blocks completed at once.
pub(crate) const KEEPS: usize = 2;
/// How long requests may go on after the worker was told to stop.
const DRAIN: Duration = Duration::from_secs(22);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What is opened once and shared by tasks and API.
pub(crate) struct Parts {
    pub(crate) config: Config,
    agent: Account,
    node: NodeHandle,
    pub(crate) seen: HighWater,
    pub(crate) view: Arc<NodeChain>,
    hospital_keys: Arc<HospitalKeys>,
    journal: Journal,
    pub(crate) task_journal: TaskJournal,
    pub(crate) store: Store,
    fetcher: Arc<Fetcher>,
    repair: Arc<PeerRepair>,
    holdings: Holdings,
    seeder: Arc<Seeder>,
    pub(crate) metrics: Metrics,
    /// Absent: plain HTTP.
    tls: Option<Arc<Tls>>,
}

/// Runs a worker until `shutdown` resolves. An error says why it cannot start or go on.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (node_sender, node) = watch::channel(None);
    let parts = open(config, node).await?;
    let nonces = Nonces::open(&parts.config.nonces_path())
        .await
        .context("opening the memory of answered requests")?;
    let state = AppState::new(Services {
        public_url: parts.config.public_url.clone(),
        hospital_keys: Arc::clone(&parts.hospital_keys),
        view: parts.view.clone(),
        calls: parts.view.clone(),
        store: parts.store.clone(),
        journal: parts.journal.clone(),
        nonces,
        repair: parts.repair.clone(),
        metrics: parts.metrics.clone(),
        limits: parts.config.limits.clone(),
        holdings: parts.holdings.clone(),
        transfer: parts.config.transfer.clone(),
    });
    let config = parts.config.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let (metrics, seen) = (parts.metrics.clone(), parts.seen.clone());
    let following = node::keep_connected(config.node_url.clone(), metrics, seen, node_sender);
    tasks.spawn(async move {
        following.await;
        Ok(())
    });
    let tls = parts.tls.clone();
    if let Some(tls) = tls.clone() {
        let (view, metrics) = (parts.view.clone(), parts.metrics.clone());
        tasks.spawn(async move {
            tls.run(view, metrics).await;
            Ok(())
        });
    }
    tasks.spawn(work(parts));
    tasks.spawn(serve(config, tls, state, stopped));
    let ended = until(&mut tasks, shutdown).await;
    stop.send_replace(true);
    drain(&mut tasks).await;
    ended
}

/// Waits for the signal to stop, or for something that should go on for ever to end.
async fn until(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    tokio::select! {
        () = shutdown => {
            tracing::info!("stopping");
            Ok(())
        }
        Some(ended) = tasks.join_next() => match ended {
            Ok(Ok(())) => bail!("a part of the worker ended by itself; restart it"),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error).context("a part of the worker failed in an unforeseen way; restart it"),
        },
    }
}

/// Lets requests end, then ends everything.
async fn drain(tasks: &mut JoinSet<anyhow::Result<()>>) {
    // The API alone ends by itself.
    if timeout(DRAIN, tasks.join_next()).await.is_err() {
        tracing::warn!("requests were cut off");
    }
    tasks.shutdown().await;
}

async fn serve(
    config: Config,
    tls: Option<Arc<Tls>>,
    state: AppState,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let shutdown = async move {
        // A sender that is gone means stopping as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    api::serve(&config, tls.as_ref(), state, shutdown).await.context("serving the API")
}

/// What the worker's keystores hold.
struct AllKeys {
    current: ActorKeys,
    /// Sealing keys that were the hospital's before.
    earlier: Vec<SealingKeyPair>,
    tls: TlsKeys,
}

async fn load_keys(config: &Config) -> anyhow::Result<AllKeys> {
    let (keystore, before) = (config.keystore.clone(), config.earlier_keystores.clone());
    let load = move || -> anyhow::Result<_> {
        let current = keys::load(&keystore).context("keystore")?;
        let mut tls = TlsKeys::new(&keystore, &current).context("keystore")?;
        let mut earlier = Vec::with_capacity(before.len());
        for keystore in &before {
            let keys = keys::load(keystore).context("earlier_keystores")?;
            tls.and_earlier(keystore, &keys).context("earlier_keystores")?;
            earlier.push(keys.sealing);
        }
        Ok(AllKeys { current, earlier, tls })
    };
    spawn_blocking(load).await.context("loading the keys")?
}

pub(crate) async fn open(config: Config, node: NodeHandle) -> anyhow::Result<Parts> {
    let AllKeys { current: keys, earlier, tls } = load_keys(&config).await?;
    let tls = config.serves_tls().then(|| Tls::new(tls, &config)).transpose()?.map(Arc::new);
    let agent = Account::from(&keys);
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("making the data directory {}", config.data_dir.display()))?;
    // The journal first: it keeps a second worker out of the store.
    let journal = Journal::open(&config.journal_path())
        .await
        .with_context(|| format!("opening the journal {}", config.journal_path().display()))?;
    let task_journal = TaskJournal::open(journal.clone()).await.context("opening the journal")?;
    let genesis = task_journal.identity().await?.map(|identity| identity.genesis);
    let seen = HighWater::new(task_journal.progress().await?.block, genesis);
    let store = Store::open(&config)?;
    let metrics = Metrics::new().context("setting up metrics")?;
    let courier = Courier::new(agent.clone(), timings(&config.transfer));
    let roster = Arc::new(ChainRoster::new(node.clone(), agent.id()));
    let holdings = Holdings::new(store.clone());
    let fetcher = Arc::new(Fetcher::new(
        roster.clone(),
        courier.clone(),
        store.clone(),
        holdings.clone(),
        metrics.clone(),
        bounds(&config.transfer),
    ));
    let seeder = Arc::new(Seeder::new(roster, courier, metrics.clone(), terms(&config.transfer)));
    let repair = Arc::new(PeerRepair::new(Arc::clone(&fetcher), journal.clone(), store.clone()));
    let view = Arc::new(NodeChain::new(node.clone(), seen.clone(), agent.clone()));
    let hospital_keys = Arc::new(HospitalKeys::new(keys, earlier, view.clone()));
    Ok(Parts {
        config,
        agent,
        node,
        seen,
        view,
        hospital_keys,
        journal,
        task_journal,
        store,
        fetcher,
        repair,
        holdings,
        seeder,
        metrics,
        tls,
    })
}

fn timings(transfer: &Transfer) -> Timings {
    Timings {
        connect: Duration::from_millis(transfer.connect_timeout_ms),
        stall: Duration::from_millis(transfer.stall_timeout_ms),
    }
}

fn bounds(transfer: &Transfer) -> FetchBounds {
    FetchBounds {
        parallel: transfer.parallel,
        segment_limit: Duration::from_millis(transfer.segment_timeout_ms),
        rules: Rules::default(),
    }
}

fn terms(transfer: &Transfer) -> SeedingTerms {
    SeedingTerms {
        from_bytes: transfer.offer_from_bytes,
        quiet: Duration::from_millis(transfer.offer_wait_ms),
        // The others keep what is offered for as long, if they are configured alike.
        longest: Duration::from_millis(transfer.offer_lifetime_ms) / 2,
        ask_every: ASK_AGAIN,
    }
}

/// Everything that needs the chain. Goes on for ever.
async fn work(parts: Parts) -> anyhow::Result<()> {
    let identity = identify(&parts.view).await;
    bind(&parts.task_journal, identity).await?;
    claim(&parts.store, identity).await?;
    tracing::info!(hospital = identity.hospital.0, "working for this hospital");
    let mut tasks = begin(parts, identity);
    match tasks.join_next().await {
        Some(Err(error)) => {
            Err(error).context("a task failed in an unforeseen way; restart the worker")
        }
        _ => bail!("a task ended by itself; restart the worker"),
    }
}

/// Begins every task. None ends by itself.
fn begin(parts: Parts, identity: Identity) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let view: Arc<dyn ChainView> = parts.view.clone();
    let calls: Arc<dyn ChainCalls> = parts.view.clone();
    tasks.spawn(tasks::reviews::run(Arc::clone(&view), parts.metrics.clone()));
    let hospital_keys = Arc::clone(&parts.hospital_keys);
    let rewrap = Rewrap { hospital_keys, view, calls, metrics: parts.metrics.clone() };
    tasks.spawn(async move { tasks::rewrap::run(&rewrap).await });
    let (seen_sender, seen) = watch::channel::<Option<Seen>>(None);
    let context = Arc::new(context(parts, identity, seen));
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::replay::run(&context, seen_sender).await }
    });
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::announce::run(&context).await }
    });
    tasks.spawn(tasks::offers::run(Arc::new(OfferFetcher {
        journal: context.journal.clone(),
        fetcher: Arc::clone(&context.fetcher),
        metrics: context.metrics.clone(),
        lifetime: context.config.transfer.offer_lifetime_ms,
    })));
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::scrub::sweep(&context).await }
    });
    look_after(&mut tasks, Arc::clone(&context));
    tasks.spawn(tasks::jobs::run(Arc::clone(&context), JobKind::Ballot, BALLOTS));
    tasks.spawn(tasks::jobs::run(context, JobKind::Keep, KEEPS));
    tasks
}

/// Scrubs now and then, and when somebody on this machine asks for it.
fn look_after(tasks: &mut JoinSet<()>, context: Arc<Context>) {
    let scrubber = Scrubber::of(&context);
    let (requests, asked) = mpsc::channel(1);
    let progress = scrubber.progress.subscribe();
    tasks.spawn(control::serve(context.config.control_path(), requests, progress));
    tasks.spawn(async move { tasks::scrub::run(&context, &scrubber, asked).await });
}

/// What the tasks work with.
pub(crate) fn context(
    parts: Parts,
    identity: Identity,
    seen: watch::Receiver<Option<Seen>>,
) -> Context {
    Context {
        hospital: identity.hospital,
        agent: parts.agent,
        node: parts.node,
        seen,
        journal: parts.journal,
        task_journal: parts.task_journal,
        store: parts.store,
        fetcher: parts.fetcher,
        repair: parts.repair,
        seeder: parts.seeder,
        metrics: parts.metrics,
        config: parts.config,
        caution: std::sync::Mutex::default(),
    }
}

/// Waits for the node, and for the chain to know the agent.
pub(crate) async fn identify(view: &NodeChain) -> Identity {
    loop {
        match view.identity().await {
            Ok(identity) => return identity,
            Err(ViewError::Away) => {}
            Err(error) => tracing::error!(%error, "the worker cannot begin its work; asking again"),
        }
        sleep(ASK_AGAIN).await;
    }
}

pub(crate) async fn bind(task_journal: &TaskJournal, identity: Identity) -> anyhow::Result<()> {
    let known = task_journal.identity().await?;
    match known {
        None => Ok(task_journal.bind(identity).await?),
        Some(known) if known == identity => Ok(()),
        Some(known) => bail!(
            "the journal belongs to hospital {} of the chain {:?}, but the node says hospital {} of {:?}: \
             point data_dir, keystore and node_url at the same hospital",
            known.hospital,
            known.genesis,
            identity.hospital,
            identity.genesis
        ),
    }
}

/// Waits for the storage, and sees that it is this hospital's.
pub(crate) async fn claim(store: &Store, identity: Identity) -> anyhow::Result<()> {
    let owner = format!("hospital {} of the chain {:?}\n", identity.hospital, identity.genesis);
    loop {
        match store.claim(&owner).await {
            Ok(()) => return Ok(()),
            Err(error @ StoreError::Foreign) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "the worker cannot begin its work; asking the storage again");
            }
        }
        sleep(ASK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::{Hash, HospitalId};

    #[tokio::test]
    async fn a_journal_of_another_chain_or_hospital_is_refused_with_what_to_do() {
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
}
