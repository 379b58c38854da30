//! Uploads that are refused: each with an answer of its own, and without a trace.

use std::{sync::Arc, time::Duration};

use epione_client::api::{ContentUpload, VisitRequest};
use epione_envelope::record::SectionKind;
use epione_primitives::access::{Condition, Denial, SectionClass};
use object_store::memory::InMemory;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::world::{Form, Raw, Reply, World, noise};
use crate::config::Limits;

const BYTES: usize = 1_200_000;

/// A visit with a text, a file and another text.
async fn request(world: &World) -> VisitRequest {
    world.visit(BYTES).await.request
}

async fn send(world: &World, form: Form) -> Reply {
    Raw::upload(form).send(world, &world.doctor).await
}

async fn assert_refused(world: &World, form: Form, status: u16, kind: &str) {
    let reply = send(world, form).await;
    assert_eq!(reply.refusal(), (status, kind.to_owned()), "{reply:?}");
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_visit_needs_sections_and_sections_need_content() {
    let world = World::new().await;
    let mut empty = request(&world).await;
    empty.sections.clear();
    assert_refused(&world, Form::visit(&empty).end(), 400, "no-sections").await;

    let mut file = request(&world).await;
    let digest = blake3::hash(b"").to_hex().to_string();
    file.sections[1].content = ContentUpload::Media { bytes: 0, blake3: digest };
    let form = Form::visit(&file).part("media-1", b"").end();
    assert_refused(&world, form, 400, "empty-section").await;

    let mut text = request(&world).await;
    text.sections[0].content = ContentUpload::Text(" \n".into());
    let form = Form::visit(&text).part("media-1", &noise(BYTES)).end();
    assert_refused(&world, form, 400, "empty-section").await;
}

#[tokio::test]
async fn more_than_the_limits_is_refused() {
    let world = World::new().await;
    let mut many = request(&world).await;
    many.sections = vec![many.sections[0].clone(); 65];
    assert_refused(&world, Form::visit(&many).end(), 413, "too-large").await;

    let mut long = request(&world).await;
    long.sections[0].content = ContentUpload::Text("x".repeat(1024 * 1024 + 1));
    assert_refused(&world, Form::visit(&long).end(), 413, "too-large").await;

    let form = Form::default().part("visit", &vec![b' '; 2 * 1024 * 1024 + 1]).end();
    assert_refused(&world, form, 413, "too-large").await;

    let objects = Arc::new(InMemory::new());
    let limits = Limits { max_upload_bytes: 1_000_000, ..Limits::default() };
    let small = World::with(objects.clone(), objects, limits).await;
    let form = Form::visit(&request(&small).await).part("media-1", &noise(BYTES)).end();
    assert_refused(&small, form.clone(), 413, "too-large").await;
    // Of unknown length.
    let raw = Raw::upload(form);
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>(raw.body.clone())]);
    let response = reqwest::Client::new()
        .post(small.base.join("/v1/visits").unwrap())
        .headers(raw.signed(&small.doctor))
        .body(reqwest::Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 413);
    small.assert_untouched().await;
}

#[tokio::test]
async fn content_that_the_author_did_not_sign_is_refused() {
    let world = World::new().await;
    let visit = request(&world).await;
    let mut other = noise(BYTES);
    other[BYTES / 2] ^= 1;
    for content in [other, noise(BYTES - 1), noise(BYTES + 1), Vec::new()] {
        let form = Form::visit(&visit).part("media-1", &content).end();
        assert_refused(&world, form, 400, "content").await;
    }
}

#[tokio::test]
async fn parts_come_in_order_and_none_is_missing_or_too_many() {
    let world = World::new().await;
    let visit = request(&world).await;
    let content = noise(BYTES);
    let forms = [
        Form::visit(&visit).end(),
        Form::visit(&visit).part("media-0", &content).end(),
        Form::default().part("media-1", &content).end(),
        Form::visit(&visit).part("media-1", &content).part("media-2", &content).end(),
    ];
    for form in forms {
        assert_refused(&world, form, 400, "form").await;
    }
    let mut raw = Raw::upload(Form::visit(&visit).part("media-1", &content).end());
    raw.headers.insert("content-type", "application/json".parse().unwrap());
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (400, "form".into()));
    world.assert_untouched().await;
}

#[tokio::test]
async fn headers_without_end_are_not_collected() {
    let world = World::new().await;
    let mut form = Form::default();
    form.bytes.extend_from_slice(b"--XepioneX\r\nContent-Disposition: form-data; name=\"");
    form.bytes.extend_from_slice(&vec![b'a'; 4 * 1024 * 1024]);
    assert_refused(&world, form, 400, "form").await;
}

