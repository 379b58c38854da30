//! Hospitals on this machine for the tests: real nodes and workers, as processes that a test starts and kills one by
//! one. They are killed when the test ends.

#![allow(dead_code, clippy::unwrap_used)]

pub mod attacker;
pub mod council;
pub mod forger;
pub mod link;
pub mod people;
pub mod process;

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
use epione_devnet::{Binaries, HospitalState, Layout, Options, Plan};
use epione_envelope::{body, development};
use epione_primitives::{
    AnnouncementId, BlockNumber, Hash, HospitalId, RecordId, RecordPointer,
    block::{AnnouncedEntry, Segment, Stage},
};
use process::Process;
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::sleep,
};

/// Ends only what hangs. Longer than a ballot without votes (ten minutes), since its visits are announced again
/// afterwards.
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(100);

/// How many hospitals the networks of one test program have together. They wait for blocks most of the time, and four
/// networks of one hospital need no more of a small machine than one network of four.
const HOSPITALS: usize = 4;
static FREE: Semaphore = Semaphore::const_new(HOSPITALS);

pub struct Network {
    pub hospitals: Vec<Hospital>,
    pub folder: TempDir,
    /// Reserves the ports until every process has ended.
    plan: Plan,
    /// Kept until every process has ended.
    _turn: SemaphorePermit<'static>,
}

pub struct Hospital {
    pub id: HospitalId,
    pub node: Process,
    pub worker: Process,
    /// The worker's TLS key that the chain names at first.
    pub tls_key: [u8; 32],
    state: HospitalState,
    home: PathBuf,
    data: PathBuf,
}

/// Settings of the workers that tests choose.
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

impl Tuning {
    /// What differs from a worker's default configuration.
    fn settings(self) -> toml::Table {
        let Self { pack_age_ms, pack_records, reject_margin_blocks } = self;
        let text = format!(
            "[store]\ngarbage_grace = \"0s\"\n\
             [pack]\nmax_age = \"{pack_age_ms}ms\"\nmax_records = {pack_records}\n\
             [transfer]\nreject_margin_blocks = {reject_margin_blocks}\nstall_timeout = \"2s\"\n\
             [scrub]\nsegments_per_minute = 600\n\
             [discovery]\nfloor = 5\n"
        );
        toml::from_str(&text).unwrap()
    }
}

impl Network {
    /// Nodes that finalize blocks, and workers that are not started yet. Begins when the program's other networks leave
    /// room for so many hospitals.
    pub async fn of_nodes(hospitals: usize, tuning: Tuning) -> Self {
        let turn = FREE.acquire_many(hospitals.min(HOSPITALS) as u32).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            directory: folder.path().join("net"),
            hospitals: hospitals as u16,
            base_port: None,
            binaries: binaries(),
            pack_millis: tuning.pack_age_ms,
            layout: Layout { worker_settings: tuning.settings(), ..Layout::default() },
        };
        let plan = Plan::prepare(&options).await.unwrap();
        let mut hospitals = Hospital::all(&plan);
        for hospital in &mut hospitals {
            hospital.node.start();
        }
        for hospital in &hospitals {
            hospital.finalizes(1).await;
        }
        Self { hospitals, folder, plan, _turn: turn }
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

    /// Makes every worker verify what its node says from the next start on, as if the node were on another machine.
    pub fn verify_nodes_of(&self, genesis: Hash) {
        self.plan.sites().iter().for_each(|site| site.pin(genesis).unwrap());
    }

    /// All pointers of each record on the chain of lite blocks.
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
                .map(AnnouncedEntry::from)
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
    /// All hospitals of a network, of which nothing runs yet.
    fn all(plan: &Plan) -> Vec<Self> {
        let states = plan.state().hospitals.into_iter();
        let hospitals = plan.sites().iter().zip(states).map(|(site, state)| Self {
            id: site.id(),
            node: Process::new(plan.node(site).unwrap()),
            worker: Process::new(plan.worker(site)),
            tls_key: development::tls_key(&state.governance).unwrap().public(),
            state,
            home: site.home().to_owned(),
            data: site.worker_data(),
        });
        hospitals.collect()
    }

    /// Through the hospital's own node.
    pub async fn chain(&self) -> Chain {
        eventually("the node answers", async || Chain::connect(&self.state.node_url).await.ok())
            .await
    }

    /// Where the worker keeps the last block that it verified.
    pub fn verified_head(&self) -> PathBuf {
        self.data.join("head.json")
    }

    /// The worker's address and TLS key.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.state.worker_url.parse().unwrap(), self.tls_key).unwrap()
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

    /// Sets the TLS key that the chain names for this hospital, whose worker serves all segments itself.
    pub async fn name_tls_key(&self, key: &[u8; 32]) {
        let call = hospitals::set_endpoint(self.endpoint().url().as_str(), key, None);
        self.chain().await.submit(&call, &self.governance()).await.unwrap();
    }

    /// Sets the address that the chain names for this hospital's worker.
    pub async fn name_address(&self, url: &str) {
        let call = hospitals::set_endpoint(url, &self.tls_key, None);
        self.chain().await.submit(&call, &self.governance()).await.unwrap();
    }

