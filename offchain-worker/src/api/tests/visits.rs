//! Visits that are accepted, and who may see their status.

use std::sync::Arc;

use epione_client::{
    api::{VisitStage, VisitStatus},
    visit::Visit,
    worker::WorkerError,
};
use epione_envelope::{
    account::Signer,
    keys::PatientKeys,
    profile::ProfileContext,
    record::{Record, SectionKind},
    signature::Extraction,
};
use epione_primitives::{
    RecordId,
    access::{Condition, Denial},
    block::Segment,
    limits::SEGMENT_BYTES,
    profile::Role,
    release::SectionSet,
};
use object_store::memory::InMemory;

use super::{
    fake::{HOSPITAL, genesis},
    world::{Actor, Raw, World, noise},
};
use crate::{
    config::Limits,
    journal::{SealedVisit, visits},
    store::{Store, faulty::Faulty},
};

pub async fn sealed(world: &World) -> Vec<SealedVisit> {
    world
        .journal
        .read(|connection| {
            let rows: Vec<i64> =
                visits::queued(connection, 100)?.iter().map(|visit| visit.row).collect();
            visits::sealed(connection, &rows)
        })
        .await
        .unwrap()
}

fn patient_keys(world: &World) -> PatientKeys {
    let facts = world.chain.facts();
    let body_hash = facts.registrations[&(HOSPITAL, world.patient.user)].body_hash;
    let body =
        epione_envelope::profile::ProfileBody::decode_exactly(&facts.bodies[&body_hash]).unwrap();
    let context =
        ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: world.patient.user };
    let agent = world.agent.account().id();
    body.patient_keys_for_patient(&context, &world.patient.keys.sealing, &agent).unwrap()
}

/// The content of a record's media section, from the stored segments.
async fn media_of(world: &World, record: &Record, section: u16, keys: &PatientKeys) -> Vec<u8> {
    let key = record.content_key(genesis(), section, keys).unwrap();
    let opener = record.open_media(genesis(), section, &key).unwrap();
    let mut object = Vec::new();
    for segment in record.sections()[usize::from(section)].segments() {
        object.extend_from_slice(&world.store.read(&segment.hash).await.unwrap());
    }
    let layout = opener.layout();
    let mut content = Vec::new();
    for index in 0..layout.chunks() {
        let span = |range: std::ops::Range<u64>| range.start as usize..range.end as usize;
        let chunk = &object[span(layout.chunk(index).unwrap())];
        let tag = object[span(layout.tag(index).unwrap())].try_into().unwrap();
        content.extend_from_slice(&opener.open_chunk(index, chunk, &tag).unwrap());
    }
    content
}

/// The content that was sent as section 1 of a visit.
pub async fn content_of(world: &World, visit: &SealedVisit) -> Vec<u8> {
    let record = Record::decode_exactly(&visit.record).unwrap();
    record.verify(genesis(), &world.doctor.account().id()).unwrap();
    assert_eq!(record.segments(), visit.segments);
    media_of(world, &record, 1, &patient_keys(world)).await
}

#[tokio::test]
async fn a_visit_is_sealed_stored_and_queued_before_it_is_acknowledged() {
    let world = World::new().await;
    let bytes = SEGMENT_BYTES as usize + 3_000_000;
    let visit = world.visit(bytes).await;
    let status = world.submit(&visit).await;
    assert_eq!((status.record_id, status.stage), (visit.record_id(), VisitStage::Queued));

    let sealed = sealed(&world).await;
    let record = Record::decode_exactly(&sealed[0].record).unwrap();
    record.verify(genesis(), &world.doctor.account().id()).unwrap();
    assert_eq!(record.segments(), sealed[0].segments);
    assert_eq!(sealed[0].segments.len(), 2);
    let keys = patient_keys(&world);
    let text = record.content_key(genesis(), 0, &keys).unwrap();
    let (_, text) = record.open_text(genesis(), 0, &text).unwrap();
    assert_eq!(text.as_slice(), b"The patient coughs.");
    assert_eq!(media_of(&world, &record, 1, &keys).await, noise(bytes));

    // Nothing readable is stored anywhere.
    let all = [
        sealed[0].record.clone(),
        world.store.read(&sealed[0].segments[0].hash).await.unwrap().into(),
    ];
    assert!(!all.concat().windows(7).any(|window| window == b"patient"));
    assert_eq!(world.object_names().await.len(), 2);
}

