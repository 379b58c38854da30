//! Counts of patients: nobody learns a number below the floor, what is not shared with the caller does not count, and
//! questions cannot be varied at will.

use std::{sync::Arc, time::Duration};

use epione_client::api::{CountReply, CountRequest};
use epione_envelope::record::SectionKind;
use epione_primitives::{
    Moment, RecordPointer, UserId,
    access::Purpose,
    limits::DAY_MILLIS,
    profile::{RegistrationStatus, Role},
    release::SectionSet,
    sharing::{KindSet, SlotId},
};
use object_store::memory::InMemory;

use super::{
    fake::{ELSEWHERE, HOSPITAL, slots::consent},
    world::{Actor, Raw, World},
};
use crate::{
    api::limits::Holder,
    config::{Discovery, Limits},
    journal::{
        counts::{self, Asked, Most},
        sections::{self, IndexedRecord, IndexedSection},
    },
};

const SLOT: SlotId = SlotId(1);
/// The section that every patient of a cohort shares: a diagnosis. The other one is a CT.
const DIAGNOSIS: SectionSet = SectionSet(0b01);
const CT: SectionSet = SectionSet(0b10);
const JANUARY: Moment = 1_767_225_600_000;
const FEBRUARY: Moment = 1_769_904_000_000;

fn patient(number: u32) -> UserId {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    UserId(id)
}

fn pointer(number: u32) -> RecordPointer {
    RecordPointer { height: number, index: 0 }
}

/// A record of a patient with a diagnosis and a CT, signed at a moment.
fn indexed(number: u32, patient: UserId, signed_at: Moment) -> IndexedRecord {
    let section = |section, kind, modalities: &[&str]| IndexedSection {
        section,
        kind: sections::index_of(kind),
        modalities: modalities.iter().map(|code| (*code).to_owned()).collect(),
    };
    IndexedRecord {
        pointer: pointer(number),
        patient,
        signed_at,
        committed_at: signed_at,
        sections: vec![
            section(0, SectionKind::Diagnosis, &[]),
            section(1, SectionKind::Media, &["CT"]),
        ],
    }
}

/// Adds records to the index, and shares these sections of them with researchers.
async fn share(world: &World, records: Vec<IndexedRecord>, shared: SectionSet) {
    {
        let mut facts = world.chain.facts();
        for record in &records {
            let version = consent(Role::Researcher, KindSet(0), 0);
            facts.slots.give(record.patient, SLOT, version);
            facts.slots.place(record.pointer, SLOT, shared);
        }
    }
    let height = records.iter().map(|record| record.pointer.height).max().unwrap();
    let added = world.journal.write(move |tx| {
        sections::begin(tx, 0)?;
        sections::add(tx, height, &records)
    });
    added.await.unwrap();
}

/// A world with a researcher, with whom these patients share the diagnosis of a record of January.
async fn cohort(numbers: std::ops::Range<u32>) -> (World, Actor) {
    cohort_in(World::new().await, numbers).await
}

async fn cohort_in(world: World, numbers: std::ops::Range<u32>) -> (World, Actor) {
    // Noon of tomorrow on the chain: a test that runs at midnight has one day, too.
    let rest_of_day = DAY_MILLIS - crate::now() % DAY_MILLIS;
    world.chain.facts().ahead = rest_of_day + DAY_MILLIS / 2;
    let researcher = Actor::new("Researcher");
    world.register(&researcher, Role::Researcher);
    join(&world, numbers).await;
    (world, researcher)
}

fn next_day(world: &World) {
    world.chain.facts().ahead += DAY_MILLIS;
}

async fn join(world: &World, numbers: std::ops::Range<u32>) {
    let records = numbers.map(|number| indexed(number, patient(number), JANUARY)).collect();
    share(world, records, DIAGNOSIS).await;
}

fn diagnoses() -> CountRequest {
    CountRequest {
        kinds: vec![SectionKind::Diagnosis],
        modality: None,
        from: None,
        to: None,
        purpose: Purpose::Research,
    }
}

async fn found(world: &World, by: &Actor, question: &CountRequest) -> Option<u32> {
    let CountReply { floor, patients } = world.client(by).count(question).await.unwrap();
    assert_eq!(floor, 10);
    patients
}

async fn refusal(world: &World, by: &Actor, question: &CountRequest) -> (u16, String) {
    Raw::post_json("/v1/counts", question).send(world, by).await.refusal()
}

