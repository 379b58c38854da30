//! What the worker opens before the node answers, grouped by who uses it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use epione_client::signer::Account;
use epione_envelope::{keystore::ActorKeys, sealing_keys::SealingKeyPair};
use tokio::task::spawn_blocking;

use crate::{
    chain::NodeChain,
    config::{Config, Transfer},
    heard::Heard,
    hospital_keys::HospitalKeys,
    journal::Journal,
    keys::{self, TlsKeys},
    maintenance::{Maintenance, Switch},
    metrics::Metrics,
    node::{HighWater, NodeHandle},
    store::{Reserve, Store},
    tasks::task_journal::TaskJournal,
    tls::Tls,
    transfer::{
        ChainRoster, Courier, FetchBounds, Fetcher, Holdings, PeerRepair, Rules, Seeder,
        SeedingTerms, Timings,
    },
};

/// Between two questions to a hospital that was offered a block.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// All of it.
pub(crate) struct Opened {
    pub config: Config,
    pub metrics: Metrics,
    pub chain: ChainAccess,
    pub storage: Storage,
    pub exchange: Exchange,
    pub hospital_keys: Arc<HospitalKeys>,
    pub maintenance: Maintenance,
    /// Which hospitals' workers sent requests to this one.
    pub heard: Heard,
    /// Absent: plain HTTP.
    pub tls: Option<Arc<Tls>>,
}

/// The chain through the hospital's node, for API, tasks and TLS.
pub(crate) struct ChainAccess {
    pub agent: Account,
    pub node: NodeHandle,
    pub high_water: HighWater,
    pub view: Arc<NodeChain>,
}

/// What the worker stores, for API and tasks.
pub(crate) struct Storage {
    pub journal: Journal,
    pub task_journal: TaskJournal,
    pub store: Store,
    /// What segments of other hospitals leave free for this hospital's own visits.
    pub reserve: Reserve,
}

/// Segments from and for other hospitals: tasks fetch and offer, the API repairs and lists.
pub(crate) struct Exchange {
    pub fetcher: Arc<Fetcher>,
    pub repair: Arc<PeerRepair>,
    pub holdings: Holdings,
    pub seeder: Arc<Seeder>,
}

/// The content of the worker's keystores.
struct AllKeys {
    current: ActorKeys,
    /// The hospital's previous sealing keys.
    earlier: Vec<SealingKeyPair>,
    tls: TlsKeys,
}

pub(crate) async fn open(config: Config, node: NodeHandle) -> anyhow::Result<Opened> {
    let AllKeys { current, earlier, tls } = load_keys(&config).await?;
    let tls = config.serves_tls().then(|| Tls::new(tls, &config)).transpose()?.map(Arc::new);
    let agent = Account::from(&current);
    let storage = Storage::open(&config).await?;
    let metrics = Metrics::new().context("cannot set up metrics")?;
    let exchange = Exchange::new(&config.transfer, &agent, &node, &storage, &metrics);
    let chain = ChainAccess::new(agent, node, &storage.task_journal).await?;
    let hospital_keys = Arc::new(HospitalKeys::new(current, earlier, chain.view.clone()));
    let maintenance = Maintenance::new(Switch::of(&config.data_dir));
    let heard = Heard::default();
    Ok(Opened { config, metrics, chain, storage, exchange, hospital_keys, maintenance, heard, tls })
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
    spawn_blocking(load).await.context("cannot load the keys")?
}

impl Storage {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.data_dir).with_context(|| {
            format!("cannot create the data directory {}", config.data_dir.display())
        })?;
        // The journal first: its lock keeps a second worker out of the store.
        let journal = Journal::open(&config.journal_path()).await.with_context(|| {
            format!("cannot open the journal {}", config.journal_path().display())
        })?;
        let task_journal =
            TaskJournal::open(journal.clone()).await.context("cannot open the journal")?;
        let store = Store::open(config)?;
        let has_changed = journal.bind_storage(Store::id_of(config)).await;
        if has_changed.context("cannot open the journal")? {
            tracing::warn!(
                "the configuration names another storage than before: the worker counts a segment as stored only after \
                 it has read it there"
            );
        }
        let reserve = Reserve::new(&store, config.store.own_visits_reserve_bytes);
        Ok(Self { journal, task_journal, store, reserve })
    }
}

impl ChainAccess {
    async fn new(
        agent: Account,
        node: NodeHandle,
        task_journal: &TaskJournal,
    ) -> anyhow::Result<Self> {
        let genesis = task_journal.identity().await?.map(|identity| identity.genesis);
        let high_water = HighWater::new(task_journal.progress().await?.block, genesis);
        let view = Arc::new(NodeChain::new(node.clone(), high_water.clone(), agent.clone()));
        Ok(Self { agent, node, high_water, view })
    }
}

impl Exchange {
    fn new(
        transfer: &Transfer,
        agent: &Account,
        node: &NodeHandle,
        storage: &Storage,
        metrics: &Metrics,
    ) -> Self {
        let courier = Courier::new(agent.clone(), timings(transfer));
        let roster = Arc::new(ChainRoster::new(node.clone(), agent.id()));
        let holdings = Holdings::new(storage.store.clone());
        let fetcher = Arc::new(Fetcher::new(
            roster.clone(),
            courier.clone(),
            storage.journal.clone(),
            storage.store.clone(),
            holdings.clone(),
            metrics.clone(),
            bounds(transfer),
        ));
        let (journal, store) = (storage.journal.clone(), storage.store.clone());
        let repair = Arc::new(PeerRepair::new(Arc::clone(&fetcher), journal, store));
        let seeder = Arc::new(Seeder::new(roster, courier, metrics.clone(), terms(transfer)));
        Self { fetcher, repair, holdings, seeder }
    }
}

fn timings(transfer: &Transfer) -> Timings {
    Timings { connect: transfer.connect_timeout, stall: transfer.stall_timeout }
}

fn bounds(transfer: &Transfer) -> FetchBounds {
    FetchBounds {
        parallel: transfer.parallel,
        segment_limit: transfer.segment_timeout,
        flight_patience: transfer.stall_timeout,
        rules: Rules::default(),
    }
}

fn terms(transfer: &Transfer) -> SeedingTerms {
    SeedingTerms {
        from_bytes: transfer.offer_from_bytes,
        quiet: transfer.offer_wait,
        // Half of the time for which hospitals with the same configuration keep what was offered.
        longest: transfer.offer_lifetime / 2,
        ask_every: ASK_EVERY,
    }
}
