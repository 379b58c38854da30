//! A running worker, a hospital's users, and requests that they or others send.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum_server::Handle;
use bytes::Bytes;
use codec::Encode;
use epione_client::{
    api::{GrantRequest, Problem, VisitRequest, VisitStatus},
    endpoint::Endpoint,
    request::{self, Target},
    signer::Account,
    visit::{Visit, VisitBuilder},
    worker::WorkerClient,
};
use epione_envelope::{
    account::Signer,
    development,
    keys::PatientKeys,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient},
    record::SectionKind,
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{
    Hash, Moment, RecordId, RecordPointer, UserId,
    access::{Action, Purpose, SectionClass},
    limits::SEGMENT_BYTES,
    profile::{Profile, Role},
    release::{Release, ReleasedRecord, Request, Right, SectionSet},
};
use http::{HeaderMap, Method};
use object_store::{ObjectStore, memory::InMemory};
use tempfile::TempDir;
use url::Url;

use super::fake::{ELSEWHERE, FakeChain, FakePeers, HOSPITAL, genesis};
use crate::{
    api::{AppState, Services, operators_router, router, serve::listen},
    config::{Discovery, Limits, Transfer},
    heard::Heard,
    hospital_keys::HospitalKeys,
    journal::{Journal, Nonces, visits},
    maintenance::{Maintenance, Switch},
    metrics::Metrics,
    store::{Reserve, Store},
    transfer::Holdings,
};

/// A person with keys, and the id that follows from them.
#[derive(Clone)]
pub struct Actor {
    pub keys: ActorKeys,
    pub user: UserId,
}

impl Actor {
    pub fn new(name: &str) -> Self {
        let keys = development::keys(&format!("//{name}")).unwrap();
        let user = UserId::of(&keys.account(), keys.sealing.public().hash());
        Self { keys, user }
    }

    pub fn account(&self) -> Account {
        Account::from(&self.keys)
    }

    /// A request with this actor's signature.
    pub fn signs(&self, request: &Request) -> GrantRequest {
        GrantRequest::signed(request, &self.keys.sign(&request.signed_bytes(genesis())))
    }
}

/// The free bytes of the disk, and those that offers must leave free.
const FREE_BYTES: u64 = 1 << 40;
const RESERVED_BYTES: u64 = FREE_BYTES - 1_000 * SEGMENT_BYTES as u64;

/// How long new keys wait. The keys of the world's users are older.
pub const RENEWAL_DELAY: Duration = Duration::from_secs(86_400);

pub struct World {
    pub chain: FakeChain,
    pub store: Store,
    /// The store's objects, if it is in memory.
    pub objects: Arc<InMemory>,
    pub journal: Journal,
    pub metrics: Metrics,
    pub peers: Arc<FakePeers>,
    pub limits: Limits,
    pub base: Url,
    /// Where operators reach the worker.
    operators: Url,
    pub agent: Actor,
    pub governance: Actor,
    /// Related to the patient.
    pub doctor: Actor,
    /// Not related to anybody.
    pub stranger: Actor,
    pub patient: Actor,
    /// The agent of another hospital.
    pub other_agent: Actor,
    pub folder: TempDir,
    pub state: AppState,
    handle: Handle<std::net::SocketAddr>,
}

/// The parts of a worker.
struct Parts {
    chain: FakeChain,
    store: Store,
    journal: Journal,
    metrics: Metrics,
    peers: Arc<FakePeers>,
    agent: Actor,
    /// The hospital's earlier sealing keys.
    earlier: Vec<SealingKeyPair>,
    limits: Limits,
    maintenance: Maintenance,
}

