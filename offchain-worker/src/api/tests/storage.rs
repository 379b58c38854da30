//! The API of a worker whose segments are in a bucket of a real S3 server: readers are redirected there, and nothing is
//! lost if the server fails.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderMap, header};
use object_store::memory::InMemory;

use super::{
    fake::HOSPITAL,
    grants::{POINTER, committed_in, request},
    segments::{link, stored},
    world::{Actor, Raw, Reply, World},
};
use crate::{
    config::{Limits, S3Settings},
    journal::visits::{self, StageCounts},
    storage_origin,
    store::{
        Store,
        proxy::{Fault, Proxy},
        server::Server,
    },
};

/// A world whose chain names the storage's origin.
async fn world(store: Store) -> World {
    let link = store.presigned(&[0; 32], Duration::from_secs(1)).await.unwrap();
    let world = World::over(store, Arc::new(InMemory::new()), Limits::default()).await;
    name_origin(&world, &link.origin().ascii_serialization());
    world
}

fn name_origin(world: &World, origin: &str) {
    let mut facts = world.chain.facts();
    let entry = facts.hospitals.get_mut(&HOSPITAL).unwrap();
    entry.storage_origin = Some(origin.as_bytes().to_vec().try_into().unwrap());
}

/// Requests a URL, without following redirects.
async fn get(url: &str, headers: HeaderMap) -> Reply {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let response = client.build().unwrap().get(url).headers(headers).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, body: response.bytes().await.unwrap() }
}

async fn follow(world: &World, target: &str) -> Reply {
    get(world.base.join(target).unwrap().as_str(), HeaderMap::new()).await
}

async fn ask(world: &World, by: &Actor, target: &str) -> Reply {
    get(world.base.join(target).unwrap().as_str(), Raw::get(target).signed(by)).await
}

