//! Networks come up, and go away whatever happens to those who started them.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use epione_cli::devnet::{Phase, ProcessRecord};
use network::{Network, epione, stderr};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(180);

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn in_background(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn none_runs(processes: &[ProcessRecord]) -> bool {
    processes.iter().all(|process| !process.is_running())
}

fn down(network: &Network) {
    let output = epione().args(["devnet", "down", "--dir"]).arg(network.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn ctrl_c_takes_a_running_network_down() {
    let network = Network::place();
    let mut up = in_background(&mut network.up(1));
    wait_until("the network runs", || {
        network.state().is_some_and(|state| state.phase == Phase::Running)
    });
    let processes = network.processes();
    assert_eq!(processes.len(), 3, "node, worker, and the one that watches them");
    send(&up, Signal::INT);
    assert!(up.wait().unwrap().success());
    assert!(none_runs(&processes));
    assert!(network.state().is_none());
    assert!(!network.path().join("data").exists());
    assert!(network.path().join("logs/alice-node.log").exists(), "logs stay");
}

#[test]
fn ctrl_c_while_starting_leaves_no_process() {
    let network = Network::place();
    let mut up = in_background(&mut network.up(1));
    wait_until("the node was started", || {
        network.state().is_some_and(|state| !state.nodes().is_empty())
    });
    let processes = network.processes();
    send(&up, Signal::INT);
    assert_eq!(up.wait().unwrap().code(), Some(1));
    assert!(none_runs(&processes));
    assert!(network.state().is_none());
}

#[test]
fn a_directory_holds_one_network() {
    let network = Network::of(1);
    let processes = network.processes();
    let second = network.up(1).arg("--detach").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("already runs"), "{}", stderr(&second));
    assert!(stderr(&second).contains("epione devnet down"), "{}", stderr(&second));
    assert!(processes.iter().all(ProcessRecord::is_running), "the first runs on");
    let status = epione().args(["devnet", "status", "--dir"]).arg(network.path()).output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));

    down(&network);
    assert!(none_runs(&processes));
    // The same directory serves again.
    let again = network.up(1).arg("--detach").output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn what_a_killed_network_left_is_explained_and_taken_down() {
    let network = Network::place();
    // With an S3 server, which must go, too. That the worker is ready says that it writes there.
    let mut up = in_background(network.up(1).args(["--store", "s3"]));
    wait_until("the network runs", || {
        network.state().is_some_and(|state| state.phase == Phase::Running)
    });
    let state = network.state().unwrap();
    assert!(state.hospitals[0].store.ends_with("s3/buckets/hospital-alice"));
    let owner = state.hospitals[0].store.join("owner");
    wait_until("the worker marks its bucket", || owner.is_file());
    let mut processes = network.processes();
    processes.push(state.s3_server.unwrap());
    up.kill().unwrap();
    up.wait().unwrap();

    let refused = network.up(1).arg("--detach").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("epione devnet down"), "{}", stderr(&refused));
    down(&network);
    assert!(none_runs(&processes));
    assert!(network.state().is_none());

    let nothing = epione().args(["devnet", "down", "--dir"]).arg(network.path()).output().unwrap();
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("no devnet runs"), "{}", stderr(&nothing));
}

#[test]
fn a_network_that_cannot_start_says_why_and_leaves_nothing() {
    let network = Network::place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output =
        network.up(1).args(["--detach", "--base-port", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&port.to_string()) && said.contains("--base-port"), "{said}");
    assert!(network.state().is_none());

    // A node that ends at once is no network either.
    let broken = network.file("bin");
    std::fs::create_dir(&broken).unwrap();
    for name in ["epione-node", "epione-worker"] {
        std::os::unix::fs::symlink("/bin/false", broken.join(name)).unwrap();
    }
    let output = network.up(1).arg("--bin-dir").arg(&broken).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("help:"), "{}", stderr(&output));
    assert!(network.state().is_none());

    let nowhere = network.up(1).arg("--bin-dir").arg(network.file("nowhere")).output().unwrap();
    assert!(stderr(&nowhere).contains("epione-node"), "{}", stderr(&nowhere));
}