#[tokio::test]
async fn what_is_not_the_json_of_a_visit_is_refused_without_repeating_it() {
    let world = World::new().await;
    let form = Form::default().part("visit", br#"{"patient": "Jane Doe"}"#).end();
    let reply = send(&world, form).await;
    assert_eq!(reply.refusal(), (400, "json".into()));
    assert!(!String::from_utf8_lossy(&reply.body).contains("Jane"));
    let mut visit = request(&world).await;
    visit.sections[0].salt = "salt".into();
    assert_refused(&world, Form::visit(&visit).end(), 400, "visit").await;
}

#[tokio::test]
async fn a_truncated_upload_is_refused() {
    let world = World::new().await;
    let whole = Form::visit(&request(&world).await).part("media-1", &noise(BYTES)).end();
    for length in [whole.bytes.len() - 3, whole.bytes.len() / 2, 100, 0] {
        let cut = Form { bytes: whole.bytes[..length].to_vec() };
        let mut raw = Raw::upload(cut);
        raw.digest = Some(blake3::hash(&whole.bytes).into());
        let reply = raw.send(&world, &world.doctor).await;
        assert_eq!(reply.refusal(), (400, "truncated".into()), "{length}: {reply:?}");
        world.assert_untouched().await;
    }
}

#[tokio::test]
async fn an_upload_whose_sender_vanishes_leaves_nothing() {
    let world = World::new().await;
    let form = Form::visit(&request(&world).await).part("media-1", &noise(BYTES)).end();
    let raw = Raw::upload(form);
    let address = world.base.socket_addrs(|| None).unwrap()[0];
    let mut connection = TcpStream::connect(address).await.unwrap();
    let mut head = format!(
        "POST /v1/visits HTTP/1.1\r\nHost: worker\r\nContent-Length: {}\r\n",
        raw.body.len()
    );
    for (name, value) in &raw.signed(&world.doctor) {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    connection.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    connection.write_all(&raw.body[..1_000_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    connection.shutdown().await.unwrap();
    connection.read_to_end(&mut Vec::new()).await.ok();
    drop(connection);
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.assert_untouched().await;
}

#[tokio::test]
async fn an_upload_that_falls_silent_is_given_up() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { upload_idle_ms: 200, ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    let form = Form::visit(&request(&world).await).part("media-1", &noise(BYTES)).end();
    let raw = Raw::upload(form);
    let beginning = raw.body.slice(..500_000);
    let pieces = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(beginning)]),
        futures::stream::pending(),
    );
    let response = reqwest::Client::new()
        .post(world.base.join("/v1/visits").unwrap())
        .headers(raw.signed(&world.doctor))
        .body(reqwest::Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 408);
    world.assert_untouched().await;
}

#[tokio::test]
async fn bytes_that_were_not_signed_spoil_the_upload() {
    let world = World::new().await;
    let whole = Form::visit(&request(&world).await).part("media-1", &noise(BYTES)).end();
    let mut raw = Raw::upload(Form { bytes: [&whole.bytes[..], b"epilogue"].concat() });
    raw.digest = Some(blake3::hash(&whole.bytes).into());
    let reply = raw.send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (400, "digest".into()));
    world.assert_untouched().await;
}

#[tokio::test]
async fn only_the_author_submits_and_only_here() {
    let world = World::new().await;
    let visit = request(&world).await;
    let form = Form::visit(&visit).part("media-1", &noise(BYTES)).end();
    world.chain.facts().related.insert((world.stranger.user, world.patient.user));
    let reply = Raw::upload(form.clone()).send(&world, &world.stranger).await;
    assert_eq!(reply.refusal(), (403, "forbidden".into()));
    let reply = Raw::upload(form).send(&world, &world.agent).await;
    assert_eq!(reply.refusal(), (403, "forbidden".into()));

    let mut elsewhere = visit.clone();
    elsewhere.hospital = super::fake::ELSEWHERE;
    assert_refused(&world, Form::visit(&elsewhere).end(), 400, "wrong-hospital").await;
}

#[tokio::test]
async fn an_author_s_signature_over_something_else_is_refused() {
    let world = World::new().await;
    let mut visit = request(&world).await;
    visit.sections[0].content = ContentUpload::Text("The patient does not cough.".into());
    let form = Form::visit(&visit).part("media-1", &noise(BYTES)).end();
    assert_refused(&world, form, 400, "author-signature").await;
}

#[tokio::test]
async fn who_may_not_submit_hears_which_condition_failed() {
    let world = World::new().await;
    world.chain.facts().related.clear();
    let visit = request(&world).await;
    let form = Form::visit(&visit).part("media-1", &noise(BYTES)).end();
    let problem = send(&world, form).await.problem();
    assert_eq!(problem.status, 403);
    let Some(Denial::Failed(policies)) = problem.denial else { panic!("{problem:?}") };
    assert!(matches!(policies[0].conditions[0], Condition::Related(_)));

    // Another role.
    let own = world
        .builder()
        .text(SectionKind::Summary, SectionClass::Private, "I am fine.")
        .build(&world.patient.account())
        .await
        .unwrap();
    let mut own = own.request;
    own.author = world.patient.user;
    let reply = Raw::upload(Form::visit(&own).end()).send(&world, &world.patient).await;
    assert_eq!(reply.refusal(), (403, "denied".into()));
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_patient_who_is_not_registered_here_is_refused() {
    let world = World::new().await;
    let key = (super::fake::HOSPITAL, world.patient.user);
    world.chain.facts().registrations.remove(&key);
    let problem = send(&world, Form::visit(&request(&world).await).end()).await.problem();
    let Some(Denial::Failed(policies)) = problem.denial else { panic!("{problem:?}") };
    assert_eq!(policies[0].conditions, [Condition::PatientRegistered]);
    world.assert_untouched().await;
}

#[tokio::test]
async fn more_uploads_than_there_are_places_for_are_turned_away() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { uploads: 1, upload_idle_ms: 2_000, ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    let form = Form::visit(&request(&world).await).part("media-1", &noise(BYTES)).end();
    let first = Raw::upload(form.clone());
    let slow = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(first.body.slice(..1_000))]),
        futures::stream::pending(),
    );
    let slow = reqwest::Client::new()
        .post(world.base.join("/v1/visits").unwrap())
        .headers(first.signed(&world.doctor))
        .body(reqwest::Body::wrap_stream(slow))
        .send();
    let slow = tokio::spawn(slow);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let reply = send(&world, form).await;
    assert_eq!(reply.refusal(), (503, "busy".into()));
    assert_eq!(slow.await.unwrap().unwrap().status().as_u16(), 408);
}
