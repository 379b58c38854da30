//! Grants of keys and links to committed records, which need a receipt on the chain, and refusals, which the chain
//! records too.

use std::{sync::Arc, time::Duration};

use codec::Encode;
use epione_client::{
    api::GrantRequest,
    worker::{Granted, WorkerError},
};
use epione_envelope::{
    grant::{Expected, GrantError, GrantedSection},
    keys::ContentKey,
    keystore::ActorKeys,
    record::{Record, SectionKind},
};
use epione_primitives::{
    RecordPointer, UserId,
    access::{Action, Condition, Denial, Purpose, SectionClass},
    limits::MAX_REFUSALS_PER_DAY,
    profile::{RegistrationStatus, Role},
    release::{Release, ReleasedRecord, Request, Right, SectionSet},
    sharing::{KindSet, SlotId, Term},
};
use object_store::memory::InMemory;

use super::{
    fake::{ELSEWHERE, Facts, HOSPITAL, failure, genesis, slots::consent},
    visits::sealed,
    world::{Actor, Raw, Reply, World, noise},
};
use crate::config::Limits;

pub const POINTER: RecordPointer = RecordPointer { height: 1, index: 0 };

/// A world in which the doctor's visit is committed.
pub async fn committed() -> (World, Record) {
    committed_in(World::new().await).await
}

pub async fn committed_in(world: World) -> (World, Record) {
    world.submit(&world.visit(300_000).await).await;
    let record = sealed(&world).await[0].record.clone();
    world.chain.commit(POINTER, world.patient.user, HOSPITAL, &record);
    (world, Record::decode_exactly(&record).unwrap())
}

/// A request for all sections of records of the patient, signed by an actor.
pub fn request(world: &World, by: &Actor, records: &[RecordPointer]) -> GrantRequest {
    by.signs(&world.request_of(by, records))
}

/// A request for some sections of the record, given as bits.
pub fn of_sections(world: &World, by: &Actor, sections: u64) -> Request {
    let records = vec![ReleasedRecord { pointer: POINTER, sections: SectionSet(sections) }];
    Request { records: records.try_into().unwrap(), ..world.request_of(by, &[]) }
}

pub async fn send(world: &World, by: &Actor, request: &GrantRequest) -> Reply {
    Raw::post_json("/v1/grants", request).send(world, by).await
}

/// An actor requests the record.
pub async fn ask(world: &World, by: &Actor) -> Reply {
    send(world, by, &request(world, by, &[POINTER])).await
}

const SLOT: SlotId = SlotId(2);

/// The patient shares the sections of these bits, and no others, with doctors and researchers for treatment.
pub fn share(world: &World, pointer: RecordPointer, sections: u64) {
    let mut version = consent(Role::Doctor, KindSet(0), 0);
    let either = Term::AtLeast { met: 1, of: 2 };
    let audience = vec![Term::Role(Role::Doctor), Term::Role(Role::Researcher), either];
    version.consent.audience = audience.try_into().unwrap();
    version.consent.purposes = vec![Purpose::Treatment].try_into().unwrap();
    let mut facts = world.chain.facts();
    facts.slots.give(world.patient.user, SLOT, version);
    set_shared(&mut facts, pointer, sections);
}

/// Replaces the sections of a record in the slot.
pub fn set_shared(facts: &mut Facts, pointer: RecordPointer, sections: u64) {
    facts.slots.remove(pointer, SLOT, SectionSet::ALL);
    if sections != 0 {
        facts.slots.place(pointer, SLOT, SectionSet(sections));
    }
}

pub fn receipts(world: &World) -> Vec<Release> {
    world.chain.facts().receipts.values().cloned().collect()
}

fn refusals(world: &World) -> usize {
    world.chain.facts().refusals.len()
}

fn counted(world: &World, result: &str) -> u64 {
    world.metrics.refusals.with_label_values(&[result]).get()
}

