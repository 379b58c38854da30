//! The committed chain specifications.

use std::{fs, path::Path};

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
