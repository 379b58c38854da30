//! `epione devnet`: a complete network on this machine.

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use clap::{Args, Subcommand};
use epione_devnet::{
    Binaries, Devnet, DevnetError, HospitalHealth, Layout, MAX_HOSPITALS, Options, Phase, State,
    Storage,
};
use epione_primitives::Hash;
use serde::Serialize;

use crate::{
    context::{Context, Output},
    failure::Failure,
    interrupt,
    invocation::{Invocation, quoted},
    progress, show,
};

/// Directory of a network if none is given.
const DEFAULT_DIRECTORY: &str = "epione-devnet";
/// How often the processes of a network in the foreground are checked.
const WATCH: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts nodes and workers, and runs until Ctrl-C
    Up(UpArgs),
    /// Stops a network and removes its data; its logs are kept
    Down(DirectoryArgs),
    /// Shows the status of every node and worker
    Status(DirectoryArgs),
}

impl Command {
    pub(super) async fn run(&self, context: &Context) -> Result<bool, Failure> {
        let json = context.common().json;
        match self {
            Self::Up(args) => up(args, context).await,
            Self::Down(args) => show(&down(args, context).await?, json),
            Self::Status(args) => show(&status(args, context).await?, json),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct DirectoryArgs {
    /// The network's directory [default: --devnet, or epione-devnet]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

impl DirectoryArgs {
    fn resolve(&self, context: &Context) -> PathBuf {
        let named = self.dir.as_ref().or(context.common().devnet.as_ref());
        named.map_or_else(|| Path::new(DEFAULT_DIRECTORY).to_path_buf(), Clone::clone)
    }
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Number of hospitals
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_HOSPITALS)))]
    pub hospitals: u16,
    #[command(flatten)]
    pub directory: DirectoryArgs,
    /// Return when the network has started; it runs until `epione devnet down`
    #[arg(long)]
    pub detach: bool,
    /// First of consecutive ports: four for each hospital, one for an S3 server [default: any free ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
    pub base_port: Option<u16>,
    /// Folder of epione-node, epione-worker and epione-s3-server [default: the folder of this program, then PATH]
    #[arg(long, value_name = "DIR", env = "EPIONE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
    /// How long a worker collects visits for one block, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    pub pack_ms: u64,
    /// Where workers store segments
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub store: Storage,
    /// Start nodes only, for a program that uses the agents' keys itself
    #[arg(long)]
    pub without_workers: bool,
}

/// A running network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    pub directory: PathBuf,
    pub genesis: Option<Hash>,
    pub hospitals: Vec<Address>,
}

/// The addresses of a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    pub name: String,
    pub node_url: String,
    pub worker_url: String,
}

impl Started {
    fn new(directory: &Path, state: &State) -> Self {
        let hospitals = state.hospitals.iter().map(|hospital| Address {
            name: hospital.name.clone(),
            node_url: hospital.node_url.clone(),
            worker_url: hospital.worker_url.clone(),
        });
        Self {
            directory: directory.to_path_buf(),
            genesis: state.genesis,
            hospitals: hospitals.collect(),
        }
    }
}

impl Output for Started {}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, hospital) in self.hospitals.iter().enumerate() {
            writeln!(
                f,
                "hospital {id} {:<8} node {}  worker {}",
                hospital.name, hospital.node_url, hospital.worker_url
            )?;
        }
        writeln!(f, "its keys are public development keys: do not use it for real patients")?;
        writeln!(f, "show its status:      {}", at("status", &self.directory))?;
        write!(
            f,
            "use it in this shell: export EPIONE_DEVNET={}",
            quoted(self.directory.as_os_str())
        )
    }
}

/// Starts a network; in the foreground, watches it until a signal ends it.
async fn up(args: &UpArgs, context: &Context) -> Result<bool, Failure> {
    let json = context.common().json;
    let options = Options {
        directory: args.directory.resolve(context),
        hospitals: args.hospitals,
        base_port: args.base_port,
        binaries: Binaries::find(args.bin_dir.as_deref())?,
        pack_millis: args.pack_ms,
        layout: Layout {
            storage: args.store,
            without_workers: args.without_workers,
            ..Layout::default()
        },
    };
    let starting = progress::waiting(context, "starting");
    let say = |step: &str| starting.becomes(step.to_owned());
    // A single future, so that no signal is missed.
    let mut stop = pin!(interrupt::signalled());
    let mut network = tokio::select! {
        network = Devnet::up(&options, &say) => network?,
        _ = &mut stop => return Err(stopped(&options.directory)),
    };
    starting.finish_and_clear();
    show(&Started::new(network.directory(), network.state()), json)?;
    if args.detach {
        network.detach()?;
        return Ok(true);
    }
    if !json {
        progress::line("press Ctrl-C to stop it");
    }
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = tokio::time::sleep(WATCH) => {}
        }
        for process in network.ended() {
            let logs = network.directory().join("logs");
            progress::warn(
                context,
                &format!("{process} stopped; its log is in {}", logs.display()),
            );
        }
        if !network.is_alive() {
            break;
        }
    }
    network.down()?;
    Ok(true)
}

