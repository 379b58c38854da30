//! Registrations that are suspended, reinstated and ended, and profiles for rotated keys.

use codec::Encode;
use epione_client::api::{ConfirmedKey, RenewedKey, UserRef};
use epione_envelope::{
    account::Signer,
    keys::PatientKeys,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient},
    sealing_keys::SealingSuite,
};
use epione_primitives::{
    Hash, Moment, UserId, limits::DAY_MILLIS, ports::HashedBody, profile::RegistrationStatus,
    refusal::Refusal,
};

use super::{
    fake::{HOSPITAL, genesis},
    world::{Actor, RENEWAL_DELAY, Raw, Reply, World},
};
use crate::{
    api::renewals,
    journal::{self, Journal},
};

fn status(world: &World, user: UserId) -> RegistrationStatus {
    world.chain.facts().registrations[&(HOSPITAL, user)].status
}

pub fn body_of(world: &World, user: UserId) -> (ProfileBody, ProfileContext) {
    let facts = world.chain.facts();
    let bytes = &facts.bodies[&facts.registrations[&(HOSPITAL, user)].body_hash];
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user };
    (ProfileBody::decode_exactly(bytes).unwrap(), context)
}

fn body_hash(world: &World, user: UserId) -> Hash {
    world.chain.facts().registrations[&(HOSPITAL, user)].body_hash
}

fn set_status(world: &World, user: UserId, status: RegistrationStatus) {
    world.chain.facts().registrations.get_mut(&(HOSPITAL, user)).unwrap().status = status;
}

pub fn patient_keys(world: &World, patient: &Actor) -> PatientKeys {
    let (body, context) = body_of(world, patient.user);
    let agent = world.agent.keys.account();
    body.patient_keys_for_patient(&context, &patient.keys.sealing, &agent).unwrap()
}

/// The actor, with a sealing key that the chain has had for this long, in milliseconds.
pub fn rotated(world: &World, actor: &Actor, ago: Moment) -> Actor {
    let keys = actor.keys.with_new_sealing_key(SealingSuite::X25519);
    let mut facts = world.chain.facts();
    let profile = facts.profiles.get_mut(&actor.user).unwrap();
    profile.sealing_key_hash = keys.sealing.public().hash();
    profile.since = crate::now() - ago;
    Actor { keys, user: actor.user }
}

/// The delay, in milliseconds.
pub fn delay() -> Moment {
    crate::millis(RENEWAL_DELAY)
}

pub async fn renew(world: &World, by: &Actor, keys: &ActorKeys) -> Reply {
    let sealing_key = hex::encode(keys.sealing.public().as_bytes());
    Raw::post_json("/v1/users/keys", &RenewedKey { sealing_key }).send(world, by).await
}

pub async fn confirm(world: &World, by: &Actor, user: UserId, keys: &ActorKeys) -> Reply {
    let sealing_key = hex::encode(keys.sealing.public().as_bytes());
    let confirmed = ConfirmedKey { user, sealing_key };
    Raw::post_json("/v1/users/keys/confirm", &confirmed).send(world, by).await
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
async fn after_the_delay_a_patient_who_rotated_the_sealing_key_gets_a_fresh_key_and_the_earlier_one()
 {
    let world = World::new().await;
    let before = patient_keys(&world, &world.patient);
    let patient = rotated(&world, &world.patient, delay());
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    let after = patient_keys(&world, &patient);
    assert_eq!((before.versions(), after.versions()), (1, 2));
    assert_eq!(after.get(1).unwrap().as_bytes(), before.newest().1.as_bytes());
    assert_ne!(after.newest().1.as_bytes(), before.newest().1.as_bytes());
    let (body, context) = body_of(&world, patient.user);
    let (hospital, agent) = (&world.agent.keys.sealing, world.agent.keys.account());
    assert_eq!(body.name_for_hospital(&context, hospital, &agent).unwrap(), "A person");
    // The earlier sealing key opens nothing of it.
    body.patient_keys_for_patient(&context, &world.patient.keys.sealing, &agent).unwrap_err();
    // Repeating it needs no transaction, and adds no version.
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert_eq!(world.chain.facts().calls.len(), 1);
}

#[tokio::test]
async fn the_thief_of_an_account_key_who_rotates_does_not_get_the_patient_key() {
    let world = World::new().await;
    let body = body_hash(&world, world.patient.user);
    // An hour and a half ago.
    let thief = rotated(&world, &world.patient, 5_400_000);
    let refused = renew(&world, &thief, &thief.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));
    let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((80_000..=81_000).contains(&after), "{after}");
    let told = refused.problem().detail.unwrap();
    assert!(told.contains("confirm-keys") && told.contains("22h"), "{told}");

    // Nor a minute before the delay ends.
    let thief = rotated(&world, &thief, delay() - 60_000);
    let refused = renew(&world, &thief, &thief.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));

    // The hospital notices, and suspends the patient: then time does not help either.
    set_status(&world, thief.user, RegistrationStatus::Suspended);
    for ago in [0, delay(), 30 * delay()] {
        let thief = rotated(&world, &thief, ago);
        let refused = renew(&world, &thief, &thief.keys).await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()));
    }
    assert!(world.chain.facts().calls.is_empty());
    assert_eq!(body_hash(&world, thief.user), body);
}

