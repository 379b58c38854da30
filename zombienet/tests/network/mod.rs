//! Four hospitals: validators that zombienet starts, and a worker process beside each.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use epione_cli::devnet::{Binaries, chain_spec};
use epione_client::{
    Endpoint,
    api::{RegisterUser, Relation, VisitStage},
    chain::Chain,
    signer::Account,
    submit::VisitBuilder,
    verify,
    worker::WorkerClient,
};
use epione_envelope::{development, record::SectionKind, segment};
use epione_primitives::{
    HospitalId, UserId,
    access::{RelationshipKind, SectionClass},
    profile::Role,
};
use tempfile::TempDir;
use zombienet_sdk::{
    Arg, LocalFileSystem, Network, NetworkConfig, NetworkConfigBuilder, NetworkConfigExt,
};

/// Names for zombienet, from which it derives the validators' keys: those of the `local` preset.
const NAMES: [&str; 4] = ["alice", "bob", "charlie", "dave"];
/// A network of this size on two cores.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(500);

/// Four hospitals that are ended when this value is dropped.
pub struct Hospitals {
    workers: Vec<Worker>,
    network: Network<LocalFileSystem>,
    folder: TempDir,
}

/// A worker, running or not.
struct Worker {
    config: PathBuf,
    log: PathBuf,
    endpoint: Endpoint,
    store: PathBuf,
    program: PathBuf,
    process: Option<Child>,
}

/// Somebody who writes records.
pub struct Doctor {
    pub account: Account,
    pub user: UserId,
}

impl Hospitals {
    /// Nodes and workers, ready.
    pub async fn start() -> anyhow::Result<Self> {
        let mut hospitals = Self::start_nodes().await?;
        for worker in &mut hospitals.workers {
            worker.start()?;
        }
        for worker in &hospitals.workers {
            worker.ready().await?;
        }
        Ok(hospitals)
    }

    /// Nodes that finalise blocks, without workers.
    pub async fn start_nodes() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = Binaries::find(None)?;
        let ports = free_ports(NAMES.len())?;
        let urls: Vec<_> = ports.iter().map(|port| format!("https://127.0.0.1:{port}")).collect();
        let spec = raw_chain_spec(&programs.node, &urls, folder.path()).await?;
        let network = config(&programs.node, &spec, folder.path())?.spawn_native().await?;
        let workers = NAMES
            .iter()
            .zip(ports)
            .map(|(name, port)| {
                let node = network.get_node(*name)?;
                Worker::configure(&programs.worker, folder.path(), name, port, node.ws_uri())
            })
            .collect::<anyhow::Result<_>>()?;
        let hospitals = Self { workers, network, folder };
        for index in 0..NAMES.len() {
            hospitals.finalises(index).await?;
        }
        Ok(hospitals)
    }

    /// The chain as one hospital's node has it.
    pub async fn chain(&self, hospital: usize) -> anyhow::Result<Chain> {
        Ok(Chain::connect(self.network.get_node(NAMES[hospital])?.ws_uri()).await?)
    }

    async fn finalises(&self, hospital: usize) -> anyhow::Result<()> {
        eventually(&format!("{} finalises", NAMES[hospital]), async || {
            let chain = self.chain(hospital).await?;
            ensure!(chain.finalized_head().await?.number > 0, "no block is final yet");
            Ok(())
        })
        .await
    }

    /// At the first hospital, as its governance.
    pub async fn register_doctor_and_patient(&self) -> anyhow::Result<(Doctor, UserId)> {
        let chain = self.chain(0).await?;
        let governance = Account::development("//Alice")?;
        let office = WorkerClient::for_hospital(&chain, HospitalId(0), governance).await?;
        let mut users = Vec::new();
        for (role, uri) in [(Role::Doctor, "//Doctor"), (Role::Patient, "//Patient")] {
            let keys = development::keys(uri)?;
            let user = RegisterUser {
                user: None,
                consent: None,
                role,
                account: Account::development(uri)?.id(),
                sealing_key: hex::encode(keys.sealing.public().as_bytes()),
                name: uri.trim_start_matches('/').into(),
            };
            users.push(office.register(&user).await?.user);
        }
        let (professional, patient) = (users[0], users[1]);
        let kind = RelationshipKind::FamilyDoctor;
        office.relate(&Relation { patient, professional, kind, expires: None }).await?;
        let account = Account::development("//Doctor")?;
        Ok((Doctor { account, user: professional }, patient))
    }

    /// Submits a visit with a text and a file to the first hospital; answers with the height of its block.
    pub async fn commit_visit(
        &self,
        doctor: &Doctor,
        patient: UserId,
        content: &[u8],
    ) -> anyhow::Result<u32> {
        let chain = self.chain(0).await?;
        let hospital = HospitalId(0);
        let worker = WorkerClient::for_hospital(&chain, hospital, doctor.account.clone()).await?;
        let file = self.folder.path().join("report.bin");
        fs::write(&file, content)?;
        let visit = VisitBuilder::new(chain.genesis_hash(), patient, hospital, doctor.user)
            .text(SectionKind::Summary, SectionClass::Private, "seen today")
            .file(SectionKind::Media, SectionClass::Private, &file)
            .build(&doctor.account)
            .await?;
        worker.submit_visit(&visit, |_| {}).await?;
        let mut height = 0;
        eventually("the visit is committed", async || {
            match worker.visit_status(visit.record_id()).await?.stage {
                VisitStage::Committed { pointer } => height = pointer.height,
                stage => bail!("its stage is {stage:?}"),
            }
            Ok(())
        })
        .await?;
        Ok(height)
    }

    /// Waits until a hospital's own store has every segment of a block, byte for byte.
    pub async fn holds_every_segment(&self, hospital: usize, height: u32) -> anyhow::Result<()> {
        let chain = self.chain(0).await?;
        let segments = verify::segments(&verify::gather(&chain, height).await?)?;
        ensure!(!segments.is_empty(), "the block names no segment, so this would prove nothing");
        let store = &self.workers[hospital].store;
        eventually(&format!("{} holds the segments of {height}", NAMES[hospital]), async || {
            for named in &segments {
                let name = hex::encode(named.hash);
                let bytes = fs::read(store.join("segments").join(&name)).context(name)?;
                segment::verify(named, &bytes).context("a segment has other bytes")?;
            }
            Ok(())
        })
        .await
    }

    pub fn kill_worker(&mut self, hospital: usize) -> anyhow::Result<()> {
        self.workers[hospital].kill()
    }

    /// Kills a hospital's worker and freezes its node.
    pub async fn stop(&mut self, hospital: usize) -> anyhow::Result<()> {
        self.workers[hospital].kill()?;
        self.network.get_node(NAMES[hospital])?.pause().await
    }

    /// Kills the frozen node, and starts node and worker on what they had on disk.
    pub async fn start_again(&mut self, hospital: usize) -> anyhow::Result<()> {
        self.network.get_node(NAMES[hospital])?.restart(None).await?;
        self.finalises(hospital).await?;
        self.workers[hospital].start()?;
        self.workers[hospital].ready().await
    }
}

