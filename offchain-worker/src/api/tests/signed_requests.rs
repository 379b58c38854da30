//! Requests for grants are signed by their requesters, and name exactly what the chain records with the answer. Classes
//! are what patients share. Nobody gets a receipt for what nobody can deliver.

use std::sync::{Arc, atomic::Ordering};

use epione_client::api::GrantRequest;
use epione_envelope::{account::Signer, record::Record};
use epione_primitives::{
    Hash, RecordPointer, UserId,
    access::{Action, Purpose, SectionClass},
    limits::{MAX_CLOCK_LEAD_MILLIS, MAX_REQUEST_AGE_MILLIS},
    profile::Role,
    release::{Request, Right, SectionSet},
    sharing::{Consent, Term},
};
use object_store::memory::InMemory;

use super::{
    fake::{ELSEWHERE, failure},
    grants::{
        POINTER, committed, committed_in, of_sections, open, request, send, set_shared, share,
    },
    world::{Actor, Raw, World},
};
use crate::config::Limits;

fn receipts(world: &World) -> usize {
    world.chain.facts().receipts.len()
}

/// Checks that a request is refused like this, and that the chain records neither a receipt nor a refusal.
async fn assert_refused(world: &World, by: &Actor, asked: &GrantRequest, expected: (u16, &str)) {
    let refused = send(world, by, asked).await;
    assert_eq!(refused.refusal(), (expected.0, expected.1.to_owned()));
    assert_eq!((receipts(world), world.chain.facts().refusals.len()), (0, 0));
}

const UNSIGNED: (u16, &str) = (400, "request-signature");

#[tokio::test]
async fn a_request_that_another_account_signed_is_refused() {
    let (world, _) = committed().await;
    let asked = world.request_of(&world.doctor, &[POINTER]);
    for other in [&world.stranger, &world.patient, &world.agent] {
        assert_refused(&world, &world.doctor, &other.signs(&asked), UNSIGNED).await;
    }
    // A request of the doctor that somebody saw is not a request of somebody else.
    let seen = world.doctor.signs(&asked);
    assert_refused(&world, &world.stranger, &seen, UNSIGNED).await;
    // The account that the doctor had before a rotation.
    let next = Actor::new("Doctor anew");
    {
        let mut facts = world.chain.facts();
        facts.accounts.remove(&world.doctor.keys.account());
        facts.accounts.insert(next.keys.account(), world.doctor.user);
        facts.profiles.get_mut(&world.doctor.user).unwrap().account = next.keys.account();
    }
    assert_refused(&world, &next, &seen, UNSIGNED).await;
    assert_eq!(send(&world, &world.doctor, &seen).await.status, 401);
}

#[tokio::test]
async fn an_altered_request_is_refused() {
    let (world, _) = committed().await;
    let other = Actor::new("Another patient");
    world.register(&other, Role::Patient);
    let asked = of_sections(&world, &world.doctor, 0b001);
    let signed = world.doctor.signs(&asked);
    let alter = |change: &dyn Fn(&mut GrantRequest)| {
        let mut altered = signed.clone();
        change(&mut altered);
        altered
    };
    let altered = [
        alter(&|it| it.records[0].sections = Some(SectionSet(0b011))),
        alter(&|it| it.records[0].sections = None),
        alter(&|it| it.records[0].pointer.index = 1),
        alter(&|it| it.patient = other.user),
        alter(&|it| it.purpose = Purpose::Research),
        alter(&|it| it.at += 1),
        alter(&|it| it.nonce = "00".repeat(16)),
    ];
    for altered in &altered {
        assert_refused(&world, &world.doctor, altered, UNSIGNED).await;
    }
    assert_eq!(send(&world, &world.doctor, &signed).await.status, 200);
}

#[tokio::test]
async fn a_request_to_another_hospital_or_chain_is_refused() {
    let (world, _) = committed().await;
    let asked = world.request_of(&world.doctor, &[POINTER]);
    let elsewhere = Request { hospital: ELSEWHERE, ..asked.clone() };
    assert_refused(&world, &world.doctor, &world.doctor.signs(&elsewhere), UNSIGNED).await;
    let other_chain = world.doctor.keys.sign(&asked.signed_bytes(Hash::repeat_byte(1)));
    let other_chain = GrantRequest::signed(&asked, &other_chain);
    assert_refused(&world, &world.doctor, &other_chain, UNSIGNED).await;
}

#[tokio::test]
async fn a_request_that_was_not_signed_just_now_is_refused() {
    let (world, _) = committed().await;
    let now = crate::now();
    let old = now - MAX_REQUEST_AGE_MILLIS - 1;
    let ahead = now + MAX_CLOCK_LEAD_MILLIS + 60_000;
    for at in [0, old, ahead, u64::MAX] {
        let asked = Request { at, ..world.request_of(&world.doctor, &[POINTER]) };
        let asked = world.doctor.signs(&asked);
        assert_refused(&world, &world.doctor, &asked, (400, "request-time")).await;
    }
    let at = now - MAX_REQUEST_AGE_MILLIS + 60_000;
    let asked = Request { at, ..world.request_of(&world.doctor, &[POINTER]) };
    assert_eq!(send(&world, &world.doctor, &world.doctor.signs(&asked)).await.status, 200);
}

