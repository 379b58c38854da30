//! Hospitals that send slowly, without a stall.

use super::{
    hospitals::{Hospital, Region},
    *,
};

const ANNOUNCER: HospitalId = HospitalId(50);
/// The share of this hospital contains the first segment: it has the lowest id.
const SLOW: u16 = 1;
const OWN: u16 = 9;

fn region() -> Region {
    Region { patience: SHORT, ..Region::default() }
}

/// Segments of 400 KB.
fn block(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|seed| vec![seed; 400_000]).collect()
}

async fn announcer(region: &Region, content: &[Vec<u8>]) -> Hospital {
    let announcer = region.hospital(ANNOUNCER.0).await;
    announcer.hold(content).await;
    announcer
}

async fn fetch_within(own: &Hospital, content: &[Vec<u8>], limit: Duration) {
    let wanted = segments(content);
    let fetched = own.fetcher.fetch(&wanted, Some(ANNOUNCER));
    tokio::time::timeout(limit, fetched).await.unwrap().unwrap();
    assert!(own.holds(content).await);
}

fn asked(hospital: &Served) -> usize {
    hospital.asked.load(Ordering::SeqCst)
}

fn received(own: &Hospital, from: &str) -> u64 {
    own.metrics.peer_bytes.with_label_values(&[from]).get()
}

fn counted(own: &Hospital, result: &str) -> u64 {
    own.metrics.peer_fetches.with_label_values(&[result]).get()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_announcer_sends_the_rest_of_what_another_hospital_sends_slowly() {
    let (region, content) = (region(), block(1));
    let _announcer = announcer(&region, &content).await;
    // The whole segment would need 40 seconds.
    let slow = region.fake(SLOW, Manner::Slow(10_000), &content).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 4).await;
    let (kept, rest) = (received(&own, "other"), received(&own, "announcer"));
    assert!(kept > 0 && rest > 0, "{kept} {rest}");
    assert_eq!(kept + rest, 400_000);
    assert_eq!(asked(&slow), 1);
    assert_eq!((counted(&own, "slow"), own.dropped("slow")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_a_second_delays_a_block_only_for_the_patience() {
    let (region, content) = (region(), block(8));
    let _announcer = announcer(&region, &content).await;
    let drip = region.fake(SLOW, Manner::Slow(1), &content).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 4).await;
    // Two segments at once, and no more afterwards.
    assert!((1..=2).contains(&asked(&drip)), "{}", asked(&drip));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_slow_hospitals_get_one_chance_and_the_segment_completes() {
    let (region, content) = (region(), block(1));
    // Each would need 5 seconds.
    let mut all = Vec::new();
    for id in [SLOW, 2, 3, ANNOUNCER.0] {
        all.push(region.fake(id, Manner::Slow(80_000), &content).await);
    }
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 2).await;
    let each: Vec<_> = all.iter().map(asked).collect();
    // One that a busy machine delays may get another chance.
    assert!(each.iter().sum::<usize>() <= all.len() + 1, "{each:?}");
    assert_eq!(received(&own, "other") + received(&own, "announcer"), 400_000);
    for reason in ["slow", "stalled", "closed-early"] {
        assert_eq!(own.dropped(reason), 0, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_hospital_continues_while_the_others_are_busy() {
    let (region, content) = (region(), block(1));
    let busy = region.fake(ANNOUNCER.0, Manner::Busy, &content).await;
    // It needs 4 seconds.
    let slow = region.fake(SLOW, Manner::Slow(100_000), &content).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 2).await;
    assert_eq!((asked(&slow), received(&own, "other")), (1, 400_000));
    // Once in each second.
    assert!((1..=6).contains(&asked(&busy)), "{}", asked(&busy));
    assert_eq!(counted(&own, "slow"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_wrong_bytes_are_replaced_by_the_announcer() {
    let (region, content) = (region(), block(1));
    let announcer = announcer(&region, &content).await;
    let liar = region.fake(SLOW, Manner::LiesSlowly(10_000), &content).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 4).await;
    assert_eq!(asked(&liar), 1);
    // The rest, and then the whole segment.
    assert!(announcer.sent() > 400_000, "{}", announcer.sent());
}
