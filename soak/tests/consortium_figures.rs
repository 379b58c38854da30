//! Measures the consortium key once, with few members and one look in each way.

#![allow(clippy::unwrap_used)]

mod program;

#[test]
fn the_consortium_key_is_measured_within_a_process_and_on_a_network() {
    let few = ["--quick", "--repetitions", "1", "--count", "1", "--max-blocks", "1000"];
    let (report, table) = program::run("consortium", &few);
    let result = &report["result"];
    let ceremonies = result["ceremonies"].as_array().unwrap();
    let kinds: Vec<_> = ceremonies.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["generation", "resharing"], "{report}");
    for ceremony in ceremonies {
        assert_eq!(ceremony["members"], 4, "{report}");
        assert_eq!(ceremony["transactions"], 4, "{report}");
        assert!(ceremony["deal"]["median"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(result["pairings"]["pairing"]["median"].as_f64().unwrap() > 0.0, "{report}");
    // Enrolment, dealings, judgements and confirmations are in different blocks.
    assert!(result["activation"]["blocks"].as_u64().unwrap() >= 3, "{report}");
    assert!(result["activation"]["seconds"].as_f64().unwrap() > 0.0, "{report}");
    for way in ["standing", "collect"] {
        // The chain has a record of both looks before the reader opens anything.
        assert!(result["looks"][way]["blocks"]["median"].as_u64().unwrap() >= 1, "{report}");
        assert!(result["looks"][way]["seconds"]["median"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(table.contains("| standing look at 8 sections |"), "{table}");
    assert!(table.contains("## Single operations, beside pairings"), "{table}");
}
