//! What other hospitals are told about what is held here, and how they are served.

use std::time::Duration;

use bytes::Bytes;
use epione_primitives::{block::Segment, hospital::HospitalStatus, limits::SEGMENT_BYTES};
use futures::stream;

use super::{
    fake::ELSEWHERE,
    world::{Actor, Raw, Reply, World},
};
use crate::transfer::wire::{HeldAnswer, HeldRequest, MAX_NAMED};

async fn stored(world: &World, content: Vec<u8>) -> Segment {
    let segment = Segment { hash: blake3::hash(&content).into(), length: content.len() as u32 };
    let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
    world.store.put(&segment, source).await.unwrap();
    segment
}

async fn ask(world: &World, by: &Actor, hashes: &[[u8; 32]]) -> Reply {
    Raw::post_json("/v1/segments/held", &HeldRequest::new(hashes)).send(world, by).await
}

fn bits(reply: &Reply, count: usize) -> Vec<bool> {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice::<HeldAnswer>(&reply.body).unwrap().bits(count).unwrap()
}

#[tokio::test]
async fn agents_learn_which_segments_are_held() {
    let world = World::new().await;
    let here = stored(&world, vec![1; 100]).await.hash;
    let reply = ask(&world, &world.other_agent, &[[9; 32], here, [8; 32]]).await;
    assert_eq!(bits(&reply, 3), [false, true, false]);
}

#[tokio::test]
async fn nobody_else_learns_what_is_held() {
    let world = World::new().await;
    for user in [&world.doctor, &world.patient, &world.governance] {
        let reply = ask(&world, user, &[[1; 32]]).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(ask(&world, &Actor::new("Nobody"), &[[1; 32]]).await.status, 401);
    let suspended = HospitalStatus::Suspended;
    world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = suspended;
    assert_eq!(ask(&world, &world.other_agent, &[[1; 32]]).await.status, 403);
}

#[tokio::test]
async fn who_is_known_already_must_sign_each_question_anew() {
    let world = World::new().await;
    let raw = Raw::post_json("/v1/segments/held", &HeldRequest::new(&[[1; 32]]));
    let headers = raw.signed(&world.other_agent);
    assert_eq!(raw.send_with(&world, headers.clone()).await.status, 200);
    assert_eq!(raw.send_with(&world, headers.clone()).await.status, 401);
    let mut other = Raw::post_json("/v1/segments/held", &HeldRequest::new(&[[2; 32]]));
    let mut stolen = other.signed(&world.other_agent);
    stolen.extend(headers);
    assert_eq!(other.send_with(&world, stolen).await.status, 401);
    other.digest = Some(blake3::hash(&raw.body).into());
    assert_eq!(other.send(&world, &world.other_agent).await.status, 401);
    other.digest = None;
    other.time -= 61_000;
    assert_eq!(other.send(&world, &world.other_agent).await.status, 401);
}

#[tokio::test]
async fn lists_of_hashes_are_bounded_and_well_formed() {
    let world = World::new().await;
    assert_eq!(
        bits(&ask(&world, &world.agent, &[[7; 32]; MAX_NAMED]).await, MAX_NAMED).len(),
        1_024
    );
    for bad in [
        HeldRequest { segments: vec![] },
        HeldRequest::new(&[[7; 32]; MAX_NAMED + 1]),
        HeldRequest { segments: vec!["zz".into()] },
    ] {
        let reply = Raw::post_json("/v1/segments/held", &bad).send(&world, &world.agent).await;
        assert_eq!(reply.refusal(), (400, "segments".into()));
    }
    let long = Raw::post_json("/v1/segments/held", &"x".repeat(200_000));
    assert_eq!(long.send(&world, &world.agent).await.refusal(), (413, "too-large".into()));
}

#[tokio::test]
async fn few_hospitals_are_served_at_a_time_some_wait_and_the_others_are_put_off() {
    let world = World::new().await;
    let segment = stored(&world, vec![3; SEGMENT_BYTES as usize]).await;
    let target = format!("/v1/segments/{}", hex::encode(segment.hash));
    let get = || {
        let raw = Raw::get(&target);
        let url = world.base.join(&target).unwrap();
        reqwest::Client::new().get(url).headers(raw.signed(&world.other_agent)).send()
    };
    // Three that do not read what they are sent.
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(get().await.unwrap());
    }
    let others: Vec<_> = (0..10).map(|_| tokio::spawn(get())).collect();
    while world.metrics.peers_put_off.get() < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(served);
    let (mut answered, mut put_off) = (0, 0);
    for other in others {
        let reply = other.await.unwrap().unwrap();
        match reply.status().as_u16() {
            200 => answered += 1,
            503 if reply.headers().contains_key("retry-after") => put_off += 1,
            _ => panic!("{reply:?}"),
        }
    }
    assert!(answered >= 1 && put_off >= 4, "{answered} {put_off}");
}
