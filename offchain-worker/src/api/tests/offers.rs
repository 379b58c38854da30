//! Offers of segments ahead of announcements.

use epione_primitives::{block::Segment, hospital::HospitalStatus, limits::SEGMENT_BYTES};

use super::{
    fake::ELSEWHERE,
    world::{Actor, Raw, Reply, World},
};
use crate::{journal::Owner, transfer::wire::OfferRequest};

fn segments(first: usize, count: usize, length: u32) -> Vec<Segment> {
    let segment = |seed: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&seed.to_le_bytes());
        Segment { hash, length }
    };
    (first..first + count).map(segment).collect()
}

async fn offer(world: &World, by: &Actor, segments: &[Segment]) -> Reply {
    Raw::post_json("/v1/offers", &OfferRequest::new(segments)).send(world, by).await
}

async fn used(world: &World) -> u64 {
    world.journal.offered_bytes().await.unwrap().iter().map(|(_, bytes)| bytes).sum()
}

#[tokio::test]
async fn another_hospital_s_offer_is_recorded_once() {
    let world = World::new().await;
    let offered = segments(0, 3, 1_000);
    for _ in 0..2 {
        assert_eq!(offer(&world, &world.other_agent, &offered).await.status, 202);
    }
    let open = world.journal.open_offers().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].hospital, &open[0].segments), (ELSEWHERE, &offered));
    assert_eq!(used(&world).await, 3_000);
}

#[tokio::test]
async fn only_agents_of_other_active_hospitals_make_offers() {
    let world = World::new().await;
    let offered = segments(0, 1, 1_000);
    for nobody in [&world.agent, &world.doctor, &world.patient, &world.governance] {
        let reply = offer(&world, nobody, &offered).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(offer(&world, &Actor::new("Nobody"), &offered).await.status, 401);
    for status in [HospitalStatus::Suspended, HospitalStatus::Leaving] {
        world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = status;
        assert_eq!(offer(&world, &world.other_agent, &offered).await.status, 403);
    }
    assert_eq!(used(&world).await, 0);
}

#[tokio::test]
async fn an_offer_with_an_invalid_list_is_rejected() {
    let world = World::new().await;
    let twice = [segments(0, 1, 5), segments(0, 1, 5)].concat();
    for bad in [
        segments(0, 0, 1),
        segments(0, 1_025, 1),
        segments(0, 1, 0),
        segments(0, 1, SEGMENT_BYTES + 1),
        twice,
    ] {
        let reply = offer(&world, &world.other_agent, &bad).await;
        assert_eq!(reply.refusal(), (400, "segments".into()));
    }
    assert_eq!(used(&world).await, 0);
}

#[tokio::test]
async fn an_offer_beyond_the_quota_is_rejected() {
    let world = World::new().await;
    // 8 GiB are 2048 segments.
    for first in [0, 1_000] {
        let most = segments(first, 1_000, SEGMENT_BYTES);
        assert_eq!(offer(&world, &world.other_agent, &most).await.status, 202);
    }
    let before = used(&world).await;
    let more = segments(2_000, 49, SEGMENT_BYTES);
    let reply = offer(&world, &world.other_agent, &more).await;
    assert_eq!(reply.refusal(), (409, "offer-quota".into()));
    assert_eq!(used(&world).await, before);
    assert!(world.journal.claims(more[0].hash).await.unwrap().is_empty());
    assert_eq!(offer(&world, &world.other_agent, &more[..48]).await.status, 202);
}

#[tokio::test]
async fn an_offer_cannot_take_the_reserve_of_own_visits() {
    let world = World::new().await;
    // Only 1,000 segments are free beyond the reserve.
    let more = segments(0, 1_001, SEGMENT_BYTES);
    let reply = offer(&world, &world.other_agent, &more).await;
    assert_eq!(reply.refusal(), (409, "offer-quota".into()));
    assert_eq!(used(&world).await, 0);
    assert_eq!(offer(&world, &world.other_agent, &more[1..]).await.status, 202);
}

#[tokio::test]
async fn an_offer_does_not_affect_other_owners() {
    let world = World::new().await;
    let kept = segments(0, 1, 1_000);
    let owner = world.journal.begin_upload();
    world.journal.reference(owner, &kept).await.unwrap();
    // The same name with another length.
    let offered = segments(0, 1, 999);
    assert_eq!(offer(&world, &world.other_agent, &offered).await.status, 202);
    let offer = Owner::Offer(world.journal.open_offers().await.unwrap()[0].id);
    let claims = world.journal.claims(kept[0].hash).await.unwrap();
    assert_eq!(claims, [(owner, 1_000), (offer, 999)]);
    assert_eq!(world.journal.all_referenced(None, 9).await.unwrap(), [kept[0].hash]);
    world.journal.release(offer, crate::now()).await.unwrap();
    assert_eq!(world.journal.claims(kept[0].hash).await.unwrap(), [(owner, 1_000)]);
}
