//! Whether another hospital's worker can be reached from here: for its agent only, at its address on the chain only,
//! and without telling what else answers there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, response::Redirect, routing::get};
use bytes::Bytes;
use epione_client::api::WorkerInfo;
use epione_primitives::{Hash, HospitalId, hospital::HospitalStatus};
use http::Method;
use object_store::memory::InMemory;
use tokio::net::TcpListener;

use super::{
    fake::{ELSEWHERE, HOSPITAL, genesis},
    world::{Actor, Raw, Reply, World},
};
use crate::{config::Limits, transfer::wire::ReachReply};

/// The time after which a failure is told, with the limits of these tests.
const LIMIT: Duration = Duration::from_secs(1);

async fn world() -> World {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { request_timeout: 2 * LIMIT, ..Limits::default() };
    World::with(objects.clone(), objects, limits).await
}

/// The chain names this address for the other hospital's worker. Both workers are on one machine.
fn name(world: &World, url: &str) {
    name_of(world, HOSPITAL, "http://127.0.0.1:1");
    name_of(world, ELSEWHERE, url);
}

fn name_of(world: &World, hospital: HospitalId, url: &str) {
    let worker_url = url.as_bytes().to_vec().try_into().unwrap();
    world.chain.facts().hospitals.get_mut(&hospital).unwrap().worker_url = worker_url;
}

/// A server on a free port; returns its address.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A worker that says it is this hospital's, on this chain.
async fn worker_of(hospital: HospitalId, genesis: Hash) -> String {
    let info = WorkerInfo { hospital, genesis, version: "1".into() };
    serve(Router::new().route("/v1/info", get(move || async move { Json(info) }))).await
}

async fn ask(world: &World, by: &Actor) -> Reply {
    Raw::new(Method::POST, "/v1/reach", Bytes::new()).send(world, by).await
}

fn reached(reply: &Reply) -> bool {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice::<ReachReply>(&reply.body).unwrap().reached
}

#[tokio::test]
async fn an_agent_learns_that_its_worker_can_be_reached() {
    let world = world().await;
    name(&world, &worker_of(ELSEWHERE, genesis()).await);
    assert!(reached(&ask(&world, &world.other_agent).await));
    assert!(world.state.heard.all().contains_key(&ELSEWHERE));
}

#[tokio::test]
async fn every_failure_looks_the_same_and_takes_the_same_time() {
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // One that accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = worker_of(ELSEWHERE, genesis()).await;
    let redirecting = Router::new().route(
        "/v1/info",
        get(move || async move { Redirect::temporary(&format!("{target}/v1/info")) }),
    );
    for url in [
        format!("http://{closed}"),
        format!("http://{}", silent.local_addr().unwrap()),
        worker_of(HOSPITAL, genesis()).await,
        worker_of(ELSEWHERE, Hash::repeat_byte(9)).await,
        serve(redirecting).await,
        serve(Router::new()).await,
        "ftp://127.0.0.1".into(),
        "http://192.0.2.1".into(),
        String::new(),
    ] {
        let world = world().await;
        name(&world, &url);
        let begun = Instant::now();
        let reply = ask(&world, &world.other_agent).await;
        assert!(!reached(&reply), "{url}");
        assert_eq!(&*reply.body, br#"{"reached":false}"#, "{url}");
        assert!(begun.elapsed() >= LIMIT, "{url}: {:?}", begun.elapsed());
    }
}

/// A hospital elsewhere that names an address of this machine would send this worker to the programs here.
#[tokio::test]
async fn a_worker_connects_to_no_program_of_its_own_machine_for_a_hospital_elsewhere() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let program = serve(Router::new().fallback(move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        Json(WorkerInfo { hospital: ELSEWHERE, genesis: genesis(), version: "1".into() })
    }))
    .await;
    for (own, reaches) in [("https://worker.example", false), ("http://127.0.0.1:1", true)] {
        let world = world().await;
        name(&world, &program);
        name_of(&world, HOSPITAL, own);
        assert_eq!(reached(&ask(&world, &world.other_agent).await), reaches, "{own}");
        assert_eq!(asked.load(Ordering::SeqCst), usize::from(reaches), "{own}");
    }
}

#[tokio::test]
async fn a_leaving_hospital_learns_that_its_readers_can_reach_it() {
    let world = world().await;
    name(&world, &worker_of(ELSEWHERE, genesis()).await);
    let leaving = HospitalStatus::Leaving;
    world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = leaving;
    assert!(reached(&ask(&world, &world.other_agent).await));
}

#[tokio::test]
async fn only_agents_of_serving_hospitals_may_ask() {
    let world = world().await;
    name(&world, &worker_of(ELSEWHERE, genesis()).await);
    for user in [&world.doctor, &world.patient, &world.governance] {
        assert_eq!(ask(&world, user).await.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(ask(&world, &Actor::new("Nobody")).await.refusal(), (401, "unauthorized".into()));
    let suspended = HospitalStatus::Suspended;
    world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = suspended;
    assert_eq!(ask(&world, &world.other_agent).await.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_hospital_that_asks_again_at_once_waits_and_names_no_address() {
    let world = world().await;
    name(&world, &worker_of(ELSEWHERE, genesis()).await);
    let other = Raw::post_json("/v1/reach", &"http://192.0.2.1");
    assert_eq!(other.send(&world, &world.other_agent).await.refusal(), (413, "too-large".into()));
    assert!(reached(&ask(&world, &world.other_agent).await));
    let again = ask(&world, &world.other_agent).await;
    assert_eq!(again.refusal(), (429, "too-many-requests".into()));
    assert!(again.headers.contains_key("retry-after"));
}