#[tokio::test]
async fn only_those_concerned_see_a_visit_s_status() {
    let world = World::new().await;
    let visit = world.visit(1_000).await;
    world.submit(&visit).await;
    for actor in [&world.doctor, &world.patient, &world.governance] {
        let status = world.client(actor).visit_status(visit.record_id()).await.unwrap();
        assert_eq!(status.stage, VisitStage::Queued);
    }
    let unknown = world.client(&world.doctor).visit_status(RecordId([0; 16])).await.unwrap_err();
    for actor in [&world.stranger, &world.agent, &world.other_agent] {
        let error = world.client(actor).visit_status(visit.record_id()).await.unwrap_err();
        assert_eq!(error.to_string(), unknown.to_string());
    }
}

#[tokio::test]
async fn a_visit_sent_twice_is_stored_once() {
    let world = World::new().await;
    let visit = world.visit(100_000).await;
    let first = world.submit(&visit).await;
    let names = world.object_names().await;
    let again = world.submit(&visit).await;
    assert_eq!(again, first);
    assert_eq!(world.object_names().await, names);
    assert_eq!(sealed(&world).await.len(), 1);
}

#[tokio::test]
async fn concurrent_uploads_of_one_visit_leave_one() {
    let world = World::new().await;
    let visit = Arc::new(world.visit(3_000_000).await);
    let client = world.client(&world.doctor);
    let (first, second) =
        tokio::join!(client.submit_visit(&visit, |_| {}), client.submit_visit(&visit, |_| {}));
    assert_eq!(first.unwrap(), second.unwrap());
    let sealed = sealed(&world).await;
    assert_eq!(sealed.len(), 1);
    assert_eq!(world.object_names().await.len(), sealed[0].segments.len());
    for segment in &sealed[0].segments {
        world.store.read(&segment.hash).await.unwrap();
    }
}

#[tokio::test]
async fn another_visit_with_the_same_record_id_is_a_conflict() {
    let world = World::new().await;
    let first = world.visit(1_000).await;
    world.submit(&first).await;
    let mut second = world.visit(2_000).await;
    second.request.record_id = first.record_id();
    let reply = Raw::visit(&second.request).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (409, "record-id".into()));
}

#[tokio::test]
async fn nothing_is_acknowledged_on_a_full_disk() {
    let (backend, room, objects) = Faulty::with_room(SEGMENT_BYTES.into());
    let world = World::with(backend, objects, Limits::default()).await;
    let visit = world.visit(SEGMENT_BYTES as usize + 8_000_000).await;
    let refused = world.client(&world.doctor).submit_visit(&visit, |_| {}).await.unwrap_err();
    let WorkerError::Problem(problem) = refused else { panic!("{refused:?}") };
    assert_eq!((problem.status, problem.kind.as_str()), (507, "urn:epione:problem:storage"));
    world.assert_untouched().await;
    room.set(u64::MAX);
    world.submit(&visit).await;
    assert_eq!(world.metrics.visits_refused.with_label_values(&["storage"]).get(), 1);
}

