//! Networks start, and stop even if the process that started them is killed.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Child, Command, Stdio},
};

use epione_devnet::{Phase, ProcessRecord};
use network::{Network, epione, eventually, stderr};
use rustix::process::{Pid, Signal, kill_process};

fn runs(network: &Network) {
    eventually("the network runs", || match network.state() {
        Some(state) if state.phase == Phase::Running => Ok(()),
        state => Err(state),
    });
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
fn a_network_without_workers_has_nodes_only() {
    let network = Network::place();
    let mut up = in_background(network.up(1).arg("--without-workers"));
    runs(&network);
    let hospitals = network.state().unwrap().hospitals;
    assert!(hospitals.iter().all(|it| it.node.is_some() && it.worker.is_none()));
    send(&up, Signal::INT);
    assert!(up.wait().unwrap().success());
}

#[test]
fn ctrl_c_stops_a_running_network() {
    let network = Network::place();
    let mut up = in_background(&mut network.up(1));
    runs(&network);
    let processes = network.processes();
    assert_eq!(processes.len(), 3, "node, worker, and the one that watches them");
    // So that no node compiles the runtime a second time to build it.
    let chain = std::fs::read(network.path().join("data/chain.json")).unwrap();
    let chain: serde_json::Value = serde_json::from_slice(&chain).unwrap();
    assert!(chain["genesis"]["raw"]["top"].is_object(), "the first block's state is in it");
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
    // A worker that never becomes ready keeps the network from running before it is interrupted.
    let programs = network.file("bin");
    fs::create_dir(&programs).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_epione")).with_file_name("epione-node");
    symlink(built, programs.join("epione-node")).unwrap();
    let worker = network.write("bin/epione-worker", "#!/bin/sh\nexec sleep 3600\n");
    fs::set_permissions(worker, fs::Permissions::from_mode(0o700)).unwrap();
    let mut up = in_background(network.up(1).arg("--bin-dir").arg(&programs));
    eventually("node and worker were started", || match network.state() {
        Some(state) if !state.nodes().is_empty() && !state.workers().is_empty() => Ok(()),
        state => Err(state),
    });
    let processes = network.processes();
    send(&up, Signal::INT);
    assert_eq!(up.wait().unwrap().code(), Some(1));
    assert!(none_runs(&processes));
    assert!(network.state().is_none());
}

#[test]
fn a_directory_is_for_one_network() {
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
fn the_rest_of_a_killed_network_is_explained_and_stopped() {
    let network = Network::place();
    // With an S3 server, which must stop, too. When the worker is ready, it writes there.
    let mut up = in_background(network.up(1).args(["--store", "s3"]));
    runs(&network);
    let state = network.state().unwrap();
    assert!(state.hospitals[0].store.ends_with("s3/buckets/hospital-alice"));
    let owner = state.hospitals[0].store.join("owner");
    eventually("the worker marks its bucket", || owner.is_file().then_some(()).ok_or(&owner));
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
fn a_network_that_cannot_start_says_why_and_leaves_no_process() {
    let network = Network::place();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output =
        network.up(1).args(["--detach", "--base-port", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&port.to_string()) && said.contains("--base-port"), "{said}");
    assert!(network.state().is_none());

    // A network whose node ends at once does not start, either.
    let broken = network.file("bin");
    fs::create_dir(&broken).unwrap();
    for name in ["epione-node", "epione-worker"] {
        symlink("/bin/false", broken.join(name)).unwrap();
    }
    let output = network.up(1).arg("--bin-dir").arg(&broken).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("help:"), "{}", stderr(&output));
    assert!(network.state().is_none());
    assert!(!network.path().join("data").exists());

    let nowhere = network.up(1).arg("--bin-dir").arg(network.file("nowhere")).output().unwrap();
    assert!(stderr(&nowhere).contains("epione-node"), "{}", stderr(&nowhere));
}
