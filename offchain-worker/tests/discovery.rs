//! Sharing by kind on a real chain: a worker places the sections of new records under its patients' consents, and
//! counts the patients who share with a requester.

#![allow(clippy::unwrap_used)]

mod network;

use epione_client::{
    api::{CountRequest, Month, Relation},
    chain::calls::{role_policies, sharing},
    reader::{Intent, OpenContent},
    signer::Account,
    visit::VisitBuilder,
};
use epione_envelope::record::SectionKind;
use epione_primitives::{
    Moment, RecordPointer, UserId,
    access::{Action, Conclusion, Condition, Policies, Policy, Purpose, RelationshipKind},
    limits::DAY_MILLIS,
    profile::Role,
    release::SectionSet,
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use futures::future::join_all;
use network::{
    Hospital, Network, Tuning,
    people::{Doctor, People, join, reader},
    settles,
};

const DIAGNOSES: SlotId = SlotId(0);
const REPORTS: SlotId = SlotId(1);
const RESEARCH: Intent = Intent { purpose: Purpose::Research, emergency: None };
const RESEARCHER: &str = "//Researcher";

/// Shares one kind of section with researchers.
fn consent(kind: SectionKind, now: Moment) -> Consent {
    let bit = match kind {
        SectionKind::Diagnosis => 1 << 1,
        SectionKind::Report => 1 << 3,
        other => panic!("no consent of these tests names {other}"),
    };
    Consent {
        audience: vec![Term::Role(Role::Researcher)].try_into().unwrap(),
        purposes: vec![Purpose::Research].try_into().unwrap(),
        kinds: KindSet(bit),
        recorded: RecordedPeriod::default(),
        until: now + 30 * DAY_MILLIS,
        standing: false,
    }
}

fn researchers_read() -> Policy {
    Policy {
        name: b"research".to_vec().try_into().unwrap(),
        summary: b"Researchers read texts that patients share.".to_vec().try_into().unwrap(),
        hospitals: Default::default(),
        roles: vec![Role::Researcher].try_into().unwrap(),
        conditions: vec![Condition::SectionShared].try_into().unwrap(),
        conclusion: Conclusion::Allows(vec![Action::ReadText].try_into().unwrap()),
        expires: None,
    }
}

/// A hospital's patient, whose account signs consents.
struct Patient {
    account: Account,
    people: People,
}

impl Patient {
    async fn gives(&self, hospital: &Hospital, slot: SlotId, kind: SectionKind) {
        let chain = hospital.chain().await;
        let state = chain.finalized().await.unwrap();
        let now = state.time().await.unwrap();
        let seen = state.slot_height(self.people.patient, slot).await.unwrap();
        let give = sharing::give(slot, &consent(kind, now), seen);
        chain.submit(&give, &self.account).await.unwrap();
    }

    async fn withdraws(&self, hospital: &Hospital, slot: SlotId) {
        hospital.chain().await.submit(&sharing::withdraw(slot), &self.account).await.unwrap();
    }

    /// A committed visit with a diagnosis and a report, in this order.
    async fn visit(&self, hospital: &Hospital) -> RecordPointer {
        let chain = hospital.chain().await;
        let People { doctor, patient } = &self.people;
        let visit = VisitBuilder::new(chain.genesis_hash(), *patient, hospital.id, doctor.user)
            .text(SectionKind::Diagnosis, "essential hypertension")
            .text(SectionKind::Report, "nothing else was found");
        let newest = chain.finalized_head().await.unwrap();
        let visit = visit.build(&doctor.account, newest.into()).await.unwrap();
        self.people.submit(hospital, &visit).await;
        self.people.is_committed(hospital, visit.record_id()).await
    }

    /// The sections of a record in a slot.
    async fn placed(hospital: &Hospital, pointer: RecordPointer, slot: SlotId) -> SectionSet {
        let state = hospital.chain().await.finalized().await.unwrap();
        let placements = state.placements(&[pointer]).await.unwrap().remove(0);
        let found = placements.iter().find(|placement| placement.slot == slot);
        found.map_or(SectionSet::default(), |placement| placement.sections)
    }

    /// Waits until the worker has placed exactly these sections of a record in a slot.
    async fn is_placed(hospital: &Hospital, pointer: RecordPointer, slot: SlotId, sections: u64) {
        settles("the sections are placed", async || {
            let placed = Self::placed(hospital, pointer, slot).await;
            if placed == SectionSet(sections) { Ok(()) } else { Err(placed) }
        })
        .await;
    }
}

/// Registers patients of one doctor.
async fn patients(hospital: &Hospital, number: usize) -> Vec<Patient> {
    let doctor = join(hospital, Role::Doctor, "//Doctor").await;
    let office = &hospital.client(hospital.governance()).await;
    join_all((0..number).map(|number| async move {
        let uri = format!("//Patient{number}");
        let patient = join(hospital, Role::Patient, &uri).await;
        let kind = RelationshipKind::FamilyDoctor;
        let relation = Relation { patient, professional: doctor, kind, expires: None };
        office.relate(&relation).await.unwrap();
        let doctor = Doctor { account: Account::development("//Doctor").unwrap(), user: doctor };
        let account = Account::development(&uri).unwrap();
        Patient { account, people: People { doctor, patient } }
    }))
    .await
}

async fn set_policies(hospital: &Hospital) {
    let chain = hospital.chain().await;
    let known = chain.finalized().await.unwrap().policies(hospital.id, None).await.unwrap();
    let mut policies: Policies = known.unwrap().1.policies;
    policies.try_push(researchers_read()).unwrap();
    let set = role_policies::set_policies(&policies);
    chain.submit(&set, &hospital.governance()).await.unwrap();
}

/// What the researcher reads of a record: the texts that are open.
async fn read(hospital: &Hospital, patient: UserId, pointer: RecordPointer) -> Vec<Option<String>> {
    let reader = reader(hospital, RESEARCHER).await;
    let opened = reader.open(patient, &[pointer], RESEARCH).await.unwrap().remove(0);
    let text = |content: &OpenContent| match content {
        OpenContent::Text { text, .. } => Some(text.as_str().to_owned()),
        _ => None,
    };
    opened.sections.iter().map(|section| text(&section.content)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sections_of_a_consented_kind_are_readable_without_anybody_acting() {
    let mut network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    set_policies(hospital).await;
    join(hospital, Role::Researcher, RESEARCHER).await;
    let patient = patients(hospital, 1).await.remove(0);
    let before = patient.visit(hospital).await;
    patient.gives(hospital, DIAGNOSES, SectionKind::Diagnosis).await;
    let pointer = patient.visit(hospital).await;
    Patient::is_placed(hospital, pointer, DIAGNOSES, 0b01).await;
    let user = patient.people.patient;
    let opened = read(hospital, user, pointer).await;
    assert_eq!(opened, [Some("essential hypertension".to_owned()), None]);
    // The patient's client places what was committed before the consent.
    assert_eq!(Patient::placed(hospital, before, DIAGNOSES).await, SectionSet::default());

    // A worker that is killed places what was committed meanwhile when it is back.
    network.hospitals[0].worker.kill();
    network.hospitals[0].worker.start();
    let hospital = &network.hospitals[0];
    hospital.worker_is_ready().await;
    let later = patient.visit(hospital).await;
    Patient::is_placed(hospital, later, DIAGNOSES, 0b01).await;

    // After the withdrawal nothing new is placed in the slot: the other slot shows that the worker has looked.
    patient.gives(hospital, REPORTS, SectionKind::Report).await;
    patient.withdraws(hospital, DIAGNOSES).await;
    let last = patient.visit(hospital).await;
    Patient::is_placed(hospital, last, REPORTS, 0b10).await;
    hospital.metric_becomes("epione_worker_records_to_place", |waiting| waiting == 0).await;
    assert_eq!(Patient::placed(hospital, last, DIAGNOSES).await, SectionSet::default());
    assert_eq!(read(hospital, user, last).await[0], None);
    assert_eq!(hospital.metric("epione_worker_records_closed").await, 0);
}

/// The day of the chain's clock.
async fn day(hospital: &Hospital) -> Moment {
    let state = hospital.chain().await.finalized().await.unwrap();
    state.time().await.unwrap() / DAY_MILLIS
}

/// How many patients share sections of a kind with the researcher.
async fn ask(hospital: &Hospital, kind: SectionKind, from: Option<Month>) -> Option<u32> {
    let client = hospital.client(Account::development(RESEARCHER).unwrap()).await;
    let (kinds, modality, to) = (vec![kind], None, None);
    let question = CountRequest { kinds, modality, from, to, purpose: Purpose::Research };
    let reply = client.count(&question).await.unwrap();
    assert_eq!(reply.floor, 5);
    reply.patients
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_are_counted_while_they_share_and_fewer_than_the_floor_never() {
    let mut network = Network::start(1, Tuning::default()).await;
    let hospital = &network.hospitals[0];
    let researcher = join(hospital, Role::Researcher, RESEARCHER).await;
    let patients = patients(hospital, 6).await;
    let placed = join_all(patients.iter().map(|patient| async move {
        patient.gives(hospital, DIAGNOSES, SectionKind::Diagnosis).await;
        let pointer = patient.visit(hospital).await;
        Patient::is_placed(hospital, pointer, DIAGNOSES, 0b01).await;
        pointer
    }));
    assert_eq!(placed.await.len(), 6);

    let today = day(hospital).await;
    assert_eq!(ask(hospital, SectionKind::Diagnosis, None).await, Some(5));
    assert_eq!(ask(hospital, SectionKind::Report, None).await, None, "nobody shares reports");
    for patient in &patients[..2] {
        patient.withdraws(hospital, DIAGNOSES).await;
    }
    let state = hospital.chain().await.finalized().await.unwrap();
    let admitting = state.admitting(patients[0].people.patient, researcher, Purpose::Research);
    assert!(admitting.await.unwrap().is_empty());
    let from: Month = "2020-01".parse().unwrap();
    let again = ask(hospital, SectionKind::Diagnosis, Some(from)).await;
    // The day may have ended meanwhile.
    if day(hospital).await == today {
        assert_eq!(again, Some(5), "all questions of a day are about one moment");
    }

    // As on the next day: the worker has no answers and no moment of today.
    network.hospitals[0].worker.kill();
    let journal = rusqlite::Connection::open(network.hospitals[0].journal()).unwrap();
    journal.execute_batch("DELETE FROM counts; DELETE FROM count_days;").unwrap();
    drop(journal);
    network.hospitals[0].worker.start();
    let hospital = &network.hospitals[0];
    hospital.worker_is_ready().await;
    let left = ask(hospital, SectionKind::Diagnosis, None).await;
    assert_eq!(left, None, "four patients are left");
}
