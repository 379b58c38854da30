//! Of what parts of openings are made: shares, mixing secrets and wraps. The cryptography is real.

use base64::{Engine, engine::general_purpose::STANDARD};
use epione_envelope::opening::{PartialContext, SealedPartial};
use epione_primitives::{
    Hash,
    consortium::{Epoch, EpochId, KeyId},
    opening::OpeningId,
    sharing::SlotId,
};
use epione_threshold::{Commitments, Index, Partial};

use super::{
    fake::{ELSEWHERE, HOSPITAL, openings::publish},
    grants::POINTER,
    partials::{Opened, SECTIONS, SLOT, partial_of, reply_of},
};
use crate::config::Limits;

#[tokio::test]
async fn a_worker_without_the_share_of_the_epoch_hands_out_nothing() {
    let opened = Opened::without_share(Limits::default()).await;
    let journal = &opened.world.journal;
    opened.assert_refused(409, "no-share", "no share").await;
    // Of another ceremony.
    let next = opened.key.reshared();
    next.give_own(journal).await;
    opened.assert_refused(409, "no-share", "a share of the next epoch").await;
    next.begin(&mut opened.world.chain.facts());
    assert_eq!(opened.ask().await.status, 200);

    let opened = Opened::without_share(Limits::default()).await;
    let (key, journal) = (&opened.key, &opened.world.journal);
    key.give(journal, ELSEWHERE, &key.mixing).await;
    opened.assert_refused(409, "no-share", "another hospital's share").await;
    key.give(journal, HOSPITAL, &key.reshared().mixing).await;
    opened.assert_refused(409, "no-share", "another mixing secret").await;
    key.give_own(journal).await;
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn a_wrap_of_an_earlier_epoch_opens_with_new_shares() {
    let opened = Opened::new().await;
    let (second, world) = (opened.key.reshared(), &opened.world);
    let third = second.reshared();
    for key in [&second, &third] {
        key.give_own(&world.journal).await;
        key.begin(&mut world.chain.facts());
    }
    let content = opened.open(&reply_of(&opened.ask().await), &third);
    assert_eq!(opened.unwrap(&content, &third), opened.expected_keys());
    // Parts of different epochs do not fit together.
    let other = opened.key.share(ELSEWHERE);
    let other = Partial::make(&other, &opened.points(), b"", &[1; 32]).unwrap();
    let [here, there] = [HOSPITAL, ELSEWHERE].map(|id| Index::of_hospital(id.0));
    let mixed = Partial::combine(&[(here, &partial_of(&content)), (there, &other)]).unwrap();
    let (label, wrap) = &opened.wraps()[0];
    assert!(wrap.open(label, &content.mixing[0], &mixed[0]).is_none());

    // A later epoch: the recorded part is of the third.
    let fourth = third.reshared();
    fourth.give_own(&world.journal).await;
    fourth.begin(&mut world.chain.facts());
    opened.assert_refused(409, "epoch-changed", "new shares").await;
}

#[tokio::test]
async fn a_mixing_secret_that_does_not_follow_from_the_next_one_is_not_used() {
    let opened = Opened::new().await;
    let second = opened.key.reshared();
    second.give_own(&opened.world.journal).await;
    type Damage = (&'static str, fn(&mut Epoch));
    let damages: [Damage; 2] = [
        ("no link", |epoch| epoch.link = None),
        ("a damaged link", |epoch| epoch.link = epoch.link.map(|link| link.map(|byte| byte ^ 1))),
    ];
    for (what, damage) in damages {
        {
            let mut facts = opened.world.chain.facts();
            second.begin(&mut facts);
            damage(facts.openings.epochs.get_mut(&second.epoch.id).unwrap());
        }
        opened.assert_refused(500, "internal", what).await;
    }
    // A link that opens, to another secret than the earlier epoch's.
    second.begin(&mut opened.world.chain.facts());
    let first = EpochId(0);
    let set = |mixing| {
        let mut facts = opened.world.chain.facts();
        facts.openings.epochs.get_mut(&first).unwrap().mixing = mixing;
    };
    set(Hash::repeat_byte(1));
    opened.assert_refused(500, "internal", "another mixing secret").await;
    set(opened.key.epoch.mixing);
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn nothing_is_handed_out_for_a_wrap_that_is_not_bound_to_its_section() {
    let opened = Opened::new().await;
    let (patient, key) = (opened.world.patient.user, &opened.key);
    let good = opened.body(|section| key.label(ELSEWHERE, patient, SLOT, POINTER, section));
    let swapped = [&good[168..], &good[..168]].concat();
    let doctor = opened.world.doctor.user;
    for (what, body) in [
        ("the wraps of each other's section", swapped),
        ("too few bytes", good[..168].to_vec()),
        ("too many bytes", [&good[..], &good[..168]].concat()),
        ("a part of a wrap", good[..300].to_vec()),
        (
            "a transplant from another patient's record",
            opened.body(|section| key.label(ELSEWHERE, doctor, SLOT, POINTER, section)),
        ),
        (
            "a transplant from another slot",
            opened.body(|section| key.label(ELSEWHERE, patient, SlotId(3), POINTER, section)),
        ),
        ("nonsense", vec![0xff; 336]),
    ] {
        publish(&mut opened.world.chain.facts(), (POINTER, SLOT), ELSEWHERE, SECTIONS, body);
        opened.assert_refused(500, "internal", what).await;
    }
    // The wraps say another epoch or key than their labels.
    publish(&mut opened.world.chain.facts(), (POINTER, SLOT), ELSEWHERE, SECTIONS, good);
    let set = |key: KeyId| {
        let mut facts = opened.world.chain.facts();
        facts.openings.wraps.get_mut(&(POINTER, SLOT)).unwrap().key = key;
    };
    set(KeyId(0));
    opened.assert_refused(409, "not-wrapped", "an earlier key").await;
    set(KeyId(1));
    let bodies = std::mem::take(&mut opened.world.chain.facts().bodies);
    let wraps = opened.world.chain.facts().openings.wraps[&(POINTER, SLOT)].body;
    let rest = bodies.iter().filter(|(hash, _)| **hash != wraps);
    opened.world.chain.facts().bodies = rest.map(|(hash, it)| (*hash, it.clone())).collect();
    opened.assert_refused(503, "node", "a body that the node does not have yet").await;
    opened.world.chain.facts().bodies = bodies;
    assert_eq!(opened.ask().await.status, 200);
}

#[tokio::test]
async fn an_intercepted_part_opens_for_nobody_else() {
    let opened = Opened::new().await;
    let world = &opened.world;
    let reply = reply_of(&opened.ask().await);
    let sealed = STANDARD.decode(&reply.partial).unwrap();
    let sealed = SealedPartial::decode_exactly(&sealed).unwrap();
    let (context, agent) = (opened.context(EpochId(0)), world.agent.account().id());
    for other in [&world.doctor, &world.patient, &world.other_agent, &world.agent] {
        assert!(sealed.open(&context, &other.keys.sealing, &agent).is_err());
    }
    // Nor is it a part of another opening, or another hospital's.
    let keys = &world.stranger.keys.sealing;
    let moved = PartialContext { opening: OpeningId(7), ..context };
    assert!(sealed.open(&moved, keys, &agent).is_err());
    assert!(sealed.open(&context, keys, &world.other_agent.account().id()).is_err());
    let content = opened.open(&reply, &opened.key);
    let commitments = Commitments::decode(&opened.key.epoch.commitments).unwrap();
    let public = commitments.evaluate(Index::of_hospital(HOSPITAL.0)).unwrap();
    let for_doctor = context.proof_context(world.doctor.keys.sealing.public().hash());
    assert!(!partial_of(&content).check(&public, &opened.points(), &for_doctor));
}
