//! Dealers, accusers and newcomers that follow their own rules, and what thieves can open.

use std::sync::Arc;

use epione_client::chain::calls::consortium_key;
use epione_envelope::{
    dealing::{DealingContext, SealedShares},
    sealing_keys::{SealingKeyPair, SealingSuite},
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, Phase, SeatSet},
};
use epione_threshold::Share;
use epione_worker::consortium::Idle;
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
    for hospital in &mut world.hospitals {
        hospital.runs = true;
    }
    // All enrol again, so the threshold is the same.
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
    let accuse = |dealers| consortium_key::judge_dealings(CeremonyId(0), dealers);
    let refused = world.chain.submit(EVIL, &accuse(SeatSet::first(2)));
    assert_eq!(refused, Err(Error::<Test>::TooManyAccused.into()));
    world.chain.submit(EVIL, &accuse([1].into_iter().collect())).unwrap();
    world.until(|now| now == Phase::Answer).await;
    world.hospitals[0].runs = true;
    let epoch = world.first_epoch().await;
    let state = world.view().state.clone().unwrap();
    assert_eq!(state.ceremony.counted(), SeatSet::first(4), "nobody is out");
    let answered = |dealer: usize| state.answers[dealer].iter().map(|it| it.seat);
    assert_eq!(answered(1).collect::<Vec<_>>(), [0]);
    assert!([0, 2, 3].into_iter().all(|dealer| answered(dealer).next().is_none()));
    assert_eq!(world.shares(&epoch).await.len(), 4);
}

/// More dealers than may be faulty would publish a share each, and all parts of the mixing secret with them.
#[tokio::test]
async fn a_seat_that_more_dealers_cheat_than_may_be_faulty_accuses_nobody() {
    let (mut world, forger) = enrolled().await;
    let (third, genesis) = (world.hospitals[2].agent.clone(), world.chain.genesis());
    world.hospitals[2].runs = false;
    let threshold = world.chain.ceremony().unwrap().threshold.into();
    let other = Forger::new(HospitalId(2), third, genesis, threshold);
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    for dealer in [&forger, &other] {
        let deal = dealer.deal(CeremonyId(0), &keys, |seat| {
            let mut given = dealer.honest(seat);
            if seat == VICTIM {
                given.share = [0xff; 32];
            }
            given
        });
        world.chain.submit(dealer.id, &deal).unwrap();
    }
    world.until(|now| now == Phase::Judge).await;
    let called = world.only(1).await;
    let nobody = consortium_key::judge_dealings(CeremonyId(0), SeatSet::default());
    assert_eq!(called, [(nobody, Ok(()))]);
}

