//! Media uploaded in parts, in any order and repeatedly: each part is sealed once, and only content that the author
//! described and signed.

use std::{sync::Arc, time::Duration};

use epione_client::{
    api::{MAX_PART_BYTES, VisitStage},
    visit::Visit,
};
use epione_primitives::limits::{MAX_SIGNING_AGE_BLOCKS, MAX_SUBMISSION_AGE_BLOCKS, SEGMENT_BYTES};
use object_store::memory::InMemory;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    fake::HOSPITAL,
    visits::{content_of, sealed},
    wire::{Cut, Wire},
    world::{Actor, Raw, Reply, World, noise},
};
use crate::{
    api::limits::{Holder, Memory},
    config::Limits,
};

const MIB: usize = 1024 * 1024;
/// Three parts of the size that this project's client uses, or two segments when sealed.
const BYTES: usize = 20 * MIB + 5;

async fn limited(limits: Limits) -> World {
    let objects = Arc::new(InMemory::new());
    World::with(objects.clone(), objects, limits).await
}

/// A visit whose upload is open, with this many bytes of media in section 1.
async fn announced(world: &World, bytes: usize) -> Visit {
    let visit = world.visit(bytes).await;
    let reply = Raw::visit(&visit.request).send(world, &world.doctor).await;
    let status = reply.progress();
    assert_eq!((reply.status, status.stage), (202, VisitStage::Uploading));
    assert_eq!((status.queued_at, offset(&reply)), (None, 0));
    visit
}

fn part(visit: &Visit, offset: usize, content: &[u8]) -> Raw {
    Raw::part(visit.record_id(), 1, offset as u64, content.to_vec())
}

async fn send(world: &World, part: Raw) -> Reply {
    part.send(world, &world.doctor).await
}

/// The offset of the next part, as the worker states it.
fn offset(reply: &Reply) -> u64 {
    let media = reply.progress().media;
    assert_eq!((media.len(), media[0].section), (1, 1));
    media[0].offset
}

async fn assert_refused(world: &World, part: Raw, status: u16, kind: &str) {
    let reply = send(world, part).await;
    assert_eq!(reply.refusal(), (status, kind.to_owned()), "{reply:?}");
}

/// Checks that the worker has this much of a visit, and nothing else.
async fn assert_at(world: &World, visit: &Visit, bytes: u64) {
    let status = world.client(&world.doctor).visit_status(visit.record_id()).await.unwrap();
    assert_eq!(status.stage, VisitStage::Uploading);
    assert_eq!(status.media[0].offset, bytes);
}

/// Checks that the one visit is queued with this content, and that only its segments are stored.
async fn assert_queued(world: &World, content: &[u8]) {
    let sealed = sealed(world).await;
    assert_eq!(sealed.len(), 1);
    assert!(content_of(world, &sealed[0]).await == content, "other bytes were sealed");
    assert_eq!(world.object_names().await.len(), sealed[0].segments.len());
    assert_eq!(world.metrics.uploads_open.get(), 0);
}

/// Repeats until the condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timed out: {what}");
}

async fn is_forgotten(world: &World, visit: &Visit) {
    let client = world.client(&world.doctor);
    until("the upload is forgotten", async || {
        client.visit_status(visit.record_id()).await.is_err()
    })
    .await;
    until("its segments are gone", async || world.object_names().await.is_empty()).await;
    world.assert_untouched().await;
}