fn stopped(directory: &Path) -> Failure {
    if matches!(State::read(directory), Ok(None)) {
        return Failure::new("interrupted while starting", "all started processes were stopped");
    }
    Failure::new(
        "interrupted while starting; some of the started processes could not be stopped",
        format!("stop them: {}", at("down", directory)),
    )
}

/// A command for the network of a directory.
fn at(verb: &str, directory: &Path) -> Invocation {
    Invocation::new(["devnet", verb, "--dir"]).with([directory])
}

/// A network that was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    pub directory: PathBuf,
}

impl Output for Ended {}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped; the logs are in {}/logs", self.directory.display())
    }
}

async fn down(args: &DirectoryArgs, context: &Context) -> Result<Ended, Failure> {
    let directory = args.resolve(context);
    let spinner = progress::waiting(context, "stopping nodes and workers");
    let work = directory.clone();
    let outcome = tokio::task::spawn_blocking(move || epione_devnet::down(&work)).await;
    spinner.finish_and_clear();
    outcome.map_err(|error| {
        Failure::new(error.to_string(), "this is a bug: report it, then run the command again")
    })??;
    Ok(Ended { directory })
}

/// The status of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    pub phase: Phase,
    pub hospitals: Vec<HospitalHealth>,
}

impl Output for Health {
    fn passed(&self) -> bool {
        self.phase == Phase::Running
            && self.hospitals.iter().all(|hospital| {
                hospital.node_runs
                    && hospital.worker_runs
                    && hospital.worker_ready
                    && hospital.finalized.is_some()
            })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hospital in &self.hospitals {
            let number = |value: Option<u32>| value.map_or("-".into(), |value| value.to_string());
            writeln!(
                f,
                "hospital {} {:<8} node {} (best {}, final {}, peers {})  worker {}",
                hospital.id,
                hospital.name,
                if hospital.node_runs { "running" } else { "NOT RUNNING" },
                number(hospital.best),
                number(hospital.finalized),
                number(hospital.peers),
                match (hospital.worker_runs, hospital.worker_ready) {
                    (true, true) => "ready",
                    (true, false) => "NOT READY",
                    (false, _) => "NOT RUNNING",
                }
            )?;
        }
        Ok(())
    }
}

async fn status(args: &DirectoryArgs, context: &Context) -> Result<Health, Failure> {
    let _asking = progress::waiting(context, "querying the nodes and workers");
    let (phase, hospitals) = epione_devnet::status(&args.resolve(context)).await?;
    Ok(Health { phase, hospitals })
}

impl From<DevnetError> for Failure {
    fn from(error: DevnetError) -> Self {
        Self::new(error.to_string(), help(&error))
    }
}

/// What to do about it.
fn help(error: &DevnetError) -> String {
    match error {
        DevnetError::Hospitals(_) => "pass --hospitals with a number in that range".into(),
        DevnetError::NoProgram { .. } => {
            "build it (`make build`), or give its folder with --bin-dir".into()
        }
        DevnetError::Foreign { .. } => "give an empty or new directory with --dir".into(),
        DevnetError::Busy { .. } => {
            "wait until it ends, stop it with Ctrl-C, or choose another directory with --dir".into()
        }
        DevnetError::Running { directory } | DevnetError::Stale { directory } => {
            format!("stop it first: {}", at("down", directory))
        }
        DevnetError::Absent { directory } => format!("start one: {}", at("up", directory)),
        DevnetError::PortTaken { .. } | DevnetError::BasePort { .. } => {
            "choose another --base-port, or omit it to use any free ports".into()
        }
        DevnetError::NoPorts { .. } => "stop other programs that use ports there".into(),
        DevnetError::State { path, .. } => format!(
            "make sure that no process of the devnet runs, then delete {}",
            path.parent().unwrap_or(path).display()
        ),
        DevnetError::File { .. } => "check the path, its permissions and the free space".into(),
        DevnetError::Start { .. } => "check that the file is a program for this system".into(),
        DevnetError::NodeCommand { .. } | DevnetError::ChainSpec(_) => {
            "build epione-node from the same commit as this program".into()
        }
        DevnetError::DevelopmentKey(_) => "this is a bug: report it".into(),
        DevnetError::Ended { log, .. } => format!("read its log: {}", log.display()),
        DevnetError::TimedOut { log, .. } => {
            format!("the machine may be too busy; read its log: {}", log.display())
        }
        DevnetError::Split { .. } => "another network may use the same ports: stop it".into(),
        DevnetError::NoProcess { .. } => "choose a hospital that has it".into(),
        DevnetError::Survivors(_) => "stop them with kill, as the user who started them".into(),
        DevnetError::Http(_) => "check the system's certificates and resolver".into(),
    }
}
