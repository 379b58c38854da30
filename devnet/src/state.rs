//! `devnet.json`: which process runs where. It is written after every step, so that a network whose `epione devnet up`
//! was killed can still be taken down.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use epione_primitives::{Hash, HospitalId};
use serde::{Deserialize, Serialize};

use crate::{DevnetError, record::ProcessRecord};

/// Of the form of this file.
const VERSION: u32 = 1;
/// The file of sixteen hospitals has a few KiB.
const MAX_BYTES: u64 = 1024 * 1024;

/// Of a network's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Starting,
    /// Blocks are final and every worker that was started is ready.
    Running,
}

/// A network on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    pub version: u32,
    pub phase: Phase,
    /// Hash of the chain's first block, once a node has answered.
    pub genesis: Option<Hash>,
    pub hospitals: Vec<HospitalState>,
    /// The `epione devnet up` that stays in the foreground.
    pub supervisor: Option<ProcessRecord>,
    /// Stores the workers' segments, unless they are in folders.
    #[serde(default)]
    pub s3_server: Option<ProcessRecord>,
}

/// A hospital of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HospitalState {
    pub id: HospitalId,
    pub name: String,
    /// WebSocket and HTTP share the port.
    pub node_url: String,
    pub worker_url: String,
    /// Where the worker serves its metrics and its readiness.
    pub operators_url: String,
    /// Development key URIs. They are not secret: anyone can derive these keys.
    pub governance: String,
    pub agent: String,
    /// The worker's object storage.
    pub store: PathBuf,
    pub node: Option<ProcessRecord>,
    pub worker: Option<ProcessRecord>,
}

impl State {
    /// A network of which nothing runs yet.
    pub fn new(hospitals: Vec<HospitalState>) -> Self {
        Self {
            version: VERSION,
            phase: Phase::Starting,
            genesis: None,
            hospitals,
            supervisor: None,
            s3_server: None,
        }
    }

    /// Reads the state of the network in `directory`.
    pub fn read(directory: &Path) -> Result<Option<Self>, DevnetError> {
        let path = path(directory);
        let unreadable = |reason: String| DevnetError::State { path: path.clone(), reason };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                return Err(unreadable(format!("it is longer than {MAX_BYTES} bytes")));
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let state: Self =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if state.version != VERSION {
            return Err(unreadable(format!("its version is {}, not {VERSION}", state.version)));
        }
        Ok(Some(state))
    }

    /// Replaces the file atomically.
    pub fn write(&self, directory: &Path) -> Result<(), DevnetError> {
        let json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON; qed");
        write_atomically(&path(directory), &json)
            .map_err(|source| DevnetError::File { path: path(directory), source })
    }

    /// The recorded processes of all workers.
    pub fn workers(&self) -> Vec<ProcessRecord> {
        self.hospitals.iter().filter_map(|hospital| hospital.worker.clone()).collect()
    }

    /// The recorded processes of all nodes.
    pub fn nodes(&self) -> Vec<ProcessRecord> {
        self.hospitals.iter().filter_map(|hospital| hospital.node.clone()).collect()
    }

    /// Whether any of its processes runs.
    pub fn is_alive(&self) -> bool {
        let (workers, nodes) = (self.workers(), self.nodes());
        let others = self.supervisor.iter().chain(&self.s3_server);
        workers.iter().chain(&nodes).chain(others).any(ProcessRecord::is_running)
    }

    pub fn hospital(&self, id: HospitalId) -> Option<&HospitalState> {
        self.hospitals.iter().find(|hospital| hospital.id == id)
    }
}

pub fn path(directory: &Path) -> PathBuf {
    directory.join("devnet.json")
}

/// Replaces a file atomically: writes a temporary file in the same folder, flushes it to the disk, and renames it.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), None);
        let state = State::new(Vec::new());
        state.write(directory.path()).unwrap();
        assert_eq!(State::read(directory.path()).unwrap(), Some(state));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(path(directory.path()), "{").unwrap();
        let error = State::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("devnet.json"), "{error}");
    }
}
