//! A representative answers queries for a patient.

use epione_primitives::{
    Moment, UserId,
    mandate::Mandate,
    query::{Acceptance, Answer},
};

use super::{
    queries::{
        QUERY, acceptance, accepted, answer, ask, bring, collect_own, follow_link, grant, reply_of,
        transfers,
    },
    world::{Raw, World},
};
use crate::journal::query_grants::{self, EACH_QUERY};

/// A mandate that began long ago, or after everything that a test does.
fn mandate(since: Moment) -> Mandate {
    Mandate { since, until: Moment::MAX, ended: None }
}

/// Makes the doctor a representative of the patient.
pub fn appoint(world: &World) {
    let pair = (world.doctor.user, world.patient.user);
    world.chain.facts().representatives.insert(pair, mandate(0));
}

pub fn dismiss(world: &World) {
    world.chain.facts().representatives.clear();
}

/// The stranger's query, accepted by this user with the grant that the worker keeps.
async fn accepted_by(by: impl FnOnce(&World) -> UserId) -> World {
    let (world, _, grant) = accepted().await;
    let acceptance = Acceptance { by: by(&world), ..acceptance(&world, &grant) };
    answer(&mut world.chain.facts(), QUERY, Answer::Accepted(acceptance));
    world
}

#[tokio::test]
async fn a_representative_brings_the_grant_and_nobody_else() {
    let world = World::new().await;
    ask(&world, QUERY);
    let sealed = grant(&world, QUERY);
    let refused = bring(&world, &world.doctor, QUERY, &sealed).await;
    assert_eq!(refused.refusal(), (404, "not-found".into()));
    appoint(&world);
    assert_eq!(bring(&world, &world.doctor, QUERY, &sealed).await.status, 204);
    dismiss(&world);
    let refused = bring(&world, &world.doctor, QUERY, &sealed).await;
    assert_eq!(refused.refusal(), (404, "not-found".into()));
}

#[tokio::test]
async fn a_requester_who_represents_the_patient_brings_nothing() {
    let world = World::new().await;
    ask(&world, QUERY);
    let pair = (world.stranger.user, world.patient.user);
    world.chain.facts().representatives.insert(pair, mandate(0));
    let refused = bring(&world, &world.stranger, QUERY, &grant(&world, QUERY)).await;
    assert_eq!(refused.refusal(), (404, "not-found".into()));
}

#[tokio::test]
async fn nothing_is_handed_out_that_an_ended_representative_accepted() {
    let world = accepted_by(|world| world.doctor.user).await;
    assert_eq!(collect_own(&world).await.refusal(), (409, "representation-over".into()));
    appoint(&world);
    assert_eq!(collect_own(&world).await.status, 200);
    dismiss(&world);
    assert_eq!(collect_own(&world).await.refusal(), (409, "representation-over".into()));
    assert_eq!(transfers(&world), 1);
}

#[tokio::test]
async fn a_new_mandate_does_not_revive_what_a_dismissal_ended() {
    let world = accepted_by(|world| world.doctor.user).await;
    let pair = (world.doctor.user, world.patient.user);
    world.chain.facts().representatives.insert(pair, mandate(Moment::MAX - 1));
    assert_eq!(collect_own(&world).await.refusal(), (409, "representation-over".into()));
    assert_eq!(transfers(&world), 0);
    // Links of an acceptance that was handed out end, too.
    appoint(&world);
    let url = reply_of(&collect_own(&world).await).links[0].url.clone();
    assert_eq!(follow_link(&world, &url).await.status, 200);
    world.chain.facts().representatives.insert(pair, mandate(Moment::MAX - 1));
    assert_eq!(follow_link(&world, &url).await.status, 403);
}

#[tokio::test]
async fn nobody_crowds_out_a_grant_that_the_patient_brought() {
    let world = World::new().await;
    ask(&world, QUERY);
    appoint(&world);
    let own = grant(&world, QUERY);
    assert_eq!(bring(&world, &world.patient, QUERY, &own).await.status, 204);
    for _ in 0..=EACH_QUERY {
        let other = grant(&world, QUERY);
        assert_eq!(bring(&world, &world.doctor, QUERY, &other).await.status, 204);
    }
    let kept = world.journal.read(|c| query_grants::hashes_of(c, QUERY)).await.unwrap();
    assert!(kept.contains(&own.hash()));
    assert_eq!(kept.len(), 1 + EACH_QUERY as usize);
}

#[tokio::test]
async fn a_dismissal_before_the_transfer_is_recorded_wins() {
    let world = accepted_by(|world| world.doctor.user).await;
    appoint(&world);
    world.chain.facts().meanwhile = Some(Box::new(|facts| facts.representatives.clear()));
    assert_eq!(collect_own(&world).await.refusal(), (409, "representation-over".into()));
    assert_eq!(world.chain.facts().transfers.len(), 0);
}

#[tokio::test]
async fn a_representative_lists_the_queries_to_the_patient() {
    let world = World::new().await;
    ask(&world, QUERY);
    let path = format!("/v1/queries?patient={}", world.patient.user);
    let listed = async || Raw::get(&path).send(&world, &world.doctor).await;
    assert_eq!(listed().await.refusal(), (403, "forbidden".into()));
    appoint(&world);
    let reply = listed().await;
    assert_eq!(reply.status, 200);
    let page: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(page["queries"][0]["id"], QUERY.0);
    let mixed = Raw::get(&format!("{path}&as=requester")).send(&world, &world.doctor).await;
    assert_eq!(mixed.refusal(), (400, "parameters".into()));
}
