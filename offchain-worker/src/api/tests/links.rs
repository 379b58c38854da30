//! Temporary links are valid only while their grant is in force at the last finalized block.

use epione_primitives::{
    access::{Action, Purpose, SectionClass},
    profile::RegistrationStatus,
    release::{EmergencyReason, Right},
};

use super::{
    fake::HOSPITAL,
    grants::{POINTER, committed, of_sections, request, share},
    world::{Raw, Reply, World},
};

async fn follow(world: &World, url: &str) -> Reply {
    let target = url.strip_prefix(world.base.as_str().trim_end_matches('/')).unwrap();
    Raw::get(target).send_with(world, Default::default()).await
}

/// The URL of a link that was granted to the doctor, and that works.
async fn granted_link(world: &World) -> String {
    let asked = request(world, &world.doctor, &[POINTER]);
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    let url = granted.reply.links[0].url.clone();
    assert!(url.contains(&format!("grant={}", hex::encode(granted.grant.hash()))), "{url}");
    assert_eq!(follow(world, &url).await.status, 200);
    url
}

/// The response to every link that is not valid.
async fn bad_link(world: &World) -> Reply {
    follow(world, &format!("{}v1/segments/{}?mac=00", world.base, "00".repeat(32))).await
}

#[tokio::test]
async fn ending_a_relationship_revokes_its_links() {
    let (world, _) = committed().await;
    let url = granted_link(&world).await;
    let relation = (world.doctor.user, world.patient.user);
    world.chain.facts().related.remove(&relation);
    let refused = follow(&world, &url).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    assert_eq!(refused.body, bad_link(&world).await.body);
    world.chain.facts().related.insert(relation);
    assert_eq!(follow(&world, &url).await.status, 200);
}

#[tokio::test]
async fn suspending_a_user_revokes_their_links() {
    let (world, _) = committed().await;
    let url = granted_link(&world).await;
    let key = (HOSPITAL, world.doctor.user);
    let suspended = RegistrationStatus::Suspended;
    world.chain.facts().registrations.get_mut(&key).unwrap().status = suspended;
    assert_eq!(follow(&world, &url).await.status, 403);
}

/// The doctor may read media only while they are shared.
fn deny_private_media(world: &World) {
    let right = Right { action: Action::ReadMedia, class: SectionClass::Private };
    world.chain.facts().denied = vec![right];
}

#[tokio::test]
async fn a_link_ends_when_the_patient_shares_the_section_no_longer() {
    let (world, _) = committed().await;
    deny_private_media(&world);
    share(&world, POINTER, 0b10);
    let asked = world.doctor.signs(&of_sections(&world, &world.doctor, 0b10));
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    let url = &granted.reply.links[0].url;
    assert_eq!(follow(&world, url).await.status, 200);
    share(&world, POINTER, 0);
    assert_eq!(follow(&world, url).await.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_link_ends_when_the_consent_ends() {
    let (world, _) = committed().await;
    deny_private_media(&world);
    share(&world, POINTER, 0b10);
    let asked = world.doctor.signs(&of_sections(&world, &world.doctor, 0b10));
    let granted = world.client(&world.doctor).grant(&asked).await.unwrap();
    let url = &granted.reply.links[0].url;
    assert_eq!(follow(&world, url).await.status, 200);
    world.chain.facts().slots.withdraw(world.patient.user);
    assert_eq!(follow(&world, url).await.refusal(), (403, "forbidden".into()));
}

/// The doctor may read the texts of the same grant, although they are private.
#[tokio::test]
async fn a_private_text_does_not_keep_open_the_link_to_an_image_that_the_patient_unshares() {
    let (world, _) = committed().await;
    deny_private_media(&world);
    share(&world, POINTER, 0b111);
    let url = granted_link(&world).await;
    share(&world, POINTER, 0b001);
    assert_eq!(follow(&world, &url).await.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_link_without_a_receipt_is_refused() {
    let (world, _) = committed().await;
    let url = granted_link(&world).await;
    world.chain.facts().receipts.clear();
    let refused = follow(&world, &url).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    assert_eq!(refused.body, bad_link(&world).await.body);
}

#[tokio::test]
async fn a_link_of_an_emergency_ends_with_the_permission() {
    let (world, _) = committed().await;
    let rescuer = world.stranger.user;
    world.chain.facts().rescuers.insert(rescuer);
    let mut asked = world.request_of(&world.stranger, &[POINTER]);
    asked.purpose = Purpose::Emergency;
    asked.emergency = Some(EmergencyReason::LifeThreatening);
    let asked = world.stranger.signs(&asked);
    let granted = world.client(&world.stranger).grant(&asked).await.unwrap();
    let url = &granted.reply.links[0].url;
    assert_eq!(follow(&world, url).await.status, 200);
    world.chain.facts().rescuers.clear();
    assert_eq!(follow(&world, url).await.status, 403);
}

#[tokio::test]
async fn a_link_cannot_be_used_for_another_grant() {
    let (world, _) = committed().await;
    let url = granted_link(&world).await;
    let relation = (world.doctor.user, world.patient.user);
    world.chain.facts().related.remove(&relation);
    // The patient's grant is in force, but the doctor's link is not part of it.
    let asked = request(&world, &world.patient, &[POINTER]);
    let granted = world.client(&world.patient).grant(&asked).await.unwrap();
    let (place, query) = url.split_once("grant=").unwrap();
    let (_, rest) = query.split_once('&').unwrap();
    let moved = format!("{place}grant={}&{rest}", hex::encode(granted.grant.hash()));
    assert_eq!(follow(&world, &moved).await.refusal(), (403, "forbidden".into()));
}

#[tokio::test]
async fn without_its_node_the_worker_serves_no_link() {
    let (world, _) = committed().await;
    let url = granted_link(&world).await;
    world.chain.facts().away = true;
    assert_eq!(follow(&world, &url).await.refusal(), (503, "node".into()));
}
