//! Breaking the glass: if the policies allow it, with a reason, and a limited number of times per day.

use std::sync::Arc;

use epione_client::api::{GrantRequest, WantedRecord};
use epione_primitives::{
    access::{Action, Purpose, SectionClass},
    limits::MAX_EMERGENCIES_PER_DAY,
    release::{EmergencyReason, Right, SectionSet},
};
use object_store::memory::InMemory;

use super::{
    fake::failure,
    grants::{self, POINTER, committed, committed_in, open},
    world::{Raw, World},
};
use crate::config::Limits;

fn emergency(world: &World) -> GrantRequest {
    GrantRequest {
        purpose: Purpose::Emergency,
        emergency: Some(EmergencyReason::UnableToConsent),
        ..grants::request(world, &[POINTER])
    }
}

#[tokio::test]
async fn an_unrelated_doctor_reads_in_an_emergency() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    let granted = world.client(&world.stranger).grant(&emergency(&world)).await.unwrap();
    assert_eq!(open(&world, &world.stranger, &granted).len(), 3);
    assert_eq!(granted.grant.terms().purpose, Purpose::Emergency);
    let receipt = world.chain.facts().receipts[&granted.grant.hash()].clone();
    assert_eq!(receipt.emergency, Some(EmergencyReason::UnableToConsent));
    let broken = |class| Right { action: Action::BreakGlass, class };
    assert_eq!(
        receipt.rights.to_vec(),
        [broken(SectionClass::Private), broken(SectionClass::Shared)]
    );
    assert_eq!(world.metrics.emergencies.get(), 1);

    // It gives no permission beyond the emergency.
    let raw = Raw::post_json("/v1/grants", &grants::request(&world, &[POINTER]));
    assert_eq!(raw.send(&world, &world.stranger).await.refusal(), (403, "denied".into()));
}

#[tokio::test]
async fn the_rate_of_grants_does_not_stop_an_emergency() {
    let objects = Arc::new(InMemory::new());
    let limits = Limits { grants_per_minute: 1, grants_per_day: 1, ..Limits::default() };
    let (world, _) = committed_in(World::with(objects.clone(), objects, limits).await).await;
    world.chain.facts().rescuers.insert(world.doctor.user);
    world.client(&world.doctor).grant(&grants::request(&world, &[POINTER])).await.unwrap();
    world.client(&world.doctor).grant(&emergency(&world)).await.unwrap();
}

#[tokio::test]
async fn an_emergency_that_policies_deny_is_recorded_as_one() {
    let (world, _) = committed().await;
    // Not even a doctor who may read without an emergency.
    for doctor in [&world.stranger, &world.doctor] {
        let raw = Raw::post_json("/v1/grants", &emergency(&world));
        assert_eq!(raw.send(&world, doctor).await.refusal(), (403, "denied".into()));
    }
    let refusals = world.chain.facts().refusals.clone();
    assert!(
        refusals
            .iter()
            .all(|(.., purpose, flagged)| { (*purpose, *flagged) == (Purpose::Emergency, true) })
    );
    assert_eq!(refusals.len(), 2);
}

#[tokio::test]
async fn purpose_and_emergency_must_match() {
    let (world, _) = committed().await;
    world.chain.facts().rescuers.insert(world.stranger.user);
    for (purpose, emergency) in
        [(Purpose::Emergency, None), (Purpose::Treatment, Some(EmergencyReason::LifeThreatening))]
    {
        let asked = GrantRequest { purpose, emergency, ..grants::request(&world, &[POINTER]) };
        let reply = Raw::post_json("/v1/grants", &asked).send(&world, &world.stranger).await;
        assert_eq!(reply.refusal(), (400, "emergency".into()));
    }
    let mut asked = serde_json::to_value(emergency(&world)).unwrap();
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
        let sections = Some(SectionSet(sections));
        let records = vec![WantedRecord { pointer: POINTER, sections }];
        let raw = Raw::post_json("/v1/grants", &GrantRequest { records, ..emergency(&world) });
        raw.send(&world, &world.stranger).await
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
        let raw = Raw::post_json("/v1/grants", &emergency(&world));
        let refused = raw.send(&world, &world.stranger).await;
        assert_eq!(refused.refusal(), (429, "hospital-limit".into()));
        assert_eq!(refused.headers["retry-after"], "3600");
    }
    assert_eq!(world.metrics.problems.with_label_values(&["hospital-limit"]).get(), 2);
}
