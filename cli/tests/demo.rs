//! The demo: its checks pass, its report has the specified fields, and it leaves no processes.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use epione_devnet::{ProcessRecord, State};
use network::{Turn, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn demo(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epione-demo"));
    command.arg("--out").arg(directory).arg("--samples").arg(directory.join("no-samples"));
    command
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn processes(directory: &Path) -> Vec<ProcessRecord> {
    let state = State::read(&directory.join("devnet")).ok().flatten();
    state.map(|state| [state.nodes(), state.workers()].concat()).unwrap_or_default()
}

#[test]
fn the_checks_pass_and_the_report_is_complete() {
    let _turn = Turn::alone();
    let directory = tempfile::tempdir().unwrap();
    let output = demo(directory.path()).output().unwrap();
    let story = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{story}\n{}", String::from_utf8_lossy(&output.stderr));

    let report: Value =
        serde_json::from_slice(&fs::read(directory.path().join("report.json")).unwrap()).unwrap();
    assert_eq!(
        keys(&report),
        [
            "committed_blocks",
            "consortium_key",
            "emergencies",
            "evidence",
            "hospital_left",
            "hospitals",
            "receipts",
            "refusals",
            "refused_requests",
            "retrieved_files",
            "revocation_ms",
            "shared",
            "timings_ms"
        ]
    );
    assert_eq!(report["hospitals"].as_array().unwrap().len(), 4);
    assert_eq!(
        keys(&report["committed_blocks"][0]),
        ["approvals", "cloud_hash", "height", "lite_hash"]
    );
    assert_eq!(keys(&report["refused_requests"][0]), ["reason", "who"]);
    assert_eq!(
        keys(&report["timings_ms"]),
        [
            "announced_to_committed",
            "committed_to_finalized",
            "grant",
            "retrieval",
            "submit_to_announced"
        ]
    );
    access_is_reported(&report);
    sharing_is_reported(&report);
    key_is_reported(&report);
    for file in report["retrieved_files"].as_array().unwrap() {
        assert_eq!(keys(file), ["name", "sha256_in", "sha256_out"]);
        assert_eq!(file["sha256_in"], file["sha256_out"]);
    }
    assert!(!directory.path().join("devnet/devnet.json").exists());
}

fn access_is_reported(report: &Value) {
    let first = &report["receipts"][0];
    assert_eq!(
        keys(first),
        ["block", "hospital", "number", "policies", "purpose", "version", "who"]
    );
    assert_eq!(first["purpose"], "emergency", "emergencies come first");
    assert_eq!(keys(&report["refusals"][0]), ["block", "hospital", "number", "reason", "who"]);
    let emergency = &report["emergencies"][0];
    assert_eq!(keys(emergency), ["judged_by", "justified", "reason", "receipt", "review", "who"]);
    assert_eq!(emergency["receipt"], first["number"]);
    let revocation = &report["revocation_ms"];
    assert_eq!(keys(revocation), ["link_refused", "request_refused", "unrelated_final"]);
    // How soon is up to the machine; that the link dies at all is up to the right that was taken away.
    let [unrelated, link, request] = ["unrelated_final", "link_refused", "request_refused"]
        .map(|moment| revocation[moment].as_u64().unwrap());
    assert!(unrelated > 0 && link > 0 && request >= unrelated.max(link), "{revocation}");
    let refused = report["refused_requests"].as_array().unwrap();
    for who in
        ["second-doctor", "other-researcher", "specialist", "doctor", "researcher", "insurer"]
    {
        assert!(refused.iter().any(|refused| refused["who"] == who), "{who}: {refused:?}");
    }
}

fn key_is_reported(report: &Value) {
    let (key, left) = (&report["consortium_key"], &report["hospital_left"]);
    assert_eq!(keys(left), ["hospital", "key", "wrapped_in"]);
    for key in [key, &left["key"]] {
        assert_eq!(keys(key), ["epoch", "key", "members", "public_key", "threshold"]);
    }
    assert_eq!((&key["members"], &key["threshold"]), (&json!([0, 1, 2, 3]), &json!(3)));
    // The last hospital left. The key is the same, and the section was wrapped before.
    let renewed = &left["key"];
    assert_eq!(left["hospital"], 3);
    assert_eq!((&renewed["members"], &renewed["threshold"]), (&json!([0, 1, 2]), &json!(2)));
    for same in ["key", "public_key"] {
        assert_eq!(renewed[same], key[same], "{same}");
    }
    let epochs = [&key["epoch"], &left["wrapped_in"], &renewed["epoch"]];
    let [made, wrapped, now] = epochs.map(|epoch| epoch.as_u64().unwrap());
    assert!(made <= wrapped && wrapped < now, "{left}");
}

fn sharing_is_reported(report: &Value) {
    let shared = &report["shared"];
    assert_eq!(keys(shared), ["consents", "record", "sections", "slot"]);
    let consents = shared["consents"].as_array().unwrap();
    for (consent, role) in consents.iter().zip(["researcher", "insurer"]) {
        assert!(consent.as_str().unwrap().contains(role), "{role}: {consent}");
    }
    assert_eq!(consents.len(), 2);
    let evidence = &report["evidence"];
    assert_eq!(keys(evidence), ["bytes", "proven_at", "query"]);
    assert!(evidence["bytes"].as_u64().unwrap() > 0, "{evidence}");
    // Who read what the patient shared or accepted, and nothing else.
    let of = |who: &str| {
        let files = report["retrieved_files"].as_array().unwrap().iter();
        files.filter(|file| file["name"].as_str().unwrap().starts_with(who)).count()
    };
    assert_eq!([of("researcher: "), of("researcher, by a query: "), of("insurer: ")], [2, 1, 2]);
    assert_eq!(of("researcher, by an opening: "), 1, "while the record's hospital was away");
    let refused = report["refused_requests"].as_array().unwrap();
    let without = |who: &str| {
        let names = |it: &&Value| it["reason"].as_str().unwrap().contains("cardiology");
        refused.iter().filter(names).any(|it| it["who"] == who)
    };
    assert!(without("other-researcher") && without("researcher"), "{refused:?}");
}

#[test]
fn an_interrupted_demo_stops_its_network() {
    let _turn = Turn::alone();
    let directory = tempfile::tempdir().unwrap();
    let mut demo =
        demo(directory.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the demo starts its network", || match processes(directory.path()).is_empty() {
        true => Err(demo.try_wait()),
        false => Ok(()),
    });
    let started = processes(directory.path());
    kill_process(Pid::from_child(&demo), Signal::INT).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1));
    assert!(started.iter().all(|process| !process.is_running()));
    assert!(!directory.path().join("report.json").exists());
}
