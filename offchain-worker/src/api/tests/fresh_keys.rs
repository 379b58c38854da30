//! Visits after a rotation of a sealing key: the worker seals them so that no key from before the rotation opens them.

use std::{sync::Arc, time::Duration};

use epione_client::visit::Visit;
use epione_envelope::{
    account::Signer,
    keys::PatientKeys,
    profile::{ProfileBody, ProfileContext},
    record::{Record, SectionKind},
    sealing_keys::SealingKeyPair,
};
use epione_primitives::{Hash, profile::Registration};
use object_store::memory::InMemory;

use super::{
    fake::{HOSPITAL, failure, genesis},
    registrations::{body_of, confirm, delay, patient_keys, renew, rotated},
    visits::sealed,
    world::{Raw, World},
};
use crate::config::Limits;

async fn note(world: &World) -> Visit {
    let note = world.builder().text(SectionKind::Summary, "After the theft.");
    note.build(&world.doctor.account(), world.chain.newest()).await.unwrap()
}

/// Submits a visit; returns its record.
async fn visited(world: &World) -> Record {
    world.submit(&note(world).await).await;
    newest(world).await
}

async fn newest(world: &World) -> Record {
    Record::decode_exactly(&sealed(world).await.pop().unwrap().record).unwrap()
}

fn registration(world: &World) -> Registration {
    world.chain.facts().registrations[&(HOSPITAL, world.patient.user)].clone()
}

fn calls(world: &World) -> usize {
    world.chain.facts().calls.len()
}

fn opens(record: &Record, keys: &PatientKeys) -> bool {
    record.content_key(genesis(), 0, keys).is_ok()
}

/// Whether somebody who has these sealing keys, and every profile body that was ever on the chain, opens a record.
fn is_opened_by(world: &World, record: &Record, keys: &[&SealingKeyPair]) -> bool {
    let user = world.patient.user;
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user };
    let (facts, agent) = (world.chain.facts(), world.agent.keys.account());
    let bodies = facts.bodies.values().filter_map(|body| ProfileBody::decode_exactly(body).ok());
    let mut opened = bodies.flat_map(|body| {
        let each = keys.iter().flat_map(|key| {
            [
                body.patient_keys_for_patient(&context, key, &agent),
                body.patient_keys_for_hospital(&context, key, &agent),
            ]
        });
        each.flatten().collect::<Vec<_>>()
    });
    opened.any(|keys| opens(record, &keys))
}

#[tokio::test]
async fn a_visit_after_a_patient_s_rotation_opens_with_neither_the_stolen_nor_the_waiting_key() {
    let world = World::new().await;
    let (stolen, hospital) = (&world.patient.keys.sealing, &world.agent.keys.sealing);
    let before = visited(&world).await;
    assert_eq!((before.key_version(), calls(&world)), (1, 0));
    let waiting = rotated(&world, &world.patient, 0);
    let first = visited(&world).await;
    let second = visited(&world).await;
    // One transaction for the rotation, not for each visit.
    assert_eq!(calls(&world), 1);
    for record in [&first, &second] {
        assert_eq!(record.key_version(), 2);
        assert!(!is_opened_by(&world, record, &[stolen, &waiting.keys.sealing]));
        assert!(is_opened_by(&world, record, &[hospital]));
    }
    assert!(is_opened_by(&world, &before, &[stolen]));
    assert!(body_of(&world, world.patient.user).0.is_withheld());

    // Further rotations add nothing while the version is withheld.
    let waiting = rotated(&world, &waiting, 0);
    assert_eq!((visited(&world).await.key_version(), calls(&world)), (2, 1));
    let refused = renew(&world, &waiting, &waiting.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));

    // The hospital confirms: the patient reads everything, with the same version.
    let confirmed = confirm(&world, &world.governance, waiting.user, &waiting.keys).await;
    assert_eq!(confirmed.status, 204);
    let keys = patient_keys(&world, &waiting);
    assert_eq!(keys.versions(), 2);
    assert!([&before, &first, &second].into_iter().all(|record| opens(record, &keys)));
    assert!(!is_opened_by(&world, &first, &[stolen]));
    assert_eq!((visited(&world).await.key_version(), calls(&world)), (2, 2));
}

#[tokio::test]
async fn after_the_delay_the_patient_gets_all_versions() {
    let world = World::new().await;
    rotated(&world, &world.patient, 0);
    let meanwhile = visited(&world).await;
    let patient = rotated(&world, &world.patient, delay());
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert!(opens(&meanwhile, &patient_keys(&world, &patient)));
}

#[tokio::test]
async fn a_key_that_was_rotated_back_is_not_confirmed_by_that() {
    let world = World::new().await;
    rotated(&world, &world.patient, 0);
    visited(&world).await;
    // The thief of the account names the stolen sealing key again.
    let stolen = world.patient.keys.sealing.public().hash();
    world.chain.facts().profiles.get_mut(&world.patient.user).unwrap().sealing_key_hash = stolen;
    let record = visited(&world).await;
    assert!(!is_opened_by(&world, &record, &[&world.patient.keys.sealing]));
    // Nor is a grant sealed to it.
    let body = registration(&world).body_hash;
    world.state.hospital_keys.sealing_key(body, stolen).await.unwrap_err();
    let refused = renew(&world, &world.patient, &world.patient.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));
}