#[tokio::test]
async fn keys_that_wait_are_remembered_and_sealed_to_when_the_delay_has_passed() {
    let world = World::new().await;
    let waits = async || world.journal.read(journal::renewals::waiting).await.unwrap().len();
    let patient = rotated(&world, &world.patient, 0);
    renew(&world, &patient, &patient.keys).await;
    renewals::look(&world.state).await.unwrap();
    assert_eq!((waits().await, world.chain.facts().calls.len()), (1, 0));

    world.chain.facts().profiles.get_mut(&patient.user).unwrap().since = crate::now() - delay();
    renewals::look(&world.state).await.unwrap();
    assert_eq!(patient_keys(&world, &patient).versions(), 2);
    assert_eq!((waits().await, world.chain.facts().calls.len()), (0, 1));

    // Not to keys that were rotated again, nor for a user whom the hospital suspended.
    let thief = rotated(&world, &patient, 0);
    renew(&world, &thief, &thief.keys).await;
    let next = rotated(&world, &patient, delay());
    assert_eq!(waits().await, 1);
    renewals::look(&world.state).await.unwrap();
    assert_eq!(waits().await, 0);
    world.chain.facts().profiles.get_mut(&next.user).unwrap().since = crate::now();
    renew(&world, &next, &next.keys).await;
    set_status(&world, next.user, RegistrationStatus::Suspended);
    world.chain.facts().profiles.get_mut(&next.user).unwrap().since = crate::now() - delay();
    renewals::look(&world.state).await.unwrap();
    assert_eq!((waits().await, world.chain.facts().calls.len()), (0, 1));
}

#[tokio::test]
async fn the_keys_that_wait_are_not_tried_one_by_one_while_the_chain_accepts_nothing() {
    let world = World::new().await;
    let waits = async || world.journal.read(journal::renewals::waiting).await.unwrap().len();
    for actor in [&world.patient, &world.doctor] {
        let actor = rotated(&world, actor, 0);
        renew(&world, &actor, &actor.keys).await;
        let since = crate::now() - delay();
        world.chain.facts().profiles.get_mut(&actor.user).unwrap().since = since;
    }
    // Only the first call.
    world.chain.facts().refusal = Some(Refusal::HospitalQuotaExceeded);
    renewals::look(&world.state).await.unwrap();
    assert_eq!((waits().await, world.chain.facts().calls.len()), (2, 0));
    renewals::look(&world.state).await.unwrap();
    assert_eq!((waits().await, world.chain.facts().calls.len()), (0, 2));
}

#[tokio::test]
async fn a_key_whose_profile_the_node_does_not_have_does_not_hold_up_the_others() {
    let world = World::new().await;
    for actor in [&world.patient, &world.doctor] {
        let actor = rotated(&world, actor, 0);
        renew(&world, &actor, &actor.keys).await;
        let since = crate::now() - delay();
        world.chain.facts().profiles.get_mut(&actor.user).unwrap().since = since;
    }
    let body = body_hash(&world, world.patient.user);
    world.chain.facts().bodies.remove(&body);
    for _ in 0..100 {
        renewals::look(&world.state).await.unwrap();
    }
    let waiting = world.journal.read(journal::renewals::waiting).await.unwrap();
    assert_eq!(waiting.iter().map(|(user, _)| *user).collect::<Vec<_>>(), [world.patient.user]);
}