impl Parts {
    async fn worker(&self, base: &Url) -> AppState {
        let view = Arc::new(self.chain.clone());
        AppState::new(Services {
            public_url: base.clone(),
            view: view.clone(),
            calls: view.clone(),
            store: self.store.clone(),
            reserve: Reserve::of(|| Some(FREE_BYTES), RESERVED_BYTES),
            journal: self.journal.clone(),
            nonces: Nonces::in_memory().await.unwrap(),
            hospital_keys: Arc::new(HospitalKeys::new(
                self.agent.keys.clone(),
                self.earlier.clone(),
                view,
            )),
            repair: self.peers.clone(),
            metrics: self.metrics.clone(),
            limits: self.limits.clone(),
            discovery: Discovery::default(),
            renewal_delay: RENEWAL_DELAY,
            holdings: Holdings::new(self.store.clone()),
            transfer: Transfer::default(),
            maintenance: self.maintenance.clone(),
            heard: Heard::default(),
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

impl World {
    pub async fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        Self::with(objects.clone(), objects, Limits::default()).await
    }

    /// A worker over a storage whose objects are in `objects`.
    pub async fn with(
        backend: Arc<dyn ObjectStore>,
        objects: Arc<InMemory>,
        limits: Limits,
    ) -> Self {
        Self::over(Store::over(backend), objects, limits).await
    }

    /// A worker over any store. Its objects are in `objects` only if the store is in memory.
    pub async fn over(store: Store, objects: Arc<InMemory>, limits: Limits) -> Self {
        let chain = FakeChain::default();
        let (agent, governance) = (Actor::new("Alice//agent"), Actor::new("Alice"));
        let (other_agent, other) = (Actor::new("Bob//agent"), Actor::new("Bob"));
        chain.add_hospital(HOSPITAL, &agent.keys, &governance.keys);
        chain.add_hospital(ELSEWHERE, &other_agent.keys, &other.keys);
        let journal = Journal::in_memory().await.unwrap();
        let metrics = Metrics::new().unwrap();
        let peers = Arc::new(FakePeers {
            store: store.clone(),
            copies: HashMap::new().into(),
            asked: Default::default(),
        });
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let earlier = Vec::new();
        let folder = tempfile::tempdir().unwrap();
        let maintenance = Maintenance::new(Switch::of(folder.path()));
        let parts =
            Parts { chain, store, journal, metrics, peers, agent, earlier, limits, maintenance };
        let state = parts.worker(&base).await;
        let handle = Handle::new();
        let server = axum_server::from_tcp(listener).unwrap().handle(handle.clone());
        tokio::spawn(server.serve(router(state.clone()).into_make_service()));
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let operators = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = axum_server::from_tcp(listener).unwrap().handle(handle.clone());
        tokio::spawn(server.serve(operators_router(state.clone()).into_make_service()));
        let Parts { chain, store, journal, metrics, peers, agent, limits, .. } = parts;
        let world = Self {
            chain,
            store,
            objects,
            journal,
            metrics,
            peers,
            limits,
            base,
            operators,
            agent,
            governance,
            doctor: Actor::new("Doctor"),
            stranger: Actor::new("Stranger"),
            patient: Actor::new("Patient"),
            other_agent,
            folder,
            state,
            handle,
        };
        world.register(&world.doctor, Role::Doctor);
        world.register(&world.stranger, Role::Doctor);
        world.register(&world.patient, Role::Patient);
        world.chain.facts().related.insert((world.doctor.user, world.patient.user));
        world
    }

    pub fn register(&self, actor: &Actor, role: Role) {
        let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: actor.user };
        let account = actor.keys.account();
        let user = Recipient { account: &account, key: actor.keys.sealing.public() };
        let (hospital, agent) = (self.agent.keys.sealing.public(), &self.agent.keys);
        let body = if role == Role::Patient {
            let keys = PatientKeys::generate();
            ProfileBody::for_patient(&context, "A person", &keys, user, hospital, agent)
        } else {
            ProfileBody::for_professional(&context, "A person", user, hospital, agent)
        };
        let sealing_key_hash = actor.keys.sealing.public().hash();
        let profile = Profile { role, account, sealing_key_hash, version: 1, since: 0 };
        self.chain.register(HOSPITAL, actor.user, profile, body.unwrap().encode());
    }

    /// Switches maintenance mode on or off, and lets the worker look.
    pub async fn set_maintenance(&self, on: bool) {
        let switch = Switch::of(self.folder.path());
        if on {
            switch.on(crate::now()).unwrap();
        } else {
            switch.off().unwrap();
        }
        self.state.maintenance.forget().await;
    }

    /// What operators get.
    pub async fn for_operators(&self, path: &str) -> Reply {
        let response = reqwest::get(self.operators.join(path).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.bytes().await.unwrap() }
    }

    pub fn client(&self, actor: &Actor) -> WorkerClient {
        self.client_at(&self.base, actor)
    }

    pub fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn builder(&self) -> VisitBuilder {
        VisitBuilder::new(genesis(), self.patient.user, HOSPITAL, self.doctor.user)
    }

    /// A text and a file with this many bytes.
    pub async fn visit(&self, bytes: usize) -> Visit {
        let content = noise(bytes);
        self.builder()
            .text(SectionKind::Summary, "The patient coughs.")
            .file(SectionKind::Media, self.file("scan.bin", &content))
            .text(SectionKind::Report, "{\"resourceType\":\"Observation\"}")
            .build(&self.doctor.account(), self.chain.newest())
            .await
            .unwrap()
    }

    /// Sends a visit that must be accepted.
    pub async fn submit(&self, visit: &Visit) -> epione_client::api::VisitStatus {
        self.client(&self.doctor).submit_visit(visit, |_| {}).await.unwrap()
    }

    /// Another worker over the same storage and journal, like this one after a restart.
    pub async fn next_worker(&self) -> Url {
        self.next_worker_with(self.agent.clone(), Vec::new()).await
    }

    /// The same, after the hospital's sealing key was rotated on the chain and in the keystore.
    pub async fn worker_with_rotated_key(&self) -> (Url, Actor) {
        let keys = self.agent.keys.with_new_sealing_key(SealingSuite::X25519);
        let sealing_key = keys.sealing.public().as_bytes().to_vec().try_into().unwrap();
        self.chain.facts().hospitals.get_mut(&HOSPITAL).unwrap().sealing_key = sealing_key;
        let agent = Actor { keys, ..self.agent.clone() };
        let earlier = vec![self.agent.keys.sealing.clone()];
        (self.next_worker_with(agent.clone(), earlier).await, agent)
    }

    async fn next_worker_with(&self, agent: Actor, earlier: Vec<SealingKeyPair>) -> Url {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let parts = Parts {
            chain: self.chain.clone(),
            store: self.store.clone(),
            journal: self.journal.clone(),
            metrics: self.metrics.clone(),
            peers: self.peers.clone(),
            agent,
            earlier,
            limits: self.limits.clone(),
            maintenance: Maintenance::new(Switch::of(self.folder.path())),
        };
        let router = router(parts.worker(&base).await);
        let server = axum_server::from_tcp(listener).unwrap();
        tokio::spawn(server.serve(router.into_make_service()));
        base
    }

    pub fn client_at(&self, base: &Url, actor: &Actor) -> WorkerClient {
        let endpoint = Endpoint::new(base.clone(), [0; 32]).unwrap();
        WorkerClient::new(&endpoint, HOSPITAL, genesis(), actor.account()).unwrap()
    }

    /// What an actor requests of the patient's records, with all their sections: at most 64 records, ascending.
    pub fn request_of(&self, by: &Actor, records: &[RecordPointer]) -> Request {
        let sections = SectionSet::ALL;
        let records = records.iter().map(|pointer| ReleasedRecord { pointer: *pointer, sections });
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        Request {
            requester: by.user,
            patient: self.patient.user,
            hospital: HOSPITAL,
            records: records.collect::<Vec<_>>().try_into().unwrap(),
            purpose: Purpose::Treatment,
            emergency: None,
            at: crate::now(),
            nonce,
        }
    }

    /// A grant to the doctor that the chain has recorded.
    pub fn recorded_grant(&self) -> Hash {
        let right = Right { action: Action::ReadMedia, class: SectionClass::Private };
        let request = self.request_of(&self.doctor, &[]);
        let release = Release {
            signature: self.doctor.keys.sign(&request.signed_bytes(genesis())),
            request,
            records: Default::default(),
            rights: vec![right].try_into().unwrap(),
            grant: Hash::repeat_byte(0x9a),
        };
        let grant = release.grant;
        self.chain.facts().receipts.insert(grant, release);
        grant
    }

    /// Names of all stored objects.
    pub async fn object_names(&self) -> Vec<String> {
        use futures::TryStreamExt;
        let listed: Vec<_> = self.objects.list(None).try_collect().await.unwrap();
        listed.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    /// Checks that a rejected upload left neither segments nor a visit.
    pub async fn assert_untouched(&self) {
        assert_eq!(self.object_names().await, Vec::<String>::new());
        let counts = self.journal.read(visits::counts).await.unwrap();
        assert_eq!(counts, visits::StageCounts::default());
        assert!(self.journal.all_referenced(None, 10).await.unwrap().is_empty());
    }
}

/// Bytes that do not compress.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    content
}

/// A request that a test can change before it is sent.
#[derive(Clone)]
pub struct Raw {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub time: Moment,
    pub nonce: [u8; 16],
    /// The digest that is signed. Absent: the body's.
    pub digest: Option<[u8; 32]>,
}

impl Raw {
    pub fn new(method: Method, target: &str, body: impl Into<Bytes>) -> Self {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        Self {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: body.into(),
            time: crate::now(),
            nonce,
            digest: None,
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target, Bytes::new())
    }

    pub fn post_json(target: &str, json: &impl serde::Serialize) -> Self {
        let mut raw = Self::new(Method::POST, target, serde_json::to_vec(json).unwrap());
        raw.headers.insert("content-type", "application/json".parse().unwrap());
        raw
    }

    pub fn visit(visit: &VisitRequest) -> Self {
        Self::post_json("/v1/visits", visit)
    }

    /// A part of a visit's media.
    pub fn part(record: RecordId, section: u16, offset: u64, content: impl Into<Bytes>) -> Self {
        let target = format!("/v1/visits/{record}/media/{section}?offset={offset}");
        Self::new(Method::PUT, &target, content)
    }

    /// The headers, including those that sign the request for this hospital's worker.
    pub fn signed(&self, by: &Actor) -> HeaderMap {
        let target = Target {
            genesis: genesis(),
            hospital: HOSPITAL,
            method: &self.method,
            path_and_query: &self.target,
        };
        let digest = self.digest.unwrap_or_else(|| blake3::hash(&self.body).into());
        let account = by.keys.account();
        let mut headers = self.headers.clone();
        headers.extend(request::sign(
            &target,
            &account,
            digest,
            self.time,
            self.nonce,
            |message| by.keys.sign(message),
        ));
        headers
    }

    pub async fn send(&self, to: &World, by: &Actor) -> Reply {
        self.send_with(to, self.signed(by)).await
    }

    pub async fn send_with(&self, to: &World, headers: HeaderMap) -> Reply {
        let url = to.base.join(&self.target).unwrap();
        let request = reqwest::Client::new().request(self.method.clone(), url);
        let response = request.headers(headers).body(self.body.clone()).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.bytes().await.unwrap() }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The visit's status, if the response contains one.
    pub fn progress(&self) -> VisitStatus {
        assert!(matches!(self.status, 200 | 202), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The HTTP status, and the problem's kind without its prefix.
    pub fn refusal(&self) -> (u16, String) {
        let problem = self.problem();
        assert_eq!(problem.status, self.status);
        (self.status, problem.kind.rsplit(':').next().unwrap().to_owned())
    }
}
