//! A node for each test, killed when the test ends; and one for all tests that change nothing that others need.

use std::{
    ops::Deref,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use epione_client::chain::Chain;
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Long enough that only a hang exceeds it.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub struct Node {
    process: Child,
    folder: TempDir,
    port: u16,
    /// Reserves the port while the node is away. It is bound but does not listen, so a server that sets the same option
    /// can still use the port.
    _reserved: TcpSocket,
}

impl Node {
    /// Starts a chain of one hospital, Alice's.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = reserved.local_addr().unwrap().port();
        Self { process: spawn(&folder, port), folder, port, _reserved: reserved }
    }

    /// A node for tests that run at the same time. They use accounts of their own, or the hospital's, and none changes
    /// what another one reads.
    pub fn shared() -> SharedNode {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let node = shared.upgrade().unwrap_or_else(|| Arc::new(Self::start()));
        *shared = Arc::downgrade(&node);
        SharedNode(node)
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub async fn connect(&self) -> Chain {
        Chain::connect_within(&self.url(), PATIENCE).await.unwrap()
    }

    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the same node again: same database, same port.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, self.port);
    }

    fn print_log(&self) {
        let log = std::fs::read_to_string(self.folder.path().join("node.log"));
        let log = log.unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        eprintln!("the node's log ends:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            self.print_log();
        }
    }
}

/// The node that tests share now. A static is never dropped, so it does not keep the node.
static SHARED: Mutex<Weak<Node>> = Mutex::new(Weak::new());

/// Keeps the shared node. The last test that has it kills it.
pub struct SharedNode(Arc<Node>);

impl Deref for SharedNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Drop for SharedNode {
    fn drop(&mut self) {
        // The node itself prints its log if this is its last test.
        if std::thread::panicking() && Arc::strong_count(&self.0) > 1 {
            self.print_log();
        }
    }
}

fn spawn(folder: &TempDir, port: u16) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join("node.log"))
        .unwrap();
    Command::new(binary())
        .arg("--dev")
        .arg("--base-path")
        .arg(folder.path())
        .args(["--rpc-port", &port.to_string(), "--listen-addr=/ip4/127.0.0.1/tcp/0"])
        .args(["--no-mdns", "--no-prometheus", "--no-telemetry"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// In the parent of the test program's folder.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("epione-node");
    assert!(path.exists(), "no node to test against: cargo build --release -p epione-node");
    path
}