#[tokio::test]
async fn patients_are_counted_from_the_floor_on_and_rounded_down() {
    for (patients, counted) in [(9, None), (10, Some(10)), (19, Some(10))] {
        let (world, researcher) = cohort(1..patients + 1).await;
        assert_eq!(found(&world, &researcher, &diagnoses()).await, counted, "{patients}");
        assert_eq!(world.metrics.counts.with_label_values(&["answered"]).get(), 1);
    }
}

#[tokio::test]
async fn a_patient_with_many_records_is_one_patient() {
    let (world, researcher) = cohort(1..10).await;
    let more = (100..200).map(|number| indexed(number, patient(1), JANUARY)).collect();
    share(&world, more, DIAGNOSIS).await;
    assert_eq!(found(&world, &researcher, &diagnoses()).await, None);
    join(&world, 10..11).await;
    next_day(&world);
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
}

#[tokio::test]
async fn all_questions_of_a_day_are_about_one_moment() {
    let (world, researcher) = cohort(1..11).await;
    let other = Actor::new("OtherResearcher");
    world.register(&other, Role::Researcher);
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
    // The consents of the next block, and what is indexed later, count tomorrow.
    world.chain.next_block();
    world.chain.facts().slots.withdraw(patient(1));
    join(&world, 11..31).await;
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
    let kinds = vec![SectionKind::Diagnosis; 3];
    let same = CountRequest { kinds, ..diagnoses() };
    assert_eq!(found(&world, &researcher, &same).await, Some(10));
    assert_eq!(world.metrics.counts.with_label_values(&["repeated"]).get(), 2);
    for from in ["2025-12", "2026-01"] {
        let from = Some(from.parse().unwrap());
        let equivalent = CountRequest { from, ..diagnoses() };
        assert_eq!(found(&world, &researcher, &equivalent).await, Some(10));
    }
    assert_eq!(found(&world, &other, &diagnoses()).await, Some(10));
    next_day(&world);
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(20), "of 29 patients");
}

#[tokio::test]
async fn the_different_questions_of_a_day_are_limited_also_after_a_restart() {
    let (world, researcher) = cohort(1..11).await;
    let most = Discovery::default().counts_per_day;
    let question = |number: u32| CountRequest {
        from: Some(format!("{}-01", 1980 + number).parse().unwrap()),
        ..diagnoses()
    };
    for number in 0..most {
        found(&world, &researcher, &question(number)).await;
    }
    let refused = refusal(&world, &researcher, &question(most)).await;
    assert_eq!(refused, (429, "too-many-questions".into()));
    let restarted = world.client_at(&world.next_worker().await, &researcher);
    let refused = restarted.count(&question(most)).await.unwrap_err();
    assert!(refused.to_string().contains("different questions"), "{refused}");
    // What was asked today is answered, and others may ask.
    assert_eq!(restarted.count(&question(0)).await.unwrap().patients, Some(10));
    let other = Actor::new("OtherResearcher");
    world.register(&other, Role::Researcher);
    assert_eq!(found(&world, &other, &question(most)).await, Some(10));
    // The next day begins at midnight of the chain.
    next_day(&world);
    assert_eq!(found(&world, &researcher, &question(most)).await, Some(10));
    assert_eq!(world.metrics.counts.with_label_values(&["beyond-limit"]).get(), 2);
}

#[tokio::test]
async fn all_requesters_of_a_hospital_have_a_limit_together() {
    let (world, researcher) = cohort(1..11).await;
    let Discovery { counts_per_day, counts_per_hospital, .. } = Discovery::default();
    let most = Most { of_requester: counts_per_day, of_hospital: counts_per_hospital };
    let now = crate::now() + world.chain.facts().ahead;
    let day = u32::try_from(now / DAY_MILLIS).unwrap();
    let ask_all = world.journal.write(move |tx| {
        (0..counts_per_hospital).try_for_each(|number| {
            let (requester, question) = (patient(1_000_000 + number), [0; 32]);
            let asked = Asked { requester, hospital: HOSPITAL, day, question };
            counts::charge(tx, asked, most).map(drop)
        })
    });
    ask_all.await.unwrap();
    let refused = refusal(&world, &researcher, &diagnoses()).await;
    assert_eq!(refused, (429, "too-many-questions".into()));
    move_elsewhere(&world, &researcher);
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
}

