//! Offers, from the announcer's side to the ballot.

use epione_primitives::AnnouncementId;

use super::{
    hospitals::{Hospital, Region},
    *,
};
use crate::{config::Transfer, journal::offers::Offer};

const ANNOUNCER: HospitalId = HospitalId(0);

async fn region(region: Region, others: u16) -> (Region, Hospital, Vec<Hospital>) {
    let announcer = region.hospital(ANNOUNCER.0).await;
    let mut hospitals = Vec::new();
    for id in 1..=others {
        hospitals.push(region.hospital(id).await);
    }
    (region, announcer, hospitals)
}

async fn offers(hospital: &Hospital) -> Vec<Offer> {
    hospital.journal.open_offers().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_announced_when_a_majority_has_it() {
    let content = content(6);
    let wanted = segments(&content);
    // The two hospitals that do not fetch yet are not awaited.
    let alike = Region { patience: SHORT, ..Region::default() };
    let (_region, announcer, hospitals) = region(alike, 3).await;
    announcer.hold(&content).await;
    let seeding = announcer.seeder.seed(&wanted);
    tokio::pin!(seeding);
    // One of three hospitals has the block: that is not enough.
    let _one = hospitals[0].take_in();
    let held_by_one = async {
        while !hospitals[0].holds(&content).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        seeded = &mut seeding => panic!("{seeded:?}"),
        () = held_by_one => {}
    }
    let _two = hospitals[1].take_in();
    assert_eq!(seeding.await, Seeded::Majority);
    assert!(hospitals[0].holds(&content).await && hospitals[1].holds(&content).await);
    assert!(!hospitals[2].holds(&content).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offered_block_needs_no_transfer_when_announced() {
    let content = content(6);
    let wanted = segments(&content);
    let (_region, announcer, hospitals) = region(Region::default(), 1).await;
    announcer.hold(&content).await;
    let _tasks = hospitals[0].take_in();
    assert_eq!(announcer.seeder.seed(&wanted).await, Seeded::Majority);
    let sent = announcer.sent();
    let bytes: u64 = content.iter().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(sent, bytes);
    let journal = &hospitals[0].journal;
    let owner = Owner::Announcement(AnnouncementId(1));
    journal.reference_announced(owner, ANNOUNCER, &wanted, crate::now()).await.unwrap();
    hospitals[0].fetcher.fetch(&wanted, Some(ANNOUNCER)).await.unwrap();
    assert_eq!(announcer.sent(), sent);
    assert_eq!(journal.offered_bytes().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn offered_segments_spread_among_the_others_too() {
    let content = content(24);
    let bytes: u64 = content.iter().map(|bytes| bytes.len() as u64).sum();
    let (_region, announcer, hospitals) = region(Region::default(), 4).await;
    announcer.hold(&content).await;
    let _tasks: Vec<_> = hospitals.iter().map(Hospital::take_in).collect();
    assert_eq!(announcer.seeder.seed(&segments(&content)).await, Seeded::Majority);
    for hospital in &hospitals {
        while !hospital.holds(&content).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(announcer.sent() <= bytes * 3 / 2, "{} of {bytes}", announcer.sent());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_announced_at_once_if_all_decline() {
    let transfer = Transfer { offer_quota_bytes: 0, ..Transfer::default() };
    let (_region, announcer, hospitals) = region(Region { transfer, ..Region::default() }, 3).await;
    let content = content(2);
    announcer.hold(&content).await;
    assert_eq!(announcer.seeder.seed(&segments(&content)).await, Seeded::Declined);
    for hospital in &hospitals {
        assert_eq!(offers(hospital).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_beyond_the_quota_is_still_announced() {
    let transfer = Transfer { offer_quota_bytes: 150_000, ..Transfer::default() };
    let mut alike = Region { transfer, ..Region::default() };
    alike.terms.quiet = Duration::from_secs(2);
    let (_region, announcer, hospitals) = region(alike, 2).await;
    let content = content(2);
    announcer.hold(&content).await;
    let _tasks: Vec<_> = hospitals.iter().map(Hospital::take_in).collect();
    assert_eq!(announcer.seeder.seed(&segments(&content)).await, Seeded::Quiet);
    assert!(announcer.metrics.offers_made.with_label_values(&["no-room"]).get() >= 2);
    for hospital in &hospitals {
        assert_eq!(offers(hospital).await, []);
        assert!(hospital.journal.claims(segment(&content[0]).hash).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_network_does_not_delay_a_block_without_end() {
    for (quiet, longest, told) in [(300, 60_000, Seeded::Quiet), (60_000, 300, Seeded::Late)] {
        let mut region = Region::default();
        region.terms.quiet = Duration::from_millis(quiet);
        region.terms.longest = Duration::from_millis(longest);
        let announcer = region.hospital(ANNOUNCER.0).await;
        region.dead(1).await;
        region.dead(2).await;
        let content = content(2);
        announcer.hold(&content).await;
        assert_eq!(announcer.seeder.seed(&segments(&content)).await, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_large_blocks_are_offered() {
    let mut region = Region::default();
    region.terms.from_bytes = 1_000;
    let announcer = region.hospital(ANNOUNCER.0).await;
    assert!(!announcer.seeder.offers(0) && !announcer.seeder.offers(999));
    assert!(announcer.seeder.offers(1_000));
    region.terms.quiet = Duration::ZERO;
    let reserved = region.hospital(1).await;
    assert!(!reserved.seeder.offers(u64::MAX));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_lost_segments_does_not_delay_others() {
    let (_region, announcer, hospitals) =
        region(Region { patience: SHORT, ..Region::default() }, 2).await;
    let (here, gone) = (content(3), content(8).split_off(3));
    announcer.hold(&here).await;
    let _tasks = hospitals[0].take_in();
    let quota = crate::journal::offers::Quota { bytes: 10_000_000, lifetime: 60_000 };
    let journal = &hospitals[0].journal;
    for bytes in &gone {
        let offered = vec![segment(bytes)];
        journal.take_offer(HospitalId(2), offered, quota, crate::now()).await.unwrap();
    }
    journal.take_offer(ANNOUNCER, segments(&here), quota, crate::now()).await.unwrap();
    while !hospitals[0].holds(&here).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(offers(&hospitals[0]).await.len(), gone.len());
}
