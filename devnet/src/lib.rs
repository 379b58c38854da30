//! Networks of hospitals on one machine, for everything that needs one: `epione devnet`, the demo, the tests and the
//! soak runs. Each hospital has a worker and, as a rule, a validator node. All of them are real processes.
//!
//! | in a network's directory | |
//! | --- | --- |
//! | `devnet.json` | which process runs where ([`State`]); exists while any process may run |
//! | `devnet.lock` | locked by the [`Devnet`] or [`down`] that starts, watches or ends the network |
//! | `data/` | the chain specification; each hospital's configuration, databases and object storage; the S3 server's buckets and key; the user's own names |
//! | `logs/` | what the processes print; stays when the network is taken down |
//!
//! [`Devnet`] starts a whole network and takes it down:
//!
//! ```no_run
//! use epione_devnet::{Binaries, Devnet, Layout, Options};
//!
//! # async fn example() -> Result<(), epione_devnet::DevnetError> {
//! let options = Options {
//!     directory: "net".into(),
//!     hospitals: 2,
//!     base_port: None,
//!     binaries: Binaries::find(None)?,
//!     pack_millis: 1_000,
//!     layout: Layout::default(),
//! };
//! let network = Devnet::up(&options, &|step| println!("{step}")).await?;
//! for hospital in &network.state().hospitals {
//!     println!("{}: {}", hospital.name, hospital.node_url);
//! }
//! network.down()
//! # }
//! ```
//!
//! A test that starts, kills and reconfigures processes one by one uses the parts of a [`Devnet`] instead: [`Plan`]
//! reserves the ports and writes the files, and makes a [`Process`] for each node and worker.
//!
//! The network's keys are development keys, which everybody knows: it listens on 127.0.0.1 only.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod addresses;
mod binaries;
mod chain_spec;
mod claim;
mod down;
mod error;
mod layout;
mod logs;
mod network;
mod node_key;
mod plan;
mod ports;
mod probe;
mod process;
mod processes;
mod record;
mod second;
mod signals;
mod site;
mod state;
mod status;
mod storage;

use std::path::PathBuf;

pub use binaries::Binaries;
use claim::Claim;
pub use down::down;
pub use error::DevnetError;
pub use layout::{Layout, Location, Locations, prefixed};
pub use logs::{tail, tails};
pub use network::Devnet;
pub use plan::Plan;
pub use ports::{Ports, Reserved, choose as reserve_ports};
pub use probe::{NodeView, Probe};
pub use process::Process;
pub use record::ProcessRecord;
pub use second::Second;
pub use signals::signalled;
pub use site::{Service, Site};
pub use state::{HospitalState, Phase, State, write_atomically};
pub use status::{HospitalHealth, status};
pub use storage::Storage;

/// The most hospitals that a network can have.
pub const MAX_HOSPITALS: u16 = 16;

/// Which network to start.
#[derive(Clone, Debug)]
pub struct Options {
    pub directory: PathBuf,
    pub hospitals: u16,
    /// The first of a row of ports; any free ports if absent.
    pub base_port: Option<u16>,
    pub binaries: Binaries,
    /// How long a worker collects visits for one lite block, in milliseconds.
    pub pack_millis: u64,
    /// What differs from a network on loopback with default settings.
    pub layout: Layout,
}
