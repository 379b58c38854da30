//! Members that stop, are slow, are killed, or whose node or journal has a fault, in each phase.

use std::sync::Arc;

use epione_primitives::consortium::{CeremonyId, EpochId, Failure, Phase};
use epione_threshold::MixingSecret;
use epione_worker::consortium::{Act, Idle};

use super::{
    chain::SCHEDULE,
    hospitals::{World, open, some, wrap},
};

const PHASES: [Phase; 4] = [Phase::Enrol, Phase::Deal, Phase::Judge, Phase::Confirm];
const LAST: usize = 3;

/// A ceremony of four hospitals has come to a phase; nobody has acted in it.
async fn at(phase: Phase) -> World {
    let mut world = World::new(4).await;
    let begun = world.only(0).await;
    assert_eq!(begun[0].0.name, "begin");
    world.until(|now| now == phase).await;
    world
}

#[tokio::test]
async fn a_member_that_stops_in_any_phase_stops_no_ceremony_and_catches_up() {
    for phase in PHASES {
        let mut world = at(phase).await;
        world.hospitals[LAST].runs = false;
        let epoch = world.next_epoch(None).await;
        let has_enrolled = phase != Phase::Enrol;
        assert_eq!(epoch.threshold, if has_enrolled { 3 } else { 2 });
        assert_eq!(epoch.members.len(), if has_enrolled { 4 } else { 3 }, "{phase:?}");
        let shares = world.shares(&epoch).await;
        assert_eq!(shares.len(), 3);
        let wrapped = wrap(&epoch, &shares[&world.hospitals[0].id]);
        world.hospitals[LAST].restart().await;
        // It computes its share late; or it gets a seat in the next ceremony.
        let epoch = match has_enrolled {
            true => epoch,
            false => world.next_epoch(Some(epoch.id)).await,
        };
        let epoch = world.all_confirm(epoch.id).await;
        let shares = world.shares(&epoch).await;
        assert_eq!(shares.len(), 4, "{phase:?}");
        let last = world.hospitals[LAST].id;
        let mixing = world.followed(&epoch, &shares[&last], EpochId(0));
        let with_last = some(&shares, 4)[1..].to_vec();
        assert!(open(&wrapped, &mixing, &with_last).is_some(), "{phase:?}");
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_in_each_phase_deals_and_confirms_the_same() {
    for phase in PHASES {
        let mut world = at(phase).await;
        let id = world.chain.ceremony().unwrap().id;
        // It acts, and is killed before its call is in a block.
        let (view, next) = (world.view(), world.chain.block() + 1);
        let bodies = Arc::new(world.chain.bodies.clone());
        let before = world.hospitals[LAST].act(&view, next, &bodies).await;
        world.hospitals[LAST].restart().await;
        let after = world.hospitals[LAST].act(&view, next, &bodies).await;
        assert_eq!(before.calls.len(), 1, "{phase:?}");
        assert_eq!(before.calls, after.calls, "{phase:?}");
        let epoch = world.first_epoch().await;
        assert_eq!((epoch.ceremony, epoch.members.len()), (id, 4), "{phase:?}");
        assert_eq!(world.shares(&epoch).await.len(), 4);
    }
}

#[tokio::test]
async fn all_workers_are_killed_in_each_phase_of_one_ceremony() {
    let mut world = World::new(4).await;
    for phase in PHASES {
        world.until(|now| now == phase).await;
        for hospital in &mut world.hospitals {
            hospital.restart().await;
        }
    }
    let epoch = world.first_epoch().await;
    assert_eq!((epoch.ceremony, epoch.members.len()), (CeremonyId(0), 4));
}

#[tokio::test]
async fn a_slow_member_takes_part_within_the_time_of_a_phase() {
    let mut world = World::new(4).await;
    world.hospitals[LAST].pace = SCHEDULE.phase - 5;
    let epoch = world.first_epoch().await;
    assert_eq!((epoch.ceremony, epoch.members.len()), (CeremonyId(0), 4));
}

#[tokio::test]
async fn with_too_few_members_the_earlier_epoch_goes_on_until_they_are_back() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.request_refresh();
    for phase in [Phase::Enrol, Phase::Deal, Phase::Confirm] {
        let stop = |world: &mut World| {
            world.hospitals[2..].iter_mut().for_each(|hospital| hospital.runs = false);
        };
        if phase == Phase::Enrol {
            stop(&mut world);
        }
        world.until(|now| now == Phase::Enrol).await;
        world.until(|now| now == phase).await;
        stop(&mut world);
        world.until(|now| matches!(now, Phase::Failed(_))).await;
        let expected = match phase {
            Phase::Enrol => Failure::TooFewSeats,
            Phase::Deal => Failure::TooFewDealers,
            _ => Failure::TooFewConfirmed,
        };
        assert_eq!(world.chain.phase(), Some(Phase::Failed(expected)));
        assert_eq!(world.chain.current().unwrap(), first);
        for hospital in &mut world.hospitals[2..] {
            hospital.restart().await;
        }
    }
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!(second.public_key(), first.public_key());
    world.rest(1).await;
    for hospital in &world.hospitals {
        let shares = hospital.held().await.shares;
        assert_eq!(shares, [second.ceremony], "none of the failed ones is left");
    }
}

#[tokio::test]
async fn a_member_whose_node_has_no_bodies_blames_nobody_and_confirms_when_they_are_there() {
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].is_blind = true;
    let begun = world.chain.ceremony().unwrap();
    for _ in 0..SCHEDULE.phase / 2 {
        world.round().await;
    }
    assert_eq!(world.hospitals[LAST].idle, Some(Idle::Bodies));
    assert_eq!(world.chain.phase(), Some(Phase::Judge), "it has not judged yet");
    world.until(|now| now != Phase::Judge).await;
    assert_eq!(world.chain.phase(), Some(Phase::Confirm), "nobody publishes a share");
    assert!(world.chain.block() < begun.deadline, "it judged in time");
    let epoch = world.next_epoch(None).await;
    world.rest(30).await;
    assert_eq!(world.shares(&epoch).await.len(), 3);
    world.hospitals[LAST].is_blind = false;
    let epoch = world.all_confirm(epoch.id).await;
    let shares = world.shares(&epoch).await;
    let wrapped = wrap(&epoch, &shares[&world.hospitals[0].id]);
    let mixing = world.followed(&epoch, &shares[&world.hospitals[LAST].id], epoch.id);
    assert!(open(&wrapped, &mixing, &some(&shares, 4)[1..]).is_some());
}

