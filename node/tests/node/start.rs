//! Starting a node, and refusing to start.

use std::{
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use crate::{
    process::{Node, PATIENCE, command, development},
    rpc::Rpc,
};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_node_finalizes_its_blocks() {
    let node = Node::start(development());
    let rpc = Rpc::connect(&node.rpc_url).await;
    let begun = Instant::now();
    loop {
        let (number, _) = rpc.finalized().await;
        if number >= 2 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "block {number} is the last finalized block");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[test]
fn a_second_node_on_the_same_data_reports_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let on_folder = || {
        let mut command = development();
        command.arg("--base-path").arg(folder.path());
        command
    };
    let _first = Node::start(on_folder());
    let second = on_folder().output().unwrap();
    assert!(!second.status.success());
    let said = stderr(&second);
    assert!(said.contains("in use by another node"), "{said}");
    assert!(said.contains("--base-path"), "{said}");
}

#[test]
fn a_node_without_a_chain_reports_how_to_give_one() {
    let output = command().output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("--chain"), "{}", stderr(&output));
}

#[test]
fn warp_sync_is_refused_because_it_would_skip_bodies() {
    let output = development().arg("--sync=warp").output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("--sync full"), "{}", stderr(&output));
}

#[test]
fn pruning_of_blocks_is_refused_because_it_would_delete_bodies() {
    for pruning in ["20", "256"] {
        let output = development().arg(format!("--blocks-pruning={pruning}")).output().unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains("archive-canonical"), "{}", stderr(&output));
    }
}

#[test]
fn an_import_that_would_delete_bodies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut import = command();
    import.args(["import-blocks", "--dev", "--blocks-pruning=20", "--base-path"]);
    let output = import.arg(folder.path()).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("archive-canonical"), "{}", stderr(&output));
}

#[test]
fn the_ipfs_network_is_refused_because_strangers_would_read_bodies() {
    let output = development().arg("--ipfs-server").output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("bitswap_v1_get"), "{}", stderr(&output));
}
