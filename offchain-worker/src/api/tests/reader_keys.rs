//! To which sealing key of a requester the worker seals a grant, above all after a rotation.

use codec::Encode;
use epione_envelope::{
    account::Signer,
    profile::{ProfileBody, ProfileContext, Recipient},
};
use epione_primitives::{
    Moment,
    profile::{Profile, RegistrationStatus},
};

use super::{
    fake::{ELSEWHERE, HOSPITAL, genesis},
    grants::{POINTER, ask, committed, open, receipts, request},
    registrations::{delay, renew, rotated},
    world::{Actor, Raw, World},
};
use crate::api::{caller::Caller, recipient};

#[tokio::test]
async fn nothing_is_sealed_to_a_key_unknown_to_the_chain() {
    let (world, _) = committed().await;
    world.chain.facts().profiles.get_mut(&world.doctor.user).unwrap().sealing_key_hash =
        Default::default();
    assert_eq!(ask(&world, &world.doctor).await.refusal(), (409, "sealing-key".into()));
}

/// The actor with a new sealing key, which another hospital has sealed a profile to at once.
fn rotated_elsewhere(world: &World, actor: &Actor, ago: Moment) -> Actor {
    let thief = rotated(world, actor, ago);
    let context = ProfileContext { genesis: genesis(), hospital: ELSEWHERE, user: actor.user };
    let account = thief.keys.account();
    let user = Recipient { account: &account, key: thief.keys.sealing.public() };
    let other = &world.other_agent.keys;
    let sealing = other.sealing.public();
    let body = ProfileBody::for_professional(&context, "A person", user, sealing, other);
    let profile = world.chain.facts().profiles[&actor.user].clone();
    let profile = Profile { version: 2, ..profile };
    world.chain.register(ELSEWHERE, actor.user, profile, body.unwrap().encode());
    thief
}

#[tokio::test]
async fn another_hospital_cannot_confirm_a_thief_s_key_for_this_hospital_s_records() {
    let (world, _) = committed().await;
    // However long ago: this hospital has a profile of the doctor, with another key.
    for ago in [0, delay(), 30 * delay()] {
        let thief = rotated_elsewhere(&world, &world.doctor, ago);
        assert_eq!(ask(&world, &thief).await.refusal(), (409, "sealing-key".into()));
    }
    assert_eq!(receipts(&world), []);
    // After this hospital's own delay, its own profile has the key.
    let doctor = rotated_elsewhere(&world, &world.doctor, delay());
    assert_eq!(renew(&world, &doctor, &doctor.keys).await.status, 204);
    let granted = world.client(&doctor).grant(&request(&world, &doctor, &[POINTER])).await.unwrap();
    assert_eq!(open(&world, &doctor, &granted).len(), 3);
}

#[tokio::test]
async fn a_requester_of_another_hospital_waits_for_this_hospital_s_delay_after_a_rotation() {
    let (world, _) = committed().await;
    let patient = &world.patient;
    let end = |world: &World| {
        let key = (HOSPITAL, patient.user);
        let mut facts = world.chain.facts();
        facts.registrations.get_mut(&key).unwrap().status = RegistrationStatus::Ended;
    };
    // The fake chain's policies need a registration here, so the key is looked up directly.
    end(&world);
    let key = async |actor: &Actor| {
        let raw = Raw::get("/v1/info");
        let mut parts = http::Request::get(raw.target.clone()).body(()).unwrap().into_parts().0;
        parts.headers = raw.signed(actor);
        let caller = Caller::of(&world.state, &parts).await.unwrap();
        recipient::sealing_key(&world.state, &caller, actor.user).await
    };
    let thief = rotated_elsewhere(&world, patient, 0);
    let refused = key(&thief).await.unwrap_err();
    assert!(refused.problem().kind.ends_with("awaiting-confirmation"), "{refused:?}");
    let owner = rotated_elsewhere(&world, patient, delay());
    assert_eq!(key(&owner).await.unwrap(), *owner.keys.sealing.public());
    // First keys do not wait: the user's id follows from them.
    world.chain.facts().profiles.get_mut(&owner.user).unwrap().version = 1;
    world.chain.facts().profiles.get_mut(&owner.user).unwrap().since = crate::now();
    assert_eq!(key(&owner).await.unwrap(), *owner.keys.sealing.public());
}