pub fn open(world: &World, reader: &Actor, granted: &Granted) -> Vec<(GrantedSection, ContentKey)> {
    open_as(world, reader, granted).unwrap()
}

fn open_as(
    world: &World,
    reader: &Actor,
    granted: &Granted,
) -> Result<Vec<(GrantedSection, ContentKey)>, GrantError> {
    let expected = Expected {
        genesis: genesis(),
        hospital: HOSPITAL,
        agent: &world.agent.account().id(),
        audience: &reader.account().id(),
        patient: world.patient.user,
        nonce: granted.grant.terms().nonce,
        now: crate::now(),
    };
    granted.grant.open(&expected, &reader.keys.sealing)
}

#[tokio::test]
async fn doctor_and_patient_get_keys_and_links_to_the_record() {
    let (world, record) = committed().await;
    for reader in [&world.doctor, &world.patient] {
        let client = world.client(reader);
        let granted = client.grant(&request(&world, reader, &[POINTER])).await.unwrap();
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
    assert_eq!((world.metrics.grants.get(), world.metrics.receipts.get()), (2, 2));
}

#[tokio::test]
async fn the_receipt_contains_the_signed_request_the_sections_and_the_rights() {
    let (world, _) = committed().await;
    share(&world, POINTER, 0b100);
    let asked = world.request_of(&world.doctor, &[POINTER]);
    let granted = world.client(&world.doctor).grant(&world.doctor.signs(&asked)).await.unwrap();
    let receipts = receipts(&world);
    let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
    assert_eq!(receipt.grant, granted.grant.hash());
    assert_eq!(receipt.request, asked);
    assert_eq!(receipt.request.records[0].sections, SectionSet::ALL);
    assert!(asked.is_signed_by(genesis(), &world.doctor.account().id(), &receipt.signature));
    assert_eq!(receipt.records[0].pointer, POINTER);
    assert_eq!(receipt.records[0].sections.iter().collect::<Vec<_>>(), [0, 1, 2]);
    // The rights to private sections open the shared one, too.
    let right = |action| Right { action, class: SectionClass::Private };
    assert_eq!(receipt.rights.to_vec(), [right(Action::ReadText), right(Action::ReadMedia)]);
}

#[tokio::test]
async fn an_image_that_is_readable_only_while_shared_is_granted_without_private_sections() {
    let (world, _) = committed().await;
    let media = |class| Right { action: Action::ReadMedia, class };
    world.chain.facts().denied = vec![media(SectionClass::Private)];
    share(&world, POINTER, 0b110);
    let get = async |sections| {
        let asked = world.doctor.signs(&of_sections(&world, &world.doctor, sections));
        let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
        world.chain.facts().receipts[&granted.grant.hash()].clone()
    };
    // Section 0 is a private text, 1 a shared image, 2 a shared text.
    let texts = get(0b111).await;
    assert_eq!(texts.records[0].sections, SectionSet(0b101));
    let text = |class| Right { action: Action::ReadText, class };
    assert_eq!(texts.rights.to_vec(), [text(SectionClass::Private)]);
    let image = get(0b010).await;
    assert_eq!(image.records[0].sections, SectionSet(0b010));
    assert_eq!(image.rights.to_vec(), [media(SectionClass::Shared)]);
    let all_shared = get(0b110).await;
    assert_eq!(all_shared.records[0].sections, SectionSet(0b110));
}

#[tokio::test]
async fn a_receipt_lists_only_granted_records_in_order() {
    let (world, _) = committed().await;
    let (between, later) =
        (RecordPointer { height: 2, index: 0 }, RecordPointer { height: 2, index: 3 });
    for place in [between, later] {
        let visit = world.builder().text(SectionKind::Summary, "Nothing new.");
        let visit = visit.build(&world.doctor.account(), world.chain.newest()).await.unwrap();
        world.submit(&visit).await;
        let record = sealed(&world).await.pop().unwrap().record;
        world.chain.commit(place, world.patient.user, HOSPITAL, &record);
    }
    share(&world, POINTER, 0b100);
    share(&world, later, 1);
    let researcher = Actor::new("Researcher");
    world.register(&researcher, Role::Researcher);
    let mut asked = request(&world, &researcher, &[POINTER, between, later]);
    // The worker sorts them.
    asked.records.reverse();
    world.client(&researcher).grant(&asked).await.unwrap();
    let receipt = receipts(&world).pop().unwrap();
    let pointers: Vec<_> = receipt.records.iter().map(|record| record.pointer).collect();
    assert_eq!(pointers, [POINTER, later]);

    // If no section is granted, the request is refused, and the refusal is recorded.
    let refused = send(&world, &researcher, &request(&world, &researcher, &[between])).await;
    assert_eq!(refused.refusal(), (403, "denied".into()));
    assert_eq!(refusals(&world), 1);
}

#[tokio::test]
async fn no_grant_without_a_finalized_receipt() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { transaction_timeout: Duration::from_millis(300), ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    world.chain.facts().stalled = true;
    assert_eq!(ask(&world, &world.doctor).await.refusal(), (504, "timed-out".into()));

    world.chain.facts().stalled = false;
    world.chain.facts().failure = Some(failure("Releases", "RecordOfAnotherHospital"));
    assert_eq!(ask(&world, &world.doctor).await.refusal(), (409, "chain-refused".into()));
    assert_eq!((world.metrics.grants.get(), world.metrics.receipts.get()), (0, 0));
}

#[tokio::test]
async fn a_denial_by_the_chain_has_the_current_reason() {
    let (world, _) = committed().await;
    let relation = (world.doctor.user, world.patient.user);
    world.chain.facts().meanwhile = Some(Box::new(move |facts| {
        facts.related.remove(&relation);
    }));
    let reply = ask(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (403, "denied".into()));
    let Some(Denial::Failed(policies)) = reply.problem().denial else { panic!("{reply:?}") };
    assert!(matches!(policies[0].conditions[0], Condition::Related(_)));
    assert_eq!((receipts(&world).len(), refusals(&world)), (0, 1));
}

#[tokio::test]
async fn a_request_is_answered_once() {
    let (world, _) = committed().await;
    let raw = Raw::post_json("/v1/grants", &request(&world, &world.doctor, &[POINTER]));
    assert_eq!(raw.send(&world, &world.doctor).await.status, 200);
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (401, "unauthorized".into()));
    assert_eq!(receipts(&world).len(), 1);
}