#[tokio::test]
async fn keys_that_wait_for_a_week_after_the_delay_are_forgotten() {
    let world = World::new().await;
    let waits = async || world.journal.read(journal::renewals::waiting).await.unwrap().len();
    let patient = rotated(&world, &world.patient, 0);
    for (ago, left) in [(delay() + 6 * DAY_MILLIS, 1), (delay() + 8 * DAY_MILLIS, 0)] {
        let (user, at) = (patient.user, crate::now() - ago);
        let key = patient.keys.sealing.public().as_bytes().to_vec();
        let remember =
            world.journal.write(move |tx| journal::renewals::remember(tx, user, &key, at));
        remember.await.unwrap();
        renewals::look(&world.state).await.unwrap();
        assert_eq!(waits().await, left);
    }
}

#[tokio::test]
async fn keys_are_remembered_only_if_the_chain_names_them_and_the_user_is_registered() {
    let world = World::new().await;
    let waits = async || world.journal.read(journal::renewals::waiting).await.unwrap().len();
    let patient = rotated(&world, &world.patient, delay());
    let resealing = world.state.hospital_keys.begin_resealing(patient.user).unwrap();
    let busy = (503, "busy".to_owned());
    // A key that the chain does not name.
    assert_eq!(renew(&world, &patient, &world.doctor.keys).await.refusal(), busy);
    set_status(&world, patient.user, RegistrationStatus::Ended);
    assert_eq!(renew(&world, &patient, &patient.keys).await.refusal(), busy);
    assert_eq!(waits().await, 0);
    set_status(&world, patient.user, RegistrationStatus::Active);
    assert_eq!(renew(&world, &patient, &patient.keys).await.refusal(), busy);
    assert_eq!(waits().await, 1);
    drop(resealing);
    renewals::look(&world.state).await.unwrap();
    assert_eq!((waits().await, world.chain.facts().calls.len()), (0, 1));
}

#[tokio::test]
async fn the_keys_that_wait_are_few_and_one_of_each_user() {
    let journal = Journal::in_memory().await.unwrap();
    let counted = journal.write(|tx| {
        for number in 0..journal::renewals::MOST + 10 {
            let user = UserId(*blake3::hash(&number.to_le_bytes()).as_bytes());
            for key in [b"one", b"two"] {
                journal::renewals::remember(tx, user, key, number.into())?;
            }
        }
        journal::renewals::waiting(tx)
    });
    let waiting = counted.await.unwrap();
    assert_eq!(waiting.len(), journal::renewals::MOST as usize);
    assert!(waiting.iter().all(|(_, key)| key == b"two"));
}

#[tokio::test]
async fn a_slow_chain_does_not_shorten_the_delay() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, delay());
    // The newest finalized block is older than the end of the delay.
    world.chain.facts().head_age = 60_000;
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));
}

#[tokio::test]
async fn keys_that_the_governance_confirms_do_not_wait() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, 0);
    let done = confirm(&world, &world.governance, patient.user, &patient.keys).await;
    assert_eq!(done.status, 204);
    assert_eq!(patient_keys(&world, &patient).versions(), 2);
    // The user's own request finds that it is done.
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert_eq!(world.chain.facts().calls.len(), 1);
}

#[tokio::test]
async fn only_the_governance_confirms_and_only_the_key_on_the_chain() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, 0);
    for somebody in [&patient, &world.doctor, &world.agent, &world.other_agent] {
        let refused = confirm(&world, somebody, patient.user, &patient.keys).await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()));
    }
    // The earlier key, and the key of somebody else.
    let governance = &world.governance;
    for wrong in [&world.patient.keys, &world.doctor.keys] {
        let refused = confirm(&world, governance, patient.user, wrong).await;
        assert_eq!(refused.refusal(), (409, "sealing-key".into()));
    }
    let nonsense = ConfirmedKey { user: patient.user, sealing_key: "0102".into() };
    let raw = Raw::post_json("/v1/users/keys/confirm", &nonsense);
    assert_eq!(raw.send(&world, governance).await.refusal(), (400, "sealing-key".into()));
    let refused = confirm(&world, governance, UserId([9; 32]), &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    set_status(&world, patient.user, RegistrationStatus::Suspended);
    let refused = confirm(&world, governance, patient.user, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_confirmation_does_not_hold_for_the_key_of_the_next_rotation() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, 0);
    confirm(&world, &world.governance, patient.user, &patient.keys).await;
    let thief = rotated(&world, &patient, 0);
    let refused = renew(&world, &thief, &thief.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));
    let (body, _) = body_of(&world, patient.user);
    assert_eq!(body.recipient().key, patient.keys.sealing.public());
}

