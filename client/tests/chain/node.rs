//! A node of its own for each test, killed when the test ends.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use epione_client::chain::Chain;
use tempfile::TempDir;

pub struct Node {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Node {
    /// Starts a chain of one hospital, Alice's.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        Self { process: spawn(&folder, port), folder, port }
    }

    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub async fn connect(&self) -> Chain {
        Chain::connect_within(&self.url(), Duration::from_secs(60)).await.unwrap()
    }

    pub fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the same node again: same database, same port.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, self.port);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
        .args(["--rpc-port", &port.to_string(), "--port", &free_port().to_string()])
        .args(["--no-prometheus", "--no-telemetry"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Beside the folder of the test itself.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("epione-node");
    assert!(path.exists(), "no node to test against: cargo build --release -p epione-node");
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
