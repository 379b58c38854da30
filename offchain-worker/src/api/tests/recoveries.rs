//! New keys that the governance proposes for users who lost theirs.

use codec::Encode;
use epione_client::{
    api::{ProposedKeys, UserRef},
    naming,
    signer::Account,
};
use epione_envelope::{account::Signer, keystore::ActorKeys, sealing_keys::SealingSuite};
use epione_primitives::{BlockNumber, Hash, HospitalId, UserId, limits::DAY_MILLIS};

use super::{
    fake::{ELSEWHERE, HOSPITAL, genesis},
    registrations::{body_of, confirm, patient_keys, renew},
    world::{Actor, Raw, Reply, World},
};

/// The last block in which the consents of these tests are valid.
const UNTIL: BlockNumber = 100;

/// New keys of the patient, on a new phone.
fn new_keys(world: &World) -> ActorKeys {
    ActorKeys::generate(world.patient.keys.account.scheme(), SealingSuite::X25519)
}

/// The proposal of keys, with the consent of their holder for this hospital, user and version.
fn proposal(keys: &ActorKeys, hospital: HospitalId, user: UserId, version: u32) -> ProposedKeys {
    let account = Account::from(keys);
    let public = keys.sealing.public();
    let (genesis, hash) = (genesis(), public.hash());
    let consent = naming::recovery(&account, genesis, hospital, user, hash, version, UNTIL);
    let sealing_key = hex::encode(public.as_bytes());
    ProposedKeys { user, account: keys.account(), sealing_key, until: UNTIL, consent }
}

/// What a hospital's staff sends for the world's patient.
fn good(world: &World, keys: &ActorKeys) -> ProposedKeys {
    let user = world.patient.user;
    let version = world.chain.facts().profiles[&user].version;
    proposal(keys, HOSPITAL, user, version)
}

async fn propose(world: &World, by: &Actor, keys: &ProposedKeys) -> Reply {
    Raw::post_json("/v1/users/recovery/propose", keys).send(world, by).await
}

async fn change(world: &World, by: &Actor, what: &str) -> Reply {
    let user = world.patient.user;
    let route = format!("/v1/users/recovery/{what}");
    Raw::post_json(&route, &UserRef { user }).send(world, by).await
}

/// Finalizes blocks until the patient's recovery is due.
fn wait(world: &World) {
    let mut facts = world.chain.facts();
    facts.head = facts.recoveries[&world.patient.user].due;
}

#[tokio::test]
async fn a_patient_with_a_new_phone_reads_again() {
    let world = World::new().await;
    let (user, keys) = (world.patient.user, new_keys(&world));
    let reply = propose(&world, &world.governance, &good(&world, &keys)).await;
    assert_eq!(reply.status, 204);
    let recovery = world.chain.facts().recoveries[&user].clone();
    assert_eq!((recovery.hospital, recovery.account), (HOSPITAL, keys.account()));
    assert_eq!(recovery.sealing_key_hash, keys.sealing.public().hash());

    let early = change(&world, &world.governance, "complete").await;
    assert_eq!(early.refusal(), (409, "chain-refused".into()));
    assert_eq!(early.problem().detail.as_deref(), Some("Profiles::RecoveryTooEarly"));
    wait(&world);
    assert_eq!(change(&world, &world.governance, "complete").await.status, 204);

    // The keys wait as after a rotation, or until the staff confirms them.
    let before = patient_keys(&world, &world.patient);
    let patient = Actor { keys: keys.clone(), user };
    let waits = renew(&world, &patient, &keys).await;
    assert_eq!(waits.refusal(), (409, "awaiting-confirmation".into()));
    assert_eq!(confirm(&world, &world.governance, user, &keys).await.status, 204);
    let after = patient_keys(&world, &patient);
    assert_eq!((before.versions(), after.versions()), (1, 2));
    // The old phone opens nothing of the new profile, and its account signs no requests.
    let (body, context) = body_of(&world, user);
    let agent = world.agent.keys.account();
    body.patient_keys_for_patient(&context, &world.patient.keys.sealing, &agent).unwrap_err();
    let old = renew(&world, &world.patient, &world.patient.keys).await;
    assert_ne!(old.status, 204);
}

