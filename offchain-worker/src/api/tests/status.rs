//! What operators and load balancers see.

use std::{sync::Arc, time::Duration};

use epione_primitives::AccountId;
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

/// The worker then examines itself again.
const RENEWED: Duration = Duration::from_millis(2_100);

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
    let ready = world.for_operators("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");

    room.set(0);
    world.chain.facts().away = true;
    tokio::time::sleep(RENEWED).await;
    let lacking = world.for_operators("/readyz").await;
    assert_eq!(lacking.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&lacking.body).unwrap();
    assert!(report["node"].as_str().unwrap().contains("does not answer"), "{report}");
    assert!(report["store"].as_str().unwrap().contains("full"), "{report}");
    assert_eq!(report["journal"], "ok");
    assert_eq!(get(&world, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_worker_whose_chain_stands_still_is_not_ready() {
    let world = World::new().await;
    world.chain.facts().head_age = 8 * 60_000;
    let lacking = world.for_operators("/readyz").await;
    assert_eq!(lacking.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&lacking.body).unwrap();
    assert!(report["chain"].as_str().unwrap().contains("480 seconds old"), "{report}");
    assert_eq!(report["node"], "ok");
}

#[tokio::test]
async fn a_worker_without_a_free_place_is_not_ready() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { visits: 1, ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    let place = world.state.visit_slot(Holder::Hospital(HOSPITAL)).await.unwrap();
    let lacking = world.for_operators("/readyz").await;
    assert_eq!(lacking.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&lacking.body).unwrap();
    assert_eq!(report["places"], "all places are taken: limits.visits");
    drop(place);
    tokio::time::sleep(RENEWED).await;
    assert_eq!(world.for_operators("/readyz").await.status, 200);
}

async fn look(world: &World) -> u16 {
    let raw = Raw::post_json("/v1/grants", &request(world, &[POINTER]));
    raw.send(world, &world.doctor).await.status
}

/// While somebody has the only place, a look fails, and the worker says so to its operators.
async fn looks_fail(world: &World, limit: &str, place: Slot) {
    assert_eq!(look(world).await, 503);
    tokio::time::sleep(RENEWED).await;
    let lacking = world.for_operators("/readyz").await;
    assert_eq!(lacking.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&lacking.body).unwrap();
    assert_eq!(report["places"], format!("all places are taken: limits.{limit}"));
    drop(place);
}

#[tokio::test]
async fn a_worker_at_which_looks_fail_is_not_ready() {
    let objects = Arc::new(InMemory::new());
    let request_timeout = Duration::from_secs(2);
    let limits = Limits { requests: 1, transactions: 1, request_timeout, ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    let (state, hospital) = (&world.state, Holder::Hospital(HOSPITAL));
    let place = state.transaction_slot(hospital.clone()).await.unwrap();
    looks_fail(&world, "transactions", place).await;
    looks_fail(&world, "requests", state.request_slot(hospital).await.unwrap()).await;
    let somebody = AccountId::from([9; 32]);
    looks_fail(&world, "requests", state.caller_slot(&somebody).await.unwrap()).await;
    tokio::time::sleep(RENEWED).await;
    assert_eq!(world.for_operators("/readyz").await.status, 200);
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
