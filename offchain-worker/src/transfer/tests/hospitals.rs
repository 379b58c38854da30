//! Hospitals with real stores, journals and APIs on loopback. Only the chain is a fake.

use std::{collections::HashSet, path::Path, sync::Mutex};

use axum::{extract::Request, middleware, middleware::Next};
use epione_primitives::{BlockNumber, block::SignedAt};

use super::*;
use crate::{
    api::{
        AppState, Services, router,
        tests::{
            fake::{FakeChain, FakePeers, genesis},
            world::Actor,
        },
    },
    chain::{Answer, ChainView, FinalState, Identity, PastStates, QueryNews},
    config::{Discovery, Limits, Transfer},
    heard::Heard,
    hospital_keys::HospitalKeys,
    journal::Nonces,
    maintenance::{Maintenance, Switch},
    store::Reserve,
    tasks::offers::OfferFetcher,
};

/// The chain, as seen by one hospital's node.
struct Seat {
    chain: FakeChain,
    hospital: HospitalId,
}

impl PastStates for Seat {
    fn last_finalized(&self) -> Answer<'_, BlockNumber> {
        self.chain.last_finalized()
    }

    fn after(&self, block: SignedAt) -> Answer<'_, Option<Box<dyn FinalState>>> {
        self.chain.after(block)
    }
}

impl ChainView for Seat {
    fn identity(&self) -> Answer<'_, Identity> {
        let identity = Identity { genesis: genesis(), hospital: self.hospital };
        async move { Ok(identity) }.boxed()
    }

    fn head(&self) -> Answer<'_, BlockNumber> {
        self.chain.head()
    }

    fn finalized(&self) -> Answer<'_, Box<dyn FinalState>> {
        self.chain.finalized()
    }

    fn after_number(&self, number: BlockNumber) -> Answer<'_, Box<dyn FinalState>> {
        self.chain.after_number(number)
    }

    fn body(&self, hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        self.chain.body(hash)
    }

    fn record_bytes(&self, at: epione_primitives::RecordPointer) -> Answer<'_, Option<Vec<u8>>> {
        self.chain.record_bytes(at)
    }

    fn query_news(&self, block: BlockNumber) -> Answer<'_, Vec<QueryNews>> {
        self.chain.query_news(block)
    }
}

/// All hospitals, including the asking one. Tests fill the list when all are running.
#[derive(Clone, Default)]
pub struct Everybody(Arc<Mutex<Vec<Peer>>>);

impl Everybody {
    pub fn add(&self, peer: Peer) {
        self.0.lock().unwrap().push(peer);
    }
}

struct OthersOf {
    own: HospitalId,
    everybody: Everybody,
}

impl Roster for OthersOf {
    fn roll(&self, _: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>> {
        let mut peers = self.everybody.0.lock().unwrap().clone();
        peers.retain(|peer| peer.hospital != self.own);
        let roll = Roll { genesis: genesis(), own: Some(self.own), peers };
        async { Ok(roll) }.boxed()
    }
}

pub struct Hospital {
    pub id: HospitalId,
    pub store: Store,
    pub journal: Journal,
    pub metrics: Metrics,
    pub fetcher: Arc<Fetcher>,
    pub seeder: Seeder,
    router: Router,
}

/// The chain, the list of hospitals, and their common configuration.
pub struct Region {
    pub chain: FakeChain,
    pub everybody: Everybody,
    pub terms: SeedingTerms,
    pub transfer: Transfer,
    pub timings: Timings,
    /// If nothing arrives for this long, other hospitals' shares are dealt out. If a hospital needs longer for a
    /// segment, another one is asked for the rest.
    pub patience: Duration,
    /// How long a block waits for another block's download.
    pub flight_patience: Duration,
}

impl Default for Region {
    fn default() -> Self {
        Self {
            chain: FakeChain::default(),
            everybody: Everybody::default(),
            terms: SeedingTerms {
                from_bytes: 1,
                quiet: NEVER,
                longest: NEVER * 2,
                ask_every: Duration::from_millis(50),
            },
            transfer: Transfer::default(),
            timings: Timings { connect: NEVER, stall: NEVER },
            patience: NEVER,
            flight_patience: NEVER,
        }
    }
}

impl Region {
    /// A hospital that is listed and answers.
    pub async fn hospital(&self, id: u16) -> Hospital {
        let hospital = self.build(id).await;
        let endpoint = listen(hospital.router.clone()).await;
        self.admit(hospital, endpoint)
    }

