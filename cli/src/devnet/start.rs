//! From nothing to a network whose blocks are final and whose workers are ready.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use epione_primitives::HospitalId;
use serde::Serialize;

use super::{
    Claim, Devnet, DevnetError, HospitalState, MAX_HOSPITALS, Options, Phase, Probe, State,
    chain_spec, node_key,
    ports::{self, Ports},
    process::ProcessRecord,
    state::write_atomically,
};

/// A node compiles its runtime when it starts; a busy machine takes its time.
const NODE_PATIENCE: Duration = Duration::from_secs(120);
/// Several nodes must find each other and vote.
const FINALITY_PATIENCE: Duration = Duration::from_secs(180);
const WORKER_PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);
/// The node's own names for the development keys of validators.
const VALIDATORS: [&str; MAX_HOSPITALS as usize] =
    ["--alice", "--bob", "--charlie", "--dave", "--eve", "--ferdie", "--one", "--two"];

impl Devnet {
    /// Starts a network. `say` is told of every step. On failure, and when the future is dropped, what
    /// was started is taken down.
    pub async fn up(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Self, DevnetError> {
        if !(1..=MAX_HOSPITALS).contains(&options.hospitals) {
            return Err(DevnetError::Hospitals(options.hospitals));
        }
        let claim = Claim::fresh(&options.directory)?;
        super::clear(claim.directory())?;
        let (ports, reserved) = ports::choose(options.hospitals, options.base_port)?;
        let mut plan = Plan::new(claim.directory(), options, ports);
        say("writing keys, configurations and the chain's specification");
        let state = plan.prepare(options).await?;
        let mut devnet =
            Self { claim, state, children: Vec::new(), probe: Probe::new()?, armed: true };
        devnet.save()?;
        devnet.start(&plan, reserved, say).await?;
        Ok(devnet)
    }

    async fn start(
        &mut self,
        plan: &Plan,
        reserved: Vec<TcpListener>,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), DevnetError> {
        drop(reserved);
        say(&format!("starting {} nodes", plan.sites.len()));
        self.start_nodes(plan).await?;
        say(&format!("starting {} workers", plan.sites.len()));
        for index in 0..plan.sites.len() {
            let record = self.spawn(&plan.sites[index].worker_process(plan))?;
            self.state.hospitals[index].worker = Some(record);
            self.save()?;
        }
        say("waiting until blocks are final everywhere");
        for site in &plan.sites {
            let url = site.node_url();
            self.wait(&site.node_name(), &site.node_log, FINALITY_PATIENCE, async |probe| {
                probe.node(&url).await.filter(|view| view.finalised > 0)
            })
            .await?;
        }
        say("waiting until every worker is ready");
        for site in &plan.sites {
            let url = site.worker_url();
            self.wait(&site.worker_name(), &site.worker_log, WORKER_PATIENCE, async |probe| {
                probe.worker_is_ready(&url).await.then_some(())
            })
            .await?;
        }
        self.state.phase = Phase::Running;
        self.save()
    }

    /// Starts all nodes, and checks that they are of one chain.
    async fn start_nodes(&mut self, plan: &Plan) -> Result<(), DevnetError> {
        for (index, site) in plan.sites.iter().enumerate() {
            let record = self.spawn(&site.node_process(plan))?;
            self.state.hospitals[index].node = Some(record);
            self.save()?;
        }
        for site in &plan.sites {
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

    fn spawn(&mut self, process: &NewProcess) -> Result<ProcessRecord, DevnetError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DevnetError::File { path, source }
        };
        let log = File::create(&process.log).map_err(failed(&process.log))?;
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

    fn save(&self) -> Result<(), DevnetError> {
        self.state.write(self.claim.directory())
    }
}

/// A process to start.
struct NewProcess {
    /// Also the name of its log.
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
}

/// Where everything of a network goes.
struct Plan {
    chain: PathBuf,
    sites: Vec<Site>,
    node: PathBuf,
    worker: PathBuf,
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
    /// Under which the other nodes know this one; known once its key is written.
    peer: String,
}

impl Plan {
    fn new(directory: &Path, options: &Options, ports: Vec<Ports>) -> Self {
        let logs = directory.join("logs");
        let data = super::data(directory);
        let sites = ports.into_iter().enumerate().map(|(index, ports)| {
            let label = VALIDATORS[index].trim_start_matches('-').to_owned();
            Site {
                index,
                home: data.join(&label),
                node_log: logs.join(format!("{label}-node.log")),
                worker_log: logs.join(format!("{label}-worker.log")),
                label,
                ports,
                peer: String::new(),
            }
        });
        Self {
            chain: data.join("chain.json"),
            sites: sites.collect(),
            node: options.binaries.node.clone(),
            worker: options.binaries.worker.clone(),
        }
    }

    /// Writes every file that the processes need.
    async fn prepare(&mut self, options: &Options) -> Result<State, DevnetError> {
        let urls: Vec<_> = self.sites.iter().map(Site::worker_url).collect();
        let mut spec = chain_spec::preset(&self.node).await?;
        let founders = chain_spec::settle(&mut spec, &urls)?;
        for site in &mut self.sites {
            for folder in [Some(site.home.as_path()), site.node_log.parent()].into_iter().flatten()
            {
                fs::create_dir_all(folder)
                    .map_err(|source| DevnetError::File { path: folder.into(), source })?;
            }
            site.peer = node_key::write(&self.node, &site.label, &site.node_key()).await?;
            write(
                &site.worker_config(),
                site.configuration(options, &founders[site.index])?.as_bytes(),
            )?;
        }
        write(&self.chain, spec.to_string().as_bytes())?;
        let hospitals =
            self.sites.iter().zip(&founders).map(|(site, founder)| site.state(founder)).collect();
        Ok(State::new(hospitals, ProcessRecord::of(std::process::id()).ok()))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DevnetError> {
    write_atomically(path, bytes)
        .map_err(|source| DevnetError::File { path: path.to_path_buf(), source })
}

impl Site {
    fn node_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ports.rpc)
    }

    fn peer_address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", self.ports.peers, self.peer)
    }

    fn worker_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.worker)
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