#[tokio::test]
async fn a_thief_who_rotates_again_and_again_cannot_use_up_the_versions() {
    let world = World::new().await;
    let mut keys = PatientKeys::generate();
    while keys.versions() < 199 {
        keys = keys.renewed().unwrap();
    }
    let reseal = |keys: &PatientKeys, actor: &Actor| {
        let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user: actor.user };
        let account = actor.keys.account();
        let user = Recipient { account: &account, key: actor.keys.sealing.public() };
        let (hospital, agent) = (world.agent.keys.sealing.public(), &world.agent.keys);
        let body = ProfileBody::for_patient(&context, "A person", keys, user, hospital, agent);
        let body = body.unwrap().encode();
        let mut facts = world.chain.facts();
        let hash = HashedBody::new(&body).hash();
        facts.registrations.get_mut(&(HOSPITAL, actor.user)).unwrap().body_hash = hash;
        facts.bodies.insert(hash, body);
    };
    reseal(&keys, &world.patient);
    let thief = rotated(&world, &world.patient, delay());
    assert_eq!(renew(&world, &thief, &thief.keys).await.status, 204);
    assert_eq!(patient_keys(&world, &thief).versions(), 200);
    let thief = rotated(&world, &thief, delay());
    let refused = renew(&world, &thief, &thief.keys).await;
    assert_eq!(refused.refusal(), (409, "keys-used-up".into()));
    assert!(refused.problem().detail.unwrap().contains("confirm-keys"));
    // The hospital's word still adds one, up to the last; then the keys are sealed to the current ones as they are.
    let done = confirm(&world, &world.governance, thief.user, &thief.keys).await;
    assert_eq!(done.status, 204);
    let mut keys = patient_keys(&world, &thief);
    assert_eq!(keys.versions(), 201);
    while keys.versions() < 255 {
        keys = keys.renewed().unwrap();
    }
    reseal(&keys, &thief);
    let last = rotated(&world, &thief, 0);
    let done = confirm(&world, &world.governance, last.user, &last.keys).await;
    assert_eq!(done.status, 204);
    assert_eq!(patient_keys(&world, &last).versions(), 255);
}

#[tokio::test]
async fn a_new_account_alone_adds_no_version_and_waits_too() {
    let world = World::new().await;
    let next = Actor::new("Patient anew");
    let keys = ActorKeys { account: next.keys.account.clone(), ..world.patient.keys.clone() };
    let patient = Actor { keys, user: world.patient.user };
    let set = |ago| {
        let mut facts = world.chain.facts();
        facts.accounts.insert(patient.keys.account(), patient.user);
        let profile = facts.profiles.get_mut(&patient.user).unwrap();
        profile.account = patient.keys.account();
        profile.since = crate::now() - ago;
    };
    set(0);
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (409, "awaiting-confirmation".into()));
    set(delay());
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
    assert_eq!(patient_keys(&world, &patient).versions(), 1);
    assert_eq!(*body_of(&world, patient.user).0.account(), patient.keys.account());
}

#[tokio::test]
async fn a_suspended_professional_s_profile_is_sealed_again_after_the_reinstatement() {
    let world = World::new().await;
    let doctor = rotated(&world, &world.doctor, delay());
    set_status(&world, doctor.user, RegistrationStatus::Suspended);
    let refused = renew(&world, &doctor, &doctor.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    set_status(&world, doctor.user, RegistrationStatus::Active);
    assert_eq!(renew(&world, &doctor, &doctor.keys).await.status, 204);
    let (body, _) = body_of(&world, doctor.user);
    assert_eq!(body.recipient().key, doctor.keys.sealing.public());
}

#[tokio::test]
async fn profiles_are_sealed_only_to_keys_on_the_chain() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, delay());
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

    set_status(&world, patient.user, RegistrationStatus::Ended);
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    world.chain.facts().registrations.remove(&(HOSPITAL, patient.user));
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_profile_is_sealed_by_one_request_at_a_time() {
    let world = World::new().await;
    let patient = rotated(&world, &world.patient, delay());
    let resealing = world.state.hospital_keys.begin_resealing(patient.user).unwrap();
    let refused = renew(&world, &patient, &patient.keys).await;
    assert_eq!(refused.refusal(), (503, "busy".into()));
    drop(resealing);
    assert_eq!(renew(&world, &patient, &patient.keys).await.status, 204);
}
