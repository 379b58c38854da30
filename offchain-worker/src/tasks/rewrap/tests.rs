use codec::Encode;
use epione_envelope::{
    account::Signer,
    keystore::ActorKeys,
    profile::{ProfileBody, ProfileContext, Recipient},
    sealing_keys::SealingSuite,
};
use epione_primitives::{Hash, profile::Role};

use super::*;
use crate::api::tests::{
    fake::{FakeChain, HOSPITAL, failure, genesis},
    world::{Actor, World},
};

/// The hospital's sealing key after its rotation.
fn rotated(world: &World) -> ActorKeys {
    let keys = world.agent.keys.with_new_sealing_key(SealingSuite::X25519);
    let on_chain = keys.sealing.public().as_bytes().to_vec();
    let mut facts = world.chain.facts();
    facts.hospitals.get_mut(&HOSPITAL).unwrap().sealing_key = on_chain.try_into().unwrap();
    drop(facts);
    keys
}

fn rewrap(world: &World, keys: &ActorKeys) -> Rewrap {
    let view: Arc<FakeChain> = Arc::new(world.chain.clone());
    let earlier = vec![world.agent.keys.sealing.clone()];
    Rewrap {
        hospital_keys: Arc::new(HospitalKeys::new(keys.clone(), earlier, view.clone())),
        view: view.clone(),
        calls: view,
        metrics: Metrics::new().unwrap(),
    }
}

fn body_of(world: &World, user: UserId) -> (ProfileBody, ProfileContext, Hash) {
    let facts = world.chain.facts();
    let hash = facts.registrations[&(HOSPITAL, user)].body_hash;
    let context = ProfileContext { genesis: genesis(), hospital: HOSPITAL, user };
    (ProfileBody::decode_exactly(&facts.bodies[&hash]).unwrap(), context, hash)
}

fn set_status(world: &World, actor: &Actor, status: RegistrationStatus) {
    let key = (HOSPITAL, actor.user);
    world.chain.facts().registrations.get_mut(&key).unwrap().status = status;
}

#[tokio::test]
async fn every_profile_opens_with_the_current_key_alone() {
    let world = World::new().await;
    for index in 0..150 {
        world.register(&Actor::new(&format!("Nurse {index}")), Role::Nurse);
    }
    set_status(&world, &world.doctor, RegistrationStatus::Suspended);
    let agent = world.agent.keys.account();
    let (before, context, _) = body_of(&world, world.patient.user);
    let sealing = &world.patient.keys.sealing;
    let before = before.patient_keys_for_patient(&context, sealing, &agent).unwrap();

    let keys = rotated(&world);
    let rewrap = rewrap(&world, &keys);
    assert_eq!(rewrap.step().await.unwrap(), None);
    assert_eq!(rewrap.metrics.profiles_to_rewrap.get(), 0);
    assert_eq!(rewrap.step().await.unwrap(), Some(Survey::default()));
    assert_eq!(world.chain.facts().calls.len(), 153);

    let (body, ..) = body_of(&world, world.patient.user);
    let for_hospital = body.patient_keys_for_hospital(&context, &keys.sealing, &agent).unwrap();
    let for_patient = body.patient_keys_for_patient(&context, sealing, &agent).unwrap();
    for after in [&for_hospital, &for_patient] {
        assert_eq!(after.versions(), 2);
        assert_eq!(after.get(1).unwrap().as_bytes(), before.newest().1.as_bytes());
    }
    let fresh = for_hospital.newest().1.as_bytes();
    assert_eq!(fresh, for_patient.newest().1.as_bytes());
    // A thief of the earlier key has the first version, and nothing else.
    assert_ne!(fresh, before.newest().1.as_bytes());
    assert_eq!(body.name_for_hospital(&context, &keys.sealing, &agent).unwrap(), "A person");
    body.patient_keys_for_hospital(&context, &world.agent.keys.sealing, &agent).unwrap_err();
    let (doctor, context, _) = body_of(&world, world.doctor.user);
    assert_eq!(doctor.name_for_hospital(&context, &keys.sealing, &agent).unwrap(), "A person");
}

#[tokio::test]
async fn only_failed_profiles_are_sealed_in_the_next_round() {
    let world = World::new().await;
    let rewrap = rewrap(&world, &rotated(&world));
    let resealing = rewrap.hospital_keys.begin_resealing(world.doctor.user).unwrap();
    world.chain.facts().failure = Some(failure("Profiles", "NotAgent"));
    assert!(matches!(rewrap.step().await, Err(RewrapError::Call(_))));
    assert_eq!(rewrap.metrics.profiles_to_rewrap.get(), 3);
    world.chain.facts().failure = None;
    assert_eq!(rewrap.step().await.unwrap(), None);
    assert_eq!(rewrap.metrics.profiles_to_rewrap.get(), 1);
    drop(resealing);
    assert_eq!(rewrap.step().await.unwrap(), None);
    assert_eq!(rewrap.step().await.unwrap(), Some(Survey::default()));
    assert_eq!(world.chain.facts().calls.len(), 3);
}

