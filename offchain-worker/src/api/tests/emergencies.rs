//! Breaking the glass: if the policies allow it, with a reason, and a limited number of times per day.

use std::sync::Arc;

use epione_primitives::{
    access::{Action, Purpose, SectionClass},
    limits::MAX_EMERGENCIES_PER_DAY,
    release::{EmergencyReason, Request, Right},
};
use object_store::memory::InMemory;

use super::{
    fake::failure,
    grants::{self, POINTER, committed, committed_in, of_sections, open, send, share},
    signed_requests::lose_segments,
    world::{Actor, Raw, Reply, World},
};
use crate::config::Limits;

/// The request in an emergency.
fn urgent(request: Request) -> Request {
    let emergency = Some(EmergencyReason::UnableToConsent);
    Request { purpose: Purpose::Emergency, emergency, ..request }
}

/// An actor requests the record in an emergency.
async fn ask(world: &World, by: &Actor) -> Reply {
    send(world, by, &by.signs(&urgent(world.request_of(by, &[POINTER])))).await
}

#[tokio::test]
async fn an_unrelated_doctor_reads_in_an_emergency() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    share(&world, POINTER, 0b100);
    let asked = world.stranger.signs(&urgent(world.request_of(&world.stranger, &[POINTER])));
    let granted = world.client(&world.stranger).grant(&asked).await.unwrap();
    assert_eq!(open(&world, &world.stranger, &granted).len(), 3);
    assert_eq!(granted.grant.terms().purpose, Purpose::Emergency);
    let receipt = world.chain.facts().receipts[&granted.grant.hash()].clone();
    assert_eq!(receipt.request.emergency, Some(EmergencyReason::UnableToConsent));
    // The right to private sections opens the shared one, too.
    let broken = Right { action: Action::BreakGlass, class: SectionClass::Private };
    assert_eq!(receipt.rights.to_vec(), [broken]);
    assert_eq!(world.metrics.emergencies.get(), 1);

    // It gives no permission beyond the emergency.
    let asked = grants::request(&world, &world.stranger, &[POINTER]);
    let refused = send(&world, &world.stranger, &asked).await;
    assert_eq!(refused.refusal(), (403, "denied".into()));
}

#[tokio::test]
async fn the_rate_of_grants_does_not_stop_an_emergency() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { grants_per_minute: 1, grants_per_day: 1, ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    world.chain.facts().rescuers.insert(world.doctor.user);
    let asked = grants::request(&world, &world.doctor, &[POINTER]);
    world.client(&world.doctor).grant(&asked).await.unwrap();
    assert_eq!(ask(&world, &world.doctor).await.status, 200);
}

#[tokio::test]
async fn an_emergency_gets_what_can_be_handed_out() {
    let (world, record) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    lose_segments(&world, &record).await;
    let asked = || urgent(world.request_of(&world.stranger, &[POINTER]));
    let client = world.client(&world.stranger);
    let granted = client.grant(&world.stranger.signs(&asked())).await.unwrap();
    let opened = open(&world, &world.stranger, &granted);
    assert_eq!(opened.iter().map(|(place, _)| place.section).collect::<Vec<_>>(), [0, 2]);
    assert!(granted.reply.links.is_empty());
    // The same emergency again is the same grant.
    let again = client.grant(&world.stranger.signs(&asked())).await.unwrap();
    assert_eq!(again.grant, granted.grant);
    assert_eq!(world.chain.facts().receipts.len(), 1);
    // If nothing remains, nothing is recorded.
    let media = urgent(of_sections(&world, &world.stranger, 0b10));
    let refused = send(&world, &world.stranger, &world.stranger.signs(&media)).await;
    assert_eq!(refused.refusal(), (503, "segment-unavailable".into()));
    assert_eq!(world.chain.facts().receipts.len(), 1);
}