/// Begins a request whose body does not arrive, or not all of it.
async fn begun(world: &World, raw: &Raw, by: &Actor, bytes: usize) -> TcpStream {
    let address = world.base.socket_addrs(|| None).unwrap()[0];
    let mut connection = TcpStream::connect(address).await.unwrap();
    let (method, target, length) = (&raw.method, &raw.target, raw.body.len());
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in &raw.signed(by) {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    connection.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    connection.write_all(&raw.body[..bytes]).await.unwrap();
    connection
}

async fn answer(mut connection: TcpStream) -> String {
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn parts_in_order_make_up_the_visit() {
    let world = World::new().await;
    let (visit, content) = (announced(&world, BYTES).await, noise(BYTES));
    let reply = send(&world, part(&visit, 0, &content[..MAX_PART_BYTES])).await;
    assert_eq!((reply.status, offset(&reply)), (200, MAX_PART_BYTES as u64));
    assert_at(&world, &visit, MAX_PART_BYTES as u64).await;
    // Of any length.
    let (middle, end) = (MAX_PART_BYTES + 1, 2 * MAX_PART_BYTES);
    send(&world, part(&visit, MAX_PART_BYTES, &content[MAX_PART_BYTES..middle])).await.progress();
    send(&world, part(&visit, middle, &content[middle..end])).await.progress();
    let last = send(&world, part(&visit, end, &content[end..])).await;
    assert_eq!(last.progress().stage, VisitStage::Queued);
    assert!(last.progress().queued_at.is_some());
    assert_queued(&world, &content).await;
}

#[tokio::test]
async fn a_repeated_part_is_answered_and_not_sealed_twice() {
    let world = World::new().await;
    let (visit, content) = (announced(&world, 3 * MIB).await, noise(3 * MIB));
    let first = part(&visit, 0, &content[..2 * MIB]);
    assert_eq!(offset(&send(&world, first).await), 2 * MIB as u64);
    // The same part again, a piece of it, a longer one, and the visit itself.
    for (begin, end) in [(0, 2 * MIB), (MIB, 2 * MIB), (MIB, 3 * MIB)] {
        let again = send(&world, part(&visit, begin, &content[begin..end])).await;
        assert_eq!(offset(&again), 2 * MIB as u64);
    }
    let again = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!(offset(&again), 2 * MIB as u64);

    let last = part(&visit, 2 * MIB, &content[2 * MIB..]);
    let queued = send(&world, last.clone()).await.progress();
    assert_eq!(queued.stage, VisitStage::Queued);
    assert_queued(&world, &content).await;
    // A part of a finished visit, and the finished visit.
    let last = Raw { nonce: [3; 16], ..last };
    assert_eq!(send(&world, last).await.progress(), queued);
    let again = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!((again.status, again.progress()), (202, queued));
    assert_queued(&world, &content).await;
}

#[tokio::test]
async fn an_early_part_waits_for_the_ones_before_it() {
    let world = World::new().await;
    let (visit, content) = (announced(&world, 3 * MIB).await, noise(3 * MIB));
    let (first, second) =
        (part(&visit, 0, &content[..2 * MIB]), part(&visit, 2 * MIB, &content[2 * MIB..]));
    let early = async { send(&world, second).await };
    let later = async {
        until("the early part is held", async || {
            world.metrics.upload_bytes_held.get() == MIB as i64
        })
        .await;
        send(&world, first).await
    };
    let (early, later) = tokio::join!(early, later);
    assert_eq!(early.progress().stage, VisitStage::Queued);
    assert_eq!(later.status, 200);
    assert_queued(&world, &content).await;
}

#[tokio::test]
async fn an_early_part_does_not_keep_memory_that_others_need() {
    let all = 2 * MAX_PART_BYTES;
    let request_timeout = Duration::from_secs(120);
    let world = limited(Limits { receive_bytes: all, request_timeout, ..Limits::default() }).await;
    let (visit, content) = (announced(&world, 3 * MIB).await, noise(3 * MIB));
    let early = send(&world, part(&visit, 2 * MIB, &content[2 * MIB..]));
    let other = async {
        until("the early part is held", async || {
            world.metrics.upload_bytes_held.get() == MIB as i64
        })
        .await;
        world.state.memory(Memory::Long, Holder::Hospital(HOSPITAL), all).await
    };
    let (early, other) = tokio::join!(early, other);
    assert_eq!(early.refusal(), (409, "offset".into()));
    assert!(other.is_ok());
    assert_at(&world, &visit, 0).await;
}

#[tokio::test]
async fn at_most_two_parts_of_a_visit_are_in_memory() {
    let world = limited(Limits { part_timeout: Duration::from_secs(8), ..Limits::default() }).await;
    let (visit, content) = (announced(&world, BYTES).await, noise(BYTES));
    let whole = &content[MAX_PART_BYTES..2 * MAX_PART_BYTES];
    let early = async || send(&world, part(&visit, MAX_PART_BYTES, whole)).await;
    let third = async {
        until("two parts are held", async || {
            world.metrics.upload_bytes_held.get() == 2 * MAX_PART_BYTES as i64
        })
        .await;
        early().await
    };
    let (first, second, third) = tokio::join!(early(), early(), third);
    assert_eq!(third.refusal(), (503, "busy".into()));
    // The part before them does not arrive.
    assert_eq!(first.refusal(), (409, "offset".into()));
    assert_eq!(second.refusal(), (409, "offset".into()));
    until("nothing is held", async || world.metrics.upload_bytes_held.get() == 0).await;
    assert_at(&world, &visit, 0).await;
    // Further ahead than a part may be: rejected immediately.
    let far = part(&visit, 2 * MAX_PART_BYTES + 1, &content[..10]);
    assert_refused(&world, far, 409, "offset").await;
}

#[tokio::test]
async fn a_part_must_be_within_the_described_media() {
    let world = World::new().await;
    let (visit, content) = (announced(&world, 9 * MIB).await, noise(9 * MIB));
    let record = visit.record_id();
    let elsewhere = |section, offset| Raw::part(record, section, offset, vec![1; 10]);
    let mut bad = vec![
        // A text, no such section, beyond the end, across the end.
        elsewhere(0, 0),
        elsewhere(9, 0),
        elsewhere(1, 9 * MIB as u64),
        elsewhere(1, u64::MAX),
        elsewhere(1, 9 * MIB as u64 - 9),
        Raw::part(record, 1, 0, Vec::new()),
    ];
    for target in [
        format!("/v1/visits/{record}/media/1"),
        format!("/v1/visits/{record}/media/x?offset=0"),
        format!("/v1/visits/{record}/media/1?offset=-1"),
        format!("/v1/visits/{record}/media/1?offset=0&more=1"),
        "/v1/visits/1234/media/1?offset=0".to_owned(),
    ] {
        bad.push(Raw { target, ..elsewhere(1, 0) });
    }
    for bad in bad {
        assert_refused(&world, bad, 400, "part").await;
    }
    let long = part(&visit, 0, &content[..MAX_PART_BYTES + 1]);
    assert_refused(&world, long, 413, "too-large").await;
    assert_at(&world, &visit, 0).await;

    // Without a length.
    let raw = part(&visit, 0, &content[..MIB]);
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(raw.body.clone())]);
    let request = reqwest::Client::new().put(world.base.join(&raw.target).unwrap());
    let request = request.headers(raw.signed(&world.doctor));
    let response = request.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 411);
    assert_at(&world, &visit, 0).await;
}

