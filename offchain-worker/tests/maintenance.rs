//! Maintenance mode of a running worker: no new visits, nothing lost by a stop, and the mode survives it.

#![allow(clippy::unwrap_used)]

mod network;

use std::process::Command;

use epione_client::worker::WorkerError;
use network::{Hospital, Network, Tuning, people::People, program};

/// Runs `epione-worker maintenance`; returns what it prints as JSON.
fn maintenance(hospital: &Hospital, step: &str) -> serde_json::Value {
    let output = Command::new(program("epione-worker"))
        .args(["maintenance", step, "--json", "--config"])
        .arg(hospital.home().join("worker.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_refused(answer: Result<(), WorkerError>) {
    let refused = answer.unwrap_err();
    let WorkerError::Problem(problem) = &refused else { panic!("{refused}") };
    assert_eq!((problem.status, &*problem.kind), (503, "urn:epione:problem:maintenance"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_maintenance_loses_nothing_and_a_restart_does_not_end_it() {
    // The first visit waits for a second one.
    let tuning = Tuning { pack_age_ms: 3_600_000, pack_records: 2, ..Tuning::default() };
    let mut network = Network::start(1, tuning).await;
    let folder = network.folder.path().to_owned();
    let hospital = &mut network.hospitals[0];
    let people = People::register(hospital).await;
    let first = people.visit(hospital, &folder, &[5; 300_000]).await;
    people.submit(hospital, &first).await;

    let on = maintenance(hospital, "on");
    assert!(on["since"].is_u64(), "{on}");
    assert_eq!(
        (&on["worker"]["waitingVisits"], &on["worker"]["openUploads"]),
        (&1.into(), &0.into())
    );
    let second = people.visit(hospital, &folder, &[]).await;
    is_refused(people.try_submit(hospital, &second).await);
    // Operators see it, and looks go on.
    hospital.answers("readyz", 200).await;
    hospital.metric_becomes("epione_worker_maintenance_seconds", |seconds| seconds > 0).await;

    // As systemctl stop does.
    assert!(hospital.worker.stop(), "{}", hospital.worker.log());
    let stopped = maintenance(hospital, "status");
    assert_eq!((&stopped["since"], &stopped["worker"]), (&on["since"], &serde_json::Value::Null));
    hospital.worker.start();
    hospital.worker_is_ready().await;
    assert!(hospital.worker.log().contains("maintenance mode is on"), "{}", hospital.worker.log());
    is_refused(people.try_submit(hospital, &second).await);

    let off = maintenance(hospital, "off");
    assert_eq!(off["since"], serde_json::Value::Null);
    people.submit(hospital, &second).await;
    for visit in [&first, &second] {
        people.is_committed(hospital, visit.record_id()).await;
    }
    assert_eq!(network.committed().await.len(), 2);
}