#[tokio::test]
async fn what_is_left_of_an_emergency_is_handed_out_again_when_no_more_emergencies_are_allowed() {
    let (world, record) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    lose_segments(&world, &record).await;
    assert_eq!(ask(&world, &world.stranger).await.status, 200);
    world.chain.facts().tallies.entry(world.stranger.user).or_default().emergencies =
        MAX_EMERGENCIES_PER_DAY;
    assert_eq!(ask(&world, &world.stranger).await.status, 200);
    let text = world.stranger.signs(&urgent(of_sections(&world, &world.stranger, 0b1)));
    let refused = send(&world, &world.stranger, &text).await;
    assert_eq!(refused.refusal(), (429, "too-many-emergencies".into()));
    assert_eq!(world.chain.facts().receipts.len(), 1);
}

#[tokio::test]
async fn an_emergency_that_policies_deny_is_recorded_as_one() {
    let (world, _) = committed().await;
    // Not even a doctor who may read without an emergency.
    for doctor in [&world.stranger, &world.doctor] {
        assert_eq!(ask(&world, doctor).await.refusal(), (403, "denied".into()));
    }
    let refusals = world.chain.facts().refusals.clone();
    assert!(refusals.iter().all(|refused| refused.emergency.is_some()));
    assert_eq!(refusals.len(), 2);
}

#[tokio::test]
async fn purpose_and_emergency_must_match() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    for (purpose, emergency) in
        [(Purpose::Emergency, None), (Purpose::Treatment, Some(EmergencyReason::LifeThreatening))]
    {
        let asked = world.request_of(&world.stranger, &[POINTER]);
        let asked = world.stranger.signs(&Request { purpose, emergency, ..asked });
        let reply = send(&world, &world.stranger, &asked).await;
        assert_eq!(reply.refusal(), (400, "emergency".into()));
    }
    let asked = grants::request(&world, &world.stranger, &[POINTER]);
    let mut asked = serde_json::to_value(asked).unwrap();
    asked["emergency"] = "because".into();
    let reply = Raw::post_json("/v1/grants", &asked).send(&world, &world.stranger).await;
    assert_eq!(reply.refusal(), (400, "json".into()));
    assert!(world.chain.facts().refusals.is_empty());
}

#[tokio::test]
async fn emergencies_per_day_are_limited() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    // Each asks for other sections: an equal request would be answered with the same grant.
    let ask = async |sections: u64| {
        let asked = urgent(of_sections(&world, &world.stranger, sections));
        send(&world, &world.stranger, &world.stranger.signs(&asked)).await
    };
    for sections in 1..=u64::from(MAX_EMERGENCIES_PER_DAY) {
        assert_eq!(ask(sections).await.status, 200);
        assert_eq!(ask(sections).await.status, 200);
    }
    let refused = ask(4).await;
    assert_eq!(refused.refusal(), (429, "too-many-emergencies".into()));
    assert!(refused.headers.contains_key("retry-after"));

    // The chain rejects it too, if another request was faster.
    let stranger = world.stranger.user;
    world.chain.facts().tallies.clear();
    world.chain.facts().meanwhile = Some(Box::new(move |facts| {
        facts.tallies.entry(stranger).or_default().emergencies = MAX_EMERGENCIES_PER_DAY;
    }));
    assert_eq!(ask(5).await.refusal(), (429, "too-many-emergencies".into()));
    assert_eq!(world.metrics.emergencies.get(), u64::from(MAX_EMERGENCIES_PER_DAY));
}

#[tokio::test]
async fn a_hospital_at_its_daily_limit_says_when_to_try_again() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    for error in ["TooManyHospitalReceipts", "TooManyHospitalEmergencies"] {
        world.chain.facts().failure = Some(failure("Releases", error));
        let refused = ask(&world, &world.stranger).await;
        assert_eq!(refused.refusal(), (429, "hospital-limit".into()));
        assert_eq!(refused.headers["retry-after"], "3600");
    }
    assert_eq!(world.metrics.problems.with_label_values(&["hospital-limit"]).get(), 2);
}