#[tokio::test]
async fn an_incomplete_or_unsigned_part_is_not_sealed() {
    let limits = Limits { silence: Duration::from_millis(300), ..Limits::default() };
    let world = limited(limits).await;
    let (visit, content) = (announced(&world, MIB).await, noise(MIB));
    let right = part(&visit, 0, &content);

    // Changed in transit.
    let mut changed = content.clone();
    changed[MIB / 2] ^= 1;
    let digest = Some(blake3::hash(&content).into());
    assert_refused(&world, Raw { digest, ..part(&visit, 0, &changed) }, 400, "digest").await;
    // Signed for another position in the visit.
    let moved = part(&visit, 0, &content[..10]);
    let headers =
        Raw { target: part(&visit, 5, b"").target, ..moved.clone() }.signed(&world.doctor);
    assert_eq!(moved.send_with(&world, headers).await.refusal(), (401, "unauthorized".into()));
    // Stale.
    let stale = Raw { time: crate::now() - 61_000, ..right.clone() };
    assert_refused(&world, stale, 401, "unauthorized").await;
    // Cut short.
    let mut cut = begun(&world, &right, &world.doctor, MIB / 2).await;
    cut.shutdown().await.unwrap();
    let told = answer(cut).await;
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("truncated"), "{told}");
    // Stalled.
    let right = part(&visit, 0, &content);
    let told = answer(begun(&world, &right, &world.doctor, MIB / 2).await).await;
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("silent"), "{told}");
    assert_at(&world, &visit, 0).await;

    // The correct part is still accepted, but not when it is repeated.
    let right = part(&visit, 0, &content[..10]);
    assert_eq!(offset(&send(&world, right.clone()).await), 10);
    assert_refused(&world, right, 401, "unauthorized").await;
    send(&world, part(&visit, 10, &content[10..])).await.progress();
    assert_queued(&world, &content).await;
}

