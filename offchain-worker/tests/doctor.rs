//! The doctor on a network of two hospitals, where each finding has a real cause.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use epione_primitives::{Hash, Moment};
use epione_worker::{
    config::Config,
    doctor::{
        Patient,
        clock::{Clock, SystemClock},
        examine,
        report::{Finding, Report, Verdict},
    },
};
use network::{Hospital, Network, Tuning, program, settles};

/// This machine's clock, as if it were this much ahead.
struct Ahead(Moment);

impl Clock for Ahead {
    fn now(&self) -> Moment {
        epione_worker::now() + self.0
    }
}

fn patient(hospital: &Hospital) -> Patient {
    let config_path = hospital.home().join("worker.toml");
    Patient {
        config: Config::read(&config_path).unwrap(),
        config_path,
        node: None,
        keystore: None,
        node_data: Some(hospital.home().join("node")),
        genesis: None,
    }
}

fn problems(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|it| it.is_problem()).collect()
}

/// Waits until the doctor finds this problem.
async fn finds(patient: &Patient, clock: &dyn Clock, check: &str) -> Finding {
    settles(&format!("the doctor finds the problem of {check}"), async || {
        let report = examine(patient, clock).await;
        let found = report.of(check).filter(|it| it.is_problem()).cloned();
        found.ok_or_else(|| report.lines())
    })
    .await
}

fn run(hospital: &Hospital, json: bool) -> Output {
    let mut command = Command::new(program("epione-worker"));
    command.arg("doctor").arg("--config").arg(hospital.home().join("worker.toml"));
    if json {
        command.arg("--json");
    }
    command.output().unwrap()
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_wrong_and_nothing_else() {
    let mut network = Network::start(2, Tuning::default()).await;

    // Nothing is wrong. The network begins its first blocks, so not every answer is there at once.
    for hospital in &network.hospitals {
        let patient = patient(hospital);
        settles("the doctor finds no problem", async || {
            let report = examine(&patient, &SystemClock).await;
            if report.healthy { Ok(()) } else { Err(report.lines()) }
        })
        .await;
    }
    let (first, second) = (&network.hospitals[0], &network.hospitals[1]);
    let own = patient(first);

    // The clock is off by two minutes.
    let clock = finds(&own, &Ahead(120_000), "clock").await;
    assert!(clock.found.contains("ahead of the clocks of"), "{clock:?}");

    // The worker knows another chain than its node.
    let mut elsewhere = patient(first);
    elsewhere.config.genesis = Some(Hash::repeat_byte(7));
    let genesis = finds(&elsewhere, &SystemClock, "genesis").await;
    assert!(genesis.found.contains("genesis in the configuration"), "{genesis:?}");
    let report = examine(&elsewhere, &SystemClock).await;
    assert_eq!(report.of("agent-key").unwrap().verdict, Verdict::Unchecked);
    elsewhere.config.genesis = None;
    elsewhere.genesis = Some(Hash::repeat_byte(8));
    finds(&elsewhere, &SystemClock, "genesis").await;

    // The node has the session keys of another hospital.
    let mut other_node = patient(first);
    other_node.node = Some(patient(second).config.node_url);
    let keys = finds(&other_node, &SystemClock, "session-keys").await;
    assert!(keys.found.contains("does not have the session keys"), "{keys:?}");
    let report = examine(&other_node, &SystemClock).await;
    assert_eq!(report.of("node_url").unwrap().verdict, Verdict::Unchecked);
    // The folder of its keys has none of them.
    let mut empty = patient(first);
    let folder = tempfile::tempdir().unwrap();
    empty.keystore = Some(folder.path().to_owned());
    let keys = finds(&empty, &SystemClock, "session-keys").await;
    assert!(keys.found.contains("no session keys"), "{keys:?}");

    // The disk has less free than the worker reserves.
    let mut full = patient(first);
    full.config.store.own_visits_reserve_bytes = u64::MAX;
    finds(&full, &SystemClock, "store's disk").await;

    // The keystore is another hospital's.
    let mut stranger = patient(first);
    stranger.config.keystore = patient(second).config.keystore;
    let report = examine(&stranger, &SystemClock).await;
    assert!(report.of("agent-key").unwrap().is_problem(), "{:?}", report.lines());

    // The node does not answer.
    let mut away = patient(first);
    away.node = Some("ws://127.0.0.1:1".parse().unwrap());
    let report = examine(&away, &SystemClock).await;
    assert!(report.of("node").unwrap().is_problem(), "{:?}", report.lines());
    assert_eq!(report.of("session-keys").unwrap().verdict, Verdict::Unchecked);

    a_closed_port(&mut network).await;
    a_stopped_worker(&mut network).await;
}

/// The second hospital's worker listens elsewhere than the chain says, so its port there is closed: its own doctor sees
/// it with the first hospital's help, and the first hospital's doctor sees that the way is open in one direction only.
async fn a_closed_port(network: &mut Network) {
    let second = &mut network.hospitals[1];
    let listen = patient(second).config.listen.to_string();
    second.worker.kill();
    second.reconfigure(
        &format!("listen = \"{listen}\""),
        &format!("listen = \"127.0.0.1:{}\"", free_port()),
    );
    second.worker.start();
    second.worker_is_ready().await;

    let second = &network.hospitals[1];
    let reachable = finds(&patient(second), &SystemClock, "reachable").await;
    assert!(reachable.found.contains("no hospital that was asked can connect"), "{reachable:?}");
    let way = finds(&patient(second), &SystemClock, "hospital 0").await;
    assert!(way.found.contains("one direction only"), "{way:?}");
    // The second hospital's doctor has sent the first hospital's worker a request.
    let way = finds(&patient(&network.hospitals[0]), &SystemClock, "hospital 1").await;
    assert!(way.found.contains("one direction only"), "{way:?}");

    // The programs say the same.
    let output = run(second, true);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["healthy"], false);
    let findings = report["findings"].as_array().unwrap();
    let reachable = findings.iter().find(|it| it["check"] == "reachable").unwrap();
    assert_eq!(reachable["verdict"], "problem", "{report}");
    let text = String::from_utf8(run(second, false).stdout).unwrap();
    assert!(text.contains("PROBLEM") && text.contains("what to do:"), "{text}");
}

async fn a_stopped_worker(network: &mut Network) {
    let first = &mut network.hospitals[0];
    assert!(first.worker.stop(), "{}", first.worker.log());
    let report = examine(&patient(first), &SystemClock).await;
    let worker = report.of("worker").unwrap();
    assert!(worker.is_problem() && worker.found.contains("does not run"), "{worker:?}");
    assert_eq!(report.of("readiness").unwrap().verdict, Verdict::Unchecked);
    // The journal of the worker says to which chain it belongs.
    let genesis = report.of("genesis").unwrap();
    assert!(genesis.verdict == Verdict::Ok && genesis.found.contains("journal"), "{genesis:?}");
    assert!(!problems(&report).is_empty());
    // The worker can start: the doctor has left nothing behind.
    first.worker.start();
    first.worker_is_ready().await;
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error() {
    let output = Command::new(program("epione-worker"))
        .args(["doctor", "--config"])
        .arg(PathBuf::from("/nowhere/worker.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/worker.toml"));
}
