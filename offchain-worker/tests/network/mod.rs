//! Hospitals on this machine for the tests: real nodes and workers, as processes that die with the
//! value that holds them.

#![allow(dead_code, clippy::unwrap_used)]

pub mod forger;
pub mod people;
mod port;
pub mod process;

use port::Port;
use process::Process;

use std::{
    collections::BTreeMap,
    env,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use epione_client::{
    Endpoint,
    chain::{Chain, calls::hospitals},
    signer::Account,
    worker::WorkerClient,
};
use epione_envelope::{body, development};
use epione_primitives::{
    AnnouncementId, BlockNumber, HospitalId, RecordId, RecordPointer,
    block::{AnnouncedEntry, Segment, Stage},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

pub const SEEDS: [&str; 4] = ["Alice", "Bob", "Charlie", "Dave"];
/// Ends only what hangs. Longer than a ballot that nobody answers (ten minutes), since its visits are announced
/// again afterwards.
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(100);

/// One network at a time: they share the machine's few cores.
static ALONE: Mutex<()> = Mutex::const_new(());

pub struct Network {
    pub hospitals: Vec<Hospital>,
    pub folder: TempDir,
    /// Kept until every process has ended.
    _ports: Vec<Port>,
    _alone: MutexGuard<'static, ()>,
}

pub struct Hospital {
    pub id: HospitalId,
    seed: &'static str,
    pub node: Process,
    pub worker: Process,
    /// That the chain names for the worker, from the beginning.
    pub tls_key: [u8; 32],
    node_url: String,
    pub worker_port: u16,
    home: PathBuf,
}

/// What differs from a worker's default configuration, as TOML.
#[derive(Clone, Copy)]
pub struct Tuning {
    pub pack_age_ms: u64,
    pub pack_records: u32,
    pub reject_margin_blocks: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { pack_age_ms: 200, pack_records: 200, reject_margin_blocks: 20 }
    }
}

impl Network {
    /// Nodes that finalise blocks, and workers that are not started yet.
    pub async fn of_nodes(hospitals: usize, tuning: Tuning) -> Self {
        let alone = ALONE.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let reserved: Vec<_> = (0..3 * hospitals).map(|_| Port::reserve()).collect();
        let ports: Vec<_> = reserved.iter().map(Port::number).collect();
        let chain = chain_spec(folder.path(), &ports, hospitals);
        let mut network = Self { hospitals: Vec::new(), folder, _ports: reserved, _alone: alone };
        for index in 0..hospitals {
            let ports = &ports[3 * index..3 * index + 3];
            network.add(index, hospitals, ports, &chain, tuning).await;
        }
        for hospital in &network.hospitals {
            hospital.finalises(1).await;
        }
        network
    }

    /// Nodes and workers, ready.
    pub async fn start(hospitals: usize, tuning: Tuning) -> Self {
        let mut network = Self::of_nodes(hospitals, tuning).await;
        for hospital in &mut network.hospitals {
            hospital.worker.start();
        }
        for hospital in &network.hospitals {
            hospital.worker_is_ready().await;
        }
        network
    }

    async fn add(&mut self, index: usize, of: usize, ports: &[u16], chain: &Path, tuning: Tuning) {
        let seed = SEEDS[index];
        let home = self.folder.path().join(seed);
        fs::create_dir_all(&home).unwrap();
        let [peers, rpc, worker_port] = *ports else { panic!("three ports each") };
        let mut arguments = vec![
            format!("--{}", seed.to_lowercase()),
            "--validator".into(),
            format!("--chain={}", chain.display()),
            format!("--base-path={}", home.join("node").display()),
            format!("--node-key={:064x}", index + 1),
            format!("--listen-addr=/ip4/127.0.0.1/tcp/{peers}"),
            format!("--rpc-port={rpc}"),
            "--allow-private-ip".into(),
            "--no-mdns".into(),
            "--no-telemetry".into(),
            "--no-prometheus".into(),
        ];
        match self.hospitals.first() {
            Some(first) => arguments.push(format!("--bootnodes={}", first.address().await)),
            None if of == 1 => arguments.push("--force-authoring".into()),
            None => {}
        }
        let mut node = Process::new("epione-node", arguments, &home.join("node.log"));
        node.start();
        let config = home.join("worker.toml");
        let node_url = format!("ws://127.0.0.1:{rpc}");
        fs::write(&config, worker_config(&node_url, worker_port, &home, seed, tuning)).unwrap();
        let worker = Process::new(
            "epione-worker",
            vec!["run".into(), format!("--config={}", config.display())],
            &home.join("worker.log"),
        );
        let id = HospitalId(index as u16);
        let tls_key = development::tls_key(&format!("//{seed}")).unwrap().public();
        let hospital = Hospital { id, seed, node, worker, tls_key, node_url, worker_port, home };
        self.hospitals.push(hospital);
    }

    /// How often each record is on the chain of lite blocks, and where.
    pub async fn committed(&self) -> BTreeMap<RecordId, Vec<RecordPointer>> {
        let chain = self.hospitals[0].chain().await;
        let state = chain.finalized().await.unwrap();
        let mut found: BTreeMap<RecordId, Vec<RecordPointer>> = BTreeMap::new();
        for height in 1..=state.height().await.unwrap() {
            let (header, _) = state.header(height).await.unwrap().unwrap();
            let bytes = chain.body(header.body_hash).await.unwrap().unwrap();
            for (index, entry) in (0..).zip(state.entries(height).await.unwrap()) {
                let record = body::record_at(entry.text, &bytes).unwrap();
                found.entry(record.id()).or_default().push(RecordPointer { height, index });
            }
        }
        found
    }

    /// Every segment of every committed block.
    pub async fn segments(&self) -> Vec<Segment> {
        let chain = self.hospitals[0].chain().await;
        let state = chain.finalized().await.unwrap();
        let mut all = Vec::new();
        for height in 1..=state.height().await.unwrap() {
            let (header, _) = state.header(height).await.unwrap().unwrap();
            let bytes = chain.body(header.body_hash).await.unwrap().unwrap();
            let entries: Vec<AnnouncedEntry> = state
                .entries(height)
                .await
                .unwrap()
                .into_iter()
                .map(|entry| AnnouncedEntry {
                    patient: entry.patient,
                    text: entry.text,
                    media: entry.media,
                })
                .collect();
            let announced = epione_primitives::block::AnnouncedHeader {
                announcer: header.announcer,
                segments: header.segments,
            };
            all.extend(body::check(&announced, &entries, &bytes).unwrap().segments);
        }
        all
    }
}

impl Hospital {
    /// By the hospital's own node.
    pub async fn chain(&self) -> Chain {
        eventually("the node answers", async || Chain::connect(&self.node_url).await.ok()).await
    }

    /// Where the worker is, and the key that it is known by.
    pub fn endpoint(&self) -> Endpoint {
        let url = format!("https://127.0.0.1:{}", self.worker_port).parse().unwrap();
        Endpoint::new(url, self.tls_key).unwrap()
    }

    /// What `epione-worker tls-key` prints.
    pub fn printed_tls_key(&self, generation: u16) -> [u8; 32] {
        let output = Command::new(program("epione-worker"))
            .args(["tls-key", "--config"])
            .arg(self.home.join("worker.toml"))
            .args(["--generation", &generation.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut key = [0; 32];
        hex::decode_to_slice(String::from_utf8(output.stdout).unwrap().trim(), &mut key).unwrap();
        key
    }

    /// Has the chain name a TLS key for this hospital.
    pub async fn name_tls_key(&self, key: &[u8; 32]) {
        let call = hospitals::set_endpoint(self.endpoint().url().as_str(), key);
        self.chain().await.submit(&call, &self.governance()).await.unwrap();
    }

    pub fn agent(&self) -> Account {
        Account::development(&format!("//{}//agent", self.seed)).unwrap()
    }

    pub fn governance(&self) -> Account {
        Account::development(&format!("//{}", self.seed)).unwrap()
    }

    pub async fn client(&self, account: Account) -> WorkerClient {
        let chain = self.chain().await;
        WorkerClient::for_hospital(&chain, self.id, account).await.unwrap()
    }

    pub async fn worker_is_ready(&self) {
        self.answers("readyz", 200).await;
    }

    /// Waits until a route that needs no signature answers with this status.
    pub async fn answers(&self, route: &str, status: u16) {
        settles(&format!("{}'s worker answers {status} to {route}", self.seed), async || {
            let answer = self.get(route).await;
            if answer.as_ref().is_some_and(|(told, _)| *told == status) {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    }

    /// Status and text of a route that needs no signature; none while the worker does not answer.
    async fn get(&self, route: &str) -> Option<(u16, String)> {
        let endpoint = self.endpoint();
        let http = endpoint.http().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let answer = http.get(format!("{}{route}", endpoint.url())).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// The value of a metric, by its whole name with labels; 0 if it is not there yet.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) =
            eventually("the worker tells its metrics", async || self.get("metrics").await).await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a metric is as wanted.
    pub async fn metric_becomes(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        settles(&format!("{}'s {name} is as wanted", self.seed), async || {
            let value = self.metric(name).await;
            if wanted(value) { Ok(()) } else { Err(value) }
        })
        .await;
    }

    pub fn stored(&self, segment: &Segment) -> PathBuf {
        self.home.join("store/segments").join(hex::encode(segment.hash))
    }

    /// Whether the store has exactly the segment's bytes.
    pub fn holds(&self, segment: &Segment) -> bool {
        fs::read(self.stored(segment)).is_ok_and(|bytes| {
            bytes.len() == segment.length as usize
                && *blake3::hash(&bytes).as_bytes() == segment.hash
        })
    }

    pub async fn comes_to_hold(&self, segments: &[Segment]) {
        // What was looked at is not hashed again.
        let mut lacking = segments.to_vec();
        settles(&format!("{} holds every segment", self.seed), async || {
            lacking.retain(|segment| !self.holds(segment));
            let names: Vec<_> = lacking.iter().map(|segment| hex::encode(segment.hash)).collect();
            if names.is_empty() { Ok(()) } else { Err(names) }
        })
        .await;
    }

    /// Waits until a chain block is final, by the hospital's own node.
    pub async fn finalises(&self, block: BlockNumber) {
        let chain = self.chain().await;
        settles(&format!("block {block} is final at {}", self.seed), async || {
            let head = chain.finalized_head().await.map_err(|error| error.to_string())?.number;
            if head >= block { Ok(()) } else { Err(format!("block {head} is")) }
        })
        .await;
    }

    /// Waits until a ballot has ended, by the hospital's own node; returns how.
    pub async fn ballot_ends(&self, id: AnnouncementId) -> Stage {
        let chain = self.chain().await;
        settles(&format!("announcement {} is decided", id.0), async || {
            let state = chain.finalized().await.map_err(|error| error.to_string())?;
            let found = state.announcement(id).await.map_err(|error| error.to_string())?;
            match found {
                Some((announcement, _)) if announcement.stage != Stage::Announced => {
                    Ok(announcement.stage)
                }
                _ => Err(format!("{found:?}, {:?}", state.ballot(id).await)),
            }
        })
        .await
    }

    /// Changes the worker's configuration, for its next start.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.home.join("worker.toml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(path, config.replace(from, to)).unwrap();
    }

    /// Where the hospital keeps its files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Deletes what the worker keeps, but for its configuration.
    pub fn lose_everything(&self) {
        for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
            fs::remove_file(self.home.join(name)).ok();
        }
        fs::remove_dir_all(self.home.join("store")).unwrap();
    }

    /// Where other nodes reach this one.
    async fn address(&self) -> String {
        let url = self.node_url.replace("ws://", "http://");
        let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "system_localListenAddresses", "params": [] });
        eventually("the node has an address", async || {
            let answer: Value =
                http().post(&url).json(&ask).send().await.ok()?.json().await.ok()?;
            let addresses = answer["result"].as_array()?;
            addresses.iter().filter_map(Value::as_str).find(|a| a.contains("/p2p/")).map(Into::into)
        })
        .await
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap()
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    settles(what, async || ask().await.ok_or("no")).await
}

/// Looks until it is as wanted; says what was seen instead if it never is.
pub async fn settles<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(wanted) => return wanted,
            Err(seen) => assert!(
                begun.elapsed() < PATIENCE,
                "waited {} s in vain until {what}; seen last: {seen:?}",
                begun.elapsed().as_secs()
            ),
        }
        sleep(POLL).await;
    }
}

/// Beside the worker that was built with this test, or in EPIONE_BIN_DIR.
pub fn program(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_epione-worker"));
    let folder =
        env::var_os("EPIONE_BIN_DIR").map_or(built.parent().unwrap().into(), PathBuf::from);
    let program = folder.join(name);
    assert!(program.is_file(), "{} is not built", program.display());
    program
}

/// The node's own preset of four hospitals, cut to `hospitals`, with the workers' real addresses.
fn chain_spec(folder: &Path, ports: &[u16], hospitals: usize) -> PathBuf {
    let output = Command::new(program("epione-node"))
        .args(["export-chain-spec", "--chain=local"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut spec: Value = serde_json::from_slice(&output.stdout).unwrap();
    let patch = &mut spec["genesis"]["runtimeGenesis"]["patch"];
    let founders = patch["hospitals"]["founders"].as_array_mut().unwrap();
    founders.truncate(hospitals);
    for (founder, ports) in founders.iter_mut().zip(ports.chunks(3)) {
        founder["workerUrl"] = json!(format!("https://127.0.0.1:{}", ports[2]));
    }
    patch["session"]["keys"].as_array_mut().unwrap().truncate(hospitals);
    let path = folder.join("chain.json");
    fs::write(&path, spec.to_string()).unwrap();
    path
}

fn worker_config(
    node_url: &str,
    worker_port: u16,
    home: &Path,
    seed: &str,
    tuning: Tuning,
) -> String {
    let Tuning { pack_age_ms, pack_records, reject_margin_blocks } = tuning;
    format!(
        "node_url = {node_url:?}\n\
         listen = \"127.0.0.1:{worker_port}\"\n\
         public_url = \"https://127.0.0.1:{worker_port}\"\n\
         data_dir = {home:?}\n\
         [keystore]\ndevelopment = \"//{seed}\"\n\
         [store]\ngarbage_grace = \"0s\"\n\
         [pack]\nmax_age = \"{pack_age_ms}ms\"\nmax_records = {pack_records}\n\
         [transfer]\nreject_margin_blocks = {reject_margin_blocks}\nstall_timeout = \"2s\"\n\
         [scrub]\nsegments_per_minute = 600\n"
    )
}
