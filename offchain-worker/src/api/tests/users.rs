//! Requests of the governance, which the agent carries out on the chain.

use epione_client::{
    api::{RegisterUser, Relation},
    naming,
};
use epione_envelope::{
    account::Signer,
    profile::{ProfileBody, ProfileContext},
    record::SectionKind,
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    UserId,
    access::RelationshipKind,
    profile::{RegistrationStatus, Role},
};

use super::{
    fake::{ELSEWHERE, HOSPITAL, arguments, failure, genesis},
    world::{Actor, Raw, World},
};

fn registration_of(actor: &Actor, role: Role) -> RegisterUser {
    RegisterUser {
        user: actor.user,
        consent: naming::registration(&actor.account(), genesis(), HOSPITAL, actor.user, 0),
        role,
        account: actor.keys.account(),
        sealing_key: key_of(actor),
        name: "Jane Doe".into(),
    }
}

fn key_of(actor: &Actor) -> String {
    hex::encode(actor.keys.sealing.public().as_bytes())
}

fn body_of(world: &World, user: UserId) -> (Vec<u8>, ProfileBody, ProfileContext) {
    let facts = world.chain.facts();
    let bytes = facts.bodies[&facts.registrations[&(HOSPITAL, user)].body_hash].clone();
    let body = ProfileBody::decode_exactly(&bytes).unwrap();
    (bytes, body, ProfileContext { genesis: genesis(), hospital: HOSPITAL, user })
}

#[tokio::test]
async fn a_visit_can_be_submitted_for_a_registered_patient() {
    let world = World::new().await;
    let jane = Actor::new("Jane");
    let registered = world
        .client(&world.governance)
        .register(&registration_of(&jane, Role::Patient))
        .await
        .unwrap();
    assert_eq!(registered.hospital, HOSPITAL);
    let (bytes, body, context) = body_of(&world, registered.user);
    assert!(!bytes.windows(4).any(|window| window == b"Jane"));
    let agent = world.agent.keys.account();
    let name = body.name_for_hospital(&context, &world.agent.keys.sealing, &agent).unwrap();
    assert_eq!(name, "Jane Doe");
    let keys = body.patient_keys_for_patient(&context, &jane.keys.sealing, &agent).unwrap();
    assert_eq!(keys.versions(), 1);

    world.chain.facts().related.insert((world.doctor.user, registered.user));
    let doctor = world.doctor.user;
    let visit =
        epione_client::visit::VisitBuilder::new(genesis(), registered.user, HOSPITAL, doctor)
            .text(SectionKind::Summary, "Well.")
            .build(&world.doctor.account(), world.chain.newest())
            .await
            .unwrap();
    world.submit(&visit).await;
}

