//! Visits that are rejected before their media are uploaded: each with a specific problem, and without a trace.

use std::{sync::Arc, time::Duration};

use epione_client::api::{ContentUpload, MAX_VISIT_JSON_BYTES, VisitRequest};
use epione_envelope::{record::SectionKind, signature::Extraction};
use epione_primitives::{
    BlockNumber, Hash,
    access::{Condition, Denial},
    block::SignedAt,
    hospital::HospitalStatus,
    limits::MAX_SUBMISSION_AGE_BLOCKS,
    profile::{RegistrationStatus, Role},
    release::SectionSet,
};
use object_store::memory::InMemory;

use super::{
    fake::HOSPITAL,
    world::{Actor, Raw, Reply, World},
};
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

/// Nobody would ever commit it.
#[tokio::test]
async fn a_leaving_hospital_acknowledges_no_visit() {
    let world = World::new().await;
    let visit = request(&world).await;
    let set = |status| {
        world.chain.facts().hospitals.get_mut(&HOSPITAL).unwrap().status = status;
    };
    set(HospitalStatus::Leaving);
    assert_refused(&world, &visit, 403, "forbidden").await;
    set(HospitalStatus::Active);
    assert_eq!(send(&world, &visit).await.status, 202);
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
        .text(SectionKind::Summary, "I am fine.")
        .build(&world.patient.account(), world.chain.newest())
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

/// A visit that the doctor signed at a block with this account.
async fn signed_at(world: &World, at: SignedAt, by: &Actor) -> VisitRequest {
    let text = world.builder().text(SectionKind::Summary, "The patient coughs.");
    text.build(&by.account(), at).await.unwrap().request
}

async fn assert_signed_block_refused(world: &World, at: SignedAt, status: u16, kind: &str) {
    let visit = signed_at(world, at, &world.doctor).await;
    assert_refused(world, &visit, status, kind).await;
}

const HEAD: BlockNumber = 1_000;

#[tokio::test]
async fn a_visit_signed_at_an_unknown_forked_or_future_block_is_refused() {
    let world = World::new().await;
    world.chain.facts().head = HEAD;
    let forked = SignedAt { number: HEAD - 5, hash: Hash::repeat_byte(0xf0) };
    let renumbered = SignedAt { number: HEAD - 4, ..world.chain.block(HEAD - 5) };
    let future = world.chain.block(HEAD + 1_000);
    let last = world.chain.block(BlockNumber::MAX);
    for at in [forked, renumbered, future, last] {
        assert_signed_block_refused(&world, at, 400, "signed-block").await;
    }
    // The hospital's node may be a little behind that of the author: the client sends the visit again.
    assert_signed_block_refused(&world, world.chain.block(HEAD + 1), 503, "node-behind").await;
    world.chain.facts().head = HEAD + 1;
    let visit = signed_at(&world, world.chain.block(HEAD + 1), &world.doctor).await;
    send(&world, &visit).await.progress();
}

#[tokio::test]
async fn a_visit_signed_too_long_ago_is_refused() {
    let world = World::new().await;
    world.chain.facts().head = HEAD;
    let oldest = HEAD - MAX_SUBMISSION_AGE_BLOCKS;
    for number in [0, oldest - 1] {
        let at = world.chain.block(number);
        assert_signed_block_refused(&world, at, 400, "signed-long-ago").await;
    }
    let visit = signed_at(&world, world.chain.block(oldest), &world.doctor).await;
    let accepted = send(&world, &visit).await.progress();
    // Once it is acknowledged, it may be sent again at any time.
    world.chain.facts().head = 2 * HEAD;
    assert_eq!(send(&world, &visit).await.progress(), accepted);
}

/// Gives the doctor another account, as a rotation does.
fn rotate(world: &World) -> Actor {
    let renewed = Actor { user: world.doctor.user, ..Actor::new("Doctor anew") };
    let account = renewed.account().id();
    let mut facts = world.chain.facts();
    let profile = facts.profiles.get_mut(&world.doctor.user).unwrap();
    let former = std::mem::replace(&mut profile.account, account.clone());
    facts.accounts.remove(&former);
    facts.accounts.insert(account, world.doctor.user);
    renewed
}

#[tokio::test]
async fn an_account_replaced_before_the_signed_block_signs_nothing_and_one_replaced_after_it_does()
{
    let world = World::new().await;
    let before = world.chain.next_block();
    let renewed = rotate(&world);
    let after = world.chain.newest();
    for (at, by) in [(after, &world.doctor), (before, &renewed)] {
        let visit = signed_at(&world, at, by).await;
        let reply = Raw::visit(&visit).send(&world, &renewed).await;
        assert_eq!(reply.refusal(), (400, "author-signature".into()));
    }
    world.assert_untouched().await;
    let visit = signed_at(&world, before, &world.doctor).await;
    // The former account sends nothing any more, not even what it signed in time.
    let reply = Raw::visit(&visit).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (401, "unauthorized".into()));
    Raw::visit(&visit).send(&world, &renewed).await.progress();
}

