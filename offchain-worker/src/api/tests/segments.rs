//! Serving segments: the right bytes or an error.

use bytes::Bytes;
use epione_primitives::{block::Segment, hospital::HospitalStatus};
use futures::stream;
use object_store::{ObjectStoreExt, path::Path};

use super::{
    fake::ELSEWHERE,
    world::{Raw, Reply, World, noise},
};
use crate::api::links::{Links, PURPOSE};

pub async fn stored(world: &World, bytes: usize) -> (Segment, Vec<u8>) {
    let content = noise(bytes);
    let segment = Segment { hash: blake3::hash(&content).into(), length: bytes as u32 };
    let source = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content.clone()))]);
    world.store.put(&segment, source).await.unwrap();
    (segment, content)
}

fn target(segment: &Segment) -> String {
    format!("/v1/segments/{}", hex::encode(segment.hash))
}

async fn damage(world: &World, segment: &Segment, bytes: &[u8]) {
    let path = Path::from(format!("segments/{}", hex::encode(segment.hash)));
    world.objects.put(&path, Bytes::copy_from_slice(bytes).into()).await.unwrap();
}

pub fn link(world: &World, segment: &Segment, expires: u64) -> String {
    let grant = world.recorded_grant();
    let key = blake3::derive_key(PURPOSE, world.agent.keys.account.seed());
    let link = Links::new(key).make(&world.base, &segment.hash, grant, expires);
    link.url.strip_prefix(world.base.as_str().trim_end_matches('/')).unwrap().to_owned()
}

async fn unsigned(world: &World, target: &str) -> Reply {
    Raw::get(target).send_with(world, Default::default()).await
}

#[tokio::test]
async fn agents_of_active_hospitals_fetch_segments_and_users_do_not() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 700_000).await;
    for agent in [&world.agent, &world.other_agent] {
        assert_eq!(world.client(agent).segment(&segment).await.unwrap(), content);
    }
    for user in [&world.doctor, &world.patient, &world.governance] {
        let reply = Raw::get(&target(&segment)).send(&world, user).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(unsigned(&world, &target(&segment)).await.status, 401);
    for (status, answer) in [(HospitalStatus::Leaving, 200), (HospitalStatus::Suspended, 403)] {
        world.chain.facts().hospitals.get_mut(&ELSEWHERE).unwrap().status = status;
        let reply = Raw::get(&target(&segment)).send(&world, &world.other_agent).await;
        assert_eq!(reply.status, answer, "{status:?}");
    }
}

#[tokio::test]
async fn a_link_gives_access_to_one_segment_for_a_while() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 10_000).await;
    let later = crate::now() + 60_000;
    let good = link(&world, &segment, later);
    assert_eq!(unsigned(&world, &good).await.body, content);
    let other = Segment { hash: [1; 32], length: 1 };
    let query = good.split_once('?').unwrap().1;
    for bad in [
        link(&world, &segment, crate::now() - 1),
        good.replace(&format!("expires={later}"), &format!("expires={}", later + 1)),
        good.replace("grant=", "grant=00"),
        format!("{}?{query}", target(&other)),
        format!("{}?expires={later}", target(&segment)),
        format!("{}?", target(&segment)),
    ] {
        assert_eq!(unsigned(&world, &bad).await.refusal(), (403, "forbidden".into()), "{bad}");
    }
}

#[tokio::test]
async fn ranges_are_served() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 600_000).await;
    let link = link(&world, &segment, crate::now() + 60_000);
    let ranged = async |range: &'static str| {
        let headers = [(http::header::RANGE, range.parse().unwrap())].into_iter().collect();
        Raw::get(&link).send_with(&world, headers).await
    };
    let middle = ranged("bytes=100000-499999").await;
    assert_eq!(middle.status, 206);
    assert_eq!(middle.headers["content-range"], "bytes 100000-499999/600000");
    assert_eq!(middle.headers["content-length"], "400000");
    assert_eq!(middle.body, content[100_000..500_000]);
    let tail = ranged("bytes=-5").await;
    assert_eq!(tail.body, content[599_995..]);
    let beyond = ranged("bytes=600000-").await;
    assert_eq!(beyond.refusal(), (416, "range".into()));
    assert_eq!(beyond.headers["content-range"], "bytes */600000");
    let whole = unsigned(&world, &link).await;
    assert_eq!((whole.status, whole.body.len()), (200, 600_000));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
}

#[tokio::test]
async fn a_damaged_segment_is_repaired_before_it_is_served() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 50_000).await;
    world.peers.copies.lock().unwrap().insert(segment.hash, content.clone().into());
    let mut flipped = content.clone();
    flipped[1] ^= 4;
    for damaged in [&flipped[..], &content[..100], b""] {
        damage(&world, &segment, damaged).await;
        let reply = unsigned(&world, &link(&world, &segment, crate::now() + 60_000)).await;
        assert_eq!(reply.body, content);
    }
    assert_eq!(world.metrics.segments_damaged.get(), 3);
    assert_eq!(world.metrics.segments_repaired.get(), 3);
    let quarantined = format!("quarantine/{}-", hex::encode(segment.hash));
    let names = world.object_names().await;
    assert!(names.iter().any(|name| name.starts_with(&quarantined)), "{names:?}");
}

#[tokio::test]
async fn wrong_bytes_are_never_served() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 50_000).await;
    // No hospital can supply it now; then a peer sends wrong bytes.
    for copy in [Bytes::new(), Bytes::from_static(b"wrong")] {
        world.peers.copies.lock().unwrap().insert(segment.hash, copy);
        damage(&world, &segment, &content[1..]).await;
        for range in ["bytes=0-9", "bytes=40000-"] {
            let link = link(&world, &segment, crate::now() + 60_000);
            let headers = [(http::header::RANGE, range.parse().unwrap())].into_iter().collect();
            let reply = Raw::get(&link).send_with(&world, headers).await;
            assert_eq!(reply.refusal(), (503, "segment-unavailable".into()));
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_fetched_and_an_unknown_one_is_not_found() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 5_000).await;
    world.store.delete(&segment.hash).await.unwrap();
    let link = link(&world, &segment, crate::now() + 60_000);
    assert_eq!(unsigned(&world, &link).await.refusal(), (404, "not-found".into()));
    world.peers.copies.lock().unwrap().insert(segment.hash, content.clone().into());
    assert_eq!(unsigned(&world, &link).await.body, content);
    let reply = Raw::get("/v1/segments/abc").send(&world, &world.agent).await;
    assert_eq!(reply.refusal(), (400, "segment".into()));
}

#[tokio::test]
async fn nothing_is_repaired_before_responding_to_a_hospital() {
    let world = World::new().await;
    let (segment, content) = stored(&world, 5_000).await;
    world.peers.copies.lock().unwrap().insert(segment.hash, content.clone().into());
    damage(&world, &segment, b"damaged").await;
    let ask = || async { Raw::get(&target(&segment)).send(&world, &world.other_agent).await };
    // It asks the next hospital. Meanwhile the segment is repaired.
    assert_eq!(ask().await.refusal(), (404, "not-found".into()));
    while world.metrics.segments_repaired.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask().await.body, content);
    world.store.delete(&segment.hash).await.unwrap();
    assert_eq!(ask().await.refusal(), (404, "not-found".into()));
    assert_eq!(world.metrics.segments_repaired.get(), 1);
}
