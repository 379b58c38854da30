//! The committed chain specifications.

use std::{fs, path::Path};

use epione_node_service::chain_spec::{EmbeddedRuntime, load};
use epione_runtime::genesis;

use crate::process::command;

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