    /// The same, but requests pass through a layer first.
    pub async fn hospital_behind(&self, id: u16, gate: Gate) -> Hospital {
        let hospital = self.build(id).await;
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let gate = gate.clone();
            async move { gate.pass(request, next).await }
        });
        let endpoint = listen(hospital.router.clone().layer(guard)).await;
        self.admit(hospital, endpoint)
    }

    /// A hospital that is listed and cannot be reached.
    pub async fn dead(&self, id: u16) {
        self.everybody
            .add(Peer { hospital: HospitalId(id), endpoint: plain("http://127.0.0.1:1") });
    }

    /// A hospital that is listed, and responds in this manner for this content.
    pub(super) async fn fake(&self, id: u16, manner: Manner, content: &[Vec<u8>]) -> Served {
        let served = Served {
            hospital: HospitalId(id),
            genesis: genesis(),
            manner,
            content: Arc::new(content.to_vec()),
            asked: Arc::default(),
            ranges: Arc::default(),
        };
        let endpoint = serve(served.clone()).await;
        self.everybody.add(Peer { hospital: served.hospital, endpoint });
        served
    }

    fn admit(&self, hospital: Hospital, endpoint: Endpoint) -> Hospital {
        self.everybody.add(Peer { hospital: hospital.id, endpoint });
        hospital
    }

    async fn build(&self, id: u16) -> Hospital {
        let hospital = HospitalId(id);
        let agent = Actor::new(&format!("Hospital{id}//agent"));
        self.chain.add_hospital(hospital, &agent.keys, &Actor::new(&format!("Hospital{id}")).keys);
        let store = Store::in_memory();
        let (journal, metrics) = (Journal::in_memory().await.unwrap(), Metrics::new().unwrap());
        let roster = Arc::new(OthersOf { own: hospital, everybody: self.everybody.clone() });
        let courier = Courier::new(agent.account(), self.timings);
        let holdings = Holdings::new(store.clone());
        let view = Arc::new(Seat { chain: self.chain.clone(), hospital });
        let peers = FakePeers {
            store: store.clone(),
            copies: Default::default(),
            asked: Default::default(),
        };
        let state = AppState::new(Services {
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            view: view.clone(),
            calls: Arc::new(self.chain.clone()),
            store: store.clone(),
            reserve: Reserve::new(&store, 0),
            journal: journal.clone(),
            nonces: Nonces::in_memory().await.unwrap(),
            hospital_keys: Arc::new(HospitalKeys::new(agent.keys.clone(), Vec::new(), view)),
            repair: Arc::new(peers),
            metrics: metrics.clone(),
            limits: Limits::default(),
            discovery: Discovery::default(),
            renewal_delay: Duration::ZERO,
            holdings: holdings.clone(),
            transfer: self.transfer.clone(),
            // There is no switch in a folder that does not exist.
            maintenance: Maintenance::new(Switch::of(Path::new("/nowhere"))),
            heard: Heard::default(),
        });
        let fetcher = Fetcher::new(
            roster.clone(),
            courier.clone(),
            journal.clone(),
            store.clone(),
            holdings,
            metrics.clone(),
            FetchBounds { flight_patience: self.flight_patience, ..bounds(4, self.patience) },
        );
        Hospital {
            id: hospital,
            store,
            journal,
            metrics: metrics.clone(),
            fetcher: Arc::new(fetcher),
            seeder: Seeder::new(roster, courier, metrics, self.terms),
            router: router(state),
        }
    }
}

impl Hospital {
    pub async fn hold(&self, content: &[Vec<u8>]) {
        for bytes in content {
            let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes.clone()))]);
            self.store.put(&segment(bytes), source).await.unwrap();
        }
    }

    pub async fn holds(&self, content: &[Vec<u8>]) -> bool {
        self.fetcher.missing(&segments(content), None).await.unwrap().is_empty()
    }

    /// Bytes of segments that this hospital has served.
    pub fn sent(&self) -> u64 {
        self.metrics.segment_bytes_served.get()
    }

    pub fn dropped(&self, reason: &str) -> u64 {
        self.metrics.peers_dropped.with_label_values(&[reason]).get()
    }

    /// Fetches offers of other hospitals until the result is dropped.
    pub fn take_in(&self) -> tokio::task::JoinSet<()> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(crate::tasks::offers::run(Arc::new(OfferFetcher {
            journal: self.journal.clone(),
            fetcher: Arc::clone(&self.fetcher),
            metrics: self.metrics.clone(),
            reserve: Reserve::new(&self.store, 0),
            lifetime: Transfer::default().offer_lifetime,
        })));
        tasks
    }
}

/// Passes each of a number of segments once, and nothing after the last. Or answers no request for a segment.
#[derive(Clone)]
pub struct Gate {
    given: Arc<Mutex<HashSet<String>>>,
    count: usize,
    silent: bool,
}

impl Gate {
    pub fn once_each(count: usize) -> Self {
        Self { given: Arc::default(), count, silent: false }
    }

    pub fn silent() -> Self {
        Self { given: Arc::default(), count: usize::MAX, silent: true }
    }

    /// How many segments were requested and passed, or requested from a silent hospital.
    pub fn reached(&self) -> usize {
        self.given.lock().unwrap().len()
    }

    pub fn is_dead(&self) -> bool {
        self.reached() == self.count
    }

    async fn pass(&self, request: Request, next: Next) -> Response {
        let path = request.uri().path().to_owned();
        if self.is_dead() || self.given.lock().unwrap().contains(&path) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        let segment = path.starts_with("/v1/segments/") && !path.ends_with("/held");
        if segment && self.silent {
            self.given.lock().unwrap().insert(path);
            return std::future::pending().await;
        }
        let response = next.run(request).await;
        if segment && response.status().is_success() {
            self.given.lock().unwrap().insert(path);
        }
        response
    }
}
