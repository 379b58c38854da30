//! Runs the crash loop for a minute: it kills, it checks, and nothing is lost.

#![allow(clippy::unwrap_used)]

use std::{fs, process::Command};

use serde_json::Value;

#[test]
fn nothing_acknowledged_is_lost_in_a_minute_of_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let output = Command::new(env!("CARGO_BIN_EXE_epione-soak"))
        .args(["crashes", "--seed", "20", "--minutes", "0.5", "--round", "0.25"])
        .args(["--pause-ms", "1500", "--down-ms", "3000"])
        .arg("--dir")
        .arg(folder.path().join("work"))
        .arg("--results")
        .arg(&results)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        epione_devnet::tails(&folder.path().join("work/devnet"), 25)
    );
    let report: Value =
        serde_json::from_slice(&fs::read(results.join("crashes.json")).unwrap()).unwrap();
    let result = &report["result"];
    assert_eq!(result["seed"], 20, "{report}");
    // Each of four doctors begins at least one visit in each of two rounds, even on a slow machine.
    assert!(result["visitsAcknowledged"].as_u64().unwrap() >= 8, "{report}");
    assert!(
        result["visitsCommitted"].as_u64() >= result["visitsAcknowledged"].as_u64(),
        "{report}"
    );
    let blows = result["blows"].as_object().unwrap();
    assert!(blows.values().filter_map(Value::as_u64).sum::<u64>() >= 2, "{report}");
    let table = fs::read_to_string(results.join("crashes.md")).unwrap();
    assert!(table.contains("Seed 20."), "{table}");
}