#[tokio::test]
async fn a_visit_after_the_hospital_s_rotation_does_not_open_with_its_stolen_key() {
    let world = World::new().await;
    let (base, agent) = world.worker_with_rotated_key().await;
    let (stolen, current) = (&world.agent.keys.sealing, &agent.keys.sealing);
    let client = world.client_at(&base, &world.doctor);
    client.submit_visit(&note(&world).await, |_| {}).await.unwrap();
    let record = newest(&world).await;
    assert_eq!((record.key_version(), calls(&world)), (2, 1));
    assert!(!is_opened_by(&world, &record, &[stolen]));
    assert!(is_opened_by(&world, &record, &[current]));
    assert!(is_opened_by(&world, &record, &[&world.patient.keys.sealing]));

    // With a rotation of the patient that waits: for the hospital only.
    let waiting = rotated(&world, &world.patient, 0);
    client.submit_visit(&note(&world).await, |_| {}).await.unwrap();
    let record = newest(&world).await;
    assert_eq!((record.key_version(), calls(&world)), (3, 2));
    let thieves = [stolen, &world.patient.keys.sealing, &waiting.keys.sealing];
    assert!(!is_opened_by(&world, &record, &thieves));
    assert!(is_opened_by(&world, &record, &[current]));
}

#[tokio::test]
async fn nothing_is_renewed_while_the_chain_has_the_hospital_s_earlier_key() {
    let world = World::new().await;
    let before = world.chain.facts().hospitals[&HOSPITAL].sealing_key.clone();
    let (base, _) = world.worker_with_rotated_key().await;
    world.chain.facts().hospitals.get_mut(&HOSPITAL).unwrap().sealing_key = before;
    let client = world.client_at(&base, &world.doctor);
    client.submit_visit(&note(&world).await, |_| {}).await.unwrap();
    assert_eq!((newest(&world).await.key_version(), calls(&world)), (1, 0));
}

#[tokio::test]
async fn visits_that_come_together_share_one_renewal() {
    let world = World::new().await;
    rotated(&world, &world.patient, 0);
    world.chain.facts().latency = Duration::from_millis(300);
    let visits = [note(&world).await, note(&world).await, note(&world).await];
    futures::future::join_all(visits.iter().map(|visit| world.submit(visit))).await;
    let records = sealed(&world).await;
    assert_eq!((records.len(), calls(&world)), (3, 1));
    for record in records {
        assert_eq!(Record::decode_exactly(&record.record).unwrap().key_version(), 2);
    }
}

#[tokio::test]
async fn a_visit_that_waits_for_its_patient_s_keys_keeps_no_transaction_waiting() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { transactions: 1, ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    rotated(&world, &world.patient, 0);
    let doctor = rotated(&world, &world.doctor, delay());
    let resealing = world.state.hospital_keys.begin_resealing(world.patient.user).unwrap();
    let visit = note(&world).await;
    let other = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let renewed = renew(&world, &doctor, &doctor.keys);
        let renewed = tokio::time::timeout(Duration::from_secs(5), renewed).await;
        drop(resealing);
        renewed
    };
    let (_, renewed) = tokio::join!(world.submit(&visit), other);
    assert_eq!(renewed.unwrap().status, 204);
    assert_eq!((newest(&world).await.key_version(), calls(&world)), (2, 2));
}

#[tokio::test]
async fn a_renewal_that_takes_too_long_ends_the_request_and_is_not_made_twice() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { transaction_timeout: Duration::from_millis(200), ..Limits::default() };
    let world = World::with(objects.clone(), objects, limits).await;
    rotated(&world, &world.patient, 0);
    world.chain.facts().latency = Duration::from_secs(3);
    let visit = note(&world).await;
    for _ in 0..2 {
        let refused = Raw::visit(&visit.request).send(&world, &world.doctor).await;
        assert_eq!(refused.refusal(), (504, "timed-out".into()));
    }
    assert_eq!(calls(&world), 0);
    while world.state.hospital_keys.begin_resealing(world.patient.user).is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.submit(&visit).await;
    assert_eq!((newest(&world).await.key_version(), calls(&world)), (2, 1));
}

#[tokio::test]
async fn a_body_that_another_one_has_overtaken_is_not_used() {
    let world = World::new().await;
    rotated(&world, &world.patient, 0);
    let (key, other) = ((HOSPITAL, world.patient.user), Hash::repeat_byte(7));
    // As after an attempt that was given up, and then included.
    world.chain.facts().meanwhile = Some(Box::new(move |facts| {
        let body = facts.bodies[&facts.registrations[&key].body_hash].clone();
        facts.bodies.insert(other, body);
        facts.registrations.get_mut(&key).unwrap().body_hash = other;
    }));
    let visit = note(&world).await;
    let refused = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!(refused.refusal(), (503, "busy".into()));
    world.submit(&visit).await;
    assert_eq!(newest(&world).await.key_version(), 2);
    let (body, context) = body_of(&world, world.patient.user);
    let (hospital, agent) = (&world.agent.keys.sealing, world.agent.keys.account());
    let keys = body.patient_keys_for_hospital(&context, hospital, &agent).unwrap();
    assert!(opens(&newest(&world).await, &keys));
}

#[tokio::test]
async fn a_visit_is_not_sealed_if_its_patient_s_keys_cannot_be_renewed() {
    let world = World::new().await;
    rotated(&world, &world.patient, 0);
    world.chain.facts().failure = Some(failure("Profiles", "NotAgent"));
    let body = registration(&world).body_hash;
    let refused = Raw::visit(&note(&world).await.request).send(&world, &world.doctor).await;
    assert_eq!(refused.status, 409);
    assert_eq!(registration(&world).body_hash, body);
    assert!(sealed(&world).await.is_empty());
}