#[tokio::test]
async fn keys_that_were_recovered_are_sealed_to_after_the_delay() {
    let world = World::new().await;
    let (user, keys) = (world.patient.user, new_keys(&world));
    propose(&world, &world.governance, &good(&world, &keys)).await;
    wait(&world);
    change(&world, &world.governance, "complete").await;
    let patient = Actor { keys: keys.clone(), user };
    world.chain.facts().profiles.get_mut(&user).unwrap().since = crate::now() - DAY_MILLIS;
    assert_eq!(renew(&world, &patient, &keys).await.status, 204);
    assert_eq!(patient_keys(&world, &patient).versions(), 2);
}

#[tokio::test]
async fn governance_objects() {
    let world = World::new().await;
    let keys = new_keys(&world);
    propose(&world, &world.governance, &good(&world, &keys)).await;
    assert_eq!(change(&world, &world.governance, "object").await.status, 204);
    wait(&world);
    let late = change(&world, &world.governance, "complete").await;
    assert_eq!(late.problem().detail.as_deref(), Some("Profiles::RecoveryObjected"));
}

#[tokio::test]
async fn only_governance_recovers() {
    let world = World::new().await;
    let keys = new_keys(&world);
    for somebody in [&world.doctor, &world.patient, &world.agent, &world.other_agent] {
        let refused = propose(&world, somebody, &good(&world, &keys)).await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()));
        for what in ["complete", "object"] {
            let refused = change(&world, somebody, what).await;
            assert_eq!(refused.refusal(), (403, "forbidden".into()), "{what}");
        }
    }
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_consent_to_something_else_is_rejected_before_anything_is_sent() {
    let world = World::new().await;
    let (user, keys, other) = (world.patient.user, new_keys(&world), new_keys(&world));
    let right = good(&world, &keys);
    let version = world.chain.facts().profiles[&user].version;
    let with = |consent: String| ProposedKeys { consent, ..right.clone() };
    let account = Account::from(&keys);
    let hash = keys.sealing.public().hash();
    let elsewhere = naming::recovery(&account, Hash::zero(), HOSPITAL, user, hash, version, UNTIL);
    let registration = naming::registration(&account, genesis(), HOSPITAL, user, version);
    let another_key = good(&world, &other).sealing_key;
    for wrong in [
        with(good(&world, &other).consent),
        with(proposal(&keys, ELSEWHERE, user, version).consent),
        with(proposal(&keys, HOSPITAL, world.doctor.user, version).consent),
        with(proposal(&keys, HOSPITAL, user, version + 1).consent),
        with(elsewhere),
        with(registration),
        with(String::new()),
        with("zz".into()),
        with(hex::encode((0_u8, [0_u8; 64]).encode())),
        // A hospital that would like to open what others seal to the patient.
        ProposedKeys { sealing_key: another_key, ..right.clone() },
        // It would like to propose the keys later than the patient wanted.
        ProposedKeys { until: UNTIL + 1, ..right.clone() },
    ] {
        let refused = propose(&world, &world.governance, &wrong).await;
        assert_eq!(refused.refusal(), (400, "consent".into()), "{wrong:?}");
    }
    let no_key = ProposedKeys { sealing_key: "00".into(), ..right.clone() };
    let refused = propose(&world, &world.governance, &no_key).await;
    assert_eq!(refused.refusal(), (400, "sealing-key".into()));
    let nobody = ProposedKeys { user: UserId([9; 32]), ..right };
    let refused = propose(&world, &world.governance, &nobody).await;
    assert_eq!(refused.refusal(), (409, "user".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn requests_with_other_shapes_are_rejected() {
    let world = World::new().await;
    for what in ["propose", "complete", "object"] {
        let route = format!("/v1/users/recovery/{what}");
        for bad in [
            serde_json::json!({}),
            serde_json::json!({ "user": "0x12" }),
            serde_json::json!({ "user": world.patient.user, "because": "he asked" }),
        ] {
            let reply = Raw::post_json(&route, &bad).send(&world, &world.governance).await;
            assert_eq!(reply.refusal(), (400, "json".into()), "{what} {bad}");
        }
    }
    for what in ["complete", "object"] {
        let refused = change(&world, &world.governance, what).await;
        assert_eq!(refused.problem().detail.as_deref(), Some("Profiles::NoRecovery"));
    }
}