#[tokio::test]
async fn malformed_nonces_and_signatures_are_refused() {
    let (world, _) = committed().await;
    let good = request(&world, &world.doctor, &[POINTER]);
    for nonce in ["", "00", "zz".repeat(16).as_str(), "00".repeat(17).as_str()] {
        let bad = GrantRequest { nonce: nonce.into(), ..good.clone() };
        assert_refused(&world, &world.doctor, &bad, (400, "nonce")).await;
    }
    let long = format!("{}00", good.signature);
    for signature in ["", "00", "zz", long.as_str(), "00".repeat(65).as_str()] {
        let bad = GrantRequest { signature: signature.into(), ..good.clone() };
        assert_refused(&world, &world.doctor, &bad, UNSIGNED).await;
    }
    let mut without = serde_json::to_value(&good).unwrap();
    without.as_object_mut().unwrap().remove("signature");
    let raw = Raw::post_json("/v1/grants", &without);
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (400, "json".into()));
}

#[tokio::test]
async fn a_request_that_the_chain_has_answered_gets_no_second_receipt() {
    let (world, _) = committed().await;
    let asked = world.request_of(&world.doctor, &[POINTER]);
    let signed = world.doctor.signs(&asked);
    assert_eq!(send(&world, &world.doctor, &signed).await.status, 200);
    // The worker has the grant still.
    assert_eq!(send(&world, &world.doctor, &signed).await.status, 200);
    // It has it no more, as after a restart.
    let next = world.next_worker().await;
    let again = world.client_at(&next, &world.doctor).grant(&signed).await.err().unwrap();
    assert!(format!("{again:?}").contains("already-answered"), "{again:?}");
    assert_eq!(receipts(&world), 1);
    // The chain rejects it too, if the answer came meanwhile.
    let asked = world.request_of(&world.patient, &[POINTER]);
    let answered = asked.hash();
    world.chain.facts().meanwhile = Some(Box::new(move |facts| {
        facts.answers.insert(answered, None);
    }));
    let refused = send(&world, &world.patient, &world.patient.signs(&asked)).await;
    assert_eq!(refused.refusal(), (409, "already-answered".into()));
}

#[tokio::test]
async fn a_refused_request_that_is_repeated_leaves_one_refusal() {
    let (world, _) = committed().await;
    let asked = request(&world, &world.stranger, &[POINTER]);
    for _ in 0..3 {
        let refused = send(&world, &world.stranger, &asked).await;
        assert_eq!(refused.refusal(), (403, "denied".into()));
    }
    let refusals = world.chain.facts().refusals.clone();
    assert_eq!(refusals.len(), 1);
    assert_eq!(world.metrics.refusals.with_label_values(&["known"]).get(), 2);
    assert_eq!(world.metrics.refusals.with_label_values(&["failed"]).get(), 0);
}

#[tokio::test]
async fn the_chain_s_reasons_against_a_request_are_told() {
    let (world, _) = committed().await;
    for (error, refusal) in [
        ("RequestTooOld", (400, "request-time")),
        ("RequestFromTheFuture", (400, "request-time")),
        ("InvalidRequest", UNSIGNED),
        ("AlreadyAnswered", (409, "already-answered")),
        ("ClassMismatch", (409, "changed")),
        ("NotRequested", (409, "chain-refused")),
    ] {
        world.chain.facts().failure = Some(failure("Releases", error));
        let asked = request(&world, &world.doctor, &[POINTER]);
        assert_refused(&world, &world.doctor, &asked, refusal).await;
    }
}

fn researcher(world: &World) -> Actor {
    let researcher = Actor::new("Researcher");
    world.register(&researcher, Role::Researcher);
    researcher
}

#[tokio::test]
async fn a_right_to_shared_sections_opens_no_private_one() {
    let (world, _) = committed().await;
    let researcher = researcher(&world);
    let asked = async || {
        let asked = request(&world, &researcher, &[POINTER]);
        send(&world, &researcher, &asked).await
    };
    assert_eq!(asked().await.refusal(), (403, "denied".into()));
    assert_eq!(receipts(&world), 0);
    // Another record's classes do not matter.
    share(&world, RecordPointer { index: 1, ..POINTER }, u64::MAX);
    assert_eq!(asked().await.refusal(), (403, "denied".into()));
    share(&world, POINTER, 0b001);
    assert_eq!(asked().await.status, 200);
    let receipt = world.chain.facts().receipts.values().next().unwrap().clone();
    assert_eq!(receipt.records[0].sections, SectionSet(0b001));
    let right = Right { action: Action::ReadText, class: SectionClass::Shared };
    assert_eq!(receipt.rights.to_vec(), [right]);
}

