//! What members with their shares can open, over all epochs.

use epione_primitives::{
    HospitalId,
    consortium::{EpochId, KeyId, Phase},
};
use epione_threshold::MixingSecret;
use epione_worker::consortium::Idle;

use super::{
    chain::SCHEDULE,
    hospitals::{KEY, World, open, some, wrap},
};

fn seats(ids: &[u16]) -> Vec<HospitalId> {
    ids.iter().copied().map(HospitalId).collect()
}

#[tokio::test]
async fn a_wrap_of_the_first_epoch_opens_in_the_last_and_shares_of_two_epochs_open_nothing() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    assert_eq!((first.members.to_vec(), first.threshold), (seats(&[0, 1, 2, 3]), 3));
    let old = world.shares(&first).await;
    let wrapped = wrap(&first, &old[&HospitalId(0)]);
    let mixing = MixingSecret::from_bytes(*old[&HospitalId(1)].mixing);
    assert_eq!(open(&wrapped, &mixing, &some(&old, 3)), Some(KEY));
    assert_eq!(open(&wrapped, &mixing, &some(&old, 2)), None, "fewer than the threshold");

    // A fifth hospital, then without the second, then new shares for the same members.
    world.join().await;
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!((second.members.to_vec(), second.threshold), (seats(&[0, 1, 2, 3, 4]), 4));
    world.all_confirm(second.id).await;
    let newer = world.shares(&second).await;
    assert_eq!(newer.len(), 5);
    let followed = world.followed(&second, &newer[&HospitalId(4)], first.id);
    assert_eq!(open(&wrapped, &followed, &some(&newer, 4)), Some(KEY), "also the newcomer's");
    // Each of them is from one epoch, and together they are enough in number.
    let mixed = [some(&old, 2), some(&newer, 5)[2..].to_vec()].concat();
    assert_eq!(open(&wrapped, &followed, &mixed), None);

    world.chain.set_active(HospitalId(1), false);
    let third = world.next_epoch(Some(second.id)).await;
    assert_eq!((third.members.to_vec(), third.threshold), (seats(&[0, 2, 3, 4]), 3));
    world.all_confirm(third.id).await;
    world.request_refresh();
    let fourth = world.next_epoch(Some(third.id)).await;
    let fourth = world.all_confirm(fourth.id).await;
    assert_eq!(fourth.members, third.members);
    for epoch in [&second, &third, &fourth] {
        assert_eq!(epoch.public_key(), first.public_key());
        assert_eq!((epoch.key, epoch.link.is_some()), (KeyId(0), true));
    }
    let last = world.shares(&fourth).await;
    let followed = world.followed(&fourth, &last[&HospitalId(3)], EpochId(0));
    assert_eq!(open(&wrapped, &followed, &some(&last, 3)), Some(KEY));
}

#[tokio::test]
async fn a_removed_hospital_opens_nothing_with_one_member_less_than_the_threshold() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    let removed = world.shares(&first).await[&HospitalId(3)].clone();
    let before = wrap(&first, &removed);
    world.chain.set_active(HospitalId(3), false);
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!((second.members.len(), second.threshold), (3, 2));
    let members = world.shares(&second).await;
    let after = wrap(&second, &members[&HospitalId(0)]);

    let conspirators = [some(&members, 1), vec![(HospitalId(3), removed.clone())]].concat();
    let old = MixingSecret::from_bytes(*removed.mixing);
    let new = MixingSecret::from_bytes(*members[&HospitalId(0)].mixing);
    assert_eq!(open(&before, &old, &conspirators), None);
    assert_eq!(open(&after, &new, &conspirators), None);
    assert_eq!(open(&after, &old, &some(&members, 2)), None, "it does not know the new secret");
    assert_eq!(open(&after, &new, &some(&members, 2)), Some(KEY));
    assert!(old.follow(&second.link.unwrap()).is_none(), "links lead to earlier secrets only");
}

#[tokio::test]
async fn members_renew_their_shares_by_themselves_when_an_epoch_is_old() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    let age = world.chain.block() - first.since;
    world.rest(60).await;
    assert_eq!(world.chain.current().unwrap().id, first.id, "nothing was due");
    world.chain.pass(SCHEDULE.refresh - age - 60);
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!(second.public_key(), first.public_key());
    assert_ne!(second.commitments, first.commitments);
    assert_ne!(second.mixing, first.mixing);
}