#[tokio::test]
async fn repeated_requests_leave_one_receipt() {
    let (world, _) = committed().await;
    let (client, doctor) = (world.client(&world.doctor), &world.doctor);
    let first = client.grant(&request(&world, doctor, &[POINTER])).await.unwrap();
    for _ in 0..10 {
        let again = client.grant(&request(&world, doctor, &[POINTER])).await.unwrap();
        assert_eq!(again.grant, first.grant);
        assert_eq!(open(&world, doctor, &again).len(), 3);
        assert_eq!(again.reply.links.len(), first.reply.links.len());
    }
    assert_eq!((world.metrics.grants.get(), world.metrics.receipts.get()), (11, 1));
    // Another purpose is another question, and so are other requested sections and another requester.
    let other = Request { purpose: Purpose::Audit, ..world.request_of(doctor, &[POINTER]) };
    assert_eq!(send(&world, doctor, &doctor.signs(&other)).await.status, 200);
    let named = of_sections(&world, doctor, 0b111);
    assert_eq!(send(&world, doctor, &doctor.signs(&named)).await.status, 200);
    world.client(&world.patient).grant(&request(&world, &world.patient, &[POINTER])).await.unwrap();
    assert_eq!(world.metrics.receipts.get(), 4);
}

#[tokio::test]
async fn a_grant_that_is_not_in_force_is_not_handed_out_again() {
    let (world, _) = committed().await;
    let (client, doctor) = (world.client(&world.doctor), &world.doctor);
    let first = client.grant(&request(&world, doctor, &[POINTER])).await.unwrap();
    world.chain.facts().receipts.remove(&first.grant.hash());
    let second = client.grant(&request(&world, doctor, &[POINTER])).await.unwrap();
    assert_ne!(second.grant, first.grant);
    world.chain.facts().related.clear();
    assert_eq!(ask(&world, doctor).await.refusal(), (403, "denied".into()));
}

