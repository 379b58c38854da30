//! Callers who try to use up the worker's places. Others must still be served.

use std::{sync::Arc, time::Duration};

use epione_client::api::{MAX_PART_BYTES, VisitStage};
use epione_envelope::record::SectionKind;
use epione_primitives::{AccountId, HospitalId, limits::SEGMENT_BYTES};
use futures::{StreamExt, stream};
use http::Method;
use object_store::memory::InMemory;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{
    fake::HOSPITAL,
    grants::{POINTER, committed, committed_in, request},
    segments::{link, stored},
    world::{Actor, Raw, World},
};
use crate::{
    api::limits::{Holder, Memory},
    config::Limits,
};

async fn limited(limits: Limits) -> World {
    let objects = Arc::new(InMemory::new());
    World::with(objects.clone(), objects, limits).await
}

/// A request whose body does not arrive, and that states this length. The worker waits for the body.
async fn stalled(world: &World, raw: &Raw, by: &Actor, length: usize) -> TcpStream {
    let mut stream = sent(world, raw, by, length).await;
    let expected = b"HTTP/1.1 100 Continue";
    let mut told = [0; 21];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, expected);
    stream
}

/// The headers of a request, without its body.
async fn sent(world: &World, raw: &Raw, by: &Actor, length: usize) -> TcpStream {
    let port = world.base.port().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: worker\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n",
        raw.method, raw.target
    );
    for (name, value) in &raw.signed(by) {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    stream
}

async fn doctor_submits(world: &World) {
    let visit = world
        .builder()
        .text(SectionKind::Report, "all well")
        .build(&world.doctor.account(), world.chain.newest())
        .await
        .unwrap();
    assert_eq!(world.submit(&visit).await.stage, VisitStage::Queued);
}

#[tokio::test]
async fn slow_requests_for_grants_do_not_stop_a_look() {
    let (world, _) = committed().await;
    let mut held = Vec::new();
    for _ in 0..Limits::default().requests + 2 {
        let raw = Raw::post_json("/v1/grants", &request(&world, &world.stranger, &[POINTER]));
        held.push(stalled(&world, &raw, &world.stranger, raw.body.len()).await);
    }
    world.client(&world.doctor).grant(&request(&world, &world.doctor, &[POINTER])).await.unwrap();
}

#[tokio::test]
async fn slow_visits_of_one_user_do_not_stop_another_users_visit() {
    let world = World::new().await;
    let mut held = Vec::new();
    for _ in 0..Limits::default().visits {
        let raw = Raw::new(Method::POST, "/v1/visits", "");
        held.push(stalled(&world, &raw, &world.stranger, 1_000).await);
    }
    doctor_submits(&world).await;
}

/// The status of the response, after that which asks for the body.
async fn status(mut stream: TcpStream) -> String {
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    if &status == b"HTTP/1.1 100" {
        let mut rest = [0; 13 + 12];
        stream.read_exact(&mut rest).await.unwrap();
        status.copy_from_slice(&rest[13..]);
    }
    std::str::from_utf8(&status).unwrap().to_owned()
}

#[tokio::test]
async fn one_user_cannot_use_all_memory_for_requests() {
    let world =
        limited(Limits { request_timeout: Duration::from_secs(2), ..Limits::default() }).await;
    let raw = || Raw::new(Method::POST, "/v1/visits", "");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = stalled(&world, &raw(), &world.stranger, MAX_PART_BYTES).await;
        stream.write_all(&vec![b' '; MAX_PART_BYTES - 1]).await.unwrap();
        held.push(stream);
    }
    let holder = Holder::Account(world.stranger.account().id());
    let is_used_up = async {
        while world.state.memory(Memory::Long, holder.clone(), 1).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_used_up).await.unwrap();
    let mut refused = sent(&world, &raw(), &world.stranger, MAX_PART_BYTES).await;
    refused.write_all(b" ").await.unwrap();
    assert_eq!(status(refused).await, "HTTP/1.1 429");
    doctor_submits(&world).await;
}

#[tokio::test]
async fn a_length_that_is_only_announced_takes_no_memory() {
    let world = World::new().await;
    let mut held = Vec::new();
    // Together they announce more than one account may use.
    for _ in 0..4 {
        let raw = Raw::new(Method::POST, "/v1/visits", "");
        held.push(stalled(&world, &raw, &world.stranger, MAX_PART_BYTES).await);
    }
}

#[tokio::test]
async fn a_patient_s_visit_is_refused_before_its_body_arrives() {
    let world = World::new().await;
    let raw = Raw::new(Method::POST, "/v1/visits", "");
    let refused = sent(&world, &raw, &world.patient, 1_000).await;
    assert_eq!(status(refused).await, "HTTP/1.1 403");
}

