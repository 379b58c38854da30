//! Dealers, accusers and newcomers that follow their own rules, and what thieves can open.

use std::sync::Arc;

use epione_client::chain::calls::consortium_key;
use epione_envelope::{
    dealing::{DealingContext, SealedShares},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, CeremonyResult, Phase, SeatSet},
};
use pallet_consortium_key::Error;

use super::{
    chain::Test,
    forger::{self, Forger},
    hospitals::World,
};

const EVIL: HospitalId = HospitalId(0);
const VICTIM: HospitalId = HospitalId(1);

/// A ceremony of four hospitals in which all have enrolled, and the first, whose worker does not run, will deal.
async fn enrolled() -> (World, Forger) {
    let mut world = World::new(4).await;
    world.until(|now| now == Phase::Deal).await;
    world.hospitals[0].runs = false;
    let (genesis, agent) = (world.chain.genesis(), world.hospitals[0].agent.clone());
    let threshold = world.chain.ceremony().unwrap().threshold.into();
    (world, Forger::new(EVIL, agent, genesis, threshold))
}

/// The seats that complained about the first dealer, after all have judged.
async fn accusers(world: &mut World) -> Vec<usize> {
    world.until(|now| now == Phase::Judge).await;
    world
        .chain
        .submit(EVIL, &consortium_key::judge_dealings(CeremonyId(0), SeatSet::default()))
        .unwrap();
    let mut ceremony = world.chain.ceremony().unwrap();
    while ceremony.judged.len() < 4 {
        world.round().await;
        ceremony = world.chain.ceremony().unwrap();
    }
    assert!(
        ceremony.complaints[1..].iter().all(|seats| seats.is_empty()),
        "an honest one is accused"
    );
    ceremony.complaints[0].iter().collect()
}

/// The dealers that count when the three honest members have begun the epoch.
async fn counted(world: &mut World) -> Vec<usize> {
    let epoch = world.next_epoch(None).await;
    assert_eq!(world.shares(&epoch).await.len(), 3);
    world.chain.ceremony().unwrap().counted().iter().collect()
}

#[tokio::test]
async fn one_wrong_share_is_noticed_and_the_dealer_counts_only_if_it_publishes_the_right_one() {
    for answers in [false, true] {
        let (mut world, forger) = enrolled().await;
        let keys = forger::keys(&world.view(), &world.chain.bodies);
        let deal = forger.deal(CeremonyId(0), &keys, |seat| {
            let mut given = forger.honest(seat);
            if seat == VICTIM {
                given.share = forger.honest(HospitalId(2)).share;
            }
            given
        });
        world.chain.submit(EVIL, &deal).unwrap();
        assert_eq!(accusers(&mut world).await, [1]);
        assert_eq!(world.chain.phase(), Some(Phase::Answer));
        let wrong = forger.answer(CeremonyId(0), 1, HospitalId(2));
        let refused = world.chain.submit(EVIL, &wrong);
        assert_eq!(refused, Err(Error::<Test>::WrongShare.into()));
        if answers {
            world.chain.submit(EVIL, &forger.answer(CeremonyId(0), 1, VICTIM)).unwrap();
        }
        let expected = if answers { vec![0, 1, 2, 3] } else { vec![1, 2, 3] };
        assert_eq!(counted(&mut world).await, expected);
    }
}