#[tokio::test]
async fn only_governance_registers_and_relates() {
    let world = World::new().await;
    let user = registration_of(&Actor::new("Jane"), Role::Nurse);
    for actor in [&world.doctor, &world.patient, &world.agent, &Actor::new("Bob")] {
        let reply = Raw::post_json("/v1/users", &user).send(&world, actor).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
        let reply = Raw::post_json("/v1/relations", &user).send(&world, actor).await;
        assert_eq!(reply.refusal(), (403, "forbidden".into()));
    }
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn invalid_registrations_are_rejected_before_sealing() {
    let world = World::new().await;
    let good = registration_of(&Actor::new("Jane"), Role::Patient);
    let jane = Actor::new("Jane").account();
    let consented = |hospital, user, version| RegisterUser {
        consent: naming::registration(&jane, genesis(), hospital, user, version),
        ..good.clone()
    };
    let taken = |actor: &Actor| RegisterUser { account: actor.keys.account(), ..good.clone() };
    let cases = [
        (RegisterUser { name: " ".into(), ..good.clone() }, 400, "name"),
        (RegisterUser { name: "x".repeat(256), ..good.clone() }, 400, "name"),
        (RegisterUser { sealing_key: "00".into(), ..good.clone() }, 400, "sealing-key"),
        (RegisterUser { consent: "zz".into(), ..good.clone() }, 400, "consent"),
        (consented(ELSEWHERE, good.user, 0), 400, "consent"),
        (consented(HOSPITAL, world.stranger.user, 0), 400, "consent"),
        (consented(HOSPITAL, good.user, 1), 400, "consent"),
        (
            RegisterUser { account: Actor::new("Joan").keys.account(), ..good.clone() },
            400,
            "consent",
        ),
        (RegisterUser { sealing_key: key_of(&Actor::new("Joan")), ..good.clone() }, 400, "user"),
        (taken(&world.doctor), 409, "account-taken"),
        (taken(&world.other_agent), 409, "account-taken"),
        (RegisterUser { user: world.patient.user, ..taken(&world.patient) }, 409, "registered"),
    ];
    for (user, status, kind) in cases {
        let reply = Raw::post_json("/v1/users", &user).send(&world, &world.governance).await;
        assert_eq!(reply.refusal(), (status, kind.to_owned()));
    }
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn an_id_that_somebody_saw_cannot_be_registered_for_other_keys() {
    let world = World::new().await;
    let (jane, thief) = (Actor::new("Jane"), Actor::new("Thief"));
    let consent = naming::registration(&thief.account(), genesis(), HOSPITAL, jane.user, 0);
    let stolen = registration_of(&thief, Role::Patient);
    let stolen = RegisterUser { user: jane.user, consent, ..stolen };
    let reply = Raw::post_json("/v1/users", &stolen).send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (400, "user".into()));
    assert!(world.chain.facts().calls.is_empty());
}

/// Ends the patient's registration; returns the patient's consent to another one.
fn ended(world: &World, patient: &Actor) -> String {
    let mut facts = world.chain.facts();
    let registration = facts.registrations.get_mut(&(HOSPITAL, patient.user)).unwrap();
    registration.status = RegistrationStatus::Ended;
    let version = registration.version;
    naming::registration(&patient.account(), genesis(), HOSPITAL, patient.user, version)
}

#[tokio::test]
async fn a_patient_who_registers_again_keeps_the_patient_key_and_gets_a_fresh_one() {
    let world = World::new().await;
    let patient = world.patient.clone();
    let keys_of = |world: &World| {
        let (_, body, context) = body_of(world, patient.user);
        let agent = world.agent.keys.account();
        body.patient_keys_for_patient(&context, &patient.keys.sealing, &agent).unwrap()
    };
    let before = keys_of(&world);
    let consent = ended(&world, &patient);
    let again = RegisterUser { consent, ..registration_of(&patient, Role::Patient) };
    world.client(&world.governance).register(&again).await.unwrap();
    let after = keys_of(&world);
    assert_eq!(after.versions(), 2);
    assert_eq!(after.get(1).unwrap().as_bytes(), before.newest().1.as_bytes());
    assert_ne!(after.newest().1.as_bytes(), before.newest().1.as_bytes());
}

#[tokio::test]
async fn earlier_patient_keys_are_not_sealed_to_a_key_that_the_chain_does_not_name() {
    let world = World::new().await;
    let consent = ended(&world, &world.patient);
    let sealing_key = key_of(&Actor::new("Thief"));
    let asked = registration_of(&world.patient, Role::Patient);
    let asked = RegisterUser { consent, sealing_key, ..asked };
    let reply = Raw::post_json("/v1/users", &asked).send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (409, "keys".into()));
    assert!(world.chain.facts().calls.is_empty());
}

#[tokio::test]
async fn the_chain_s_reason_is_passed_on() {
    let world = World::new().await;
    world.chain.facts().failure = Some(failure("Profiles", "InvalidConsent"));
    let user = registration_of(&Actor::new("Jane"), Role::Doctor);
    let reply = Raw::post_json("/v1/users", &user).send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (409, "chain-refused".into()));
    assert_eq!(reply.problem().detail.as_deref(), Some("Profiles::InvalidConsent"));
}

#[tokio::test]
async fn relationships_are_opened_and_closed_by_the_agent() {
    let world = World::new().await;
    let (patient, professional) = (world.patient.user, world.doctor.user);
    let kind = RelationshipKind::Treating;
    let expires = Some(crate::now() + 60_000);
    let relation = Relation { patient, professional, kind, expires };
    let governance = world.client(&world.governance);
    governance.relate(&relation).await.unwrap();
    let closing = Relation { expires: None, ..relation.clone() };
    governance.unrelate(&closing).await.unwrap();
    let calls = world.chain.facts().calls.clone();
    assert_eq!((calls[0].name, calls[1].name), ("relate", "unrelate"));
    assert_eq!(calls[0].arguments, arguments((patient, professional, HOSPITAL, kind, expires)));
    assert_eq!(calls[1].arguments, arguments((patient, professional, HOSPITAL, kind)));

    let past = Relation { expires: Some(1), ..relation.clone() };
    let reply = Raw::post_json("/v1/relations", &past).send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (400, "expiry".into()));
    let reply =
        Raw::post_json("/v1/relations/close", &relation).send(&world, &world.governance).await;
    assert_eq!(reply.refusal(), (400, "expiry".into()));
}

#[test]
fn a_public_sealing_key_survives_hexadecimal() {
    let jane = Actor::new("Jane");
    let bytes = hex::decode(registration_of(&jane, Role::Patient).sealing_key).unwrap();
    assert_eq!(&SealingPublicKey::from_bytes(&bytes).unwrap(), jane.keys.sealing.public());
}
