//! Maintenance mode, as authors, readers, other hospitals and operators see it.

use epione_client::{api::VisitStage, visit::Visit, worker::WorkerError};
use epione_envelope::record::SectionKind;

use super::{
    grants::{POINTER, committed, request},
    world::{Raw, World, noise},
};
use crate::transfer::wire::{HeldAnswer, HeldRequest};

/// The bytes of media of the world's visits in these tests, in one part.
const BYTES: usize = 100_000;

/// A visit without media.
async fn text(world: &World) -> Visit {
    let visit = world.builder().text(SectionKind::Summary, "The patient coughs.");
    visit.build(&world.doctor.account(), world.chain.newest()).await.unwrap()
}

async fn metric(world: &World) -> u64 {
    let reply = world.for_operators("/metrics").await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let line = text.lines().find_map(|it| it.strip_prefix("epione_worker_maintenance_seconds "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn new_visits_are_refused_with_words_and_leave_nothing() {
    let world = World::new().await;
    world.set_maintenance(true).await;
    for visit in [text(&world).await, world.visit(BYTES).await] {
        let refused = world.client(&world.doctor).submit_visit(&visit, |_| {}).await.unwrap_err();
        let WorkerError::Problem(problem) = &refused else { panic!("{refused}") };
        assert_eq!((problem.status, &*problem.kind), (503, "urn:epione:problem:maintenance"));
        assert!(refused.to_string().contains("ask the hospital's operator"), "{refused}");
    }
    world.assert_untouched().await;
    world.set_maintenance(false).await;
    world.submit(&text(&world).await).await;
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_what_is_known_is_answered() {
    let world = World::new().await;
    let queued = text(&world).await;
    world.submit(&queued).await;
    let visit = world.visit(BYTES).await;
    let begun = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!(begun.progress().stage, VisitStage::Uploading);

    world.set_maintenance(true).await;
    // Both are asked for again, as by a client that did not get the response.
    for known in [&queued, &visit] {
        assert_eq!(Raw::visit(&known.request).send(&world, &world.doctor).await.status, 202);
    }
    let part = Raw::part(visit.record_id(), 1, 0, noise(BYTES));
    let sent = part.send(&world, &world.doctor).await;
    assert_eq!(sent.progress().stage, VisitStage::Queued);

    let other = world.visit(BYTES).await;
    let refused = Raw::visit(&other.request).send(&world, &world.doctor).await;
    assert_eq!(refused.refusal(), (503, "maintenance".into()));
    assert_eq!(refused.headers["retry-after"], "60");
}

#[tokio::test]
async fn looks_are_answered_and_operators_see_maintenance() {
    let (world, _) = committed().await;
    assert_eq!(metric(&world).await, 0);
    world.set_maintenance(true).await;
    let look = Raw::post_json("/v1/grants", &request(&world, &world.doctor, &[POINTER]));
    assert_eq!(look.send(&world, &world.doctor).await.status, 200);
    assert!(metric(&world).await >= 1);
    let reply = world.for_operators("/readyz").await;
    let report: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{report}");
    assert!(report["maintenance"].as_str().unwrap().starts_with("on since 20"), "{report}");
}

#[tokio::test]
async fn other_hospitals_learn_of_maintenance_when_they_ask_for_segments() {
    let world = World::new().await;
    let question = Raw::post_json("/v1/segments/held", &HeldRequest::new(&[[1; 32]]));
    for on in [false, true, false] {
        world.set_maintenance(on).await;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let reply = Raw { nonce, ..question.clone() }.send(&world, &world.other_agent).await;
        let answer: HeldAnswer = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer.maintenance, on);
    }
}