#[tokio::test]
async fn only_the_signing_account_uploads_media() {
    let world = World::new().await;
    let visit = announced(&world, MIB).await;
    world.chain.facts().related.insert((world.stranger.user, world.patient.user));
    for other in [&world.stranger, &world.patient, &world.agent] {
        let reply = part(&visit, 0, &noise(MIB)).send(&world, other).await;
        assert_eq!(reply.refusal(), (404, "no-upload".into()));
    }
    let reply = part(&visit, 0, &noise(MIB)).send(&world, &Actor::new("Nobody")).await;
    assert_eq!(reply.refusal(), (401, "unauthorized".into()));
    // An account of the author, but not the one that submitted the visit.
    let renewed = Actor { user: world.doctor.user, ..Actor::new("Doctor anew") };
    world.register(&renewed, epione_primitives::profile::Role::Doctor);
    let reply = part(&visit, 0, &noise(MIB)).send(&world, &renewed).await;
    assert_eq!(reply.refusal(), (404, "no-upload".into()));
    assert_at(&world, &visit, 0).await;
}

#[tokio::test]
async fn unsigned_content_ends_the_upload() {
    let world = World::new().await;
    let visit = announced(&world, SEGMENT_BYTES as usize + 2 * MIB).await;
    let mut content = noise(SEGMENT_BYTES as usize + 2 * MIB);
    content[1_000] ^= 1;
    for begin in (0..content.len()).step_by(MAX_PART_BYTES) {
        let end = content.len().min(begin + MAX_PART_BYTES);
        let sent = part(&visit, begin, &content[begin..end]);
        if end < content.len() {
            send(&world, sent).await.progress();
        } else {
            assert_refused(&world, sent, 400, "content").await;
        }
    }
    is_forgotten(&world, &visit).await;
    assert_refused(&world, part(&visit, 0, &content[..10]), 404, "no-upload").await;
}

#[tokio::test]
async fn a_revoked_permission_ends_the_upload() {
    let world = World::new().await;
    let visit = announced(&world, MIB).await;
    world.chain.facts().related.clear();
    let reply = send(&world, part(&visit, 0, &noise(MIB))).await;
    assert_eq!(reply.refusal(), (403, "denied".into()));
    is_forgotten(&world, &visit).await;
}

#[tokio::test]
async fn an_author_suspended_during_the_upload_ends_it() {
    let world = World::new().await;
    let visit = announced(&world, MIB).await;
    let author = (HOSPITAL, world.doctor.user);
    world.chain.next_block();
    let suspended = epione_primitives::profile::RegistrationStatus::Suspended;
    world.chain.facts().registrations.get_mut(&author).unwrap().status = suspended;
    assert_refused(&world, part(&visit, 0, &noise(MIB)), 403, "denied").await;
    is_forgotten(&world, &visit).await;
}

#[tokio::test]
async fn media_may_arrive_long_after_the_signed_block_but_not_too_late_to_be_announced() {
    let world = World::new().await;
    let visit = announced(&world, MIB).await;
    let content = noise(MIB);
    // Too late for a new visit, but not for this one.
    world.chain.facts().head += MAX_SUBMISSION_AGE_BLOCKS + 1;
    send(&world, part(&visit, 0, &content[..10])).await.progress();
    let again = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!(offset(&again), 10);
    world.chain.facts().head = MAX_SIGNING_AGE_BLOCKS + 1;
    assert_refused(&world, part(&visit, 10, &content[10..]), 400, "signed-long-ago").await;
    is_forgotten(&world, &visit).await;
}

#[tokio::test]
async fn a_complete_upload_survives_an_unreachable_node() {
    let world = World::new().await;
    for ask_with_the_visit in [true, false] {
        let visit = announced(&world, MIB).await;
        // The caller was authenticated before.
        world.chain.facts().leaves_after = Some(4);
        let last = part(&visit, 0, &noise(MIB));
        assert_refused(&world, last.clone(), 503, "node").await;
        world.chain.facts().away = false;
        assert_at(&world, &visit, MIB as u64).await;
        let again = if ask_with_the_visit {
            Raw::visit(&visit.request)
        } else {
            Raw { nonce: [9; 16], ..last }
        };
        assert_eq!(send(&world, again).await.progress().stage, VisitStage::Queued);
    }
    assert_eq!(sealed(&world).await.len(), 2);
}