#[tokio::test]
async fn an_honest_dealing_of_the_same_form_is_accepted() {
    let (mut world, forger) = enrolled().await;
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let deal = forger.deal(CeremonyId(0), &keys, |seat| forger.honest(seat));
    world.chain.submit(EVIL, &deal).unwrap();
    assert!(accusers(&mut world).await.is_empty());
    assert_eq!(counted(&mut world).await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn another_part_of_the_mixing_secret_for_one_receiver_is_noticed() {
    let (mut world, forger) = enrolled().await;
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let deal = forger.deal(CeremonyId(0), &keys, |seat| {
        let mut given = forger.honest(seat);
        if seat == VICTIM {
            given.part = [9; 32];
        }
        given
    });
    world.chain.submit(EVIL, &deal).unwrap();
    assert_eq!(accusers(&mut world).await, [1]);
    assert_eq!(counted(&mut world).await, [1, 2, 3]);
}

#[tokio::test]
async fn shares_that_are_missing_or_sealed_to_another_key_are_noticed() {
    // Nothing for the victim; what the victim's key does not open; and what another seat's key opens.
    let of_nobody = SealingKeyPair::from_seed(SealingSuite::XWing, &[7; 32]).public().clone();
    for case in 0..3 {
        let (mut world, forger) = enrolled().await;
        let mut keys = forger::keys(&world.view(), &world.chain.bodies);
        match case {
            0 => drop(keys.remove(1)),
            1 => keys[1].1 = of_nobody.clone(),
            _ => keys[1].1 = keys[2].1.clone(),
        }
        let deal = forger.deal(CeremonyId(0), &keys, |seat| forger.honest(seat));
        world.chain.submit(EVIL, &deal).unwrap();
        assert_eq!(accusers(&mut world).await, [1], "{case}");
        assert_eq!(counted(&mut world).await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_dealer_that_cheats_two_seats_is_out_whatever_it_answers() {
    let (mut world, forger) = enrolled().await;
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let deal = forger.deal(CeremonyId(0), &keys, |seat| {
        let mut given = forger.honest(seat);
        if seat == VICTIM || seat == HospitalId(2) {
            given.share = [0xff; 32];
        }
        given
    });
    world.chain.submit(EVIL, &deal).unwrap();
    assert_eq!(accusers(&mut world).await, [1, 2]);
    assert_eq!(world.chain.phase(), Some(Phase::Confirm), "no answer can help");
    assert_eq!(counted(&mut world).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_dealing_of_an_earlier_ceremony_is_refused_in_another() {
    let (mut world, forger) = enrolled().await;
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let mut deal = forger.deal(CeremonyId(0), &keys, |seat| forger.honest(seat));
    // Its number comes first.
    let later = [&1_u32.to_le_bytes()[..], &deal.arguments[4..]].concat();
    for hospital in &mut world.hospitals {
        hospital.runs = false;
    }
    world.until(|now| matches!(now, Phase::Failed(_))).await;
    for hospital in &mut world.hospitals[1..] {
        hospital.runs = true;
    }
    world.until(|now| now == Phase::Deal).await;
    assert_eq!(world.chain.ceremony().unwrap().id, CeremonyId(1));
    assert_eq!(world.chain.submit(EVIL, &deal), Err(Error::<Test>::AnotherCeremony.into()));
    deal.arguments = later;
    assert_eq!(world.chain.submit(EVIL, &deal), Err(Error::<Test>::WrongProof.into()));
}

#[tokio::test]
async fn a_false_accuser_learns_and_publishes_its_own_shares_only() {
    let mut world = World::new(4).await;
    world.until(|now| now == Phase::Judge).await;
    world.hospitals[0].runs = false;
    let all = consortium_key::judge_dealings(CeremonyId(0), SeatSet::first(4));
    world.chain.submit(EVIL, &all).unwrap();
    world.until(|now| now == Phase::Answer).await;
    // Its own worker runs again, and answers what it accused itself of.
    world.hospitals[0].runs = true;
    let epoch = world.first_epoch().await;
    let state = world.view().state.clone().unwrap();
    assert_eq!(state.ceremony.counted(), SeatSet::first(4), "nobody is out");
    for answers in &state.answers {
        assert_eq!(answers.iter().map(|answer| answer.seat).collect::<Vec<_>>(), [0]);
    }
    assert_eq!(world.shares(&epoch).await.len(), 4);
}

#[tokio::test]
async fn honest_workers_answer_only_in_the_phase_of_answers_and_only_those_who_complained() {
    let mut world = World::new(4).await;
    world.until(|now| now == Phase::Judge).await;
    let accusation: SeatSet = [1].into_iter().collect();
    world.hospitals[0].runs = false;
    world.chain.submit(EVIL, &consortium_key::judge_dealings(CeremonyId(0), accusation)).unwrap();
    // The complaint is known, but the phase is not over: the second hospital judges, and reveals nothing.
    let called = world.only(1).await;
    assert_eq!(called.iter().map(|(call, _)| call.name).collect::<Vec<_>>(), ["judge"]);
    assert!(world.only(1).await.is_empty());
    world.until(|now| now == Phase::Answer).await;
    assert!(world.only(2).await.is_empty(), "nobody complained about the third");
    let called = world.only(1).await;
    assert_eq!(called.len(), 1);
    assert_eq!(called[0].0.name, "answer");
    assert_eq!(called[0].1, Ok(()));
}

#[tokio::test]
async fn a_newcomer_that_confirms_a_false_link_deceives_nobody() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.join().await;
    world.join().await;
    // The next ceremony begins by either of both newcomers, and both enrol.
    world.until(|now| now == Phase::Confirm).await;
    let ceremony = world.chain.ceremony().unwrap();
    assert_eq!((ceremony.seats.len(), ceremony.threshold), (6, 5));
    // The fifth hospital knows the secret, and lies about the link before anybody else confirms.
    let (view, next) = (world.view(), world.chain.block() + 1);
    let bodies = Arc::new(world.chain.bodies.clone());
    assert!(world.hospitals[4].act(&view, next, &bodies).await.calls.is_empty(), "it waits");
    let honest = world.only(0).await;
    assert_eq!(honest[0].1, Ok(()));
    let confirmed = world.view().state.as_ref().unwrap().confirmations[0].result;
    let lie = CeremonyResult { link: Some([0x11; 40]), ..confirmed };
    let confirm = consortium_key::confirm_ceremony(ceremony.id, &lie);
    world.chain.submit(HospitalId(4), &confirm).unwrap();
    world.hospitals[4].runs = false;
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!((second.link, second.mixing), (confirmed.link, confirmed.mixing));
    let newcomer = world.hospitals[5].share(second.ceremony).await.unwrap();
    let followed = world.followed(&second, &newcomer, first.id);
    assert_eq!(Hash::from(followed.hash()), first.mixing);
    assert_eq!(second.public_key(), first.public_key());
}

#[tokio::test]
async fn a_newcomer_ignores_a_false_link_that_comes_first() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.join().await;
    world.join().await;
    world.until(|now| now == Phase::Confirm).await;
    let ceremony = world.chain.ceremony().unwrap();
    // A look at what the members will confirm, without their calls.
    let (view, next) = (world.view(), world.chain.block() + 1);
    let bodies = Arc::new(world.chain.bodies.clone());
    let honest = world.hospitals[0].act(&view, next, &bodies).await.calls.remove(0);
    let mut lie = honest.clone();
    let last = lie.arguments.len() - 1;
    lie.arguments[last] ^= 1;
    world.chain.submit(HospitalId(4), &lie).unwrap();
    world.hospitals[4].runs = false;
    assert!(world.only(5).await.is_empty(), "the false link opens nothing, so it waits");
    world.chain.submit(EVIL, &honest).unwrap();
    let called = world.only(5).await;
    assert_eq!(called[0].0, honest, "it confirms the members' link");
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!(second.ceremony, ceremony.id);
}

#[tokio::test]
async fn a_long_term_key_that_is_stolen_later_opens_no_sealed_share() {
    let mut world = World::new(4).await;
    world.until(|now| now == Phase::Judge).await;
    let (view, genesis) = (world.view(), world.chain.genesis());
    let state = view.state.as_ref().unwrap();
    let key = state.enrolments[1].unwrap();
    let ephemeral = world.hospitals[1].enrolment(key).await.unwrap();
    let ephemeral = SealingKeyPair::from_seed(SealingSuite::XWing, &ephemeral);
    // All that is in a keystore: a sealing key, and the seed of the agent's account.
    let sealing = SealingKeyPair::generate(SealingSuite::XWing);
    let account = blake3::hash(&VICTIM.0.to_be_bytes());
    let account = SealingKeyPair::from_seed(SealingSuite::XWing, account.as_bytes());
    for (dealer, dealing) in (0..).map(HospitalId).zip(state.dealings.iter().flatten()) {
        let sealed = SealedShares::decode_exactly(&world.chain.bodies[&dealing.body]).unwrap();
        let agent = world.hospitals[usize::from(dealer.0)].agent.id();
        let ceremony = state.ceremony.id;
        let context = DealingContext { genesis, ceremony, dealer, seat: VICTIM };
        assert!(sealed.open(&context, &ephemeral, &agent).is_ok());
        for stolen in [&sealing, &account] {
            assert!(sealed.open(&context, stolen, &agent).is_err());
        }
    }
    let epoch = world.first_epoch().await;
    world.round().await;
    assert_eq!(world.hospitals[1].enrolment(key).await, None, "the key that opens them is gone");
    assert_eq!(world.shares(&epoch).await.len(), 4);
}
