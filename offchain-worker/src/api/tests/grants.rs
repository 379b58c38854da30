//! Grants: keys and links for those whom the policies allow, for what is committed here.

use epione_client::{
    api::GrantRequest,
    worker::{Granted, WorkerError},
};
use epione_envelope::{
    grant::{Expected, GrantedSection},
    keys::ContentKey,
    record::Record,
};
use epione_primitives::{
    RecordPointer, UserId,
    access::{Condition, Denial, Purpose},
    profile::Role,
};

use super::{
    fake::{ELSEWHERE, HOSPITAL, genesis},
    visits::sealed,
    world::{Actor, Raw, World, noise},
};

const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };

/// A world in which the doctor's visit is committed.
async fn committed() -> (World, Record) {
    let world = World::new().await;
    world.submit(&world.visit(300_000).await).await;
    let record = sealed(&world).await[0].record.clone();
    world.chain.commit(POINTER, world.patient.user, HOSPITAL, &record);
    (world, Record::decode_exactly(&record).unwrap())
}

fn request(world: &World, records: &[RecordPointer]) -> GrantRequest {
    GrantRequest {
        patient: world.patient.user,
        records: records.to_vec(),
        purpose: Purpose::Treatment,
    }
}

fn open(world: &World, reader: &Actor, granted: &Granted) -> Vec<(GrantedSection, ContentKey)> {
    let expected = Expected {
        genesis: genesis(),
        hospital: HOSPITAL,
        agent: &world.agent.account().id(),
        audience: &reader.account().id(),
        patient: world.patient.user,
        nonce: granted.nonce,
        now: crate::now(),
    };
    granted.grant.open(&expected, &reader.keys.sealing).unwrap()
}

#[tokio::test]
async fn doctor_and_patient_get_keys_and_links_that_open_the_record() {
    let (world, record) = committed().await;
    for reader in [&world.doctor, &world.patient] {
        let client = world.client(reader);
        let granted = client.grant(&request(&world, &[POINTER])).await.unwrap();
        let keys = open(&world, reader, &granted);
        let sections: Vec<u16> = keys.iter().map(|(granted, _)| granted.section).collect();
        assert_eq!(sections, [0, 1, 2]);
        let (_, text) = record.open_text(genesis(), 0, &keys[0].1).unwrap();
        assert_eq!(text.as_slice(), b"The patient coughs.");
        let segments = record.segments();
        assert_eq!(granted.reply.links.len(), segments.len());
        let bytes = client.segment_by_link(&segments[0], &granted.reply.links[0]).await.unwrap();
        let opener = record.open_media(genesis(), 1, &keys[1].1).unwrap();
        let tag = opener.layout().tag(0).unwrap();
        let tag = bytes[tag.start as usize..tag.end as usize].try_into().unwrap();
        assert_eq!(opener.open_chunk(0, &bytes[..300_000], &tag).unwrap(), noise(300_000));
    }
    assert_eq!(world.metrics.grants.get(), 2);
}

#[tokio::test]
async fn who_is_not_related_hears_which_condition_failed() {
    let (world, _) = committed().await;
    let refused =
        world.client(&world.stranger).grant(&request(&world, &[POINTER])).await.err().unwrap();
    let WorkerError::Problem(problem) = refused else { panic!("{refused:?}") };
    assert_eq!(problem.status, 403);
    let Some(Denial::Failed(policies)) = problem.denial else { panic!("{problem:?}") };
    assert!(matches!(policies[0].conditions[0], Condition::Related(_)));
}

#[tokio::test]
async fn only_the_sections_that_the_policies_allow_are_granted() {
    let (world, _) = committed().await;
    let researcher = Actor::new("Researcher");
    world.register(&researcher, Role::Researcher);
    let granted = world.client(&researcher).grant(&request(&world, &[POINTER])).await.unwrap();
    let keys = open(&world, &researcher, &granted);
    assert_eq!(keys.iter().map(|(granted, _)| granted.section).collect::<Vec<_>>(), [2]);
    assert!(granted.reply.links.is_empty());
}

#[tokio::test]
async fn only_committed_records_of_this_patient_and_hospital_are_granted() {
    let (world, record) = committed().await;
    let bytes = codec::Encode::encode(&record);
    let at = |height| RecordPointer { height, index: 0 };
    world.chain.commit(at(2), UserId([9; 32]), HOSPITAL, &bytes);
    world.chain.commit(at(3), world.patient.user, ELSEWHERE, &bytes);
    for pointer in [at(2), at(3), at(4)] {
        let raw = Raw::post_json("/v1/grants", &request(&world, &[POINTER, pointer]));
        let reply = raw.send(&world, &world.doctor).await;
        assert_eq!(reply.refusal(), (404, "not-found".into()), "{pointer}");
    }
}

#[tokio::test]
async fn a_grant_is_for_some_records_each_once() {
    let (world, _) = committed().await;
    let many: Vec<_> = (1..=65).map(|height| RecordPointer { height, index: 0 }).collect();
    for records in [vec![], vec![POINTER, POINTER], many] {
        let raw = Raw::post_json("/v1/grants", &request(&world, &records));
        assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (400, "records".into()));
    }
}

#[tokio::test]
async fn a_key_that_the_chain_does_not_know_is_not_sealed_to() {
    let (world, _) = committed().await;
    world.chain.facts().profiles.get_mut(&world.doctor.user).unwrap().sealing_key_hash =
        Default::default();
    let raw = Raw::post_json("/v1/grants", &request(&world, &[POINTER]));
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (409, "sealing-key".into()));
}

#[tokio::test]
async fn hospitals_are_not_readers() {
    let (world, _) = committed().await;
    for hospital in [&world.agent, &world.governance, &world.other_agent] {
        let raw = Raw::post_json("/v1/grants", &request(&world, &[POINTER]));
        assert_eq!(raw.send(&world, hospital).await.refusal(), (403, "forbidden".into()));
    }
}