#[tokio::test]
async fn an_idle_upload_is_ended() {
    for limits in [
        Limits { upload_idle: Duration::from_millis(200), ..Limits::default() },
        Limits { upload_timeout: Duration::from_millis(400), ..Limits::default() },
    ] {
        let world = limited(limits).await;
        let bytes = 2 * MAX_PART_BYTES + MIB;
        let (visit, content) = (announced(&world, bytes).await, noise(bytes));
        for begin in [0, MAX_PART_BYTES] {
            let sent = part(&visit, begin, &content[begin..begin + MAX_PART_BYTES]);
            // On a busy machine, the upload may have ended by now.
            send(&world, sent).await;
        }
        is_forgotten(&world, &visit).await;
        assert_eq!(world.metrics.uploads_open.get(), 0);
        // The upload may begin again.
        let again = Raw::visit(&visit.request).send(&world, &world.doctor).await;
        assert_eq!(offset(&again), 0);
    }
}

#[tokio::test]
async fn uploads_at_once_are_limited() {
    let limits = Limits { uploads: 1, upload_idle: Duration::from_secs(60), ..Limits::default() };
    let world = limited(limits).await;
    let first = announced(&world, MIB).await;
    let second = world.visit(MIB + 1).await;
    let reply = Raw::visit(&second.request).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (503, "busy".into()));
    // Visits without media need no such slot.
    let text = world
        .builder()
        .text(epione_envelope::record::SectionKind::Report, "all well")
        .build(&world.doctor.account(), world.chain.newest())
        .await
        .unwrap();
    assert_eq!(world.submit(&text).await.stage, VisitStage::Queued);
    send(&world, part(&first, 0, &noise(MIB))).await.progress();
    announced(&world, MIB).await;
}

#[tokio::test]
async fn an_idle_upload_gives_way_only_to_permitted_authors() {
    let limits = Limits { uploads: 1, upload_idle: Duration::from_secs(30), ..Limits::default() };
    let world = limited(limits).await;
    let first = announced(&world, MIB).await;
    // More than a tenth of that.
    tokio::time::sleep(Duration::from_secs(4)).await;
    // A doctor who is not related to the patient.
    let mut unwelcome = world.visit(MIB).await;
    unwelcome.request.author = world.stranger.user;
    let reply = Raw::visit(&unwelcome.request).send(&world, &world.stranger).await;
    assert_eq!(reply.refusal(), (403, "denied".into()));
    assert_at(&world, &first, 0).await;

    let second = announced(&world, MIB).await;
    assert_refused(&world, part(&first, 0, &noise(MIB)), 404, "no-upload").await;
    send(&world, part(&second, 0, &noise(MIB))).await.progress();
    assert_queued(&world, &noise(MIB)).await;
}

#[tokio::test]
async fn a_cut_connection_loses_only_parts_in_flight() {
    let world = World::new().await;
    let visit = world.visit(BYTES).await;
    let cuts = [5 * MIB, 100, 3 * MIB, 0, 7 * MIB, MIB];
    let cuts = cuts.map(|bytes| Cut::after(bytes as u64));
    let wire = Wire::to(&world.base, cuts).await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let client = world.client_at(&wire.url, &world.doctor);
    // The first request may be the one that is cut. A client that submits again resumes the same visit.
    let submit = async || {
        let heard = Arc::clone(&heard);
        client.submit_visit(&visit, move |it| heard.lock().unwrap().push(it.done)).await
    };
    let status = submit().await.unwrap();
    assert_eq!(status.stage, VisitStage::Queued);
    assert_queued(&world, &noise(BYTES)).await;
    assert_eq!(wire.left(), 0);
    // At most two parts of 4 MiB were lost with each of the cuts.
    assert!(wire.carried() < (BYTES + 6 * 8 * MIB) as u64, "{}", wire.carried());
    assert!(told.lock().unwrap().is_sorted(), "{told:?}");
}

#[tokio::test]
async fn uploads_begin_again_after_a_restart() {
    let world = World::new().await;
    let visit = world.visit(BYTES).await;
    let next = world.next_worker().await;
    let restart = Cut { after: 5 * MIB as u64, then: Some(next) };
    let wire = Wire::to(&world.base, [restart]).await;
    let client = world.client_at(&wire.url, &world.doctor);
    let status = client.submit_visit(&visit, |_| {}).await.unwrap();
    assert_eq!(status.stage, VisitStage::Queued);
    // The first part was sent twice.
    assert!(wire.carried() > (BYTES + 4 * MIB) as u64, "{}", wire.carried());
    let sealed = sealed(&world).await;
    assert_eq!(sealed.len(), 1);
    assert!(content_of(&world, &sealed[0]).await == noise(BYTES));
}