#[tokio::test]
async fn what_is_shared_with_others_or_for_another_purpose_is_private() {
    let (world, _) = committed().await;
    let researcher = researcher(&world);
    share(&world, POINTER, 0b001);
    let asked = async || {
        let asked = request(&world, &researcher, &[POINTER]);
        send(&world, &researcher, &asked).await
    };
    let change = |change: fn(&mut Consent)| {
        let mut facts = world.chain.facts();
        let consents = facts.slots.consents.get_mut(&world.patient.user).unwrap();
        consents.iter_mut().for_each(|(_, version)| change(&mut version.consent));
    };
    change(|it| it.audience = vec![Term::Role(Role::Nurse)].try_into().unwrap());
    assert_eq!(asked().await.refusal(), (403, "denied".into()));
    change(|it| it.audience = vec![Term::Role(Role::Researcher)].try_into().unwrap());
    change(|it| it.purposes = vec![Purpose::Research].try_into().unwrap());
    assert_eq!(asked().await.refusal(), (403, "denied".into()));
    assert_eq!(receipts(&world), 0);
    change(|it| it.purposes = vec![Purpose::Treatment].try_into().unwrap());
    assert_eq!(asked().await.status, 200);
}

#[tokio::test]
async fn a_section_that_becomes_private_meanwhile_is_not_handed_out() {
    let (world, _) = committed().await;
    let researcher = researcher(&world);
    share(&world, POINTER, 0b101);
    world.chain.facts().meanwhile = Some(Box::new(|facts| {
        set_shared(facts, POINTER, 0b100);
    }));
    let asked = request(&world, &researcher, &[POINTER]);
    assert_refused(&world, &researcher, &asked, (409, "changed")).await;
    // The same request, which the chain has not answered, gets what is shared now.
    let granted = world.client(&researcher).grant(&asked).await.unwrap();
    let opened = open(&world, &researcher, &granted);
    assert_eq!(opened.iter().map(|(place, _)| place.section).collect::<Vec<_>>(), [2]);
}

pub async fn lose_segments(world: &World, record: &Record) {
    for segment in record.segments() {
        world.store.delete(&segment.hash).await.unwrap();
    }
}

#[tokio::test]
async fn a_grant_whose_segments_nobody_has_leaves_no_receipt() {
    let (world, record) = committed().await;
    lose_segments(&world, &record).await;
    let asked = request(&world, &world.doctor, &[POINTER]);
    let refused = send(&world, &world.doctor, &asked).await;
    assert_eq!(refused.refusal(), (503, "segment-unavailable".into()));
    let told = refused.problem().detail.unwrap();
    assert!(told.contains("section 1 of record 1/0"), "{told}");
    assert_eq!((receipts(&world), world.metrics.receipts.get()), (0, 0));
    // The texts are in the block.
    let texts = world.doctor.signs(&of_sections(&world, &world.doctor, 0b101));
    assert_eq!(send(&world, &world.doctor, &texts).await.status, 200);
    assert_eq!(receipts(&world), 1);
}

#[tokio::test]
async fn requests_for_lost_segments_are_limited_and_do_not_keep_asking_other_hospitals() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { grants_per_minute: 3, ..Limits::default() };
    let (world, record) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    lose_segments(&world, &record).await;
    let ask = async || {
        send(&world, &world.doctor, &request(&world, &world.doctor, &[POINTER])).await.refusal()
    };
    for _ in 0..3 {
        assert_eq!(ask().await, (503, "segment-unavailable".into()));
    }
    assert_eq!(ask().await, (429, "too-many-grants".into()));
    assert_eq!(world.peers.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn segments_that_another_hospital_has_are_granted() {
    let (world, record) = committed().await;
    let segment = record.segments()[0];
    let bytes = world.store.read(&segment.hash).await.unwrap();
    lose_segments(&world, &record).await;
    world.peers.copies.lock().unwrap().insert(segment.hash, bytes.clone());
    let asked = request(&world, &world.doctor, &[POINTER]);
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    let [link] = granted.reply.links.as_slice() else { panic!("{:?}", granted.reply.links) };
    let served = world.client(&world.doctor).segment_by_link(&segment, link).await.unwrap();
    assert_eq!(&served[..], &bytes[..]);
}

#[tokio::test]
async fn nobody_requests_for_a_user_that_does_not_exist() {
    let (world, _) = committed().await;
    let asked =
        Request { requester: UserId([9; 32]), ..world.request_of(&world.doctor, &[POINTER]) };
    assert_refused(&world, &world.doctor, &world.doctor.signs(&asked), UNSIGNED).await;
}
