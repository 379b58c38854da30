//! A whole network on this machine: per hospital a validator and a worker, as processes, in a
//! directory of their own.
//!
//! | in the directory | |
//! | --- | --- |
//! | `devnet.json` | what runs where ([`State`]); there while anything may run |
//! | `devnet.lock` | held by the `epione devnet` that starts, watches or ends the network |
//! | `data/` | the chain's specification; per hospital, configurations, databases, object storage; the S3 server's buckets and key; the user's own names |
//! | `logs/` | what the processes print; stays when the network is taken down |
//!
//! The network's keys are development keys, which everybody knows: it listens on 127.0.0.1 only.

mod binaries;
pub mod chain_spec;
mod claim;
mod layout;
mod node_key;
mod ports;
mod probe;
mod process;
mod restart;
mod start;
mod state;
mod status;
mod storage;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Child,
    sync::Arc,
    time::Duration,
};

use epione_primitives::HospitalId;

use crate::invocation::Invocation;

pub use binaries::Binaries;
pub use claim::Claim;
pub use layout::{Layout, Place, Places};
pub use probe::{NodeView, Probe};
pub use process::ProcessRecord;
pub use restart::Part;
pub use state::{HospitalState, Phase, State, write_atomically};
pub use status::{HospitalStatus, status};
pub use storage::Storage;

/// Hospitals of one network, at most.
pub const MAX_HOSPITALS: u16 = 16;

/// How long a worker may take to finish what it does.
const WORKER_GRACE: Duration = Duration::from_secs(10);
/// How long a node may take to close its database.
const NODE_GRACE: Duration = Duration::from_secs(15);
/// How long the `devnet up` in the foreground may take to end its network.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(30);

/// What network to start.
#[derive(Clone, Debug)]
pub struct Options {
    pub directory: PathBuf,
    pub hospitals: u16,
    /// The first of a row of ports; free ports, if absent.
    pub base_port: Option<u16>,
    pub binaries: Binaries,
    /// How long a worker collects visits for one lite block, in milliseconds.
    pub pack_millis: u64,
    /// Where everything runs, if not simply on loopback.
    pub layout: Layout,
}

/// Why a network does not start, answer or end.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    #[error("a network has 1 to {MAX_HOSPITALS} hospitals, not {0}")]
    Hospitals(u16),
    #[error("{name} is neither beside this program nor along PATH")]
    NoProgram { name: &'static str },
    #[error("{path} is not empty, and not the directory of a devnet")]
    Foreign { path: PathBuf },
    #[error("another `epione devnet` is at work in {directory}")]
    Busy { directory: PathBuf },
    #[error("a devnet already runs in {directory}")]
    Running { directory: PathBuf },
    #[error("{directory} holds what is left of a devnet that was not taken down")]
    Stale { directory: PathBuf },
    #[error("no devnet runs in {directory}")]
    Absent { directory: PathBuf },
    #[error("port {port} of 127.0.0.1 cannot be used: {source}")]
    PortTaken { port: u16, source: io::Error },
    #[error("there are not enough ports after {base}")]
    BasePort { base: u16 },
    #[error("127.0.0.1 has no free port: {source}")]
    NoPorts { source: io::Error },
    #[error("cannot read {path}: {reason}")]
    State { path: PathBuf, reason: String },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start {program}: {source}")]
    Start { program: PathBuf, source: io::Error },
    #[error("the network cannot be prepared: {0}")]
    ChainSpec(String),
    #[error("{process} ended by itself ({status}). Its last words: {tail}")]
    Ended { process: String, status: String, log: PathBuf, tail: String },
    #[error("{process} was not ready after {seconds} s")]
    TimedOut { process: String, seconds: u64, log: PathBuf },
    #[error("the node at {node} has another first block than the others")]
    Split { node: String },
    #[error("hospital {hospital} has no {part:?} in this network")]
    NoProcess { hospital: HospitalId, part: Part },
    #[error("these processes could not be ended: {0:?}")]
    Survivors(Vec<u32>),
    #[error("cannot speak HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

impl DevnetError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Hospitals(_) => "pass --hospitals with a number in that range".into(),
            Self::NoProgram { .. } => {
                "build it (`cargo build --release`), or say where it is with --bin-dir".into()
            }
            Self::Foreign { .. } => "name an empty or new directory with --dir".into(),
            Self::Busy { .. } => "wait for it, end it with Ctrl-C, or choose another --dir".into(),
            Self::Running { directory } | Self::Stale { directory } => {
                format!("take it down first: {}", at("down", directory))
            }
            Self::Absent { directory } => {
                format!("start one: {}", at("up", directory))
            }
            Self::PortTaken { .. } | Self::BasePort { .. } => {
                "choose another --base-port, or leave it out to have free ports found".into()
            }
            Self::NoPorts { .. } => "end other programs that listen there".into(),
            Self::State { path, .. } => format!(
                "if nothing of the devnet runs any more, delete {}",
                path.parent().unwrap_or(path).display()
            ),
            Self::File { .. } => "check the path, its permissions and the free space".into(),
            Self::Start { .. } => "check that the file is this system's program".into(),
            Self::ChainSpec(_) => "build epione-node from the same commit as this program".into(),
            Self::Ended { log, .. } => format!("its log says why: {}", log.display()),
            Self::TimedOut { log, .. } => {
                format!("the machine may be too busy; its log says more: {}", log.display())
            }
            Self::Split { .. } => "is another network on the same ports? take it down".into(),
            Self::NoProcess { .. } => "name a hospital that has one".into(),
            Self::Survivors(_) => "end them by hand, as the user who started them".into(),
            Self::Http(_) => "check the system's certificates and resolver".into(),
        }
    }
}

