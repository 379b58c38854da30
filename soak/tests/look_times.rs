//! Compares the times of looks that verify and of looks that believe the node, once in each way and state.

#![allow(clippy::unwrap_used)]

mod program;

#[test]
fn every_look_shows_the_whole_visit_in_both_ways_and_both_states() {
    let (report, table) = program::run("looks", &["--count", "1", "--max-ratio", "1000"]);
    let result = &report["result"];
    for reading in [&result["whole"], &result["parts"]] {
        for way in ["verified", "believed"] {
            assert!(reading[way].is_object(), "{report}");
        }
    }
    assert!(result["whole"]["ratio"].as_f64().unwrap() > 0.0, "{report}");
    for state in ["usual", "firstUse"] {
        let commands = result[state].as_array().unwrap();
        assert_eq!(commands.len(), 3, "{report}");
        for command in commands {
            assert!(command["verified"]["median"].as_f64().unwrap() > 0.0, "{report}");
            assert!(command["believed"]["median"].as_f64().unwrap() > 0.0, "{report}");
        }
    }
    assert!(table.contains("| epione records get | whole look |"), "{table}");
    assert!(table.contains("| epione records list | first use |"), "{table}");
}