    fn worker_config(&self) -> PathBuf {
        self.home.join("worker.toml")
    }

    fn worker_data(&self) -> PathBuf {
        self.home.join("worker")
    }

    fn store(&self) -> PathBuf {
        self.worker_data().join("store")
    }

    fn state(&self, founder: &chain_spec::Founder) -> HospitalState {
        HospitalState {
            id: HospitalId(self.index as u16),
            name: founder.name.clone(),
            node_url: self.node_url(),
            worker_url: self.worker_url(),
            governance: founder.governance(),
            agent: founder.agent(),
            store: self.store(),
            node: None,
            worker: None,
        }
    }

    fn node_process(&self, plan: &Plan) -> NewProcess {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = vec![
            VALIDATORS[self.index].into(),
            "--validator".into(),
            format!("--chain={}", path(plan.chain.clone())),
            format!("--base-path={}", path(self.home.join("node"))),
            format!("--node-key-file={}", path(self.node_key())),
            format!("--listen-addr=/ip4/127.0.0.1/tcp/{}", self.ports.peers),
            format!("--rpc-port={}", self.ports.rpc),
            "--allow-private-ip".into(),
            "--no-mdns".into(),
            "--no-telemetry".into(),
            "--no-prometheus".into(),
        ];
        let others = plan.sites.iter().filter(|site| site.index != self.index);
        arguments.extend(others.map(|site| format!("--bootnodes={}", site.peer_address())));
        if plan.sites.len() == 1 {
            // A validator without peers holds itself for offline, and waits.
            arguments.push("--force-authoring".into());
        }
        NewProcess {
            name: self.node_name(),
            program: plan.node.clone(),
            arguments,
            log: self.node_log.clone(),
        }
    }

    fn worker_process(&self, plan: &Plan) -> NewProcess {
        NewProcess {
            name: self.worker_name(),
            program: plan.worker.clone(),
            arguments: vec![
                "run".into(),
                format!("--config={}", self.worker_config().to_string_lossy()),
            ],
            log: self.worker_log.clone(),
        }
    }

    fn configuration(
        &self,
        options: &Options,
        founder: &chain_spec::Founder,
    ) -> Result<String, DevnetError> {
        let configuration = WorkerConfiguration {
            node_url: self.node_url(),
            listen: format!("127.0.0.1:{}", self.ports.worker),
            public_url: self.worker_url(),
            data_dir: self.worker_data(),
            keystore: KeystoreConfiguration { development: founder.governance() },
            store: StoreConfiguration { path: self.store() },
            pack: PackConfiguration { max_age_ms: options.pack_millis },
        };
        toml::to_string(&configuration).map_err(|error| DevnetError::File {
            path: self.worker_config(),
            source: io::Error::other(error),
        })
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
struct StoreConfiguration {
    path: PathBuf,
}

#[derive(Serialize)]
struct PackConfiguration {
    max_age_ms: u64,
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