/// The account that dealt signed the sealed shares, whatever account the hospital has when a seat opens them.
#[tokio::test]
async fn a_dealer_that_rotates_its_agent_account_stops_no_ceremony() {
    for phase in [Phase::Judge, Phase::Confirm] {
        let mut world = at(phase).await;
        let id = world.chain.ceremony().unwrap().id;
        world.rotate(0);
        world.rotate(LAST);
        let epoch = world.first_epoch().await;
        assert_eq!((epoch.ceremony, epoch.members.len()), (id, 4), "{phase:?}");
        let ceremony = world.chain.ceremony().unwrap();
        assert!(ceremony.complaints.iter().all(|seats| seats.is_empty()), "{phase:?}");
    }
    // Before a member that was away computes its share.
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].runs = false;
    let epoch = world.next_epoch(None).await;
    world.rotate(0);
    world.hospitals[LAST].restart().await;
    world.all_confirm(epoch.id).await;
    assert_eq!(world.shares(&epoch).await.len(), 4);
}

/// The journal has what it dealt, and the chain does not: the account that sealed it has rotated before the call was in
/// a block. The shares are the same, so that a call that is still on its way does no harm.
#[tokio::test]
async fn a_dealer_that_rotates_before_its_dealing_is_on_the_chain_seals_the_same_shares_again() {
    let mut world = at(Phase::Deal).await;
    let id = world.chain.ceremony().unwrap().id;
    let (view, next) = (world.view(), world.chain.block() + 1);
    let bodies = Arc::new(world.chain.bodies.clone());
    let before = world.hospitals[LAST].act(&view, next, &bodies).await;
    world.rotate(LAST);
    let after = world.hospitals[LAST].act(&view, next, &bodies).await;
    let dealt = |act: &Act| {
        assert_eq!((act.calls.len(), act.calls[0].name), (1, "deal"));
        act.calls[0].arguments.clone()
    };
    let (before, after) = (dealt(&before), dealt(&after));
    assert_ne!(before, after, "another account sealed");
    // The number of the ceremony, and three commitments with their count.
    let commitments = 4 + 1 + 3 * 32;
    assert_eq!(before[..commitments], after[..commitments]);
    world.hospitals[LAST].restart().await;
    let again = world.hospitals[LAST].act(&view, next, &bodies).await;
    assert_eq!(dealt(&again), after, "the journal has it");

    let epoch = world.first_epoch().await;
    assert_eq!((epoch.ceremony, epoch.members.len()), (id, 4));
    let ceremony = world.chain.ceremony().unwrap();
    assert!(ceremony.complaints.iter().all(|seats| seats.is_empty()));
    assert!(ceremony.counted().contains(LAST));
}

/// It could begin a ceremony for a share, and needs none.
#[tokio::test]
async fn a_member_that_was_away_for_long_confirms_and_begins_nothing() {
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].runs = false;
    let epoch = world.next_epoch(None).await;
    world.rest(2 * SCHEDULE.phase).await;
    world.hospitals[LAST].restart().await;
    let called = world.only(LAST).await;
    let names: Vec<_> = called.iter().map(|(call, result)| (call.name, *result)).collect();
    assert_eq!(names, [("confirm", Ok(()))]);
    assert_eq!(world.chain.epoch(epoch.id).confirmed.len(), 4);
}

