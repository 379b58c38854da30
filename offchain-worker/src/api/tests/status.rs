//! What operators and load balancers see.

use std::{sync::Arc, time::Duration};

use object_store::memory::InMemory;

use super::{
    fake::{HOSPITAL, genesis},
    world::{Raw, Reply, World},
};
use crate::{api::limits::Holder, config::Limits, store::faulty::Faulty};

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
    tokio::time::sleep(Duration::from_millis(2_100)).await;
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
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(world.for_operators("/readyz").await.status, 200);
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