#[tokio::test]
async fn an_author_or_a_patient_who_was_suspended_at_the_signed_block_is_refused() {
    let world = World::new().await;
    for user in [world.doctor.user, world.patient.user] {
        let set = |status| {
            let mut facts = world.chain.facts();
            facts.registrations.get_mut(&(HOSPITAL, user)).unwrap().status = status;
        };
        set(RegistrationStatus::Suspended);
        let suspended = world.chain.next_block();
        set(RegistrationStatus::Active);
        assert_signed_block_refused(&world, suspended, 403, "forbidden").await;
    }
    let visit = signed_at(&world, world.chain.newest(), &world.doctor).await;
    send(&world, &visit).await.progress();
}

#[tokio::test]
async fn an_authorization_that_began_after_the_signed_block_stands_for_no_signature() {
    let world = World::new().await;
    world.chain.facts().cosigning = true;
    let before = world.chain.next_block();
    // As if the patient had authorized the hospital.
    world.chain.facts().cosigning = false;
    assert_signed_block_refused(&world, before, 403, "denied").await;
    let visit = signed_at(&world, world.chain.newest(), &world.doctor).await;
    send(&world, &visit).await.progress();
}

/// A visit that names the nurse, signed by `by` as the nurse.
async fn nursed(world: &World, nurse: &Actor, by: &Actor) -> VisitRequest {
    let visit = world.builder().text(SectionKind::Symptoms, "A cough.");
    let visit = visit.nursed_by(Some((nurse.user, by.account())));
    visit.build(&world.doctor.account(), world.chain.newest()).await.unwrap().request
}

#[tokio::test]
async fn a_false_or_missing_signature_of_a_nurse_is_refused() {
    let world = World::new().await;
    let nurse = Actor::new("Nurse");
    world.register(&nurse, Role::Nurse);
    let good = nursed(&world, &nurse, &nurse).await;

    let by_another = nursed(&world, &nurse, &world.stranger).await;
    let mut of_another_visit = nursed(&world, &nurse, &nurse).await;
    of_another_visit.nurse_signature = good.nurse_signature.clone();
    let missing = VisitRequest { nurse_signature: None, ..good.clone() };
    let added = VisitRequest {
        nurse_signature: good.nurse_signature.clone(),
        ..signed_at(&world, world.chain.newest(), &world.doctor).await
    };
    let of_author =
        VisitRequest { nurse_signature: Some(good.author_signature.clone()), ..good.clone() };
    for visit in [by_another, of_another_visit, missing, added, of_author] {
        assert_refused(&world, &visit, 400, "nurse-signature").await;
    }
    // Named after the author signed.
    let removed = VisitRequest { nurse: None, nurse_signature: None, ..good.clone() };
    assert_refused(&world, &removed, 400, "author-signature").await;
    // Another doctor is no nurse, and neither is a stranger.
    let doctor = Actor::new("Another doctor");
    world.register(&doctor, Role::Doctor);
    for other in [&world.stranger, &doctor] {
        let visit = nursed(&world, other, other).await;
        assert_refused(&world, &visit, 400, "nurse").await;
    }
    send(&world, &good).await.progress();
}

#[tokio::test]
async fn an_extraction_policy_that_the_author_did_not_sign_is_refused() {
    let world = World::new().await;
    let mut mandatory = SectionSet::default();
    mandatory.insert(0);
    let extraction = Extraction { mandatory, ..Extraction::default() };
    let visit = signed_at(&world, world.chain.newest(), &world.doctor).await;
    let altered = VisitRequest { extraction, ..visit.clone() };
    assert_refused(&world, &altered, 400, "author-signature").await;
    let mut beyond = SectionSet::default();
    beyond.insert(9);
    let extraction = Extraction { never: beyond, ..Extraction::default() };
    let impossible = VisitRequest { extraction, ..visit };
    assert_refused(&world, &impossible, 400, "visit").await;
}
