//! Measures sharing once, with few parties and sections.

#![allow(clippy::unwrap_used)]

mod program;

#[test]
fn sharing_is_measured_for_every_party_and_scheme() {
    let (report, table) = program::run("sharing", &["--quick", "--repetitions", "1"]);
    let result = &report["result"];
    let count = |what: &str| result[what].as_array().map_or(0, Vec::len);
    // Two numbers of each, for one and for eight users, in three schemes.
    let counts = ["outsourcings", "queries", "readings", "updates", "responses"].map(count);
    assert_eq!(counts, [2, 2, 12, 12, 2], "{report}");
    for responses in result["responses"].as_array().unwrap() {
        for form in ["oneRecord", "separateObjects"] {
            assert!(responses[form]["firstMillis"].as_f64().unwrap() > 0.0, "{report}");
            assert!(responses[form]["againMillis"].as_f64().unwrap() > 0.0, "{report}");
        }
        let (one, separate) = (&responses["oneRecord"], &responses["separateObjects"]);
        assert_eq!(one["requests"], 1, "{report}");
        let sections = responses["sections"].as_u64().unwrap();
        assert_eq!(separate["requests"], 1 + sections, "{report}");
    }
    assert!(table.contains("| rebuilt: second copy |"), "{table}");
    assert!(table.contains("## How long a user waits, on a network"), "{table}");
}
