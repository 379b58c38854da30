//! Hospitals that send slowly, without a stall.

use futures::TryStreamExt;

use super::{
    hospitals::{Hospital, Region},
    *,
};
use crate::transfer::relay::{Relay, Reserve, SharedLog, Waits};

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
    let (region, content) = (region(), block(16));
    let _announcer = announcer(&region, &content).await;
    let drip = region.fake(SLOW, Manner::Slow(1), &content).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 4).await;
    // Two segments at once, two more as a second chance, and no more afterwards, of a share of eight.
    assert!((1..=4).contains(&asked(&drip)), "{}", asked(&drip));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_at_an_ordinary_pace_is_dropped_after_three_segments() {
    const OTHER: u16 = 2;
    let region = region();
    // Every third segment is large: the shares of the liar. Small ones tell how long a segment may take.
    let size = |seed: u8| if seed.is_multiple_of(3) { 400_000 } else { 20_000 };
    let content: Vec<_> = (0..24).map(|seed| vec![seed; size(seed)]).collect();
    let large: Vec<_> = content.iter().step_by(3).cloned().collect();
    let small: Vec<_> = content.iter().skip(1).step_by(3).cloned().collect();
    let _announcer = region.fake(ANNOUNCER.0, Manner::Slow(300_000), &content).await;
    let _other = region.fake(OTHER, Manner::Honest, &small).await;
    let liar = region.fake(SLOW, Manner::LiesSlowly(180_000), &large).await;
    let own = region.hospital(OWN).await;
    fetch_within(&own, &content, NEVER / 2).await;
    assert!((1..=3).contains(&asked(&liar)), "{}", asked(&liar));
    assert_eq!(own.dropped("wrong-bytes"), 1);
}

#[tokio::test]
async fn a_rival_that_sends_nothing_is_not_called_slow() {
    let content = block(1);
    let peer = |id, endpoint| Peer { hospital: HospitalId(id), endpoint };
    let served = |id, manner| Served {
        hospital: HospitalId(id),
        genesis: GENESIS,
        manner,
        content: Arc::new(content.clone()),
        asked: Arc::default(),
        ranges: Arc::default(),
    };
    let slow = peer(1, serve(served(1, Manner::Slow(10_000))).await);
    let idle = Router::new().fallback(std::future::pending::<Response>);
    let silent = peer(2, listen(idle).await);
    let quick = peer(3, serve(served(3, Manner::Honest)).await);
    let agent = Account::development("//Alice//agent").unwrap();
    let courier = Courier::new(agent, Timings { connect: NEVER, stall: NEVER });
    let (log, arrived) = (SharedLog::default(), Arrivals::default());
    let peers = (slow, Reserve::new([silent, quick]));
    let waits = Waits { limit: NEVER, patience: SHORT };
    let wanted = segment(&content[0]);
    let relay = Relay::new(&courier, GENESIS, wanted, peers, waits, (log.clone(), &arrived));
    let received: Vec<Bytes> = relay.stream().try_collect().await.unwrap();
    assert_eq!(received.into_iter().flatten().collect::<Vec<u8>>(), content[0]);
    assert_eq!(log.take().faults, [(HospitalId(1), PeerFault::Slow)]);
}
