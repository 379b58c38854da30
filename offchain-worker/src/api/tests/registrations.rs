//! Registrations that are suspended, reinstated and ended, and profiles for rotated keys.

use epione_client::api::{RenewedKey, UserRef};
use epione_envelope::{
    account::Signer,
    keys::PatientKey,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext},
    sealing_keys::SealingSuite,
};
use epione_primitives::{UserId, profile::RegistrationStatus};

use super::{
    fake::{HOSPITAL, genesis},
    world::{Actor, Raw, Reply, World},
};

fn status(world: &World, user: UserId) -> RegistrationStatus {
    world.chain.facts().registrations[&(HOSPITAL, user)].status
}

fn body_of(world: &World, user: UserId) -> (ProfileBody, ProfileContext) {
    let facts = world.chain.facts();
    let bytes = &facts.bodies[&facts.registrations[&(HOSPITAL, user)].body_hash];
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user };
    (ProfileBody::decode_exactly(bytes).unwrap(), context)
}

fn patient_key(world: &World, patient: &Actor) -> PatientKey {
    let (body, context) = body_of(world, patient.user);
    let agent = world.agent.keys.account();
    body.patient_key_for_patient(&context, &patient.keys.sealing, &agent).unwrap()
}

fn rotated(world: &World, actor: &Actor) -> Actor {
    let keys = actor.keys.with_new_sealing_key(SealingSuite::X25519);
    let hash = keys.sealing.public().hash();
    world.chain.facts().profiles.get_mut(&actor.user).unwrap().sealing_key_hash = hash;
    Actor { keys, user: actor.user }
}

async fn renew(world: &World, by: &Actor, keys: &ActorKeys) -> Reply {
    let sealing_key = hex::encode(keys.sealing.public().as_bytes());
    Raw::post_json("/v1/users/keys", &RenewedKey { sealing_key }).send(world, by).await
}

#[tokio::test]
async fn governance_suspends_reinstates_and_ends() {
    let world = World::new().await;
    let user = world.doctor.user;
    for (change, expected) in [
        ("suspend", RegistrationStatus::Suspended),
        ("reinstate", RegistrationStatus::Active),
        ("end", RegistrationStatus::Ended),
    ] {
        let raw = Raw::post_json(&format!("/v1/users/{change}"), &UserRef { user });
        assert_eq!(raw.send(&world, &world.governance).await.status, 204);
        assert_eq!(status(&world, user), expected);
    }
}

#[tokio::test]
async fn only_governance_changes_registrations() {
    let world = World::new().await;
    let user = world.doctor.user;
    for change in ["suspend", "reinstate", "end"] {
        for somebody in [&world.doctor, &world.patient, &world.agent, &world.other_agent] {
            let raw = Raw::post_json(&format!("/v1/users/{change}"), &UserRef { user });
            assert_eq!(raw.send(&world, somebody).await.refusal(), (403, "forbidden".into()));
        }
    }
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn an_unknown_user_is_rejected() {
    let world = World::new().await;
    for change in ["suspend", "reinstate", "end"] {
        let route = format!("/v1/users/{change}");
        for bad in [
            serde_json::json!({}),
            serde_json::json!({ "user": "0x12" }),
            serde_json::json!({ "user": world.doctor.user, "because": "he asked" }),
        ] {
            let reply = Raw::post_json(&route, &bad).send(&world, &world.governance).await;
            assert_eq!(reply.refusal(), (400, "json".into()), "{bad}");
        }
        let unknown = UserRef { user: UserId([9; 32]) };
        let reply = Raw::post_json(&route, &unknown).send(&world, &world.governance).await;
        assert_eq!(reply.refusal(), (409, "chain-refused".into()));
        assert_eq!(reply.problem().detail.as_deref(), Some("Profiles::NotRegistered"));
    }
}

#[tokio::test]
async fn a_patient_who_rotated_the_sealing_key_keeps_the_patient_key() {
    let world = World::new().await;
    let before = patient_key(&world, &world.patient);
    let patient = rotated(&world, &world.patient);
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert_eq!(patient_key(&world, &patient).as_bytes(), before.as_bytes());
    let (body, context) = body_of(&world, patient.user);
    let (hospital, agent) = (&world.agent.keys.sealing, world.agent.keys.account());
    assert_eq!(body.name_for_hospital(&context, hospital, &agent).unwrap(), "A person");
    // Repeating it needs no transaction.
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert_eq!(world.chain.facts().calls.len(), 1);
}

#[tokio::test]
async fn a_suspended_professional_s_profile_is_sealed_again_too() {
    let world = World::new().await;
    let doctor = rotated(&world, &world.doctor);
    let key = (HOSPITAL, doctor.user);
    let suspended = RegistrationStatus::Suspended;
    world.chain.facts().registrations.get_mut(&key).unwrap().status = suspended;
    assert_eq!(renew(&world, &doctor, &doctor.keys).await.status, 204);
    let (body, _) = body_of(&world, doctor.user);
    assert_eq!(body.recipient().key, doctor.keys.sealing.public());
}

#[tokio::test]
async fn profiles_are_sealed_only_to_keys_on_the_chain() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient);
    // A key that the chain does not name, another user's request, and a hospital's request.
    let refused = renew(&world, &patient, &world.patient.keys).await;
    assert_eq!(refused.refusal(), (409, "sealing-key".into()));
    let refused = renew(&world, &world.doctor, &patient.keys).await;
    assert_eq!(refused.refusal(), (409, "sealing-key".into()));
    let refused = renew(&world, &world.governance, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    let nonsense = RenewedKey { sealing_key: "0102".into() };
    let refused = Raw::post_json("/v1/users/keys", &nonsense).send(&world, &patient).await;
    assert_eq!(refused.refusal(), (400, "sealing-key".into()));

    let key = (HOSPITAL, patient.user);
    let ended = RegistrationStatus::Ended;
    world.chain.facts().registrations.get_mut(&key).unwrap().status = ended;
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    world.chain.facts().registrations.remove(&key);
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_profile_is_sealed_by_one_request_at_a_time() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient);
    let resealing = world.state.hospital_keys.begin_resealing(patient.user).unwrap();
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (503, "busy".into()));
    drop(resealing);
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
}