impl Worker {
    fn configure(
        program: &Path,
        folder: &Path,
        name: &str,
        port: u16,
        node: &str,
    ) -> anyhow::Result<Self> {
        let home = folder.join(name);
        fs::create_dir_all(&home)?;
        let (config, log, store) =
            (home.join("worker.toml"), home.join("worker.log"), home.join("store"));
        let mut seed = name.to_owned();
        seed[..1].make_ascii_uppercase();
        let key = development::tls_key(&format!("//{seed}"))?.public();
        let endpoint = Endpoint::new(format!("https://127.0.0.1:{port}").parse()?, key)?;
        let url = endpoint.url().as_str();
        fs::write(
            &config,
            format!(
                "node_url = {node:?}\nlisten = \"127.0.0.1:{port}\"\npublic_url = {url:?}\n\
                 data_dir = {home:?}\n[keystore]\ndevelopment = \"//{seed}\"\n\
                 [store]\npath = {store:?}\n[pack]\nmax_age_ms = 500\n"
            ),
        )?;
        Ok(Self { config, log, endpoint, store, program: program.into(), process: None })
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let log = fs::File::options().create(true).append(true).open(&self.log)?;
        let process = Command::new(&self.program)
            .args(["run".as_ref(), "--config".as_ref(), self.config.as_os_str()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let client = self.endpoint.http().no_proxy().build()?;
        eventually(&format!("{} is ready", self.endpoint.url()), async || {
            let answer = client.get(self.endpoint.url().join("readyz")?).send().await?;
            ensure!(answer.status().is_success(), "{}", answer.text().await?);
            Ok(())
        })
        .await
        .with_context(|| fs::read_to_string(&self.log).unwrap_or_default())
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("a worker could not be ended: {error}");
        }
    }
}

/// The `local` preset with the workers' real addresses, raw: zombienet would otherwise put its own idea
/// of session keys into it.
async fn raw_chain_spec(node: &Path, urls: &[String], folder: &Path) -> anyhow::Result<PathBuf> {
    let mut spec = chain_spec::preset(node).await?;
    chain_spec::settle(&mut spec, urls)?;
    let (plain, raw) = (folder.join("plain.json"), folder.join("raw.json"));
    fs::write(&plain, spec.to_string())?;
    let output = Command::new(node)
        .args(["export-chain-spec", "--raw", "--chain"])
        .arg(&plain)
        .arg("--output")
        .arg(&raw)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(raw)
}

fn config(node: &Path, spec: &Path, folder: &Path) -> anyhow::Result<NetworkConfig> {
    let node = node.to_str().context("the node's path is not UTF-8")?;
    let base = folder.join("zombienet");
    // Loopback only; zombienet's own default is every address.
    let arguments: Vec<Arg> =
        vec![("--listen-addr", "/ip4/127.0.0.1/tcp/0/ws").into(), "-:--prometheus-external".into()];
    NetworkConfigBuilder::new()
        .with_relaychain(|chain| {
            let chain = chain
                .with_chain("local")
                .with_default_command(node)
                .with_chain_spec_path(spec.to_path_buf())
                .with_default_args(arguments)
                .with_validator(|node| node.with_name(NAMES[0]));
            NAMES[1..]
                .iter()
                .fold(chain, |chain, name| chain.with_validator(|node| node.with_name(*name)))
        })
        .with_global_settings(|settings| settings.with_base_dir(base))
        .build()
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
}

fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let held: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(held
        .iter()
        .map(|socket| socket.local_addr().map(|at| at.port()))
        .collect::<Result<_, _>>()?)
}

/// Tries until it succeeds; the last failure is the error.
async fn eventually(
    what: &str,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("waited {} s until {what}", PATIENCE.as_secs())));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
