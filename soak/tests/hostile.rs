//! A minute with hostile members: the honest members are served, and then the hostile ones are expelled.

#![allow(clippy::unwrap_used)]

mod program;

#[test]
fn a_hostile_user_and_a_hostile_hospital_stop_no_visit_and_no_look() {
    let arguments = ["--seed", "20", "--minutes", "1", "--max-growth-mib", "4096"];
    let (report, table) = program::run("hostile", &arguments);
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
    assert!(table.contains("Seed 20."), "{table}");
}
