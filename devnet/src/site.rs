//! One hospital's share of a network: its names, files, ports and addresses, and the configuration of its worker.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use epione_primitives::{Hash, HospitalId};
use serde::Serialize;

use crate::{
    DevnetError, HospitalState, Options,
    addresses::Addresses,
    chain_spec::Founder,
    down, layout, logs, node_key,
    state::write_atomically,
    storage::{Bucket, S3Server},
};

/// Settings of a worker that hold the network together.
const FIXED: [&str; 9] = [
    "node_url",
    "genesis",
    "listen",
    "operators_listen",
    "public_url",
    "data_dir",
    "keystore.development",
    "store.path",
    "store.s3",
];

/// One of a hospital's two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    Node,
    Worker,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Worker => "worker",
        })
    }
}

/// A hospital of a [`Plan`](crate::Plan).
pub struct Site {
    id: HospitalId,
    founder: Founder,
    /// The founder's seed in lower case, as files and processes are called.
    label: String,
    home: PathBuf,
    logs: PathBuf,
    addresses: Addresses,
    /// How other nodes identify this hospital's node; empty until its key is written.
    peer: String,
}

impl Site {
    pub(crate) fn new(
        id: HospitalId,
        founder: Founder,
        addresses: Addresses,
        directory: &Path,
    ) -> Self {
        let label = founder.seed.to_lowercase();
        let home = down::data(directory).join(&label);
        let logs = logs::folder(directory);
        Self { id, founder, label, home, logs, addresses, peer: String::new() }
    }

    pub fn id(&self) -> HospitalId {
        self.id
    }

    /// The folder of the hospital's files: `node/`, `worker.toml`, `worker/`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn seed(&self) -> &'static str {
        self.founder.seed
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Writes the key of the hospital's node, by which other nodes know it.
    pub(crate) async fn write_node_key(&mut self, node: &Path) -> Result<(), DevnetError> {
        self.peer = node_key::write(node, &self.label, &self.node_key()).await?;
        Ok(())
    }

    /// Where other nodes reach this hospital's node, as a multiaddress.
    pub(crate) fn peer_address(&self) -> String {
        format!("{}/p2p/{}", self.addresses.node_listen(), self.peer)
    }

    pub(crate) fn process_name(&self, service: Service) -> String {
        format!("{}-{service}", self.label)
    }

    pub(crate) fn log(&self, service: Service) -> PathBuf {
        self.logs.join(format!("{}.log", self.process_name(service)))
    }

    /// The log of a second process that runs by mistake.
    pub(crate) fn log_of_second(&self, service: Service) -> PathBuf {
        self.logs.join(format!("second-{}.log", self.process_name(service)))
    }

    pub(crate) fn node_key(&self) -> PathBuf {
        self.home.join("node.key")
    }

    /// The keys of a validator whose development keys the node has no name for.
    pub(crate) fn keystore(&self) -> PathBuf {
        self.home.join("keystore")
    }

    /// The worker's configuration file.
    pub fn worker_config(&self) -> PathBuf {
        self.home.join("worker.toml")
    }

    /// Makes the worker verify what its node says, from the chain's first block: adds the block's hash to the
    /// configuration, for the worker's next start.
    pub fn pin(&self, genesis: Hash) -> Result<(), DevnetError> {
        let path = self.worker_config();
        let unusable = |source| DevnetError::File { path: path.clone(), source };
        let configuration = fs::read_to_string(&path).map_err(unusable)?;
        let pinned = with_genesis(&configuration, genesis).map_err(unusable)?;
        write_atomically(&path, pinned.as_bytes()).map_err(unusable)
    }

    /// Where the worker keeps its journal.
    pub fn worker_data(&self) -> PathBuf {
        self.home.join("worker")
    }

    /// Where the worker's objects are.
    fn store(&self, s3: Option<&S3Server>) -> PathBuf {
        s3.map_or_else(|| self.worker_data().join("store"), |server| server.objects(&self.label))
    }

    pub(crate) fn state(&self, s3: Option<&S3Server>) -> HospitalState {
        HospitalState {
            id: self.id,
            name: self.founder.name.clone(),
            node_url: self.addresses.node_url(),
            worker_url: self.addresses.worker_url(),
            operators_url: self.addresses.operators_url(),
            governance: self.founder.governance(),
            agent: self.founder.agent(),
            store: self.store(s3),
            node: None,
            worker: None,
        }
    }

    /// What goes into the worker's configuration file.
    pub(crate) fn configuration(
        &self,
        options: &Options,
        s3: Option<&S3Server>,
    ) -> Result<String, DevnetError> {
        let store = match s3 {
            Some(server) => StoreConfiguration::S3 { s3: server.bucket(&self.label)? },
            None => StoreConfiguration::Local {
                path: self.store(None),
                // The disk of a developer's machine belongs to other programs, too.
                own_visits_reserve_bytes: 0,
            },
        };
        let configuration = WorkerConfiguration {
            node_url: self.addresses.node_url(),
            allow_plain_node: self.addresses.node_is_elsewhere(),
            listen: self.addresses.worker_listen().to_string(),
            operators_listen: self.addresses.operators_listen().to_string(),
            public_url: self.addresses.worker_url(),
            data_dir: self.worker_data(),
            keystore: KeystoreConfiguration { development: self.founder.governance() },
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

/// A worker's configuration, with the hash of the chain's first block.
fn with_genesis(configuration: &str, genesis: Hash) -> io::Result<String> {
    let mut table: toml::Table = toml::from_str(configuration).map_err(io::Error::other)?;
    table.insert("genesis".into(), format!("{genesis:?}").into());
    toml::to_string(&table).map_err(io::Error::other)
}

/// What differs from the worker's defaults.
#[derive(Serialize)]
struct WorkerConfiguration {
    node_url: String,
    allow_plain_node: bool,
    listen: String,
    operators_listen: String,
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
    Local { path: PathBuf, own_visits_reserve_bytes: u64 },
    S3 { s3: Bucket },
}

#[derive(Serialize)]
struct PackConfiguration {
    max_age: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_gets_one_genesis_hash_and_keeps_the_rest() {
        let before = "node_url = \"ws://10.77.0.1:11\"\n[pack]\nmax_age = \"1s\"";
        let first = with_genesis(before, Hash::repeat_byte(1)).unwrap();
        let second = with_genesis(&first, Hash::repeat_byte(2)).unwrap();
        let table: toml::Table = toml::from_str(&second).unwrap();
        assert_eq!(table["genesis"].as_str(), Some(&*format!("0x{}", "02".repeat(32))));
        assert_eq!(table["pack"]["max_age"].as_str(), Some("1s"));
        assert_eq!(table["node_url"].as_str(), Some("ws://10.77.0.1:11"));
    }
}
