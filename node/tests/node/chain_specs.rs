//! The committed chain specifications.

use std::{fs, path::Path};

use epione_node_service::chain_spec::{EmbeddedRuntime, load};
use epione_primitives::limits::{
    CUSTODIAN_BLOCKS, DAY_BLOCKS, RECOVERY_BLOCKS, REPLACEMENT_BLOCKS, RETENTION_BLOCKS,
    UPGRADE_BLOCKS,
};
use epione_runtime::genesis;
use jsonrpsee::{core::client::ClientT, rpc_params, ws_client::WsClientBuilder};
use serde_json::{Value, json};
use sp_core::hexdisplay::HexDisplay;
use sp_io::hashing::twox_128;

use crate::process::{Node, command, development};

/// The short delays of the presets, by pallet and name in the genesis.
const UPGRADE: (&str, &str) = ("councilRoot", "upgradeDelay");
const RECOVERY: (&str, &str) = ("profiles", "recoveryDelay");
const CUSTODIAN: (&str, &str) = ("custody", "delay");
const REPLACEMENT: (&str, &str) = ("hospitals", "replacementDelay");
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain-specs");

#[test]
fn the_committed_specifications_match_those_that_the_node_exports() {
    let folder = tempfile::tempdir().unwrap();
    let output = command().arg("export-presets").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for name in ["dev.json", "local.json"] {
        let exported = fs::read_to_string(folder.path().join(name)).unwrap();
        let committed = fs::read_to_string(Path::new(COMMITTED).join(name)).unwrap();
        assert!(
            exported == committed,
            "chain-specs/{name} is out of date: run `epione-node export-presets chain-specs`"
        );
    }
}

#[test]
fn a_file_without_a_runtime_gets_the_nodes_runtime() {
    let output = command()
        .args(["export-chain-spec", "--raw", "--chain"])
        .arg(Path::new(COMMITTED).join("local.json"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let from_preset =
        command().args(["export-chain-spec", "--raw", "--chain=local"]).output().unwrap();
    assert!(output.stdout == from_preset.stdout, "both lead to the same genesis");
}

/// The hash that `epione-node genesis-hash` prints.
fn genesis_hash(chain: &str) -> String {
    let output = command().args(["genesis-hash", "--chain", chain]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_hash_of_the_first_block_is_the_one_of_a_running_node() {
    let node = Node::start(development());
    let client = WsClientBuilder::default().build(&node.rpc_url).await.unwrap();
    let running: String = client.request("chain_getBlockHash", rpc_params![0]).await.unwrap();
    assert_eq!(genesis_hash("dev"), running);
    assert_ne!(genesis_hash("local"), running);
}

#[test]
fn a_raw_specification_has_the_hash_of_the_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw.json");
    let export = ["export-chain-spec", "--raw", "--chain=local", "--output"];
    let output = command().args(export).arg(&raw).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(genesis_hash(raw.to_str().unwrap()), genesis_hash("local"));
}

#[test]
fn a_node_that_was_built_without_its_runtime_reports_how_to_build_it() {
    let runtime =
        EmbeddedRuntime { code: None, preset_names: genesis::names, preset: genesis::preset };
    let local = Path::new(COMMITTED).join("local.json");
    for chain in [genesis::LOCAL, local.to_str().unwrap()] {
        let error = load(&runtime, chain).err().unwrap();
        assert!(error.contains("SKIP_WASM_BUILD"), "{error}");
    }
}

/// What the node says about a specification.
fn said_about(spec: &Value) -> Result<(), String> {
    let runtime =
        EmbeddedRuntime { code: Some(&[0]), preset_names: genesis::names, preset: genesis::preset };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spec.json");
    fs::write(&file, spec.to_string()).unwrap();
    load(&runtime, file.to_str().unwrap()).map(drop)
}

/// A specification of a live chain that its operators made from the preset `local`. One of the preset's short delays
/// has this value, and the others are removed.
fn live(pallet: &str, name: &str, delay: Value) -> Value {
    let local = fs::read_to_string(Path::new(COMMITTED).join("local.json")).unwrap();
    let mut spec: Value = serde_json::from_str(&local).unwrap();
    spec["chainType"] = "Live".into();
    let patch = &mut spec["genesis"]["runtimeGenesis"]["patch"];
    for (pallet, name) in [UPGRADE, RECOVERY, CUSTODIAN, REPLACEMENT] {
        patch[pallet][name] = Value::Null;
    }
    patch[pallet][name] = delay;
    spec
}

/// Checks that a live chain can have the delays from `least` to before `end`, the default, and no others.
fn check_bounds((pallet, name): (&str, &str), least: u32, end: u32) {
    for delay in [0, 20, least - 1, end] {
        let said = said_about(&live(pallet, name, delay.into())).unwrap_err();
        assert!(said.contains(&format!("{pallet}.{name}")), "{said}");
    }
    for delay in [least.into(), (end - 1).into(), Value::Null] {
        assert_eq!(said_about(&live(pallet, name, delay)), Ok(()));
    }
}

#[test]
fn a_live_chain_cannot_have_the_short_upgrade_delay_of_the_presets() {
    check_bounds(UPGRADE, DAY_BLOCKS, UPGRADE_BLOCKS);
    let (pallet, name) = UPGRADE;
    let mut absent = live(pallet, name, 20.into());
    absent["genesis"]["runtimeGenesis"]["patch"]["councilRoot"] = json!({});
    assert_eq!(said_about(&absent), Ok(()));
    let mut without_type = live(pallet, name, 20.into());
    without_type.as_object_mut().unwrap().remove("chainType");
    assert!(said_about(&without_type).is_err());
}

#[test]
fn a_live_chain_cannot_have_the_short_recovery_delay_of_the_presets() {
    check_bounds(RECOVERY, RECOVERY_BLOCKS, RETENTION_BLOCKS);
}

#[test]
fn a_live_chain_cannot_have_the_short_delay_of_custodians_of_the_presets() {
    check_bounds(CUSTODIAN, CUSTODIAN_BLOCKS, RETENTION_BLOCKS);
}

#[test]
fn a_live_chain_cannot_have_the_short_delay_of_replacements_of_the_presets() {
    check_bounds(REPLACEMENT, REPLACEMENT_BLOCKS, RETENTION_BLOCKS);
}

#[test]
fn a_raw_specification_cannot_hide_a_short_delay() {
    let output = command().args(["export-chain-spec", "--raw", "--chain=local"]).output().unwrap();
    let mut raw: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said_about(&raw), Ok(()));
    raw["chainType"] = "Live".into();
    let said = said_about(&raw).unwrap_err();
    assert!(said.contains("councilRoot.upgradeDelay is 20 blocks"), "{said}");
    let key = [twox_128(b"CouncilRoot"), twox_128(b"UpgradeDelay")].concat();
    let key = format!("0x{}", HexDisplay::from(&key));
    raw["genesis"]["raw"]["top"].as_object_mut().unwrap().remove(&key).unwrap();
    let said = said_about(&raw).unwrap_err();
    assert!(said.contains("profiles.recoveryDelay is 20 blocks"), "{said}");
}

#[test]
fn the_error_about_an_invalid_specification_has_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    fs::write(&file, "{").unwrap();
    for path in [file.as_path(), Path::new("no-such-file.json")] {
        let output = command().arg("--chain").arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
}
