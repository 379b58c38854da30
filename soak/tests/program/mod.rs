//! Runs `epione-soak` as a program.

use std::{fs, process::Command};

use serde_json::Value;

/// Runs a kind of soak run with these arguments. It must succeed. Returns its results for programs and for people.
pub fn run(kind: &str, arguments: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let (work, results) = (folder.path().join("work"), folder.path().join("results"));
    let output = Command::new(env!("CARGO_BIN_EXE_epione-soak"))
        .arg(kind)
        .args(arguments)
        .arg("--dir")
        .arg(&work)
        .arg("--results")
        .arg(&results)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        epione_devnet::tails(&work.join("devnet"), 25)
    );
    let read =
        |extension: &str| fs::read_to_string(results.join(kind).with_extension(extension)).unwrap();
    (serde_json::from_str(&read("json")).unwrap(), read("md"))
}
