//! Patients fetch the segments of their own records from any hospital, signed with their own key.

use epione_envelope::record::Record;
use epione_primitives::{
    HospitalId, RecordPointer,
    block::Segment,
    profile::{RegistrationStatus, Role},
};

use super::{
    fake::{ELSEWHERE, HOSPITAL},
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
    let reply = ask(&world, &world.patient, &segment_of(&record), "7/2").await;
    assert_eq!(reply.status, 200);
}

fn set_status(world: &World, hospital: HospitalId, status: RegistrationStatus) {
    let mut facts = world.chain.facts();
    let known = facts.registrations[&(HOSPITAL, world.patient.user)].clone();
    let at = facts.registrations.entry((hospital, world.patient.user)).or_insert(known);
    at.status = status;
}

#[tokio::test]
async fn the_thief_of_a_suspended_patient_s_account_gets_no_segment() {
    let (world, record) = committed().await;
    let segment = segment_of(&record);
    for status in [RegistrationStatus::Suspended, RegistrationStatus::Ended] {
        set_status(&world, HOSPITAL, status);
        let refused = ask(&world, &world.patient, &segment, "1/0").await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()), "{status:?}");
        // A registration at a third hospital does not help.
        set_status(&world, HospitalId(9), RegistrationStatus::Active);
        let refused = ask(&world, &world.patient, &segment, "1/0").await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()), "{status:?}");
    }
    world.chain.facts().registrations.clear();
    let refused = ask(&world, &world.patient, &segment, "1/0").await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_registration_in_force_here_or_at_the_record_s_hospital_suffices() {
    let (world, record) = committed().await;
    let bytes = codec::Encode::encode(&record);
    let elsewhere = RecordPointer { height: 7, index: 2 };
    world.chain.commit(elsewhere, world.patient.user, ELSEWHERE, &bytes);
    let segment = segment_of(&record);
    set_status(&world, ELSEWHERE, RegistrationStatus::Ended);
    assert_eq!(ask(&world, &world.patient, &segment, "7/2").await.status, 200);
    set_status(&world, ELSEWHERE, RegistrationStatus::Active);
    set_status(&world, HOSPITAL, RegistrationStatus::Suspended);
    assert_eq!(ask(&world, &world.patient, &segment, "7/2").await.status, 200);
    assert_eq!(ask(&world, &world.patient, &segment, "1/0").await.status, 403);
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
