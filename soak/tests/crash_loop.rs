//! Runs the crash loop for a minute: it kills, it checks, and nothing is lost.

#![allow(clippy::unwrap_used)]

mod program;

use serde_json::Value;

#[test]
fn nothing_acknowledged_is_lost_in_a_minute_of_crashes() {
    let short = ["--seed", "20", "--minutes", "0.5", "--round", "0.25"];
    let often = ["--pause-ms", "1500", "--down-ms", "3000"];
    let (report, table) = program::run("crashes", &[&short[..], &often].concat());
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
    assert!(table.contains("Seed 20."), "{table}");
}
