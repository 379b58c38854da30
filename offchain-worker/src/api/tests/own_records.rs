//! Patients fetch the segments of their own records from any hospital, signed with their own key.

use epione_envelope::record::Record;
use epione_primitives::{RecordPointer, block::Segment, profile::Role};

use super::{
    fake::ELSEWHERE,
    grants::{POINTER, committed},
    world::{Actor, Raw, Reply, World},
};

fn target(segment: &Segment, record: &str) -> String {
    format!("/v1/segments/{}?record={record}", hex::encode(segment.hash))
}

async fn ask(world: &World, by: &Actor, segment: &Segment, record: &str) -> Reply {
    Raw::get(&target(segment, record)).send(world, by).await
}

fn segment_of(record: &Record) -> Segment {
    record.segments()[0]
}

#[tokio::test]
async fn a_patient_needs_no_grant_for_the_segments_of_an_own_record() {
    let (world, record) = committed().await;
    let segment = segment_of(&record);
    let reply = ask(&world, &world.patient, &segment, "1/0").await;
    assert_eq!((reply.status, reply.body.len()), (200, segment.length as usize));
    assert_eq!(*blake3::hash(&reply.body).as_bytes(), segment.hash);
    // Another client may encode the slash.
    assert_eq!(ask(&world, &world.patient, &segment, "1%2F0").await.status, 200);
    assert!(world.chain.facts().receipts.is_empty());
}

#[tokio::test]
async fn the_record_may_be_of_any_hospital() {
    let (world, record) = committed().await;
    let bytes = codec::Encode::encode(&record);
    let elsewhere = RecordPointer { height: 7, index: 2 };
    world.chain.commit(elsewhere, world.patient.user, ELSEWHERE, &bytes);
    // It does not matter either if the registration has ended.
    world.chain.facts().registrations.clear();
    let reply = ask(&world, &world.patient, &segment_of(&record), "7/2").await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn only_the_patient_may_name_a_record() {
    let (world, record) = committed().await;
    let segment = segment_of(&record);
    let other = Actor::new("Another patient");
    world.register(&other, Role::Patient);
    let known = [&other, &world.doctor, &world.stranger, &world.governance, &world.other_agent];
    for somebody in known {
        let reply = ask(&world, somebody, &segment, "1/0").await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    let reply = ask(&world, &Actor::new("Nobody"), &segment, "1/0").await;
    assert_eq!(reply.refusal(), (401, "unauthorized".into()));
    let unsigned = Raw::get(&target(&segment, "1/0")).send_with(&world, Default::default()).await;
    assert_eq!(unsigned.refusal(), (401, "unauthorized".into()));
}

#[tokio::test]
async fn a_record_gives_access_only_to_its_segments() {
    let (world, record) = committed().await;
    // Another patient's record with its segments, and this patient's record without segments.
    let foreign = Segment { hash: [7; 32], length: 1 };
    for (segment, at) in [(foreign, "1/0"), (segment_of(&record), "1/1"), (foreign, "9/9")] {
        let reply = ask(&world, &world.patient, &segment, at).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()), "{at}");
    }
    // The same record, committed as another patient's: the entry decides.
    let bytes = codec::Encode::encode(&record);
    let at = RecordPointer { height: 3, index: 0 };
    world.chain.commit(at, world.doctor.user, ELSEWHERE, &bytes);
    for somebody in [&world.patient, &world.doctor] {
        let reply = ask(&world, somebody, &segment_of(&record), "3/0").await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
}

#[tokio::test]
async fn an_invalid_record_name_is_a_problem() {
    let (world, record) = committed().await;
    for place in ["", "1", "1/", "/0", "a/b", "1/0/0", "4294967296/0", "1/65536", "-1/0"] {
        let reply = ask(&world, &world.patient, &segment_of(&record), place).await;
        assert_eq!(reply.refusal(), (400, "record".into()), "{place}");
    }
    assert_eq!(POINTER.to_string(), "1/0");
    let both = format!("{}&mac=00", target(&segment_of(&record), "1/0"));
    let reply = Raw::get(&both).send(&world, &world.patient).await;
    assert_eq!(reply.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_request_is_answered_once() {
    let (world, record) = committed().await;
    let raw = Raw::get(&target(&segment_of(&record), "1/0"));
    assert_eq!(raw.send(&world, &world.patient).await.status, 200);
    assert_eq!(raw.send(&world, &world.patient).await.refusal(), (401, "unauthorized".into()));
}
