//! `epione doctor` on a real network: it runs the worker's program, and passes its options and its result on.

#![allow(clippy::unwrap_used)]

mod network;

use std::path::{Path, PathBuf};

use network::{
    Network, epione, eventually,
    proxy::{self, Proxy},
    stderr,
};
use serde_json::{Value, json};

/// The configuration of the first hospital's worker.
fn config(network: &Network) -> PathBuf {
    let store = network.state().unwrap().hospitals[0].store.clone();
    // <hospital>/worker/store
    store.ancestors().nth(2).unwrap().join("worker.toml")
}

/// The finding of a check.
fn of<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("{check}: {report}"))
}

#[test]
fn the_doctor_reports_on_the_worker_of_this_machine() {
    let network = Network::of(1);
    let config = config(&network);
    let doctor = |options: &[&str]| {
        let fixed = ["doctor", "--config", config.to_str().unwrap()];
        network.outcome(&[&fixed[..], options].concat())
    };
    eventually("the doctor finds no problem", || {
        let (status, report) = doctor(&[]);
        let is_fine = status == 0 && report["healthy"] == true;
        if is_fine { Ok(()) } else { Err((status, report.to_string())) }
    });
    // Nobody else could tell.
    let (_, report) = doctor(&[]);
    assert_eq!(of(&report, "reachable")["verdict"], "unchecked");
    assert_eq!(report["complete"], false);

    a_wrong_genesis_is_found(&network, &doctor);
    a_worker_that_is_older_than_the_runtime_is_found(&network, &doctor);
    people_read_what_to_do(&config);
    a_program_that_is_missing_is_named(&config);
}

type Doctor<'a> = &'a dyn Fn(&[&str]) -> (i32, Value);

fn a_wrong_genesis_is_found(network: &Network, doctor: Doctor<'_>) {
    let right = format!("{:?}", network.state().unwrap().genesis.unwrap());
    let (status, report) = doctor(&["--genesis", &right]);
    assert_eq!((status, &of(&report, "genesis")["verdict"]), (0, &json!("ok")), "{report}");
    let wrong = format!("0x{}", "07".repeat(32));
    let (status, report) = doctor(&["--genesis", &wrong]);
    assert_eq!((status, &of(&report, "genesis")["verdict"]), (1, &json!("problem")), "{report}");
}

/// The node says that the chain has a newer runtime, as after an upgrade.
fn a_worker_that_is_older_than_the_runtime_is_found(network: &Network, doctor: Doctor<'_>) {
    let proxy = Proxy::of(&network.state().unwrap().hospitals[0].node_url);
    proxy.with(|method, answer| {
        if method == "state_getRuntimeVersion"
            && let Some(version) = proxy::result(answer)
        {
            version["specVersion"] = json!(version["specVersion"].as_u64().unwrap() + 1);
        }
        true
    });
    let (status, report) = doctor(&["--node", &proxy.url()]);
    let runtime = of(&report, "runtime");
    assert_eq!((status, &runtime["verdict"]), (1, &json!("problem")), "{report}");
    assert!(runtime["todo"].as_str().unwrap().starts_with("install the worker"), "{runtime}");
}

fn people_read_what_to_do(config: &Path) {
    let wrong = format!("0x{}", "07".repeat(32));
    let output = epione()
        .arg("doctor")
        .arg("--config")
        .arg(config)
        .args(["--genesis", &wrong])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("PROBLEM") && text.contains("what to do: compare the hashes"), "{text}");
}

fn a_program_that_is_missing_is_named(config: &Path) {
    let output = epione()
        .args(["doctor", "--bin-dir", "/nowhere", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("epione-worker") && said.contains("--bin-dir"), "{said}");
}
