//! A node process that ends with its test.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// Long enough that only a hanging node exceeds it.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub struct Node {
    child: Child,
    pub rpc_url: String,
    log: Arc<Mutex<Vec<String>>>,
}

pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_epione-node"))
}

/// A development node on free loopback ports.
pub fn development() -> Command {
    let mut command = command();
    command.args([
        "--dev",
        "--rpc-port=0",
        "--listen-addr=/ip4/127.0.0.1/tcp/0",
        "--no-mdns",
        "--no-prometheus",
        "--no-telemetry",
    ]);
    command
}

impl Node {
    /// Starts a node, and waits until its RPC server runs.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (address, found) = mpsc::channel();
        let lines = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("Running JSON-RPC server: addr=") {
                    let _ = address.send(rest.split(',').next().unwrap_or(rest).to_string());
                }
                lines.lock().unwrap().push(line);
            }
        });
        let mut node = Self { child, rpc_url: String::new(), log };
        let address = found
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("the node did not start:\n{}", node.log()));
        node.rpc_url = format!("ws://{address}");
        node
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
    }
}