/// A command for the network of a directory.
fn at(verb: &str, directory: &Path) -> Invocation {
    Invocation::new(["devnet", verb, "--dir"]).with([directory])
}

/// A network that this process started. Dropping it takes the network down.
pub struct Devnet {
    claim: Claim,
    state: State,
    /// How its processes are started.
    plan: Arc<start::Plan>,
    /// Kept so that the kernel can forget them once they end.
    children: Vec<(String, Child)>,
    /// Kept as long as a process may be started again.
    _reserved: Vec<ports::Reserved>,
    probe: Probe,
    armed: bool,
}

impl Devnet {
    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn directory(&self) -> &Path {
        self.claim.directory()
    }

    /// Names of the processes that have ended since the last call.
    pub fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        self.children.retain_mut(|(name, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                ended.push(format!("{name} ({status})"));
                false
            }
            Err(_) => {
                ended.push(name.clone());
                false
            }
        });
        ended
    }

    /// Whether any of its processes runs.
    pub fn is_alive(&self) -> bool {
        !self.children.is_empty()
    }

    /// Lets the network run on without this process.
    pub fn detach(mut self) -> Result<State, DevnetError> {
        self.state.supervisor = None;
        self.state.write(self.claim.directory())?;
        self.armed = false;
        Ok(self.state.clone())
    }

    /// Ends every process and removes what they left, logs excepted.
    pub fn down(mut self) -> Result<(), DevnetError> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<(), DevnetError> {
        self.armed = false;
        let left = end_all(&self.state);
        for (_, child) in &mut self.children {
            // Reaps it; whether it ended well is told by its log.
            let _ = child.try_wait();
        }
        left?;
        clear(self.claim.directory())
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if self.armed
            && let Err(error) = self.take_down()
        {
            eprintln!("error: {error}\nhelp: {}", error.help());
        }
    }
}

/// Takes down the network in `directory`, or what is left of one.
pub fn down(directory: &Path) -> Result<(), DevnetError> {
    let Some(state) = State::read(directory)? else {
        return Err(DevnetError::Absent { directory: directory.to_path_buf() });
    };
    if let Some(supervisor) = state.supervisor.clone() {
        // It takes its own network down when told to end.
        process::end(&[supervisor], SUPERVISOR_GRACE);
    }
    let claim = Claim::take(directory)?;
    // What the supervisor wrote last, or nothing if it finished the work.
    if let Some(state) = State::read(claim.directory())? {
        end_all(&state)?;
    }
    clear(claim.directory())
}

/// Workers first: they need their nodes and their storage to finish.
fn end_all(state: &State) -> Result<(), DevnetError> {
    let mut left = process::end(&state.workers(), WORKER_GRACE);
    left.extend(process::end(&state.nodes(), NODE_GRACE));
    left.extend(process::end(state.s3_server.as_slice(), WORKER_GRACE));
    if left.is_empty() {
        return Ok(());
    }
    Err(DevnetError::Survivors(left.iter().map(|process| process.pid).collect()))
}

/// Removes the network's data, then its state, which says that there is something to remove.
fn clear(directory: &Path) -> Result<(), DevnetError> {
    let data = data(directory);
    let state = state::path(directory);
    gone(fs::remove_dir_all(&data)).map_err(|source| DevnetError::File { path: data, source })?;
    gone(fs::remove_file(&state)).map_err(|source| DevnetError::File { path: state, source })
}

/// Everything that a network leaves, state and logs aside.
fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// What was not there needs no removal.
fn gone(removal: io::Result<()>) -> io::Result<()> {
    match removal {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