/// The next ceremonies, also if they fail, take nothing from a member that was away.
#[tokio::test]
async fn a_member_that_was_away_confirms_while_a_later_ceremony_runs() {
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].runs = false;
    let first = world.next_epoch(None).await;
    world.request_refresh();
    world.until(|now| now == Phase::Enrol).await;
    // It fails, and another one begins.
    world.hospitals[2].runs = false;
    world.until(|now| matches!(now, Phase::Failed(_))).await;
    world.until(|now| now == Phase::Enrol).await;
    world.hospitals[LAST].restart().await;
    let before = world.chain.ceremony().unwrap().id;
    assert!(before > first.ceremony);
    let called = world.only(LAST).await;
    let names: Vec<_> = called.iter().map(|(call, result)| (call.name, *result)).collect();
    assert_eq!(names, [("confirm", Ok(())), ("enrol", Ok(()))]);
    assert_eq!(world.chain.epoch(first.id).confirmed.len(), 4);
    assert_eq!(world.shares(&first).await.len(), 4);
    // It deals what it has got.
    world.hospitals[2].runs = true;
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!((second.ceremony, second.members.len()), (before, 4));
}

/// One hospital is absent at the enrolment, and another one is silent after it.
#[tokio::test]
async fn an_epoch_without_an_absent_hospital_does_without_another_one() {
    let mut world = at(Phase::Enrol).await;
    world.hospitals[LAST].runs = false;
    let first = world.next_epoch(None).await;
    assert_eq!((first.members.len(), first.threshold), (3, 2));
    let first = world.all_confirm(first.id).await;
    let shares = world.shares(&first).await;
    let wrapped = wrap(&first, &shares[&world.hospitals[0].id]);
    let mixing = MixingSecret::from_bytes(*shares[&world.hospitals[1].id].mixing);
    assert!(open(&wrapped, &mixing, &some(&shares, 3)[1..]).is_some());
    assert!(open(&wrapped, &mixing, &some(&shares, 1)).is_none());

    world.hospitals[0].runs = false;
    world.hospitals[LAST].restart().await;
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    let members: Vec<_> = second.members.iter().map(|member| member.0).collect();
    assert_eq!((members, second.threshold), (vec![1, 2, 3], 2));
    let shares = world.shares(&second).await;
    let mixing = world.followed(&second, &shares[&world.hospitals[LAST].id], first.id);
    assert!(open(&wrapped, &mixing, &some(&shares, 3)[1..]).is_some());
}

#[tokio::test]
async fn a_body_that_comes_in_time_causes_no_complaint() {
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].is_blind = true;
    for _ in 0..SCHEDULE.phase / 2 {
        world.round().await;
    }
    world.hospitals[LAST].is_blind = false;
    world.until(|now| now == Phase::Confirm).await;
    let judged = world.chain.ceremony().unwrap();
    assert!(judged.complaints.iter().all(|seats| seats.is_empty()));
}

#[tokio::test]
async fn a_lost_journal_is_a_lost_share_until_the_members_renew_theirs() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.hospitals[LAST].lose_journal().await;
    world.rest(30).await;
    assert_eq!(world.shares(&first).await.len(), 3);
    world.request_refresh();
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!(world.shares(&second).await.len(), 4);
}

#[tokio::test]
async fn a_member_that_loses_its_journal_in_a_ceremony_publishes_no_share_and_stops_nobody() {
    let mut world = at(Phase::Judge).await;
    world.hospitals[LAST].lose_journal().await;
    let epoch = world.next_epoch(None).await;
    let ceremony = world.chain.ceremony().unwrap();
    assert!(ceremony.complaints.iter().all(|seats| seats.is_empty()));
    assert_eq!(world.shares(&epoch).await.len(), 3);
    world.rest(5).await;
    assert_eq!(world.hospitals[LAST].idle, Some(Idle::NoSeed));
}

#[tokio::test]
async fn the_worker_of_a_removed_hospital_does_nothing_and_forgets_its_share() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.chain.set_active(world.hospitals[LAST].id, false);
    let second = world.next_epoch(Some(first.id)).await;
    world.rest(5).await;
    assert_eq!(second.members.len(), 3);
    assert!(world.hospitals[LAST].held().await.shares.is_empty());
    assert_eq!(world.hospitals[LAST].idle, Some(Idle::Waiting));
}

#[tokio::test]
async fn two_changes_of_members_at_once_are_followed_by_one_ceremony_after_the_other() {
    let mut world = World::new(7).await;
    let first = world.first_epoch().await;
    world.chain.set_active(world.hospitals[1].id, false);
    world.until(|now| now == Phase::Deal).await;
    // While the ceremony runs, another member leaves, and a new hospital comes.
    world.chain.set_active(world.hospitals[2].id, false);
    world.hospitals[2].runs = false;
    world.join().await;
    let mut last = first.clone();
    for _ in 0..4 {
        last = world.next_epoch(Some(last.id)).await;
        let members: Vec<_> = last.members.iter().map(|member| member.0).collect();
        if members == [0, 3, 4, 5, 6, 7] {
            assert_eq!(last.public_key(), first.public_key());
            return;
        }
    }
    panic!("the members are {:?}", last.members);
}