/// The requester's registration is at another hospital.
fn move_elsewhere(world: &World, requester: &Actor) {
    let mut facts = world.chain.facts();
    let registration = facts.registrations.remove(&(HOSPITAL, requester.user)).unwrap();
    facts.registrations.insert((ELSEWHERE, requester.user), registration);
}

#[tokio::test]
async fn whom_no_consent_admits_gets_the_same_answer_as_if_there_were_nobody() {
    let (world, researcher) = cohort(1..31).await;
    let empty = World::new().await;
    empty.register(&researcher, Role::Researcher);
    let question = diagnoses();
    let ask = async |world: &World, by: &Actor| {
        let reply = Raw::post_json("/v1/counts", &question).send(world, by).await;
        (reply.status, reply.body)
    };
    let nobody = ask(&empty, &researcher).await;
    assert_eq!(nobody, (200, r#"{"floor":10}"#.into()));
    assert_eq!(ask(&world, &world.doctor).await, nobody);
    assert_eq!(ask(&world, &world.patient).await, nobody);
}

#[tokio::test]
async fn strangers_and_hospitals_learn_nothing() {
    let (world, researcher) = cohort(1..31).await;
    let unknown = Actor::new("Nobody");
    assert_eq!(refusal(&world, &unknown, &diagnoses()).await, (401, "unauthorized".into()));
    for by in [&world.agent, &world.governance, &world.other_agent] {
        assert_eq!(refusal(&world, by, &diagnoses()).await, (403, "forbidden".into()));
    }
    for status in [RegistrationStatus::Suspended, RegistrationStatus::Ended] {
        let key = (HOSPITAL, researcher.user);
        world.chain.facts().registrations.get_mut(&key).unwrap().status = status;
        assert_eq!(refusal(&world, &researcher, &diagnoses()).await, (403, "forbidden".into()));
    }
    assert_eq!(world.chain.facts().slots.asked, 0);
}

#[tokio::test]
async fn only_what_is_shared_with_the_requester_for_the_purpose_now_counts() {
    let (world, researcher) = cohort(1..31).await;
    {
        let mut facts = world.chain.facts();
        let nurses = consent(Role::Nurse, KindSet(0), 0);
        facts.slots.give(patient(1), SLOT, nurses);
        let mut withdrawn = consent(Role::Researcher, KindSet(0), 0);
        withdrawn.ended = Some(1);
        facts.slots.give(patient(2), SLOT, withdrawn);
        let mut over = consent(Role::Researcher, KindSet(0), 0);
        over.consent.until = 1;
        facts.slots.give(patient(3), SLOT, over);
        let mut audits = consent(Role::Researcher, KindSet(0), 0);
        audits.consent.purposes = vec![Purpose::Audit].try_into().unwrap();
        facts.slots.give(patient(4), SLOT, audits);
        // The section is in a slot whose consent admits nobody.
        facts.slots.placed.remove(&pointer(5));
        facts.slots.place(pointer(5), SlotId(9), DIAGNOSIS);
        // Another section is shared than the one that is asked for.
        facts.slots.placed.remove(&pointer(6));
        facts.slots.place(pointer(6), SLOT, CT);
        for number in 7..11 {
            facts.slots.placed.remove(&pointer(number));
        }
    }
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(20));
    world.chain.facts().slots.placed.remove(&pointer(11));
    let from = Some("2026-01".parse().unwrap());
    let question = CountRequest { from, ..diagnoses() };
    assert_eq!(found(&world, &researcher, &question).await, Some(10));
    let audit = CountRequest { purpose: Purpose::Audit, ..diagnoses() };
    assert_eq!(found(&world, &researcher, &audit).await, None);
}

#[tokio::test]
async fn kinds_modality_and_months_choose_the_sections() {
    let (world, researcher) = cohort(1..11).await;
    let later = (11..31).map(|number| indexed(number, patient(number), FEBRUARY)).collect();
    share(&world, later, CT).await;
    let ask = async |kinds: &[SectionKind], modality: Option<&str>, from: &str, to: &str| {
        let month = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let question = CountRequest {
            kinds: kinds.to_vec(),
            modality: modality.map(str::to_owned),
            from: month(from),
            to: month(to),
            purpose: Purpose::Research,
        };
        found(&world, &researcher, &question).await.unwrap_or(0)
    };
    use SectionKind::{Diagnosis, Media, Report};
    assert_eq!(ask(&[], None, "", "").await, 30);
    assert_eq!(ask(&[Diagnosis], None, "", "").await, 10);
    assert_eq!(ask(&[Diagnosis, Media], None, "", "").await, 30);
    assert_eq!(ask(&[Report], None, "", "").await, 0);
    assert_eq!(ask(&[], Some("ct"), "", "").await, 20);
    assert_eq!(ask(&[Diagnosis], Some("CT"), "", "").await, 0);
    assert_eq!(ask(&[], Some("MR"), "", "").await, 0);
    assert_eq!(ask(&[], None, "2026-02", "").await, 20);
    assert_eq!(ask(&[], None, "", "2026-01").await, 10);
    assert_eq!(ask(&[], None, "2026-01", "2026-02").await, 30);
    assert_eq!(ask(&[], None, "2026-03", "").await, 0);
}

#[tokio::test]
async fn a_question_about_too_many_patients_is_refused_before_their_consents_are_read() {
    let most = Discovery::default().patients;
    let (world, researcher) = cohort(1..most + 2).await;
    let refused = refusal(&world, &researcher, &diagnoses()).await;
    assert_eq!(refused, (413, "too-large".into()));
    assert_eq!(world.chain.facts().slots.asked, 0);
    // It is not free: the worker has searched the index.
    for _ in 1..Discovery::default().counts_per_day {
        assert_eq!(refusal(&world, &researcher, &diagnoses()).await.0, 413);
    }
    let refused = refusal(&world, &researcher, &diagnoses()).await;
    assert_eq!(refused, (429, "too-many-questions".into()));
    assert_eq!(world.metrics.counts.with_label_values(&["answered"]).get(), 0);
}

#[tokio::test]
async fn the_requesters_of_a_hospital_have_one_of_the_places_for_counts() {
    let limits = Limits { request_timeout: Duration::from_secs(2), ..Limits::default() };
    let objects = Arc::new(InMemory::new());
    let world = World::with(objects.clone(), objects, limits).await;
    let (world, researcher) = cohort_in(world, 1..11).await;
    let other = Actor::new("OtherResearcher");
    world.register(&other, Role::Researcher);
    let held = world.state.count_slot(Holder::Hospital(HOSPITAL)).await.unwrap();
    for by in [&researcher, &other] {
        assert_eq!(refusal(&world, by, &diagnoses()).await, (429, "busy".into()));
    }
    move_elsewhere(&world, &other);
    assert_eq!(found(&world, &other, &diagnoses()).await, Some(10));
    drop(held);
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
}

#[tokio::test]
async fn a_question_that_is_not_one_is_refused() {
    let (world, researcher) = cohort(1..2).await;
    for (body, kind) in [
        ("{}", "json"),
        (r#"{"purpose":"curiosity"}"#, "json"),
        (r#"{"purpose":"research","kinds":["poem"]}"#, "json"),
        (r#"{"purpose":"research","from":"2026-01-05"}"#, "json"),
        (r#"{"purpose":"research","patient":"x"}"#, "json"),
        (r#"{"purpose":"emergency"}"#, "question"),
        (r#"{"purpose":"research","from":"2026-02","to":"2026-01"}"#, "question"),
        (r#"{"purpose":"research","modality":"C' OR 1"}"#, "question"),
    ] {
        let raw = Raw::new(http::Method::POST, "/v1/counts", body);
        let refused = raw.send(&world, &researcher).await.refusal();
        assert_eq!(refused, (400, kind.into()), "{body}");
    }
    let long = format!(r#"{{"purpose":"research","modality":"{}"}}"#, "C".repeat(1 << 17));
    let raw = Raw::new(http::Method::POST, "/v1/counts", long);
    assert_eq!(raw.send(&world, &researcher).await.status, 413);
}

#[tokio::test]
async fn a_node_that_does_not_answer_gives_no_count() {
    let (world, researcher) = cohort(1..11).await;
    // Everything that the caller needs is known, and then the node is away.
    world.chain.facts().slots.leaves_when_asked = true;
    assert_eq!(refusal(&world, &researcher, &diagnoses()).await.0, 503);
    {
        let mut facts = world.chain.facts();
        facts.slots.leaves_when_asked = false;
        facts.away = false;
    }
    assert_eq!(found(&world, &researcher, &diagnoses()).await, Some(10));
}