/// The URL of a redirect, and the number of seconds for which it is valid.
fn elsewhere(answer: &Reply) -> (String, u64) {
    assert_eq!((answer.status, answer.body.len()), (307, 0), "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let (_, seconds) = location.split_once("X-Amz-Expires=").unwrap();
    let seconds = seconds.split('&').next().unwrap().parse().unwrap();
    (location, seconds)
}

#[tokio::test]
async fn link_holders_are_redirected_to_the_storage() {
    let server = Server::start();
    let world = world(server.store()).await;
    let (segment, content) = stored(&world, 300_000).await;
    let target = link(&world, &segment, crate::now() + 600_000);
    let (location, seconds) = elsewhere(&follow(&world, &target).await);
    assert_eq!(seconds, 60);
    assert!(location.starts_with(server.settings().endpoint.as_str()), "{location}");
    assert_eq!(get(&location, HeaderMap::new()).await.body, content);
    let range = [(header::RANGE, "bytes=250000-".parse().unwrap())].into_iter().collect();
    let part = get(&location, range).await;
    assert_eq!((part.status, &part.body[..]), (206, &content[250_000..]));

    let short = link(&world, &segment, crate::now() + 20_000);
    let (_, seconds) = elsewhere(&follow(&world, &short).await);
    assert!(seconds <= 20, "{seconds}");
    assert_eq!(world.metrics.segments_redirected.get(), 2);
    assert_eq!(world.metrics.segment_bytes_served.get(), 0);

    // The chain is checked at each use.
    world.chain.facts().receipts.clear();
    assert_eq!(follow(&world, &target).await.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn readers_are_not_redirected_to_an_origin_that_the_chain_does_not_name() {
    let server = Server::start();
    let world = world(server.store()).await;
    let (segment, content) = stored(&world, 50_000).await;
    let target = link(&world, &segment, crate::now() + 600_000);
    name_origin(&world, "https://elsewhere.example");
    let complaint = async || storage_origin::complaint(&world.chain, &server.store()).await;
    let said = complaint().await.unwrap().unwrap();
    assert!(said.contains("set-endpoint --storage-origin http://127.0.0.1:"), "{said}");
    let served = follow(&world, &target).await;
    assert_eq!((served.status, &served.body[..]), (200, &content[..]));
    world.chain.facts().hospitals.get_mut(&HOSPITAL).unwrap().storage_origin = None;
    assert_eq!(follow(&world, &target).await.status, 200);
    assert_eq!(world.metrics.segments_redirected.get(), 0);
    // The worker follows the chain without a restart.
    let endpoint = server.settings().endpoint;
    name_origin(&world, &endpoint.origin().ascii_serialization());
    elsewhere(&follow(&world, &target).await);
    assert_eq!(complaint().await.unwrap(), None);
}

#[tokio::test]
async fn readers_that_come_back_are_served_by_the_worker() {
    let server = Server::start();
    let world = world(server.store()).await;
    let (segment, content) = stored(&world, 50_000).await;
    world.peers.copies.lock().unwrap().insert(segment.hash, content.clone().into());
    let object = server.objects().join("segments").join(hex::encode(segment.hash));
    let target = link(&world, &segment, crate::now() + 600_000);
    let via = format!("{target}&via=worker");
    for wrong in [Some("wrong"), None] {
        match wrong {
            Some(bytes) => fs::write(&object, bytes).unwrap(),
            None => fs::remove_file(&object).unwrap(),
        }
        let (location, _) = elsewhere(&follow(&world, &target).await);
        assert_ne!(get(&location, HeaderMap::new()).await.body, content);
        let whole = follow(&world, &via).await;
        assert_eq!((whole.status, &whole.body[..]), (200, &content[..]));
        assert_eq!(get(&location, HeaderMap::new()).await.body, content, "it is repaired there");
    }
    assert_eq!(world.metrics.segments_repaired.get(), 2);
    for bad in [format!("{target}&via=storage"), format!("{target}&via=")] {
        assert_eq!(follow(&world, &bad).await.refusal(), (403, "forbidden".into()));
    }
}

#[tokio::test]
async fn patients_are_redirected_and_hospitals_are_not() {
    let server = Server::start();
    let (world, record) = committed_in(world(server.store()).await).await;
    let segment = record.segments()[0];
    let target = format!("/v1/segments/{}", hex::encode(segment.hash));
    let own = format!("{target}?record={POINTER}");
    let (location, _) = elsewhere(&ask(&world, &world.patient, &own).await);
    let bytes = get(&location, HeaderMap::new()).await.body;
    assert_eq!(*blake3::hash(&bytes).as_bytes(), segment.hash);
    let here = ask(&world, &world.patient, &format!("{own}&via=worker")).await;
    assert_eq!((here.status, here.body), (200, bytes.clone()));
    assert_eq!(ask(&world, &world.doctor, &own).await.status, 403);
    for agent in [&world.agent, &world.other_agent] {
        let served = ask(&world, agent, &target).await;
        assert_eq!((served.status, &served.body), (200, &bytes));
    }
    let asked = request(&world, &world.doctor, &[POINTER]);
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    elsewhere(&get(&granted.reply.links[0].url, HeaderMap::new()).await);
}

/// Waits until a part of a visit's media was answered with 503.
async fn media_are_refused(world: &World) {
    let labels = ["/v1/visits/{record}/media/{section}", "503"];
    let refused = async {
        while world.metrics.requests.with_label_values(&labels).get() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), refused).await.unwrap();
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_storage_fails() {
    let server = Server::start();
    let hurried = S3Settings {
        request_timeout: Duration::from_millis(1_500),
        deadline: Duration::from_secs(4),
        ..server.settings()
    };
    let world = world(Store::s3(&hurried).unwrap()).await;
    world.submit(&world.visit(300_000).await).await;
    let waiting = world.visit(400_000).await;
    server.pause();
    let client = world.client(&world.doctor);
    let sending = tokio::spawn(async move { client.submit_visit(&waiting, |_| {}).await });
    media_are_refused(&world).await;
    let readiness = world.for_operators("/readyz").await;
    assert_eq!(readiness.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&readiness.body).unwrap();
    assert!(report["store"].as_str().unwrap().contains("does not answer"), "{report}");
    let counts = world.journal.read(visits::counts).await.unwrap();
    assert_eq!(counts, StageCounts { queued: 1, ..StageCounts::default() });
    server.resume();
    // The client retries.
    sending.await.unwrap().unwrap();
    let counts = world.journal.read(visits::counts).await.unwrap();
    assert_eq!(counts, StageCounts { queued: 2, ..StageCounts::default() });
}

/// A segment behind a proxy, which another hospital has too, and the link at which the worker itself serves it.
async fn behind_proxy(server: &Server, settings: S3Settings) -> (World, Vec<u8>, String) {
    let world = world(Store::s3(&settings).unwrap()).await;
    let (segment, content) = stored(&world, 50_000).await;
    world.peers.copies.lock().unwrap().insert(segment.hash, content.clone().into());
    assert!(server.objects().join("segments").join(hex::encode(segment.hash)).exists());
    let target = link(&world, &segment, crate::now() + 600_000);
    (world, content, format!("{target}&via=worker"))
}

#[tokio::test]
async fn a_look_at_an_archived_object_gets_the_bytes_of_another_hospital() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let (world, content, target) = behind_proxy(&server, proxy.settings(&server)).await;
    // It stays archived, even if it is written again.
    proxy.set(Fault::Archived(None));
    let served = follow(&world, &target).await;
    assert_eq!((served.status, &served.body[..]), (200, &content[..]));
}

#[tokio::test]
async fn a_look_at_cut_bodies_gets_the_bytes_of_another_hospital() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let (world, content, target) = behind_proxy(&server, proxy.settings(&server)).await;
    proxy.set(Fault::CutBodies);
    let served = follow(&world, &target).await;
    assert_eq!((served.status, &served.body[..]), (200, &content[..]));
}

#[tokio::test]
async fn a_look_does_not_wait_for_the_deadline_of_a_stalled_storage() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let deadline = Duration::from_secs(120);
    let settings = S3Settings { deadline, ..proxy.settings(&server) };
    let (world, content, target) = behind_proxy(&server, settings).await;
    proxy.set(Fault::Stalled);
    let begun = tokio::time::Instant::now();
    let served = follow(&world, &target).await;
    assert_eq!((served.status, &served.body[..]), (200, &content[..]));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_storage_that_is_slow_to_say_what_it_has_does_not_stop_a_grant() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let world = world(Store::s3(&proxy.settings(&server)).unwrap()).await;
    let (world, record) = committed_in(world).await;
    proxy.set(Fault::Stalled);
    // This worker has read the segments back before.
    let asked = request(&world, &world.doctor, &[POINTER]);
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    assert_eq!(granted.reply.links.len(), record.segments().len());
    assert_eq!(world.peers.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_visit_whose_segments_the_storage_lost_is_not_acknowledged() {
    let server = Server::start();
    let proxy = Proxy::before(&server).await;
    let world = world(Store::s3(&proxy.settings(&server)).unwrap()).await;
    let visit = world.visit(400_000).await;
    proxy.set(Fault::LostWrites);
    let client = world.client(&world.doctor);
    let sending = tokio::spawn(async move { client.submit_visit(&visit, |_| {}).await });
    media_are_refused(&world).await;
    let counts = world.journal.read(visits::counts).await.unwrap();
    assert_eq!(counts, StageCounts::default());
    proxy.heal();
    // The client retries.
    sending.await.unwrap().unwrap();
    let counts = world.journal.read(visits::counts).await.unwrap();
    assert_eq!(counts, StageCounts { queued: 1, ..StageCounts::default() });
}
