//! The files, ports and processes of a network, before anything runs.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use epione_primitives::HospitalId;
use serde_json::Value;

use crate::{
    Binaries, DevnetError, MAX_HOSPITALS, Options, Process, Service, Site, State, Storage,
    addresses::Addresses,
    chain_spec, logs, node_key,
    ports::{self, Reserved},
    state::write_atomically,
    storage::S3Server,
};

/// Validators whose development keys the node has names for, such as `--alice`.
const NAMED: usize = 8;

/// A network that is ready to be started. Its ports are reserved for it as long as this value lives, so that each of
/// its processes can start late, end, and start again.
pub struct Plan {
    chain: PathBuf,
    sites: Vec<Site>,
    /// The first so many hospitals have a node.
    nodes: usize,
    /// The first so many hospitals found the chain.
    founders: usize,
    /// Further arguments of every node.
    node_arguments: Vec<String>,
    /// The file of the node's runtime, if the chain begins with another one.
    next_runtime: Option<PathBuf>,
    binaries: Binaries,
    s3: Option<S3Server>,
    _reserved: Vec<Reserved>,
}

impl Plan {
    /// Reserves ports, and writes every file that the processes need.
    pub async fn prepare(options: &Options) -> Result<Self, DevnetError> {
        let mut plan = Self::new(options).await?;
        plan.write_sites(options).await?;
        Ok(plan)
    }

    async fn new(options: &Options) -> Result<Self, DevnetError> {
        let Options { directory, hospitals, base_port, binaries, layout, .. } = options;
        if !(1..=MAX_HOSPITALS).contains(hospitals) {
            return Err(DevnetError::Hospitals(*hospitals));
        }
        let (ports, mut reserved) = ports::choose(*hospitals, *base_port)?;
        let s3 = match layout.storage {
            Storage::Local => None,
            Storage::S3 => {
                let (port, held) = ports::one_more(*hospitals, *base_port)?;
                reserved.push(held);
                Some(S3Server::prepare(binaries, directory, port)?)
            }
        };
        let nodes = layout.nodes_of(*hospitals);
        let addresses = Addresses::of(layout, &ports, nodes);
        let urls: Vec<_> = addresses.iter().map(Addresses::worker_url).collect();
        let mut spec = chain_spec::preset(&binaries.node).await?;
        let storage = s3.as_ref().map(S3Server::origin);
        let founders = chain_spec::settle(&mut spec, &urls, nodes, storage.as_deref())?;
        let founding = layout.founders_of(*hospitals);
        chain_spec::keep_founders(&mut spec, founding)?;
        let next_runtime = match &layout.runtime {
            None => None,
            Some(runtime) => Some(replace_runtime(&mut spec, runtime, directory)?),
        };
        let chain = write_chain(&binaries.node, &spec, directory).await?;
        let sites = (0..)
            .map(HospitalId)
            .zip(founders.into_iter().zip(addresses))
            .map(|(id, (founder, addresses))| Site::new(id, founder, addresses, directory));
        Ok(Self {
            chain,
            sites: sites.collect(),
            nodes,
            founders: founding,
            node_arguments: layout.node_arguments.clone(),
            next_runtime,
            binaries: binaries.clone(),
            s3,
            _reserved: reserved,
        })
    }

    async fn write_sites(&mut self, options: &Options) -> Result<(), DevnetError> {
        create_folder(&logs::folder(&options.directory))?;
        for (index, site) in self.sites.iter_mut().enumerate() {
            create_folder(site.home())?;
            if index < self.nodes {
                site.write_node_key(&self.binaries.node).await?;
            }
            if (NAMED..self.nodes).contains(&index) {
                node_key::write_keystore(site.seed(), &site.keystore())?;
            }
            let configuration = site.configuration(options, self.s3.as_ref())?;
            write(&site.worker_config(), configuration.as_bytes())?;
        }
        Ok(())
    }

    /// Every hospital.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The hospitals that have a node of their own.
    pub(crate) fn validators(&self) -> &[Site] {
        &self.sites[..self.nodes]
    }

    /// The hospitals with which the chain begins.
    pub fn founders(&self) -> &[Site] {
        &self.sites[..self.founders]
    }

    /// The founders that have a node of their own.
    pub(crate) fn founding_validators(&self) -> &[Site] {
        &self.sites[..self.founders.min(self.nodes)]
    }

