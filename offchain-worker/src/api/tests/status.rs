//! What operators and load balancers see.

use std::{sync::Arc, time::Duration};

use object_store::memory::InMemory;

use super::{
    fake::{HOSPITAL, genesis},
    grants::{POINTER, committed_in, request},
    world::{Raw, Reply, World},
};
use crate::{
    api::limits::{Holder, Slot},
    config::Limits,
    store::faulty::Faulty,
};

/// The readiness report of a worker that examines itself now, and its status.
async fn readiness(world: &World) -> (u16, serde_json::Value) {
    world.state.shared.readiness.forget().await;
    let reply = world.for_operators("/readyz").await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

async fn get(world: &World, target: &str) -> Reply {
    Raw::get(target).send_with(world, Default::default()).await
}

#[tokio::test]
async fn a_worker_names_its_hospital() {
    let world = World::new().await;
    let info = world.client(&world.doctor).info().await.unwrap();
    assert_eq!((info.hospital, info.genesis), (HOSPITAL, genesis()));
}

#[tokio::test]
async fn readiness_names_each_failed_part() {
    let (backend, room, objects) = Faulty::with_room(1_000);
    let world = World::with(backend, objects, Limits::default()).await;
    assert_eq!(get(&world, "/healthz").await.status, 200);
    let (status, report) = readiness(&world).await;
    assert_eq!(status, 200, "{report}");

    room.set(0);
    world.chain.facts().away = true;
    let (status, report) = readiness(&world).await;
    assert_eq!(status, 503);
    assert!(report["node"].as_str().unwrap().contains("does not answer"), "{report}");
    assert!(report["store"].as_str().unwrap().contains("full"), "{report}");
    assert_eq!(report["journal"], "ok");
    assert_eq!(get(&world, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_worker_whose_chain_stands_still_is_not_ready() {
    let world = World::new().await;
    world.chain.facts().head_age = 8 * 60_000;
    let (status, report) = readiness(&world).await;
    assert_eq!(status, 503);
    assert!(report["chain"].as_str().unwrap().contains("480 seconds old"), "{report}");
    assert_eq!(report["node"], "ok");
}

async fn look(world: &World) -> u16 {
    let raw = Raw::post_json("/v1/grants", &request(world, &world.doctor, &[POINTER]));
    raw.send(world, &world.doctor).await.status
}

/// While somebody has the only place, a look fails, and the worker says so to its operators. It is still ready.
async fn looks_fail(world: &World, limit: &str, place: Slot) {
    assert_eq!(look(world).await, 503);
    let (status, report) = readiness(world).await;
    assert_eq!(status, 200);
    assert_eq!(report["places"], format!("all places are taken: limits.{limit}"));
    drop(place);
}

#[tokio::test]
async fn callers_who_take_all_places_do_not_make_a_worker_unready() {
    let objects = Arc::new(InMemory::new());
    let request_timeout = Duration::from_secs(2);
    let limits = Limits { requests: 1, transactions: 1, request_timeout, ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    let (state, hospital) = (&world.state, Holder::Hospital(HOSPITAL));
    let place = state.transaction_slot(hospital.clone()).await.unwrap();
    looks_fail(&world, "transactions", place).await;
    looks_fail(&world, "requests", state.request_slot(hospital).await.unwrap()).await;
    let known = world.doctor.account().id();
    looks_fail(&world, "requests", state.caller_slot(&known).await.unwrap()).await;
    assert_eq!(readiness(&world).await.1["places"], "ok");
    assert_eq!(look(&world).await, 200);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_id() {
    let objects = Arc::new(InMemory::new());
    let world = World::with(objects.clone(), objects, Limits::default()).await;
    get(&world, "/v1/segments/00ff").await;
    let metrics = world.for_operators("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains(r#"route="/v1/segments/{hash}",status="400""#), "{text}");
    assert!(!text.contains("00ff"));
}
