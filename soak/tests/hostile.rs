//! A minute with hostile members: the honest members are served, and then the hostile ones are expelled.

#![allow(clippy::unwrap_used)]

use std::{fs, process::Command};

use serde_json::Value;

#[test]
fn a_hostile_user_and_a_hostile_hospital_stop_no_visit_and_no_look() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let output = Command::new(env!("CARGO_BIN_EXE_epione-soak"))
        .args(["hostile", "--seed", "20", "--minutes", "1", "--max-growth-mib", "4096"])
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
        serde_json::from_slice(&fs::read(results.join("hostile.json")).unwrap()).unwrap();
    let result = &report["result"];
    // Each of three doctors finishes a visit and a look in each of three streams, even on a slow machine.
    for phase in ["quiet", "hostile"] {
        for what in ["commits", "looks"] {
            assert!(result[phase][what]["count"].as_u64().unwrap() >= 9, "{report}");
        }
    }
    // Every attack was made.
    let outcomes = result["outcomes"].as_object().unwrap();
    for attack in [
        "user's batch",
        "garbage at a node",
        "agent's announcement",
        "agent's fabricated receipt",
        "governance's motion",
        "silent connection to a worker",
        "slow connection to a worker",
    ] {
        assert!(outcomes.contains_key(attack), "{attack}: {report}");
    }
    let table = fs::read_to_string(results.join("hostile.md")).unwrap();
    assert!(table.contains("Seed 20."), "{table}");
}