#[tokio::test]
async fn what_nobody_needs_any_more_is_erased_when_its_time_has_come() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    world.round().await;
    for hospital in &world.hospitals {
        let held = hospital.held().await;
        assert_eq!(held.shares, [first.ceremony]);
        assert!(held.dealings.is_empty() && held.enrolments.is_empty(), "{held:?}");
    }
    world.request_refresh();
    world.until(|now| now == Phase::Confirm).await;
    world.hospitals[3].runs = false;
    let second = world.next_epoch(Some(first.id)).await;
    world.rest(50).await;
    // If one of the three that have confirmed is faulty, only shares of the first epoch are as many as the threshold.
    for hospital in &world.hospitals[..3] {
        assert_eq!(hospital.held().await.shares, [first.ceremony, second.ceremony]);
    }
    world.hospitals[3].restart().await;
    world.all_confirm(second.id).await;
    world.round().await;
    for hospital in &world.hospitals {
        assert_eq!(hospital.held().await.shares, [second.ceremony]);
    }
}

/// The council chooses hospitals of which none has a share, or only one that is silent.
#[tokio::test]
async fn a_committee_without_present_members_takes_over() {
    for (committee, silent) in [(&[4, 5, 6, 7][..], None), (&[3, 4, 5, 6], Some(3))] {
        let mut world = World::new(8).await;
        world.choose(&[0, 1, 2, 3]);
        let first = world.first_epoch().await;
        let old = world.shares(&first).await;
        let wrapped = wrap(&first, &old[&HospitalId(0)]);
        if let Some(silent) = silent {
            world.hospitals[silent].runs = false;
        }
        world.choose(committee);
        let second = world.next_epoch(Some(first.id)).await;
        let enrolled: Vec<u16> =
            committee.iter().copied().filter(|it| Some(usize::from(*it)) != silent).collect();
        let second = world.all_confirm(second.id).await;
        assert_eq!(second.members.to_vec(), seats(&enrolled));
        assert_eq!(second.public_key(), first.public_key());
        let new = world.shares(&second).await;
        let newcomer = new.values().next_back().unwrap();
        let mixing = world.followed(&second, newcomer, first.id);
        let needed = usize::from(second.threshold);
        assert_eq!(open(&wrapped, &mixing, &some(&new, needed)), Some(KEY));
        // Those who left have erased their shares.
        world.round().await;
        assert!(world.hospitals[0].held().await.shares.is_empty());
    }
}

/// Of seven active hospitals, two may be malicious, and two of the three that are left would open everything.
#[tokio::test]
async fn a_committee_that_lost_a_hospital_waits_until_the_council_chooses_again() {
    let mut world = World::new(8).await;
    world.choose(&[0, 1, 2, 3]);
    let first = world.first_epoch().await;
    world.chain.set_active(HospitalId(0), false);
    world.rest(3 * SCHEDULE.phase).await;
    assert_eq!(world.chain.current().unwrap().id, first.id);
    assert_eq!(world.chain.ceremony().unwrap().id, first.ceremony, "no ceremony began");
    for hospital in &world.hospitals[1..4] {
        assert_eq!(hospital.idle, Some(Idle::SmallCommittee));
    }
    world.choose(&[1, 2, 3, 4]);
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!((second.members.to_vec(), second.threshold), (seats(&[1, 2, 3, 4]), 3));
    assert_eq!(second.public_key(), first.public_key());
}

/// Their machines do not run yet. If they had seats, three of seven would be absent, and every ceremony would fail.
#[tokio::test]
async fn newcomers_stop_no_ceremony_and_get_shares_when_they_are_ready() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    for newcomer in 4..7 {
        world.join().await;
        world.chain.set_ready(HospitalId(newcomer), false);
        world.hospitals[usize::from(newcomer)].runs = false;
    }
    world.request_refresh();
    let second = world.next_epoch(Some(first.id)).await;
    assert_eq!((second.members.to_vec(), second.threshold), (seats(&[0, 1, 2, 3]), 3));
    world.all_confirm(second.id).await;

    // Its machines run, but it is not ready.
    world.hospitals[5].runs = true;
    world.rest(3 * SCHEDULE.phase).await;
    assert_eq!(world.chain.current().unwrap().id, second.id);
    assert_eq!(world.chain.ceremony().unwrap().id, second.ceremony, "no ceremony began");
    world.chain.set_ready(HospitalId(5), true);
    let third = world.next_epoch(Some(second.id)).await;
    assert_eq!(third.members.to_vec(), seats(&[0, 1, 2, 3, 5]));
}

#[tokio::test]
async fn a_new_key_of_the_council_opens_nothing_that_was_wrapped_before() {
    let mut world = World::new(4).await;
    let first = world.first_epoch().await;
    let old = world.shares(&first).await;
    let wrapped = wrap(&first, &old[&HospitalId(0)]);
    world.chain.council(pallet_consortium_key::Call::renew {}).unwrap();
    let second = world.next_epoch(Some(first.id)).await;
    let second = world.all_confirm(second.id).await;
    assert_eq!((second.key, second.link), (KeyId(1), None));
    assert_ne!(second.public_key(), first.public_key());
    let new = world.shares(&second).await;
    let mixing = MixingSecret::from_bytes(*old[&HospitalId(0)].mixing);
    assert_eq!(open(&wrapped, &mixing, &some(&new, 3)), None);
}