#[tokio::test]
async fn two_members_that_lie_do_not_stop_the_handover_to_a_committee_of_four() {
    let mut world = World::new(7).await;
    let first = world.first_epoch().await;
    world.choose(&[0, 1, 2, 3]);
    world.until(|now| now == Phase::Enrol).await;
    world.until(|now| now == Phase::Deal).await;
    let ceremony = world.chain.ceremony().unwrap();
    let genesis = world.chain.genesis();
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    for liar in [0, 1] {
        let held = world.hospitals[liar].share(first.ceremony).await.unwrap();
        let (id, agent) = (world.hospitals[liar].id, world.hospitals[liar].agent.clone());
        let (share, threshold) = (Share::decode(&held.share).unwrap(), ceremony.threshold.into());
        let forger = Forger::resharing(id, agent, genesis, &share, threshold);
        let deal = forger.deal(ceremony.id, &keys, |seat| {
            let mut given = forger.honest(seat);
            if seat.0 >= 2 {
                given.share = [0xff; 32];
            }
            given
        });
        world.chain.submit(id, &deal).unwrap();
    }
    let second = world.next_epoch(Some(first.id)).await;
    let judged = world.chain.ceremony().unwrap();
    let accusers: SeatSet = [2, 3].into_iter().collect();
    assert_eq!(judged.complaints[..2], [accusers; 2]);
    assert_eq!(judged.counted().iter().collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    let second = world.all_confirm(second.id).await;
    assert_eq!((second.members.len(), second.public_key()), (4, first.public_key()));
}

/// It did not judge, so the dealer's share for it was never published.
#[tokio::test]
async fn a_member_that_is_cheated_while_it_is_away_begins_a_ceremony_for_its_share() {
    let (mut world, forger) = enrolled().await;
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let deal = forger.deal(CeremonyId(0), &keys, |seat| {
        let mut given = forger.honest(seat);
        if seat == VICTIM {
            given.share = [0xff; 32];
        }
        given
    });
    world.chain.submit(EVIL, &deal).unwrap();
    world.until(|now| now == Phase::Judge).await;
    (world.hospitals[0].runs, world.hospitals[1].runs) = (true, false);
    let first = world.next_epoch(None).await;
    world.hospitals[1].restart().await;
    world.rest(5).await;
    assert_eq!(world.hospitals[1].idle, Some(Idle::NoResult));
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!(world.shares(&second).await.len(), 4);
    assert_eq!(second.public_key(), first.public_key());
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
async fn a_newcomer_confirms_before_any_member_and_a_false_link_deceives_nobody() {
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
    let honest = world.hospitals[5].act(&view, next, &bodies).await.calls.remove(0);
    let mut lie = honest.clone();
    let last = lie.arguments.len() - 1;
    lie.arguments[last] ^= 1;
    world.chain.submit(HospitalId(4), &lie).unwrap();
    world.hospitals[4].runs = false;
    let called = world.only(5).await;
    assert_eq!(called, [(honest.clone(), Ok(()))], "it takes the earlier secret from a dealer");
    assert_eq!(world.only(0).await, [(honest, Ok(()))], "a member confirms the same link");
    let second = world.next_epoch(Some(first.id)).await;
    let newcomer = world.hospitals[5].share(second.ceremony).await.unwrap();
    let followed = world.followed(&second, &newcomer, first.id);
    assert_eq!(Hash::from(followed.hash()), first.mixing);
    assert_eq!(second.public_key(), first.public_key());
}

#[tokio::test]
async fn a_newcomer_ignores_a_dealer_that_gives_a_false_earlier_secret() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.join().await;
    world.until(|now| now == Phase::Deal).await;
    world.hospitals[0].runs = false;
    let ceremony = world.chain.ceremony().unwrap();
    let held = world.hospitals[0].share(first.ceremony).await.unwrap();
    let (agent, genesis) = (world.hospitals[0].agent.clone(), world.chain.genesis());
    let (share, threshold) = (Share::decode(&held.share).unwrap(), ceremony.threshold.into());
    let forger = Forger::resharing(EVIL, agent, genesis, &share, threshold);
    assert_ne!(forger.honest(VICTIM).earlier, Some(*held.mixing));
    let keys = forger::keys(&world.view(), &world.chain.bodies);
    let deal = forger.deal(ceremony.id, &keys, |seat| forger.honest(seat));
    world.chain.submit(EVIL, &deal).unwrap();
    world.until(|now| now == Phase::Judge).await;
    let judge = consortium_key::judge_dealings(ceremony.id, SeatSet::default());
    world.chain.submit(EVIL, &judge).unwrap();
    world.until(|now| now == Phase::Confirm).await;
    assert!(world.chain.ceremony().unwrap().counted().contains(0), "its share is right");
    let called = world.only(4).await;
    assert_eq!((called[0].0.name, called[0].1), ("confirm", Ok(())));
    let second = world.next_epoch(Some(first.id)).await;
    let newcomer = world.hospitals[4].share(second.ceremony).await.unwrap();
    let followed = world.followed(&second, &newcomer, first.id);
    assert_eq!(Hash::from(followed.hash()), first.mixing);
}

/// What a thief has who copies the keystore and the journal of the victim later: the hospital's sealing key, the seed
/// of the agent's account, and the seed of another ceremony.
#[tokio::test]
async fn a_long_term_key_that_is_stolen_later_opens_no_sealed_share() {
    let mut world = World::new(4).await;
    world.until(|now| now == Phase::Judge).await;
    let (first_key, first_seed) = enrolment(&mut world).await;
    let account = blake3::hash(&VICTIM.0.to_be_bytes());
    let of_account = SealingKeyPair::from_seed(SealingSuite::XWing, account.as_bytes());
    let of_keystore = world.hospitals[1].sealing.clone();
    opens_with(&mut world, &first_seed, [&of_keystore, &of_account]).await;
    let epoch = world.first_epoch().await;
    world.round().await;
    assert_eq!(world.hospitals[1].enrolment(first_key).await, None, "the seed is gone");

    world.request_refresh();
    world.until(|now| now == Phase::Enrol).await;
    world.until(|now| now == Phase::Judge).await;
    let (second_key, second_seed) = enrolment(&mut world).await;
    assert_ne!(first_key, second_key, "each ceremony has a key of its own");
    for enrolled in [first_key, second_key] {
        for stolen in [&of_keystore, &of_account] {
            assert_ne!(enrolled, stolen.public().hash());
        }
    }
    opens_with(&mut world, &second_seed, [&of_keystore, &first_seed]).await;
    let second = world.next_epoch(Some(epoch.id)).await;
    world.all_confirm(second.id).await;
    world.round().await;
    assert!(world.hospitals[1].held().await.enrolments.is_empty());
}

/// The key with which the victim enrolled in the newest ceremony.
async fn enrolment(world: &mut World) -> (Hash, SealingKeyPair) {
    let hash = world.view().state.as_ref().unwrap().enrolments[1].unwrap();
    let seed = world.hospitals[1].enrolment(hash).await.unwrap();
    let keys = SealingKeyPair::from_seed(SealingSuite::XWing, &seed);
    assert_eq!(keys.public().hash(), hash);
    (hash, keys)
}

/// Opens what each dealer of the newest ceremony sealed to the victim, and tries it with stolen keys.
async fn opens_with(world: &mut World, own: &SealingKeyPair, stolen: [&SealingKeyPair; 2]) {
    let (view, genesis) = (world.view(), world.chain.genesis());
    let state = view.state.as_ref().unwrap();
    let ceremony = state.ceremony.id;
    let dealt: Vec<_> =
        state.ceremony.dealers.iter().zip(state.dealings.iter().flatten()).collect();
    assert_eq!(dealt.len(), 4);
    for (dealer, dealing) in dealt {
        let sealed = SealedShares::decode_exactly(&world.chain.bodies[&dealing.body]).unwrap();
        let context = DealingContext { genesis, ceremony, dealer: *dealer, seat: VICTIM };
        assert!(sealed.open(&context, own, &dealing.agent).is_ok());
        for stolen in stolen {
            assert!(sealed.open(&context, stolen, &dealing.agent).is_err());
        }
    }
}
