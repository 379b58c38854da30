//! What can go wrong with a network. What to do about it depends on the program, so each program adds that itself.

use std::{io, path::PathBuf, process::ExitStatus};

use epione_primitives::HospitalId;

use crate::{MAX_HOSPITALS, Service};

/// Why a network does not start, answer or end.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    #[error("a network has 1 to {MAX_HOSPITALS} hospitals, not {0}")]
    Hospitals(u16),
    #[error("the program {name} was not found")]
    NoProgram { name: &'static str },
    #[error("{path} is not empty and is not the directory of a devnet")]
    Foreign { path: PathBuf },
    #[error("another process is starting, watching or stopping a devnet in {directory}")]
    Busy { directory: PathBuf },
    #[error("a devnet already runs in {directory}")]
    Running { directory: PathBuf },
    #[error("{directory} contains a devnet that was not stopped")]
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
    #[error("`epione-node {command}` failed ({status}): {stderr}")]
    NodeCommand { command: &'static str, status: ExitStatus, stderr: String },
    #[error("the chain specification that epione-node wrote cannot be used: {0}")]
    ChainSpec(String),
    #[error("a development key cannot be derived: {0}")]
    DevelopmentKey(String),
    #[error("{process} ended unexpectedly ({status}); its log ends with: {last_line}")]
    Ended { process: String, status: String, log: PathBuf, last_line: String },
    #[error("{process} was not ready after {seconds} s")]
    TimedOut { process: String, seconds: u64, log: PathBuf },
    #[error("the node at {node} has a different genesis block from the other nodes")]
    Split { node: String },
    #[error("hospital {hospital} has no {service} in this network")]
    NoProcess { hospital: HospitalId, service: Service },
    #[error("these processes could not be stopped: {0:?}")]
    Survivors(Vec<u32>),
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}
