//! Signatures of requests: every authentication error has the same response.

use epione_client::request;

use super::{
    fake::ELSEWHERE,
    world::{Actor, Raw, World},
};

const TARGET: &str = "/v1/visits/0x00000000000000000000000000000000";

#[tokio::test]
async fn every_authentication_error_is_the_same() {
    let world = World::new().await;
    let known = Raw::get(TARGET);
    let first = known.send(&world, &world.doctor).await;
    assert_eq!(first.refusal(), (404, "not-found".into()));

    let mut replies = vec![
        // Repeated.
        known.send(&world, &world.doctor).await,
        // An unknown account.
        Raw::get(TARGET).send(&world, &Actor::new("Nobody")).await,
        // Not signed at all.
        Raw::get(TARGET).send_with(&world, Default::default()).await,
    ];
    for time in [crate::now() - 61_000, crate::now() + 62_000, 0, u64::MAX] {
        let stale = Raw { time, ..Raw::get(TARGET) };
        replies.push(stale.send(&world, &world.doctor).await);
    }
    let mut headers = Raw::get(TARGET).signed(&world.doctor);
    headers.insert(request::NONCE, "00112233445566778899aabbccddeeff".parse().unwrap());
    replies.push(Raw::get(TARGET).send_with(&world, headers).await);
    let mut headers = Raw::get(TARGET).signed(&world.doctor);
    headers.insert(request::ACCOUNT, hex::encode([7; 32]).parse().unwrap());
    replies.push(Raw::get(TARGET).send_with(&world, headers).await);
    // Signed for another path, and sent to this one.
    let elsewhere = Raw::get("/v1/info").signed(&world.doctor);
    replies.push(Raw::get(TARGET).send_with(&world, elsewhere).await);

    for reply in replies {
        assert_eq!(reply.refusal(), (401, "unauthorized".into()));
        assert_eq!(reply.body, {
            let plain = Raw::get(TARGET).send_with(&world, Default::default()).await;
            plain.body
        });
    }
}

#[tokio::test]
async fn a_request_for_another_hospital_is_not_accepted() {
    let world = World::new().await;
    let raw = Raw::get(TARGET);
    let target = request::Target {
        genesis: super::fake::genesis(),
        hospital: ELSEWHERE,
        method: &raw.method,
        path_and_query: &raw.target,
    };
    let account = world.doctor.account();
    let digest = blake3::hash(b"").into();
    let headers = request::sign(&target, &account.id(), digest, raw.time, raw.nonce, |message| {
        account.sign(message)
    });
    assert_eq!(raw.send_with(&world, headers).await.status, 401);
}

#[tokio::test]
async fn an_unsigned_body_has_no_effect() {
    let world = World::new().await;
    let mut raw = Raw::post_json("/v1/relations", &serde_json::json!({}));
    raw.digest = Some([1; 32]);
    let reply = raw.send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (400, "digest".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_rejected() {
    let world = World::new().await;
    let raw = Raw::new(http::Method::POST, "/v1/grants", vec![b' '; 65 * 1024]);
    assert_eq!(raw.send(&world, &world.doctor).await.refusal(), (413, "too-large".into()));
}

#[tokio::test]
async fn unknown_routes_are_problems_too() {
    let world = World::new().await;
    assert_eq!(Raw::get("/v2").send(&world, &world.doctor).await.refusal().0, 404);
    assert_eq!(Raw::get("/v1/grants").send(&world, &world.doctor).await.refusal().0, 405);
}

#[tokio::test]
async fn without_its_node_the_worker_accepts_nothing() {
    let world = World::new().await;
    world.chain.facts().away = true;
    let reply = Raw::get(TARGET).send(&world, &world.doctor).await;
    assert_eq!(reply.refusal(), (503, "node".into()));
    assert!(reply.headers.contains_key("retry-after"));
}