    pub fn agent(&self) -> Account {
        Account::development(&self.state.agent).unwrap()
    }

    pub fn governance(&self) -> Account {
        Account::development(&self.state.governance).unwrap()
    }

    pub async fn client(&self, account: Account) -> WorkerClient {
        let chain = self.chain().await;
        WorkerClient::for_hospital(&chain, self.id, account).await.unwrap()
    }

    pub async fn worker_is_ready(&self) {
        self.answers("readyz", 200).await;
    }

    /// Waits until a report to operators has this status.
    pub async fn answers(&self, route: &str, status: u16) {
        settles(&format!("{}'s worker answers {status} to {route}", self.state.name), async || {
            let answer = self.get(route).await;
            if answer.as_ref().is_some_and(|(found, _)| *found == status) {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    }

    /// Waits until the worker is ready, and reports that each kind of request would get a place.
    pub async fn has_free_places(&self) {
        settles(&format!("{}'s worker has free places", self.state.name), async || {
            let answer = self.get("readyz").await;
            let places = answer.as_ref().and_then(|(status, text)| {
                let report: serde_json::Value = serde_json::from_str(text).ok()?;
                (*status == 200).then(|| report["places"] == "ok")
            });
            if places == Some(true) { Ok(()) } else { Err(answer) }
        })
        .await;
    }

    /// Status and text of a report to operators; `None` while the worker does not answer.
    async fn get(&self, route: &str) -> Option<(u16, String)> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        let url = format!("{}/{route}", self.state.operators_url);
        let answer = http.build().unwrap().get(url).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// The value of a metric, by its whole name with labels; 0 if the worker does not report it yet.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) =
            eventually("the worker serves its metrics", async || self.get("metrics").await).await;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a metric has an expected value.
    pub async fn metric_becomes(&self, name: &str, wanted: impl Fn(u64) -> bool) {
        settles(&format!("{}'s {name} has the expected value", self.state.name), async || {
            let value = self.metric(name).await;
            if wanted(value) { Ok(()) } else { Err(value) }
        })
        .await;
    }

    /// The file of a segment in the hospital's store.
    pub fn stored(&self, segment: &Segment) -> PathBuf {
        self.state.store.join("segments").join(hex::encode(segment.hash))
    }

    /// The files of all segments in the hospital's store.
    pub fn all_stored(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.state.store.join("segments")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// The worker's journal.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal.sqlite")
    }

    /// Whether the store has exactly the segment's bytes.
    pub fn holds(&self, segment: &Segment) -> bool {
        fs::read(self.stored(segment)).is_ok_and(|bytes| {
            bytes.len() == segment.length as usize
                && *blake3::hash(&bytes).as_bytes() == segment.hash
        })
    }

    /// Waits until the store has exactly the bytes of all segments.
    pub async fn comes_to_hold(&self, segments: &[Segment]) {
        // A segment that was found is not hashed again.
        let mut missing = segments.to_vec();
        settles(&format!("{} has every segment", self.state.name), async || {
            missing.retain(|segment| !self.holds(segment));
            let names: Vec<_> = missing.iter().map(|segment| hex::encode(segment.hash)).collect();
            if names.is_empty() { Ok(()) } else { Err(names) }
        })
        .await;
    }

    /// Waits until the hospital's own node has finalized a chain block.
    pub async fn finalizes(&self, block: BlockNumber) {
        let chain = self.chain().await;
        settles(&format!("block {block} is finalized at {}", self.state.name), async || {
            let head = chain.finalized_head().await.map_err(|error| error.to_string())?.number;
            if head >= block { Ok(()) } else { Err(format!("the finalized head is block {head}")) }
        })
        .await;
    }

    /// Waits until a ballot has ended for the hospital's own node; returns the stage.
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

    /// Changes the worker's configuration file; it takes effect at the worker's next start.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.home.join("worker.toml");
        let config = fs::read_to_string(&path).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(path, config.replace(from, to)).unwrap();
    }

    /// The folder of the hospital's files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Deletes the worker's journal and store; its configuration stays.
    pub fn lose_everything(&self) {
        for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
            fs::remove_file(self.data.join(name)).ok();
        }
        fs::remove_dir_all(&self.state.store).unwrap();
    }
}

/// Repeats `ask` until it answers.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    settles(what, async || ask().await.ok_or("no answer")).await
}

/// Repeats `look` until it succeeds. If it never does, panics with what it saw last.
pub async fn settles<T, S: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(wanted) => return wanted,
            Err(seen) => assert!(
                begun.elapsed() < PATIENCE,
                "waited {} s in vain until {what}; last seen: {seen:?}",
                begun.elapsed().as_secs()
            ),
        }
        sleep(POLL).await;
    }
}

/// The programs that were built with this test, or those in EPIONE_BIN_DIR.
fn binaries() -> Binaries {
    let built = Path::new(env!("CARGO_BIN_EXE_epione-worker"));
    let folder =
        env::var_os("EPIONE_BIN_DIR").map_or(built.parent().unwrap().into(), PathBuf::from);
    Binaries::find(Some(&folder)).unwrap()
}

/// One of these programs.
pub fn program(name: &str) -> PathBuf {
    binaries().worker.with_file_name(name)
}
