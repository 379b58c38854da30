//! The whole worker: opens what it keeps, follows its node, does its tasks, serves its API, and stops
//! when it is told to. Being killed is as good as being stopped: whatever was under way is done again.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use epione_client::signer::Account;
use epione_envelope::{keystore::ActorKeys, sealing::SealingKeyPair};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use crate::{
    api::{self, AppState, Services},
    chain::{ChainCalls, ChainView, Identity, NodeChain, ViewError},
    config::{Config, Keystore},
    journal::{Journal, Nonces},
    keys,
    metrics::Metrics,
    node::{self, NodeHandle},
    seal::Seal,
    store::Store,
    tasks::{
        self, Context, Seen,
        ledger::{JobKind, Ledger},
        rewrap::Rewrap,
    },
    transfer::{ChainRoster, Courier, Fetcher, PeerRepair, Timings},
};

/// Ballots seen through at once. Their downloads share the bounds of `[transfer]`.
const BALLOTS: usize = 8;
/// Committed lite blocks completed at once.
const KEEPS: usize = 2;
/// How long requests may go on after the worker was told to stop.
const DRAIN: Duration = Duration::from_secs(22);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What is opened once and shared by tasks and API.
struct Parts {
    config: Config,
    agent: Account,
    node: NodeHandle,
    view: Arc<NodeChain>,
    seal: Arc<Seal>,
    journal: Journal,
    ledger: Ledger,
    store: Store,
    fetcher: Arc<Fetcher>,
    repair: Arc<PeerRepair>,
    metrics: Metrics,
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
        seal: Arc::clone(&parts.seal),
        view: parts.view.clone(),
        calls: parts.view.clone(),
        store: parts.store.clone(),
        journal: parts.journal.clone(),
        nonces,
        repair: parts.repair.clone(),
        metrics: parts.metrics.clone(),
        limits: parts.config.limits.clone(),
    });
    let config = parts.config.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let following =
        node::keep_connected(config.node_url.clone(), parts.metrics.clone(), node_sender);
    tasks.spawn(async move {
        following.await;
        Ok(())
    });
    tasks.spawn(work(parts));
    tasks.spawn(serve(config, state, stopped));
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
    state: AppState,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let shutdown = async move {
        // A sender that is gone means stopping as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    api::serve(&config, state, shutdown).await.context("serving the API")
}

/// The current keys, and the sealing keys that were the hospital's before.
async fn load_keys(config: &Config) -> anyhow::Result<(ActorKeys, Vec<SealingKeyPair>)> {
    let (keystore, earlier) = (config.keystore.clone(), config.earlier_keystores.clone());
    let load = move || -> anyhow::Result<_> {
        let keys = keys::load(&keystore).context("keystore")?;
        let open = |earlier: &Keystore| -> anyhow::Result<SealingKeyPair> {
            Ok(keys::load(earlier).context("earlier_keystores")?.sealing)
        };
        Ok((keys, earlier.iter().map(open).collect::<anyhow::Result<_>>()?))
    };
    spawn_blocking(load).await.context("loading the keys")?
}

async fn open(config: Config, node: NodeHandle) -> anyhow::Result<Parts> {
    let (keys, earlier) = load_keys(&config).await?;
    let agent = Account::from(&keys);
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("making the data directory {}", config.data_dir.display()))?;
    // The journal first: it keeps a second worker out of the store.
    let journal = Journal::open(&config.journal_path())
        .await
        .with_context(|| format!("opening the journal {}", config.journal_path().display()))?;
    let ledger = Ledger::open(journal.clone()).await.context("opening the journal")?;
    let store = Store::local(&config.store_path())
        .with_context(|| format!("opening the store {}", config.store_path().display()))?;
    let metrics = Metrics::new().context("setting up metrics")?;
    let timings = Timings {
        connect: Duration::from_millis(config.transfer.connect_timeout_ms),
        stall: Duration::from_millis(config.transfer.stall_timeout_ms),
    };
    let courier = Courier::new(agent.clone(), timings).context("setting up TLS")?;
    let fetcher = Arc::new(Fetcher::new(
        Arc::new(ChainRoster::new(node.clone(), agent.id())),
        courier,
        store.clone(),
        metrics.clone(),
        config.transfer.parallel,
        Duration::from_millis(config.transfer.segment_timeout_ms),
    ));
    let repair = Arc::new(PeerRepair::new(Arc::clone(&fetcher), journal.clone(), store.clone()));
    let view = Arc::new(NodeChain::new(node.clone(), agent.clone()));
    let seal = Arc::new(Seal::new(keys, earlier, view.clone()));
    Ok(Parts { config, agent, node, view, seal, journal, ledger, store, fetcher, repair, metrics })
}

/// Everything that needs the chain. Goes on for ever.
async fn work(parts: Parts) -> anyhow::Result<()> {
    let identity = identify(&parts.view).await;
    bind(&parts.ledger, identity).await?;
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
    let (view, calls): (Arc<dyn ChainView>, Arc<dyn ChainCalls>) = (parts.view.clone(), parts.view);
    tasks.spawn(tasks::reviews::run(Arc::clone(&view), parts.metrics.clone()));
    let rewrap = Rewrap { seal: parts.seal, view, calls, metrics: parts.metrics.clone() };
    tasks.spawn(async move { tasks::rewrap::run(&rewrap).await });
    let (seen_sender, seen) = watch::channel::<Option<Seen>>(None);
    let context = Arc::new(Context {
        hospital: identity.hospital,
        agent: parts.agent,
        node: parts.node,
        seen,
        journal: parts.journal,
        ledger: parts.ledger,
        store: parts.store,
        fetcher: parts.fetcher,
        repair: parts.repair,
        metrics: parts.metrics,
        config: parts.config,
        caution: std::sync::Mutex::default(),
    });
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::replay::run(&context, seen_sender).await }
    });
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::announce::run(&context).await }
    });
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::scrub::sweep(&context).await }
    });
    tasks.spawn({
        let context = Arc::clone(&context);
        async move { tasks::scrub::run(&context).await }
    });
    tasks.spawn(tasks::jobs::run(Arc::clone(&context), JobKind::Ballot, BALLOTS));
    tasks.spawn(tasks::jobs::run(context, JobKind::Keep, KEEPS));
    tasks
}

/// Waits for the node, and for the chain to know the agent.
async fn identify(view: &NodeChain) -> Identity {
    loop {
        match view.identity().await {
            Ok(identity) => return identity,
            Err(ViewError::Away) => {}
            Err(error) => tracing::error!(%error, "the worker cannot begin its work; asking again"),
        }
        sleep(ASK_AGAIN).await;
    }
}

async fn bind(ledger: &Ledger, identity: Identity) -> anyhow::Result<()> {
    let known = ledger.identity().await?;
    match known {
        None => Ok(ledger.bind(identity).await?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::{Hash, HospitalId};

    #[tokio::test]
    async fn a_journal_of_another_chain_or_hospital_is_refused_with_what_to_do() {
        let ledger = Ledger::open(Journal::in_memory().await.unwrap()).await.unwrap();
        let identity = Identity { genesis: Hash::repeat_byte(1), hospital: HospitalId(2) };
        bind(&ledger, identity).await.unwrap();
        bind(&ledger, identity).await.unwrap();
        for other in [
            Identity { genesis: Hash::repeat_byte(9), ..identity },
            Identity { hospital: HospitalId(3), ..identity },
        ] {
            let refused = bind(&ledger, other).await.unwrap_err().to_string();
            assert!(refused.contains("data_dir"), "{refused}");
        }
    }
}