#[tokio::test]
async fn acknowledged_segments_outlive_the_worker_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let backend = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let world = World::with(
        Arc::new(backend.with_fsync(true)),
        Arc::new(InMemory::new()),
        Limits::default(),
    )
    .await;
    world.submit(&world.visit(2_500_000).await).await;
    let segments: Vec<Segment> = sealed(&world).await[0].segments.clone();
    drop(world);
    let store = Store::local(folder.path()).unwrap();
    for segment in segments {
        store.read(&segment.hash).await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_segments_on_a_disk_count_as_stored_without_a_read() {
    let (backend, _, objects) = Faulty::with_room(u64::MAX);
    let world = World::with(backend.clone(), objects, Limits::default()).await;
    world.submit(&world.visit(SEGMENT_BYTES as usize + 100_000).await).await;
    let visits = sealed(&world).await;
    let hashes: Vec<_> = visits[0].segments.iter().map(|segment| segment.hash).collect();
    assert!(hashes.len() > 1, "{}", hashes.len());
    assert_eq!(world.journal.not_verified(hashes).await.unwrap(), Vec::<[u8; 32]>::new());
    assert_eq!(backend.reads(), 0);
}

#[tokio::test]
async fn the_patient_s_signature_is_kept_with_the_record() {
    let world = World::new().await;
    world.chain.facts().cosigning = true;
    let plain = world.visit(1_000).await;
    let refused = world.client(&world.doctor).submit_visit(&plain, |_| {}).await.unwrap_err();
    let Some(Denial::Failed(policies)) = refused.denial() else { panic!("{refused:?}") };
    assert_eq!(policies[0].conditions, [Condition::PatientCosigned]);

    let visit = cosigned(&world, &world.patient).await;
    world.submit(&visit).await;
    let record = Record::decode_exactly(&sealed(&world).await[0].record).unwrap();
    record.verify_cosignature(genesis(), &world.patient.account().id()).unwrap();
}

async fn cosigned(world: &World, by: &Actor) -> Visit {
    world
        .builder()
        .text(SectionKind::Summary, "The patient agrees.")
        .cosigned_by(Some(by.account()))
        .build(&world.doctor.account(), world.chain.newest())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_false_patient_signature_is_rejected() {
    let world = World::new().await;
    let good = cosigned(&world, &world.patient).await;
    let mut moved = cosigned(&world, &world.patient).await;
    moved.request.patient_signature = good.request.patient_signature.clone();
    let mut by_author = good.clone();
    by_author.request.patient_signature = Some(good.request.author_signature.clone());
    for bad in [cosigned(&world, &world.stranger).await, moved, by_author] {
        let reply = Raw::visit(&bad.request).send(&world, &world.doctor).await;
        assert_eq!(reply.refusal(), (400, "patient-signature".into()));
    }
    let mut nonsense = good.clone();
    nonsense.request.patient_signature = Some("zz".into());
    let reply = Raw::visit(&nonsense.request).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (400, "visit".into()));
    world.assert_untouched().await;

    // After a rotation, the patient's previous account cosigns nothing, except what was signed before.
    world.chain.next_block();
    let account = Actor::new("Patient anew").keys.account();
    world.chain.facts().profiles.get_mut(&world.patient.user).unwrap().account = account;
    let late = cosigned(&world, &world.patient).await;
    let reply = Raw::visit(&late.request).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (400, "patient-signature".into()));
    world.submit(&good).await;
}

#[tokio::test]
async fn the_nurse_s_signature_is_kept_with_the_record() {
    let world = World::new().await;
    let nurse = Actor::new("Nurse");
    world.register(&nurse, Role::Nurse);
    let builder = world.builder().text(SectionKind::Symptoms, "A cough.");
    let builder = builder.nursed_by(Some((nurse.user, nurse.account())));
    let at = world.chain.newest();
    let visit = builder.build(&world.doctor.account(), at).await.unwrap();
    world.submit(&visit).await;
    let record = Record::decode_exactly(&sealed(&world).await[0].record).unwrap();
    assert_eq!((record.nurse(), record.signed_at()), (Some(nurse.user), at));
    record.verify_nurse(genesis(), &nurse.account().id()).unwrap();
}

#[tokio::test]
async fn an_outdated_visit_is_shown_with_what_to_do() {
    let world = World::new().await;
    let visit = world.visit(1_000).await;
    world.submit(&visit).await;
    let record = visit.record_id();
    let (outdated, reason) = (visits::Aside::Outdated, "submit it again");
    let aside = world.journal.write(move |tx| visits::set_aside(tx, record, outdated, reason, 7));
    assert!(aside.await.unwrap());
    for actor in [&world.doctor, &world.patient, &world.governance] {
        let status = world.client(actor).visit_status(record).await.unwrap();
        assert_eq!((status.stage, status.since), (VisitStage::Outdated, 7));
        assert_eq!(status.last_failure.as_deref(), Some("submit it again"));
    }
    // What was signed too long ago is not queued again. The author signs it again.
    assert_eq!(world.submit(&visit).await.stage, VisitStage::Outdated);
    assert_eq!(world.submit(&world.visit(1_000).await).await.stage, VisitStage::Queued);
}

