//! From nothing to a network whose blocks are final and whose workers are ready.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    net::{IpAddr, SocketAddr},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use epione_primitives::HospitalId;
use serde::Serialize;

use super::{
    Claim, Devnet, DevnetError, HospitalState, MAX_HOSPITALS, Options, Part, Phase, Places, Probe,
    State, chain_spec, layout, node_key,
    ports::{self, Ports},
    process::ProcessRecord,
    state::write_atomically,
    storage::{Bucket, Server, Storage},
};

/// A node compiles its runtime when it starts; a busy machine takes its time.
const NODE_PATIENCE: Duration = Duration::from_secs(300);
/// Several nodes must find each other and vote.
const FINALITY_PATIENCE: Duration = Duration::from_secs(300);
const WORKER_PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);
/// Validators whose development keys the node has names for, such as `--alice`.
const NAMED: usize = 8;
/// Settings of a worker that hold the network together.
const FIXED: [&str; 7] = [
    "node_url",
    "listen",
    "public_url",
    "data_dir",
    "keystore.development",
    "store.path",
    "store.s3",
];

impl Devnet {
    /// Starts a network. `say` is told of every step. On failure, and when the future is dropped, what
    /// was started is taken down.
    pub async fn up(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Self, DevnetError> {
        if !(1..=MAX_HOSPITALS).contains(&options.hospitals) {
            return Err(DevnetError::Hospitals(options.hospitals));
        }
        let claim = Claim::fresh(&options.directory)?;
        super::clear(claim.directory())?;
        let (ports, mut reserved) = ports::choose(options.hospitals, options.base_port)?;
        let mut plan = Plan::new(claim.directory(), options, ports);
        if options.layout.storage == Storage::S3 {
            let (port, held) = ports::one_more(options.hospitals, options.base_port)?;
            reserved.push(held);
            plan.s3 = Some(Server::new(&options.binaries, claim.directory(), port)?);
        }
        say("writing keys and configurations, and building the chain's first block");
        let state = plan.prepare(options).await?;
        let plan = Arc::new(plan);
        let mut devnet = Self {
            claim,
            state,
            plan: plan.clone(),
            children: Vec::new(),
            _reserved: reserved,
            probe: Probe::new()?,
            armed: true,
        };
        devnet.save()?;
        devnet.start(&plan, say).await?;
        Ok(devnet)
    }

    async fn start(&mut self, plan: &Plan, say: &(dyn Fn(&str) + Sync)) -> Result<(), DevnetError> {
        if let Some(server) = &plan.s3 {
            say("starting the S3 server of the network");
            let (name, arguments) = (Server::NAME.to_owned(), server.arguments());
            let process = NewProcess::new(name, &server.program, arguments, &server.log, &[]);
            self.state.s3_server = Some(self.spawn(&process)?);
            self.save()?;
        }
        say(&format!(
            "waiting for {} to answer, which compile the runtime first",
            plan.node_names()
        ));
        self.start_nodes(plan).await?;
        for index in 0..plan.sites.len() {
            let record = self.spawn(&plan.sites[index].worker_process(plan))?;
            self.state.hospitals[index].worker = Some(record);
            self.save()?;
        }
        say("waiting until the nodes have found each other and a first block is final at each");
        for site in plan.validators() {
            let url = site.node_url();
            self.wait(&site.node_name(), &site.node_log, FINALITY_PATIENCE, async |probe| {
                probe.node(&url).await.filter(|view| view.finalised > 0)
            })
            .await?;
        }
        say(&format!("waiting until {} are ready", plan.worker_names()));
        for site in &plan.sites {
            let (node, hospital) = (site.node_url(), HospitalId(site.index as u16));
            self.wait(&site.worker_name(), &site.worker_log, WORKER_PATIENCE, async |probe| {
                probe.worker_is_ready(&node, hospital).await.then_some(())
            })
            .await?;
        }
        self.state.phase = Phase::Running;
        self.save()
    }

    /// Starts all nodes, and checks that they are of one chain.
    async fn start_nodes(&mut self, plan: &Plan) -> Result<(), DevnetError> {
        for site in plan.validators() {
            let record = self.spawn(&site.node_process(plan))?;
            self.state.hospitals[site.index].node = Some(record);
            self.save()?;
        }
        for site in plan.validators() {
            let url = site.node_url();
            let genesis = self
                .wait(&site.node_name(), &site.node_log, NODE_PATIENCE, async |probe| {
                    probe.genesis(&url).await
                })
                .await?;
            if *self.state.genesis.get_or_insert(genesis) != genesis {
                return Err(DevnetError::Split { node: url });
            }
        }
        self.save()
    }

    /// Asks until there is an answer, the process ends, or patience does.
    async fn wait<T>(
        &mut self,
        process: &str,
        log: &Path,
        patience: Duration,
        ask: impl AsyncFn(&Probe) -> Option<T>,
    ) -> Result<T, DevnetError> {
        let until = Instant::now() + patience;
        loop {
            if let Some(answer) = ask(&self.probe).await {
                return Ok(answer);
            }
            for (name, child) in &mut self.children {
                if let Ok(Some(status)) = child.try_wait() {
                    let log = log.with_file_name(format!("{name}.log"));
                    return Err(DevnetError::Ended {
                        process: name.clone(),
                        status: status.to_string(),
                        tail: last_words(&log),
                        log,
                    });
                }
            }
            if Instant::now() > until {
                return Err(DevnetError::TimedOut {
                    process: process.into(),
                    seconds: patience.as_secs(),
                    log: log.to_path_buf(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub(super) fn spawn(&mut self, process: &NewProcess) -> Result<ProcessRecord, DevnetError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DevnetError::File { path, source }
        };
        let mut options = File::options();
        options.create(true).write(true).append(process.again).truncate(!process.again);
        let log = options.open(&process.log).map_err(failed(&process.log))?;
        let errors = log.try_clone().map_err(failed(&process.log))?;
        let child = Command::new(&process.program)
            .args(&process.arguments)
            // Logs are read in files.
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A Ctrl-C on the terminal reaches us alone; we end them in order.
            .process_group(0)
            .spawn()
            .map_err(|source| DevnetError::Start { program: process.program.clone(), source })?;
        let pid = child.id();
        self.children.push((process.name.clone(), child));
        ProcessRecord::of(pid).map_err(|source| DevnetError::Ended {
            process: process.name.clone(),
            status: source.to_string(),
            tail: last_words(&process.log),
            log: process.log.clone(),
        })
    }

    pub(super) fn save(&self) -> Result<(), DevnetError> {
        self.state.write(self.claim.directory())
    }
}

/// A process to start.
pub(super) struct NewProcess {
    /// Also the name of its log.
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    /// Whether it has run before, and its log is continued.
    again: bool,
}

impl NewProcess {
    fn new(
        name: String,
        program: &Path,
        arguments: Vec<String>,
        log: &Path,
        prefix: &[String],
    ) -> Self {
        let mut words = prefix.iter().cloned();
        let (program, arguments) = match words.next() {
            None => (program.to_path_buf(), arguments),
            Some(first) => {
                let program = program.to_string_lossy().into_owned();
                (first.into(), words.chain([program]).chain(arguments).collect())
            }
        };
        Self { name, program, arguments, log: log.to_path_buf(), again: false }
    }

    pub(super) fn again(self) -> Self {
        Self { again: true, ..self }
    }
}

/// Where everything of a network goes.
pub(super) struct Plan {
    chain: PathBuf,
    sites: Vec<Site>,
    /// The first so many hospitals have a node.
    nodes: usize,
    node: PathBuf,
    worker: PathBuf,
    s3: Option<Server>,
}

/// One hospital's share of it.
struct Site {
    index: usize,
    /// In lower case, as files and processes are called.
    label: String,
    home: PathBuf,
    node_log: PathBuf,
    worker_log: PathBuf,
    ports: Ports,
    places: Places,
    /// Of its own node, or of the one that its worker uses.
    rpc: SocketAddr,
    /// Under which the other nodes know this one; known once its key is written.
    peer: String,
}

impl Plan {
    fn new(directory: &Path, options: &Options, ports: Vec<Ports>) -> Self {
        let logs = directory.join("logs");
        let data = super::data(directory);
        let nodes = options.layout.nodes_of(options.hospitals);
        let rpc =
            |index: usize| SocketAddr::new(options.layout.of(index).node.address, ports[index].rpc);
        let sites = ports.iter().copied().enumerate().map(|(index, ports)| {
            let label = chain_spec::SEEDS[index].to_lowercase();
            Site {
                index,
                home: data.join(&label),
                node_log: logs.join(format!("{label}-node.log")),
                worker_log: logs.join(format!("{label}-worker.log")),
                label,
                ports,
                places: options.layout.of(index),
                rpc: rpc(index % nodes),
                peer: String::new(),
            }
        });
        Self {
            chain: data.join("chain.json"),
            sites: sites.collect(),
            nodes,
            node: options.binaries.node.clone(),
            worker: options.binaries.worker.clone(),
            s3: None,
        }
    }

    /// The hospitals that have a node.
    fn validators(&self) -> &[Site] {
        &self.sites[..self.nodes]
    }

    fn node_names(&self) -> String {
        let names = self.validators().iter().map(Site::node_name);
        names.collect::<Vec<_>>().join(", ")
    }

    fn worker_names(&self) -> String {
        let names = self.sites.iter().map(Site::worker_name);
        names.collect::<Vec<_>>().join(", ")
    }

    fn site(&self, hospital: HospitalId, part: Part) -> Result<&Site, DevnetError> {
        let sites = if part == Part::Node { self.validators() } else { &self.sites };
        sites.get(usize::from(hospital.0)).ok_or(DevnetError::NoProcess { hospital, part })
    }

    pub(super) fn name_of(&self, hospital: HospitalId, part: Part) -> Result<String, DevnetError> {
        let site = self.site(hospital, part)?;
        Ok(if part == Part::Node { site.node_name() } else { site.worker_name() })
    }

    pub(super) fn process_of(
        &self,
        hospital: HospitalId,
        part: Part,
    ) -> Result<NewProcess, DevnetError> {
        let site = self.site(hospital, part)?;
        Ok(if part == Part::Node { site.node_process(self) } else { site.worker_process(self) })
    }

    /// Writes every file that the processes need.
    async fn prepare(&mut self, options: &Options) -> Result<State, DevnetError> {
        let urls: Vec<_> = self.sites.iter().map(Site::worker_url).collect();
        let mut spec = chain_spec::preset(&self.node).await?;
        let founders = chain_spec::settle_some(&mut spec, &urls, self.nodes)?;
        let s3 = self.s3.as_ref();
        s3.map_or(Ok(()), Server::prepare)?;
        for site in &mut self.sites {
            for folder in [Some(site.home.as_path()), site.node_log.parent()].into_iter().flatten()
            {
                fs::create_dir_all(folder)
                    .map_err(|source| DevnetError::File { path: folder.into(), source })?;
            }
            if site.index < self.nodes {
                site.peer = node_key::write(&self.node, &site.label, &site.node_key()).await?;
            }
            if (NAMED..self.nodes).contains(&site.index) {
                node_key::write_keystore(chain_spec::SEEDS[site.index], &site.keystore())?;
            }
            write(
                &site.worker_config(),
                site.configuration(options, &founders[site.index], s3)?.as_bytes(),
            )?;
        }
        let plain = self.chain.with_file_name("chain-to-build.json");
        write(&plain, spec.to_string().as_bytes())?;
        chain_spec::with_state(&self.node, &plain, &self.chain).await?;
        let hospitals = self
            .sites
            .iter()
            .zip(&founders)
            .map(|(site, founder)| site.state(founder, s3))
            .collect();
        Ok(State::new(hospitals, ProcessRecord::of(std::process::id()).ok()))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DevnetError> {
    write_atomically(path, bytes)
        .map_err(|source| DevnetError::File { path: path.to_path_buf(), source })
}

impl Site {
    fn node_url(&self) -> String {
        format!("ws://{}", self.rpc)
    }

    fn listen_address(&self) -> String {
        let (kind, address) = match self.places.node.address {
            IpAddr::V4(address) => ("ip4", address.to_string()),
            IpAddr::V6(address) => ("ip6", address.to_string()),
        };
        format!("/{kind}/{address}/tcp/{}", self.ports.peers)
    }

    fn peer_address(&self) -> String {
        format!("{}/p2p/{}", self.listen_address(), self.peer)
    }

    fn worker_listen(&self) -> SocketAddr {
        SocketAddr::new(self.places.worker.address, self.ports.worker)
    }

    fn worker_url(&self) -> String {
        format!("https://{}", self.worker_listen())
    }

    fn node_name(&self) -> String {
        format!("{}-node", self.label)
    }

    fn worker_name(&self) -> String {
        format!("{}-worker", self.label)
    }

    fn node_key(&self) -> PathBuf {
        self.home.join("node.key")
    }

    /// Of the validator's keys, for those that the node has no name for.
    fn keystore(&self) -> PathBuf {
        self.home.join("keystore")
    }

    fn worker_config(&self) -> PathBuf {
        self.home.join("worker.toml")
    }

    fn worker_data(&self) -> PathBuf {
        self.home.join("worker")
    }

    /// Where the worker's objects lie.
    fn store(&self, s3: Option<&Server>) -> PathBuf {
        s3.map_or_else(|| self.worker_data().join("store"), |server| server.objects(&self.label))
    }

    fn state(&self, founder: &chain_spec::Founder, s3: Option<&Server>) -> HospitalState {
        HospitalState {
            id: HospitalId(self.index as u16),
            name: founder.name.clone(),
            node_url: self.node_url(),
            worker_url: self.worker_url(),
            governance: founder.governance(),
            agent: founder.agent(),
            store: self.store(s3),
            node: None,
            worker: None,
        }
    }

    fn node_process(&self, plan: &Plan) -> NewProcess {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = if self.index < NAMED {
            vec![format!("--{}", self.label)]
        } else {
            vec![
                format!("--name={}", self.label),
                format!("--keystore-path={}", path(self.keystore())),
            ]
        };
        arguments.extend([
            "--validator".into(),
            format!("--chain={}", path(plan.chain.clone())),
            format!("--base-path={}", path(self.home.join("node"))),
            format!("--node-key-file={}", path(self.node_key())),
            format!("--listen-addr={}", self.listen_address()),
            format!("--rpc-port={}", self.ports.rpc),
            "--allow-private-ip".into(),
            "--no-mdns".into(),
            "--no-telemetry".into(),
            "--no-prometheus".into(),
        ]);
        if !self.places.node.address.is_loopback() {
            arguments.extend(["--unsafe-rpc-external".into(), "--rpc-cors=all".into()]);
        }
        let others = plan.validators().iter().filter(|site| site.index != self.index);
        arguments.extend(others.map(|site| format!("--bootnodes={}", site.peer_address())));
        if plan.nodes == 1 {
            // A validator without peers holds itself for offline, and waits.
            arguments.push("--force-authoring".into());
        }
        let prefix = &self.places.node.prefix;
        NewProcess::new(self.node_name(), &plan.node, arguments, &self.node_log, prefix)
    }

    fn worker_process(&self, plan: &Plan) -> NewProcess {
        let arguments =
            vec!["run".into(), format!("--config={}", self.worker_config().to_string_lossy())];
        let prefix = &self.places.worker.prefix;
        NewProcess::new(self.worker_name(), &plan.worker, arguments, &self.worker_log, prefix)
    }

    fn configuration(
        &self,
        options: &Options,
        founder: &chain_spec::Founder,
        s3: Option<&Server>,
    ) -> Result<String, DevnetError> {
        let store = match s3 {
            Some(server) => StoreConfiguration::S3 { s3: server.bucket(&self.label)? },
            None => StoreConfiguration::Local { path: self.store(None) },
        };
        let configuration = WorkerConfiguration {
            node_url: self.node_url(),
            listen: self.worker_listen().to_string(),
            public_url: self.worker_url(),
            data_dir: self.worker_data(),
            keystore: KeystoreConfiguration { development: founder.governance() },
            store,
            pack: PackConfiguration { max_age: format!("{}ms", options.pack_millis) },
        };
        let unwritable = |error: toml::ser::Error| DevnetError::File {
            path: self.worker_config(),
            source: io::Error::other(error),
        };
        let mut table = toml::Table::try_from(&configuration).map_err(unwritable)?;
        layout::put(&mut table, &options.layout.worker_settings, &FIXED);
        toml::to_string(&table).map_err(unwritable)
    }
}

/// What differs from the worker's defaults.
#[derive(Serialize)]
struct WorkerConfiguration {
    node_url: String,
    listen: String,
    public_url: String,
    data_dir: PathBuf,
    keystore: KeystoreConfiguration,
    store: StoreConfiguration,
    pack: PackConfiguration,
}

#[derive(Serialize)]
struct KeystoreConfiguration {
    development: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum StoreConfiguration {
    Local { path: PathBuf },
    S3 { s3: Bucket },
}

#[derive(Serialize)]
struct PackConfiguration {
    max_age: String,
}

/// The last line of a log that speaks of an error, or just the last; shortened.
fn last_words(log: &Path) -> String {
    const TAIL: u64 = 4096;
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    let line = lines().find(|line| line.to_ascii_lowercase().contains("error"));
    let line = line.or_else(|| lines().next()).unwrap_or("none");
    line.trim().chars().take(300).collect()
}