#[tokio::test]
async fn ended_and_unreadable_profiles_are_counted_separately() {
    let world = World::new().await;
    set_status(&world, &world.stranger, RegistrationStatus::Ended);
    let (_, context, hash) = body_of(&world, world.doctor.user);
    let other = Actor::new("Another hospital");
    let account = world.doctor.keys.account();
    let user = Recipient { account: &account, key: world.doctor.keys.sealing.public() };
    let hospital = other.keys.sealing.public();
    let foreign =
        ProfileBody::for_professional(&context, "A person", user, hospital, &world.agent.keys);
    world.chain.facts().bodies.insert(hash, foreign.unwrap().encode());

    let rewrap = rewrap(&world, &rotated(&world));
    assert_eq!(rewrap.step().await.unwrap(), None);
    let left = Survey { waiting: 0, ended: 1, unread: 1 };
    assert_eq!(rewrap.step().await.unwrap(), Some(left));
    assert_eq!(rewrap.metrics.profiles_of_earlier_keys.get(), 1);
    assert_eq!(world.chain.facts().calls.len(), 1);
}

#[tokio::test]
async fn nothing_is_sealed_to_a_key_that_is_not_on_the_chain() {
    let world = World::new().await;
    let keys = rotated(&world);
    let good = rewrap(&world, &keys);
    assert_eq!(good.standing().await.unwrap(), Standing::Current);

    let not_set_yet = world.agent.keys.sealing.public().as_bytes().to_vec();
    let set = |key: Vec<u8>| {
        let mut facts = world.chain.facts();
        facts.hospitals.get_mut(&HOSPITAL).unwrap().sealing_key = key.try_into().unwrap();
    };
    set(not_set_yet);
    assert_eq!(good.standing().await.unwrap(), Standing::Earlier);
    assert!(matches!(good.step().await, Err(RewrapError::NotOnChain)));
    set(vec![1; 33]);
    assert_eq!(good.standing().await.unwrap(), Standing::Unknown);
    assert!(matches!(good.step().await, Err(RewrapError::NotOnChain)));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn a_fresh_key_is_withheld_from_a_sealing_key_that_the_patient_retired() {
    let world = World::new().await;
    let (before, context, _) = body_of(&world, world.patient.user);
    let agent = world.agent.keys.account();
    let sealing = &world.patient.keys.sealing;
    let before = before.patient_keys_for_patient(&context, sealing, &agent).unwrap();
    let newer = world.patient.keys.with_new_sealing_key(SealingSuite::XWing);
    let hash = newer.sealing.public().hash();
    world.chain.facts().profiles.get_mut(&world.patient.user).unwrap().sealing_key_hash = hash;

    let keys = rotated(&world);
    let rewrap = rewrap(&world, &keys);
    rewrap.step().await.unwrap();
    let (body, ..) = body_of(&world, world.patient.user);
    for key in [sealing, &newer.sealing, &world.agent.keys.sealing] {
        body.patient_keys_for_patient(&context, key, &agent).unwrap_err();
        body.patient_keys_for_hospital(&context, key, &agent).unwrap_err();
    }
    let opened = body.patient_keys_for_hospital(&context, &keys.sealing, &agent).unwrap();
    assert_eq!(opened.versions(), 2);
    assert_eq!(opened.get(1).unwrap().as_bytes(), before.newest().1.as_bytes());
    assert_eq!(body.name_for_hospital(&context, &keys.sealing, &agent).unwrap(), "A person");
}

#[tokio::test]
async fn visits_sealed_before_the_hospital_s_rotation_stay_readable() {
    let world = World::new().await;
    let identity = Identity { genesis: genesis(), hospital: HOSPITAL };
    let patient = world.patient.user;
    let registration = || world.chain.facts().registrations[&(HOSPITAL, patient)].clone();
    let rewrap = rewrap(&world, &rotated(&world));
    let keys = &rewrap.hospital_keys;
    let earlier = keys.patient_keys(identity, patient, &registration()).await.unwrap();
    rewrap.step().await.unwrap();
    let current = keys.patient_keys(identity, patient, &registration()).await.unwrap();
    assert_eq!((earlier.newest().0, current.newest().0), (1, 2));
    // A visit that waits is sealed under the version that was the newest when it was accepted.
    let (version, key) = earlier.newest();
    assert_eq!(current.get(version).unwrap().as_bytes(), key.as_bytes());
}

#[tokio::test]
async fn rewrapped_profiles_are_not_sealed_to_keys_that_wait_for_confirmation() {
    let world = World::new().await;
    let thief = world.patient.keys.with_new_sealing_key(SealingSuite::X25519);
    {
        let mut facts = world.chain.facts();
        let profile = facts.profiles.get_mut(&world.patient.user).unwrap();
        profile.sealing_key_hash = thief.sealing.public().hash();
        profile.since = crate::now();
    }
    let rewrap = rewrap(&world, &rotated(&world));
    rewrap.step().await.unwrap();
    let (body, context, _) = body_of(&world, world.patient.user);
    assert_eq!(body.recipient().key, world.patient.keys.sealing.public());
    let agent = world.agent.keys.account();
    for key in [&thief.sealing, &world.patient.keys.sealing] {
        body.patient_keys_for_patient(&context, key, &agent).unwrap_err();
    }
}
