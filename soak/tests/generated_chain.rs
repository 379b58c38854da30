//! Runs the copy of a chain of lite blocks with fewer blocks: real nodes start from the generated state, and real
//! commands copy it.

#![allow(clippy::unwrap_used)]

mod program;

#[test]
fn a_peer_copies_a_generated_chain_and_continues_a_killed_copy() {
    let few = ["--blocks", "960", "--records", "3", "--own-records", "12"];
    let (report, table) = program::run("lite", &[&few[..], &["--max-seconds", "300"]].concat());
    let result = &report["result"];
    assert_eq!(result["generated"]["blocks"], 960, "{report}");
    assert_eq!(result["generated"]["records"], 2_880, "{report}");
    assert_eq!(result["ownBlocks"], 2, "{report}");
    assert_eq!(result["ownRecords"], 12, "{report}");
    assert!(result["killed"]["blocks"].as_u64().unwrap() <= 962, "{report}");
    let steps = result["steps"].as_array().unwrap();
    let first = steps.iter().find(|step| step["what"] == "first copy").unwrap();
    assert!(first["peakBytes"].as_u64().unwrap() > 1 << 20, "{report}");
    assert!(result["fileBytes"].as_u64().unwrap() > 962 * 500, "{report}");
    assert!(table.contains("no bodies of these blocks"), "{table}");
}