#[tokio::test]
async fn a_requester_cannot_loop_different_requests_for_grants() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { grants_per_minute: 3, ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    let ask = async |sections: u64| {
        let asked = of_sections(&world, &world.doctor, sections);
        send(&world, &world.doctor, &world.doctor.signs(&asked)).await
    };
    for sections in 1..=3 {
        assert_eq!(ask(sections).await.status, 200);
    }
    let refused = ask(4).await;
    assert_eq!(refused.refusal(), (429, "too-many-grants".into()));
    let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=21).contains(&after), "{after}");
    assert_eq!(receipts(&world).len(), 3);
    // Unexpired grants are handed out again, and other requesters are not affected.
    assert_eq!(ask(1).await.status, 200);
    world.client(&world.patient).grant(&request(&world, &world.patient, &[POINTER])).await.unwrap();
}

#[tokio::test]
async fn a_grant_cannot_be_used_by_another_account() {
    let (world, _) = committed().await;
    let granted = world
        .client(&world.doctor)
        .grant(&request(&world, &world.doctor, &[POINTER]))
        .await
        .unwrap();
    let other = open_as(&world, &world.stranger, &granted).unwrap_err();
    assert_eq!(other, GrantError::Mismatch { what: "account" });
    // Not even with the doctor's request, signed with another key.
    let thief = Actor {
        keys: ActorKeys {
            sealing: world.stranger.keys.sealing.clone(),
            ..world.doctor.keys.clone()
        },
        ..world.doctor.clone()
    };
    assert!(matches!(open_as(&world, &thief, &granted), Err(GrantError::Open(_))));
}

#[tokio::test]
async fn a_refusal_is_recorded_before_the_response() {
    let (world, _) = committed().await;
    assert_eq!(ask(&world, &world.stranger).await.refusal(), (403, "denied".into()));
    let refused = world.chain.facts().refusals.clone();
    let [refused] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!((refused.requester, refused.patient), (world.stranger.user, world.patient.user));
    assert_eq!((refused.purpose, refused.emergency), (Purpose::Treatment, None));
    assert_eq!(counted(&world, "recorded"), 1);
}

#[tokio::test]
async fn recorded_refusals_per_day_are_limited() {
    let (world, _) = committed().await;
    let limit = usize::from(MAX_REFUSALS_PER_DAY);
    let asking = (0..limit + 3).map(|_| async { ask(&world, &world.stranger).await.refusal() });
    for refusal in futures::future::join_all(asking).await {
        assert_eq!(refusal, (403, "denied".into()));
    }
    assert_eq!(refusals(&world), limit);
    assert_eq!(counted(&world, "beyond-limit"), 3);
}