    /// The file of the node's runtime, if the chain begins with another one.
    pub fn next_runtime(&self) -> Option<&Path> {
        self.next_runtime.as_deref()
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// What to record of the network, of which nothing runs yet.
    pub fn state(&self) -> State {
        State::new(self.sites.iter().map(|site| site.state(self.s3.as_ref())).collect())
    }

    /// The node of a hospital, not started; `None` if the hospital shares another hospital's node.
    pub fn node(&self, site: &Site) -> Option<Process> {
        self.validators().iter().any(|other| other.id() == site.id()).then(|| {
            let addresses = site.addresses();
            let place = NodePlace {
                base: site.home().join("node"),
                key: site.node_key(),
                listen: addresses.node_listen(),
                rpc_port: addresses.rpc_port(),
                address: addresses.locations.node.address,
            };
            self.process(site, Service::Node, self.node_arguments(site, &place))
        })
    }

    /// The arguments of a node with a hospital's session keys.
    pub(crate) fn node_arguments(&self, site: &Site, place: &NodePlace) -> Vec<String> {
        let mut arguments: Vec<String> = if usize::from(site.id().0) < NAMED {
            vec![format!("--{}", site.label())]
        } else {
            vec![
                format!("--name={}", site.label()),
                format!("--keystore-path={}", site.keystore().display()),
            ]
        };
        arguments.extend([
            "--validator".into(),
            format!("--chain={}", self.chain.display()),
            format!("--base-path={}", place.base.display()),
            format!("--node-key-file={}", place.key.display()),
            format!("--listen-addr={}", place.listen),
            format!("--rpc-port={}", place.rpc_port),
            "--allow-private-ip".into(),
            "--no-mdns".into(),
            "--no-telemetry".into(),
            "--no-prometheus".into(),
        ]);
        if !place.address.is_loopback() {
            arguments.extend(["--unsafe-rpc-external".into(), "--rpc-cors=all".into()]);
        }
        if self.nodes == 1 {
            // A validator without peers considers itself offline and authors no blocks.
            arguments.push("--force-authoring".into());
        }
        let others = self.validators().iter().filter(|other| other.id() != site.id());
        arguments.extend(others.map(|other| format!("--bootnodes={}", other.peer_address())));
        arguments.extend(self.node_arguments.iter().cloned());
        arguments
    }

    /// The worker of a hospital, not started.
    pub fn worker(&self, site: &Site) -> Process {
        let config = format!("--config={}", site.worker_config().display());
        self.process(site, Service::Worker, vec!["run".into(), config])
    }

    fn process(&self, site: &Site, service: Service, arguments: Vec<String>) -> Process {
        let locations = &site.addresses().locations;
        let (program, location) = match service {
            Service::Node => (&self.binaries.node, &locations.node),
            Service::Worker => (&self.binaries.worker, &locations.worker),
        };
        Process::new(site.process_name(service), program, arguments, &site.log(service))
            .started_by(&location.prefix)
    }

    /// The network's S3 server, not started; `None` if segments are stored in folders.
    pub fn s3_server(&self) -> Option<Process> {
        self.s3.as_ref().map(S3Server::process)
    }
}

/// The files and addresses of a node.
pub(crate) struct NodePlace {
    pub base: PathBuf,
    /// The file of its own key, by which other nodes know it.
    pub key: PathBuf,
    /// Where it listens for other nodes, as a multiaddress.
    pub listen: String,
    pub rpc_port: u16,
    pub address: IpAddr,
}

/// Lets the chain begin with the runtime in this file. Returns a file with the runtime that it would have begun with.
fn replace_runtime(
    spec: &mut Value,
    runtime: &Path,
    directory: &Path,
) -> Result<PathBuf, DevnetError> {
    let code =
        fs::read(runtime).map_err(|source| DevnetError::File { path: runtime.into(), source })?;
    let own = chain_spec::begin_with(spec, &code)?;
    let data = crate::down::data(directory);
    create_folder(&data)?;
    let next = data.join("next-runtime.wasm");
    write(&next, &own)?;
    Ok(next)
}

/// Writes the chain specification that the nodes read.
async fn write_chain(node: &Path, spec: &Value, directory: &Path) -> Result<PathBuf, DevnetError> {
    let data = crate::down::data(directory);
    create_folder(&data)?;
    let (without_state, chain) = (data.join("chain-to-build.json"), data.join("chain.json"));
    write(&without_state, spec.to_string().as_bytes())?;
    chain_spec::with_state(node, &without_state, &chain).await?;
    Ok(chain)
}

pub(crate) fn create_folder(path: &Path) -> Result<(), DevnetError> {
    fs::create_dir_all(path).map_err(|source| DevnetError::File { path: path.into(), source })
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), DevnetError> {
    write_atomically(path, bytes).map_err(|source| DevnetError::File { path: path.into(), source })
}
