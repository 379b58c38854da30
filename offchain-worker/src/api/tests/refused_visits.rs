//! Visits that are rejected before their media are uploaded: each with a specific problem, and without a trace.

use std::{sync::Arc, time::Duration};

use epione_client::api::{ContentUpload, MAX_VISIT_JSON_BYTES, VisitRequest};
use epione_envelope::record::SectionKind;
use epione_primitives::access::{Condition, Denial, SectionClass};
use object_store::memory::InMemory;

use super::world::{Raw, Reply, World};
use crate::config::Limits;

const BYTES: usize = 1_200_000;

/// A visit with a text, a file and another text.
async fn request(world: &World) -> VisitRequest {
    world.visit(BYTES).await.request
}

async fn send(world: &World, visit: &VisitRequest) -> Reply {
    Raw::visit(visit).send(world, &world.doctor).await
}

async fn assert_refused(world: &World, visit: &VisitRequest, status: u16, kind: &str) {
    let reply = send(world, visit).await;
    assert_eq!(reply.refusal(), (status, kind.to_owned()), "{reply:?}");
    world.assert_untouched().await;
    assert_eq!(world.metrics.uploads_open.get(), 0);
}

fn post(body: impl Into<bytes::Bytes>) -> Raw {
    Raw::new(http::Method::POST, "/v1/visits", body)
}

#[tokio::test]
async fn a_visit_needs_sections_with_content() {
    let world = World::new().await;
    let mut empty = request(&world).await;
    empty.sections.clear();
    assert_refused(&world, &empty, 400, "no-sections").await;

    let mut file = request(&world).await;
    let ContentUpload::Media { bytes, .. } = &mut file.sections[1].content else { panic!() };
    *bytes = 0;
    assert_refused(&world, &file, 400, "empty-section").await;

    let mut text = request(&world).await;
    text.sections[0].content = ContentUpload::Text(" \n".into());
    assert_refused(&world, &text, 400, "empty-section").await;
}

#[tokio::test]
async fn a_visit_beyond_the_limits_is_rejected() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { max_upload_bytes: 1_300_000, ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    let mut many = request(&world).await;
    many.sections = vec![many.sections[0].clone(); 65];
    assert_refused(&world, &many, 413, "too-large").await;

    let mut long = request(&world).await;
    long.sections[0].content = ContentUpload::Text("x".repeat(1024 * 1024 + 1));
    assert_refused(&world, &long, 413, "too-large").await;

    let reply = post(vec![b' '; MAX_VISIT_JSON_BYTES + 1]).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (413, "too-large".into()));

    // One file that is too large, and two that are too large together.
    for length in [1_300_001, u64::MAX] {
        let mut large = request(&world).await;
        let ContentUpload::Media { bytes, .. } = &mut large.sections[1].content else { panic!() };
        *bytes = length;
        assert_refused(&world, &large, 413, "too-large").await;
    }
    let mut two = request(&world).await;
    two.sections.push(two.sections[1].clone());
    assert_refused(&world, &two, 413, "too-large").await;
}

#[tokio::test]
async fn invalid_json_is_rejected_without_quoting_it() {
    let world = World::new().await;
    let reply = post(br#"{"patient": "Jane Doe"}"#.to_vec()).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (400, "json".into()));
    assert!(!String::from_utf8_lossy(&reply.body).contains("Jane"));
    let mut visit = request(&world).await;
    visit.sections[0].salt = "salt".into();
    assert_refused(&world, &visit, 400, "visit").await;
}

#[tokio::test]
async fn an_unsigned_body_is_rejected() {
    let world = World::new().await;
    let visit = request(&world).await;
    let raw = Raw { digest: Some([1; 32]), ..Raw::visit(&visit) };
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (400, "digest".into()));
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_visit_that_stalls_is_rejected() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { silence: Duration::from_millis(200), ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    let mut raw = Raw::visit(&request(&world).await);
    raw.headers.insert("content-length", raw.body.len().into());
    let beginning = futures::stream::iter([Ok::<_, std::io::Error>(raw.body.slice(..100))]);
    let pieces = futures::StreamExt::chain(beginning, futures::stream::pending());
    let response = reqwest::Client::new()
        .post(world.base.join("/v1/visits").unwrap())
        .headers(raw.signed(&world.doctor))
        .body(reqwest::Body::wrap_stream(pieces))
        .timeout(Duration::from_secs(60))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 408);
    world.assert_untouched().await;
}

#[tokio::test]
async fn only_the_author_submits_and_only_to_the_named_hospital() {
    let world = World::new().await;
    let visit = request(&world).await;
    world.chain.facts().related.insert((world.stranger.user, world.patient.user));
    for other in [&world.stranger, &world.agent] {
        let reply = Raw::visit(&visit).send(&world, other).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    let mut elsewhere = visit.clone();
    elsewhere.hospital = super::fake::ELSEWHERE;
    assert_refused(&world, &elsewhere, 400, "wrong-hospital").await;
}

#[tokio::test]
async fn an_author_s_signature_over_other_content_is_rejected() {
    let world = World::new().await;
    let mut visit = request(&world).await;
    visit.sections[0].content = ContentUpload::Text("The patient does not cough.".into());
    assert_refused(&world, &visit, 400, "author-signature").await;
}

#[tokio::test]
async fn a_denied_author_learns_which_condition_failed() {
    let world = World::new().await;
    world.chain.facts().related.clear();
    let problem = send(&world, &request(&world).await).await.problem();
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
    let reply = Raw::visit(&own).send(&world, &world.patient).await;
    assert_eq!(reply.refusal(), (403, "forbidden".into()));
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_visit_of_an_unregistered_patient_is_rejected() {
    let world = World::new().await;
    let key = (super::fake::HOSPITAL, world.patient.user);
    world.chain.facts().registrations.remove(&key);
    let problem = send(&world, &request(&world).await).await.problem();
    let Some(Denial::Failed(policies)) = problem.denial else { panic!("{problem:?}") };
    assert_eq!(policies[0].conditions, [Condition::PatientRegistered]);
    world.assert_untouched().await;
}