#[tokio::test]
async fn a_repeated_visit_does_not_become_cosigned() {
    let world = World::new().await;
    let visit = cosigned(&world, &world.patient).await;
    let mut plain = visit.clone();
    plain.request.patient_signature = None;
    world.submit(&plain).await;
    let reply = Raw::visit(&visit.request).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (409, "record-id".into()));
}

#[tokio::test]
async fn the_same_visit_signed_again_is_answered_with_the_first_acknowledgement() {
    let world = World::new().await;
    let account = world.doctor.account();
    let means = async |text: &str, command| {
        let builder = world.builder().text(SectionKind::Summary, text);
        let visit =
            builder.by_command(command).build(&account, world.chain.newest()).await.unwrap();
        world.submit(&visit).await
    };
    let first = means("The patient coughs.", Some([7; 16])).await;
    let second = means("The patient coughs.", Some([7; 16])).await;
    assert_eq!(second, first);
    assert_eq!(sealed(&world).await.len(), 1);
    // Without a command, or with another one, it is meant as another visit.
    let again = means("The patient coughs.", None).await;
    let other = means("The patient coughs.", Some([8; 16])).await;
    assert!(again.record_id != first.record_id && other.record_id != first.record_id);
    assert_eq!(sealed(&world).await.len(), 3);
}

#[tokio::test]
async fn other_content_under_the_same_command_is_refused_and_not_dropped() {
    let world = World::new().await;
    let account = world.doctor.account();
    let means = async |text: &str, kind, patient: Option<&Actor>, content: &[u8]| {
        let scan = world.file("scan.dcm", content);
        let builder = world.builder().text(kind, text);
        let builder = builder.file(SectionKind::Media, scan);
        let builder = builder.cosigned_by(patient.map(Actor::account));
        let visit =
            builder.by_command(Some([7; 16])).build(&account, world.chain.newest()).await.unwrap();
        world.client(&world.doctor).submit_visit(&visit, |_| {}).await
    };
    let (summary, report) = (SectionKind::Summary, SectionKind::Report);
    let first = means("It is the left lung.", summary, None, b"left").await.unwrap();
    for refused in [
        means("It is the right lung.", summary, None, b"left").await,
        means("It is the left lung.", report, None, b"left").await,
        means("It is the left lung.", summary, Some(&world.patient), b"left").await,
        // The same length and name.
        means("It is the left lung.", summary, None, b"righ").await,
        under_a_policy(&world, "It is the left lung.", b"left").await,
    ] {
        let problem = refused.unwrap_err();
        let problem = problem.problem().unwrap();
        assert_eq!((problem.status, problem.kind.as_str()), (409, "urn:epione:problem:command"));
    }
    let again = means("It is the left lung.", summary, None, b"left").await.unwrap();
    assert_eq!(again.record_id, first.record_id);
    assert_eq!(sealed(&world).await.len(), 1);
}

/// Submits the same by the same command, with sections that nobody may disclose.
async fn under_a_policy(
    world: &World,
    text: &str,
    content: &[u8],
) -> Result<VisitStatus, WorkerError> {
    let mut never = SectionSet::default();
    never.insert(1);
    let scan = world.file("scan.dcm", content);
    let builder = world.builder().text(SectionKind::Summary, text).file(SectionKind::Media, scan);
    let builder = builder.with_extraction(Extraction { never, ..Extraction::default() });
    let builder = builder.by_command(Some([7; 16]));
    let visit = builder.build(&world.doctor.account(), world.chain.newest()).await.unwrap();
    world.client(&world.doctor).submit_visit(&visit, |_| {}).await
}

#[tokio::test]
async fn a_command_that_is_not_16_bytes_is_rejected() {
    let world = World::new().await;
    for command in ["", "07", "zz", &"07".repeat(17)] {
        let mut visit = world.visit(10).await.request;
        visit.command = Some(command.to_owned());
        let reply = Raw::visit(&visit).send(&world, &world.doctor).await;
        assert_eq!(reply.refusal(), (400, "visit".to_owned()), "{command}");
    }
}
