//! The whole worker: it opens its storage, follows its node, runs its tasks, serves its API, and stops when it is told
//! to. A worker that is killed resumes what it was doing at the next start, like one that was stopped.

mod open;
mod start;

pub(crate) use open::{Opened, open};
pub(crate) use start::{
    KEEPS, bind, claim, context, identify, jobs, keep_claim, own_blocks, owner_line, release,
    scrubber,
};

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use epione_primitives::BlockNumber;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use url::Url;

use crate::{
    api::{self, AppState, Services},
    config::Config,
    descriptors,
    journal::Nonces,
    maintenance::moment,
    node,
    tls::Tls,
};

/// How long requests may go on after the worker was told to stop.
const DRAIN: Duration = Duration::from_secs(22);

/// Runs a worker until `shutdown` resolves. An error says why it cannot start or continue.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    descriptors::raise();
    let trust = config.trust()?;
    let (node_sender, node) = watch::channel(None);
    let opened = open(config, node).await?;
    let state = AppState::new(services(&opened).await?);
    if let Some(since) = opened.maintenance.since().await {
        let since = moment(since);
        tracing::warn!(since, "maintenance mode is on: the worker takes no new visits");
    }
    let (config, tls) = (opened.config.clone(), opened.tls.clone());
    let store = opened.storage.store.clone();
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let (metrics, high_water) = (opened.metrics.clone(), opened.chain.high_water.clone());
    let url = config.node_url.clone();
    let following = node::keep_connected(url, trust, metrics, high_water, node_sender);
    tasks.spawn(async move {
        following.await;
        Ok(())
    });
    if let Some(tls) = tls.clone() {
        let (view, metrics) = (opened.chain.view.clone(), opened.metrics.clone());
        tasks.spawn(async move {
            tls.run(view, metrics).await;
            Ok(())
        });
    }
    let processed = opened.storage.task_journal.progress().await?.block;
    follow_queries(
        &mut tasks,
        &state,
        config.notifications.as_ref().map(|it| it.webhook.clone()),
        processed,
    );
    tasks.spawn(start::work(opened));
    tasks.spawn({
        let state = state.clone();
        async move {
            api::seal_waiting_profiles(state).await;
            Ok(())
        }
    });
    tasks.spawn(serve(config, tls, state, stopped));
    let ended = until(&mut tasks, shutdown).await;
    stop.send_replace(true);
    drain(&mut tasks).await;
    release(&store).await;
    ended
}

/// Starts the tasks that follow queries. `processed` is the newest block that the journal knows; 0 in a new journal.
fn follow_queries(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    state: &AppState,
    webhook: Option<Url>,
    processed: BlockNumber,
) {
    // It listens before anything is told.
    if let Some(webhook) = webhook {
        let notifying = api::notify_of_queries(state.clone(), webhook);
        tasks.spawn(async move {
            notifying.await;
            Ok(())
        });
    }
    let following = api::follow_queries(state.clone(), (processed > 0).then_some(processed));
    tasks.spawn(async move {
        following.await;
        Ok(())
    });
}

/// What the API works with.
async fn services(opened: &Opened) -> anyhow::Result<Services> {
    let Opened { config, metrics, chain, storage, exchange, hospital_keys, .. } = opened;
    let nonces = Nonces::open(&config.nonces_path())
        .await
        .context("cannot open the database of answered requests")?;
    Ok(Services {
        public_url: config.public_url.clone(),
        view: chain.view.clone(),
        calls: chain.view.clone(),
        store: storage.store.clone(),
        reserve: storage.reserve.clone(),
        journal: storage.journal.clone(),
        nonces,
        hospital_keys: Arc::clone(hospital_keys),
        repair: exchange.repair.clone(),
        metrics: metrics.clone(),
        limits: config.limits.clone(),
        discovery: config.discovery.clone(),
        renewal_delay: config.renewal_delay,
        holdings: exchange.holdings.clone(),
        transfer: config.transfer.clone(),
        maintenance: opened.maintenance.clone(),
        heard: opened.heard.clone(),
    })
}

/// Waits for the signal to stop, or for the end of a part that should never end.
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
            Ok(Ok(())) => bail!("a part of the worker ended unexpectedly: restart the worker"),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error).context("a part of the worker panicked: restart the worker"),
        },
    }
}

/// Lets requests finish, then ends everything.
async fn drain(tasks: &mut JoinSet<anyhow::Result<()>>) {
    // Only the API ends when it is told to.
    if timeout(DRAIN, tasks.join_next()).await.is_err() {
        tracing::warn!("the worker ended requests that took too long");
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
        // If the sender was dropped, the worker is stopping too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    api::serve(&config, tls.as_ref(), state, shutdown).await.context("cannot serve the API")
}