#[tokio::test]
async fn a_refusal_beyond_the_hospitals_limit_is_still_a_refusal() {
    let (world, _) = committed().await;
    world.chain.facts().failure = Some(failure("Releases", "TooManyHospitalRefusals"));
    assert_eq!(ask(&world, &world.stranger).await.refusal(), (403, "denied".into()));
    assert_eq!(refusals(&world), 0);
    assert_eq!((counted(&world, "hospital-limit"), counted(&world, "failed")), (1, 0));
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_still_a_refusal() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { transaction_timeout: Duration::from_millis(300), ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    let ask = async || ask(&world, &world.stranger).await.refusal();
    world.chain.facts().failure = Some(failure("Releases", "NotAgent"));
    assert_eq!(ask().await, (403, "denied".into()));
    world.chain.facts().stalled = true;
    assert_eq!(ask().await, (403, "denied".into()));
    assert_eq!((refusals(&world), counted(&world, "failed")), (0, 2));
}

#[tokio::test]
async fn a_client_that_disconnects_is_recorded() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { transaction_timeout: Duration::from_secs(1), ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    let (submitted, seen) = tokio::sync::oneshot::channel();
    world.chain.facts().stalled = true;
    world.chain.facts().meanwhile = Some(Box::new(move |_| submitted.send(()).unwrap()));
    let raw = Raw::post_json("/v1/grants", &request(&world, &world.stranger, &[POINTER]));
    let url = world.base.join(&raw.target).unwrap();
    let request = reqwest::Client::new().post(url).headers(raw.signed(&world.stranger));
    let sent = tokio::spawn(request.body(raw.body.clone()).send());
    seen.await.unwrap();
    sent.abort();
    // The recording ends when the chain has not accepted it in time.
    while counted(&world, "failed") == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_refusal_is_recorded_for_an_unknown_patient() {
    let (world, _) = committed().await;
    for patient in [UserId([9; 32]), world.doctor.user] {
        let asked = Request { patient, ..world.request_of(&world.stranger, &[POINTER]) };
        let refused = send(&world, &world.stranger, &world.stranger.signs(&asked)).await;
        assert_eq!(refused.refusal(), (403, "denied".into()));
    }
    assert_eq!((refusals(&world), counted(&world, "no-patient")), (0, 2));
}

#[tokio::test]
async fn no_refusal_is_recorded_about_records_that_are_not_here() {
    let (world, _) = committed().await;
    let nowhere = RecordPointer { height: 99, ..POINTER };
    for pointers in [&[nowhere][..], &[POINTER, nowhere]] {
        let asked = world.request_of(&world.stranger, pointers);
        let refused = send(&world, &world.stranger, &world.stranger.signs(&asked)).await;
        assert_eq!(refused.refusal(), (403, "denied".into()));
    }
    assert_eq!((refusals(&world), counted(&world, "elsewhere")), (0, 2));
}

#[tokio::test]
async fn a_patient_cannot_read_other_patients_records() {
    let (world, _) = committed().await;
    let other = Actor::new("Another patient");
    world.register(&other, Role::Patient);
    assert_eq!(ask(&world, &other).await.refusal(), (403, "denied".into()));
    // Nor by requesting them as the patient's own records.
    let asked = Request { patient: other.user, ..world.request_of(&other, &[POINTER]) };
    let refused = send(&world, &other, &other.signs(&asked)).await;
    assert_eq!(refused.refusal(), (404, "not-found".into()));
    assert_eq!(receipts(&world), []);
}

#[tokio::test]
async fn a_suspended_user_is_refused_until_reinstated() {
    let (world, _) = committed().await;
    let set = |status| {
        let key = (HOSPITAL, world.doctor.user);
        world.chain.facts().registrations.get_mut(&key).unwrap().status = status;
    };
    set(RegistrationStatus::Suspended);
    assert_eq!(ask(&world, &world.doctor).await.refusal(), (403, "denied".into()));
    set(RegistrationStatus::Active);
    world.client(&world.doctor).grant(&request(&world, &world.doctor, &[POINTER])).await.unwrap();
}

#[tokio::test]
async fn an_unrelated_user_learns_which_condition_failed() {
    let (world, _) = committed().await;
    let refused =
        world.client(&world.stranger).grant(&request(&world, &world.stranger, &[POINTER])).await;
    let Some(WorkerError::Problem(problem)) = refused.err() else { panic!() };
    assert_eq!(problem.status, 403);
    let Some(Denial::Failed(policies)) = problem.denial else { panic!("{problem:?}") };
    assert!(matches!(policies[0].conditions[0], Condition::Related(_)));
}

#[tokio::test]
async fn only_the_sections_that_the_policies_allow_are_granted() {
    let (world, _) = committed().await;
    let researcher = Actor::new("Researcher");
    world.register(&researcher, Role::Researcher);
    share(&world, POINTER, 0b110);
    let asked = request(&world, &researcher, &[POINTER]);
    let granted = world.client(&researcher).grant(&asked).await.unwrap();
    // Not the media, which the patient shares too: the policies allow researchers to read texts.
    let keys = open(&world, &researcher, &granted);
    assert_eq!(keys.iter().map(|(granted, _)| granted.section).collect::<Vec<_>>(), [2]);
    assert!(granted.reply.links.is_empty());
}

#[tokio::test]
async fn only_committed_records_of_this_patient_and_hospital_are_granted() {
    let (world, record) = committed().await;
    let bytes = record.encode();
    let at = |height| RecordPointer { height, index: 0 };
    world.chain.commit(at(2), UserId([9; 32]), HOSPITAL, &bytes);
    world.chain.commit(at(3), world.patient.user, ELSEWHERE, &bytes);
    for pointer in [at(2), at(3), at(4)] {
        let asked = request(&world, &world.doctor, &[POINTER, pointer]);
        let reply = send(&world, &world.doctor, &asked).await;
        assert_eq!(reply.refusal(), (404, "not-found".into()), "{pointer}");
    }
}

#[tokio::test]
async fn a_grant_needs_distinct_records() {
    let (world, _) = committed().await;
    let many: Vec<_> = (1..=65).map(|height| RecordPointer { height, index: 0 }).collect();
    for records in [vec![], vec![POINTER, POINTER], many] {
        let records = records.into_iter().map(Into::into).collect();
        let asked = GrantRequest { records, ..request(&world, &world.doctor, &[]) };
        let refused = send(&world, &world.doctor, &asked).await;
        assert_eq!(refused.refusal(), (400, "records".into()));
    }
}

#[tokio::test]
async fn only_requested_sections_are_granted() {
    let (world, record) = committed().await;
    let asked = |sections| world.doctor.signs(&of_sections(&world, &world.doctor, sections));
    let granted = world.client(&world.doctor).grant(&asked(0b10)).await.unwrap();
    let opened: Vec<_> =
        open(&world, &world.doctor, &granted).into_iter().map(|(place, _)| place.section).collect();
    assert_eq!(opened, [1]);
    assert_eq!(granted.reply.links.len(), record.sections()[1].segments().len());
    let granted = world.client(&world.doctor).grant(&asked(0b1)).await.unwrap();
    assert!(granted.reply.links.is_empty());
    let receipts = receipts(&world);
    let mut released: Vec<Vec<u16>> =
        receipts.iter().map(|receipt| receipt.records[0].sections.iter().collect()).collect();
    released.sort_unstable();
    assert_eq!(released, [[0], [1]]);
    let right = |action| Right { action, class: SectionClass::Private };
    for receipt in &receipts {
        let is_media = receipt.records[0].sections.contains(1);
        let action = if is_media { Action::ReadMedia } else { Action::ReadText };
        assert_eq!(receipt.rights.to_vec(), [right(action)]);
    }

    for (sections, refusal) in [(0, (400, "sections")), (0b1001, (404, "not-found"))] {
        let refused = send(&world, &world.doctor, &asked(sections)).await.refusal();
        assert_eq!(refused, (refusal.0, refusal.1.into()), "{sections:b}");
    }
    assert_eq!(world.chain.facts().receipts.len(), 2);
}

#[tokio::test]
async fn hospitals_get_no_grants() {
    let (world, _) = committed().await;
    for hospital in [&world.agent, &world.governance, &world.other_agent] {
        assert_eq!(ask(&world, hospital).await.refusal(), (403, "forbidden".into()));
    }
}