#[tokio::test]
async fn visits_that_use_all_memory_do_not_stop_a_look() {
    let (world, _) = committed().await;
    let quarter = Limits::default().receive_bytes / 4;
    let mut held = Vec::new();
    for hospital in 10..14 {
        let holder = Holder::Hospital(HospitalId(hospital));
        held.push(world.state.memory(Memory::Long, holder, quarter).await.unwrap());
    }
    world.client(&world.doctor).grant(&request(&world, &world.doctor, &[POINTER])).await.unwrap();
}

#[tokio::test]
async fn a_request_that_arrives_in_drops_is_rejected() {
    let silence = Duration::from_millis(300);
    let world = limited(Limits { silence, receive_rate: 1_000_000, ..Limits::default() }).await;
    let mut raw = Raw::new(Method::POST, "/v1/visits", "");
    raw.headers.insert("content-length", 100_000_u32.into());
    let drops = stream::repeat(bytes::Bytes::from_static(b" ")).then(|drop| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, std::io::Error>(drop)
    });
    let response = reqwest::Client::new()
        .post(world.base.join("/v1/visits").unwrap())
        .headers(raw.signed(&world.doctor))
        .body(reqwest::Body::wrap_stream(drops))
        .timeout(Duration::from_secs(60))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 408);
    let problem: epione_client::api::Problem =
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert!(problem.kind.ends_with(":slow"), "{problem:?}");
}

/// Requests a segment by a link, and reads no more of the response than its status.
async fn unread(world: &World, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = ([127, 0, 0, 1], world.base.port().unwrap()).into();
    let mut stream = socket.connect(address).await.unwrap();
    stream
        .write_all(format!("GET {target} HTTP/1.1\r\nhost: worker\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_reader_who_does_not_read_gives_the_place_to_others() {
    let world = limited(Limits {
        segment_reads: 1,
        silence: Duration::from_millis(200),
        request_timeout: Duration::from_secs(60),
        ..Limits::default()
    })
    .await;
    let (segment, _) = stored(&world, SEGMENT_BYTES as usize).await;
    let _unread = unread(&world, &link(&world, &segment, crate::now() + 600_000)).await;
    let other = world.state.segment_slot(Holder::Hospital(HOSPITAL));
    let waited = tokio::time::timeout(Duration::from_secs(30), other).await;
    assert!(waited.expect("the place is given back long before the time limit").is_ok());
}

#[tokio::test]
async fn many_grants_of_one_requester_have_one_share() {
    let world = limited(Limits { segment_reads: 2, ..Limits::default() }).await;
    let (segment, _) = stored(&world, SEGMENT_BYTES as usize).await;
    let first = link(&world, &segment, crate::now() + 600_000);
    let _unread = unread(&world, &first).await;
    // The requester has one of the two places: the other is not for the requester's next grant.
    let requester = Holder::Requester(world.doctor.user);
    let next =
        tokio::time::timeout(Duration::from_millis(100), world.state.segment_slot(requester));
    assert!(next.await.is_err());
    world.state.segment_slot(Holder::Hospital(HOSPITAL)).await.unwrap();
}

#[tokio::test]
async fn links_are_not_checked_on_the_chain_beyond_the_places() {
    let request_timeout = Duration::from_secs(2);
    let world = limited(Limits { requests: 1, request_timeout, ..Limits::default() }).await;
    let (segment, _) = stored(&world, 1_000).await;
    let target = link(&world, &segment, crate::now() + 600_000);
    let place = world.state.request_slot(Holder::Hospital(HOSPITAL)).await.unwrap();
    let busy = Raw::get(&target).send_with(&world, Default::default()).await;
    assert_eq!(busy.refusal(), (503, "busy".into()));
    drop(place);
    let served = Raw::get(&target).send_with(&world, Default::default()).await;
    assert_eq!(served.status, 200);
}

#[tokio::test]
async fn strangers_cannot_keep_a_known_user_waiting() {
    let (world, _) = committed_in(limited(Limits { requests: 1, ..Limits::default() }).await).await;
    // The doctor has sent a visit, so the worker knows the doctor. A stranger has the only place of the strangers.
    let _held = world.state.caller_slot(&AccountId::from([9; 32])).await.unwrap();
    world.client(&world.doctor).grant(&request(&world, &world.doctor, &[POINTER])).await.unwrap();
}

#[tokio::test]
async fn a_reader_who_waits_longer_than_a_request_may_take_is_served() {
    let request_timeout = Duration::from_secs(1);
    let world = limited(Limits { segment_reads: 1, request_timeout, ..Limits::default() }).await;
    let (segment, content) = stored(&world, 1_000).await;
    let target = link(&world, &segment, crate::now() + 600_000);
    let place = world.state.segment_slot(Holder::Hospital(HOSPITAL)).await.unwrap();
    let waiting = async { Raw::get(&target).send_with(&world, Default::default()).await };
    let freeing = async {
        tokio::time::sleep(2 * request_timeout).await;
        drop(place);
    };
    let (served, ()) = tokio::join!(waiting, freeing);
    assert_eq!((served.status, served.body.to_vec()), (200, content));
}
