//! Questions of other hospitals about stored segments, and how segments are served to them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use epione_primitives::{block::Segment, hospital::HospitalStatus};
use futures::stream;
use object_store::memory::InMemory;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{
    fake::ELSEWHERE,
    world::{Actor, Raw, Reply, World},
};
use crate::{
    config::{Limits, Transfer},
    transfer::wire::{HeldAnswer, HeldRequest, MAX_NAMED},
};

async fn stored(world: &World, content: Vec<u8>) -> Segment {
    let segment = Segment { hash: blake3::hash(&content).into(), length: content.len() as u32 };
    let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
    world.store.put(&segment, source).await.unwrap();
    segment
}

async fn ask(world: &World, by: &Actor, hashes: &[[u8; 32]]) -> Reply {
    Raw::post_json("/v1/segments/held", &HeldRequest::new(hashes)).send(world, by).await
}

fn bits(reply: &Reply, count: usize) -> Vec<bool> {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice::<HeldAnswer>(&reply.body).unwrap().bits(count).unwrap()
}

#[tokio::test]
async fn agents_learn_which_segments_are_held() {
    let world = World::new().await;
    let here = stored(&world, vec![1; 100]).await.hash;
    let reply = ask(&world, &world.other_agent, &[[9; 32], here, [8; 32]]).await;
    assert_eq!(bits(&reply, 3), [false, true, false]);
}

#[tokio::test]
async fn only_agents_learn_which_segments_are_held() {
    let world = World::new().await;
    for user in [&world.doctor, &world.patient, &world.governance] {
        let reply = ask(&world, user, &[[1; 32]]).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(ask(&world, &Actor::new("Nobody"), &[[1; 32]]).await.status, 401);
    let suspended = HospitalStatus::Suspended;
    world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = suspended;
    assert_eq!(ask(&world, &world.other_agent, &[[1; 32]]).await.status, 403);
}

#[tokio::test]
async fn a_known_agent_must_sign_each_request() {
    let world = World::new().await;
    let raw = Raw::post_json("/v1/segments/held", &HeldRequest::new(&[[1; 32]]));
    let headers = raw.signed(&world.other_agent);
    assert_eq!(raw.send_with(&world, headers.clone()).await.status, 200);
    assert_eq!(raw.send_with(&world, headers.clone()).await.status, 401);
    let mut other = Raw::post_json("/v1/segments/held", &HeldRequest::new(&[[2; 32]]));
    let mut stolen = other.signed(&world.other_agent);
    stolen.extend(headers);
    assert_eq!(other.send_with(&world, stolen).await.status, 401);
    other.digest = Some(blake3::hash(&raw.body).into());
    assert_eq!(other.send(&world, &world.other_agent).await.status, 401);
    other.digest = None;
    other.time -= 61_000;
    assert_eq!(other.send(&world, &world.other_agent).await.status, 401);
}

#[tokio::test]
async fn lists_of_hashes_are_bounded_and_well_formed() {
    let world = World::new().await;
    assert_eq!(
        bits(&ask(&world, &world.agent, &[[7; 32]; MAX_NAMED]).await, MAX_NAMED).len(),
        1_024
    );
    for bad in [
        HeldRequest { segments: vec![] },
        HeldRequest::new(&[[7; 32]; MAX_NAMED + 1]),
        HeldRequest { segments: vec!["zz".into()] },
    ] {
        let reply = Raw::post_json("/v1/segments/held", &bad).send(&world, &world.agent).await;
        assert_eq!(reply.refusal(), (400, "segments".into()));
    }
    let long = Raw::post_json("/v1/segments/held", &"x".repeat(200_000));
    assert_eq!(long.send(&world, &world.agent).await.refusal(), (413, "too-large".into()));
}

/// Requests a segment over a connection with small buffers, and reads only the beginning of the response.
async fn idle_download(world: &World, target: &str, by: &Actor) -> TcpStream {
    let port = world.base.port().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut head = format!("GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    for (name, value) in &Raw::get(target).signed(by) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    stream
}

async fn gets_a_place(world: &World, target: &str, by: &Actor) {
    for _ in 0..6_000 {
        if Raw::get(target).send(world, by).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no slot became free");
}

#[tokio::test]
async fn segments_served_to_hospitals_at_once_are_limited() {
    let world = World::new().await;
    let segment = stored(&world, vec![3; 2 * 1024 * 1024]).await;
    let target = format!("/v1/segments/{}", hex::encode(segment.hash));
    let (one, other) = (&world.other_agent, &world.agent);
    let get = async |by| Raw::get(&target).send(&world, by).await;
    let is_put_off = async |by, status: u16| {
        let reply = get(by).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.headers.contains_key("retry-after"));
    };
    let mut served = Vec::new();
    for _ in 1..Transfer::default().serve_parallel {
        served.push(idle_download(&world, &target, one).await);
    }
    is_put_off(one, 429).await;
    served.push(idle_download(&world, &target, other).await);
    is_put_off(one, 503).await;
    is_put_off(other, 503).await;
    assert_eq!(world.metrics.peers_put_off.get(), 3);
    drop(served);
    gets_a_place(&world, &target, one).await;
}

#[tokio::test]
async fn a_slow_reader_loses_its_slot() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { segment_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits.clone()).await;
    let segment = stored(&world, vec![3; 4 * 1024 * 1024]).await;
    let target = format!("/v1/segments/{}", hex::encode(segment.hash));
    let one = &world.other_agent;
    let mut served = Vec::new();
    for _ in 1..Transfer::default().serve_parallel {
        served.push(idle_download(&world, &target, one).await);
    }
    // They hold all slots that one hospital may have, as tested above. After this, the time limit of each is over.
    tokio::time::sleep(2 * limits.segment_timeout).await;
    gets_a_place(&world, &target, one).await;
    for mut stream in served {
        let mut rest = Vec::new();
        // Depending on what was in flight, the response ends early or with an error.
        stream.read_to_end(&mut rest).await.ok();
        assert!(rest.len() < segment.length as usize, "{} bytes came", rest.len());
    }
}
