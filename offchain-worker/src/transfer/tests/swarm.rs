//! Many hospitals that need the same block at the same time.

use futures::future::join_all;

use super::{
    hospitals::{Gate, Hospital, Region},
    *,
};

const ANNOUNCER: HospitalId = HospitalId(50);

/// A block with this many small segments, and the number of its bytes.
fn block(count: u8) -> (Vec<Vec<u8>>, u64) {
    let content: Vec<_> =
        (0..count).map(|seed| vec![seed; 20_000 + 100 * usize::from(seed)]).collect();
    let bytes = content.iter().map(|bytes| bytes.len() as u64).sum();
    (content, bytes)
}

async fn fetchers(region: &Region, count: u16) -> Vec<Hospital> {
    let mut hospitals = Vec::new();
    for id in 0..count {
        hospitals.push(region.hospital(id).await);
    }
    hospitals
}

/// All hospitals fetch the block at once, and complete it.
async fn all_fetch(hospitals: &[Hospital], content: &[Vec<u8>]) {
    let wanted = segments(content);
    let fetches = hospitals.iter().map(|it| it.fetcher.fetch(&wanted, Some(ANNOUNCER)));
    for result in join_all(fetches).await {
        result.unwrap();
    }
    for hospital in hospitals {
        assert!(hospital.holds(content).await, "hospital {}", hospital.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_leaves_its_announcer_about_once() {
    let (content, bytes) = block(32);
    for count in [2, 8] {
        let region = Region::default();
        let announcer = region.hospital(ANNOUNCER.0).await;
        announcer.hold(&content).await;
        let hospitals = fetchers(&region, count).await;
        all_fetch(&hospitals, &content).await;
        assert!(announcer.sent() <= bytes * 3 / 2, "{count}: {} of {bytes}", announcer.sent());
        let told: u64 = hospitals
            .iter()
            .map(|it| it.metrics.peer_bytes.with_label_values(&["announcer"]).get())
            .sum();
        assert_eq!(told, announcer.sent());
        // All other segments came from each other while they were still fetching.
        let given: u64 = hospitals.iter().map(Hospital::sent).sum();
        assert_eq!(given + announcer.sent(), bytes * u64::from(count));
        assert!(hospitals.iter().all(|hospital| hospital.dropped("busy") == 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_hospital_costs_the_announcer_nothing_more() {
    let (content, bytes) = block(32);
    let region = Region::default();
    let announcer = region.hospital(ANNOUNCER.0).await;
    announcer.hold(&content).await;
    let hospitals = fetchers(&region, 7).await;
    region.dead(7).await;
    all_fetch(&hospitals, &content).await;
    assert!(announcer.sent() <= bytes * 3 / 2, "{} of {bytes}", announcer.sent());
    assert!(hospitals.iter().any(|hospital| hospital.dropped("unreachable") == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_hospital_does_not_block_the_others() {
    let (content, bytes) = block(32);
    let region = Region { patience: SHORT * 3, ..Region::default() };
    let announcer = region.hospital(ANNOUNCER.0).await;
    announcer.hold(&content).await;
    let hospitals = fetchers(&region, 7).await;
    let idle = region.hospital(7).await;
    all_fetch(&hospitals, &content).await;
    assert!(announcer.sent() <= bytes * 3 / 2, "{} of {bytes}", announcer.sent());
    assert_eq!(idle.sent(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_complete_a_block_whose_announcer_has_left() {
    let (content, _) = block(32);
    let region = Region::default();
    let gate = Gate::once_each(content.len());
    let announcer = region.hospital_behind(ANNOUNCER.0, gate.clone()).await;
    announcer.hold(&content).await;
    let hospitals = fetchers(&region, 8).await;
    all_fetch(&hospitals, &content).await;
    assert!(gate.is_dead());
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_hospitals_are_dropped_and_the_block_completes() {
    let (content, _) = block(12);
    for (manner, reason) in [
        (Manner::Lies, "wrong-bytes"),
        (Manner::Boasts, "broken-promise"),
        (Manner::Stalls, "stalled"),
        (Manner::ClosesEarly, "closed-early"),
    ] {
        let timings = Timings { connect: NEVER, stall: STALL };
        let patience = if manner == Manner::Stalls { AFTER_STALL } else { SHORT };
        let region = Region { timings, patience, ..Region::default() };
        let announcer = region.hospital(ANNOUNCER.0).await;
        announcer.hold(&content).await;
        let hospitals = fetchers(&region, 3).await;
        let bad = region.fake(3, manner, &content).await;
        all_fetch(&hospitals, &content).await;
        let dropped: u64 = hospitals.iter().map(|hospital| hospital.dropped(reason)).sum();
        assert!((1..=3).contains(&dropped), "{manner:?}: {dropped}");
        let asked = bad.asked.load(Ordering::SeqCst);
        // Two at once from each of the three hospitals.
        assert!(asked <= 6, "{manner:?}: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_only_one_hospital_has_is_found_there() {
    let (content, _) = block(6);
    let region = Region { patience: SHORT, ..Region::default() };
    let announcer = region.hospital(ANNOUNCER.0).await;
    announcer.hold(&content[..5]).await;
    let hospitals = fetchers(&region, 4).await;
    hospitals[3].hold(&content[5..]).await;
    all_fetch(&hospitals, &content).await;
    assert!(hospitals.iter().all(|hospital| hospital.dropped("absent") == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_segments_are_reported_and_the_rest_is_kept() {
    let (content, _) = block(6);
    let region = Region { patience: SHORT, ..Region::default() };
    let announcer = region.hospital(ANNOUNCER.0).await;
    announcer.hold(&content[..5]).await;
    let hospitals = fetchers(&region, 2).await;
    let wanted = segments(&content);
    let fetches = hospitals.iter().map(|it| it.fetcher.fetch(&wanted, Some(ANNOUNCER)));
    for result in join_all(fetches).await {
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::Unavailable { missing: 1, wanted: 6 }), "{error}");
    }
    assert!(hospitals[0].holds(&content[..5]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_fetched_at_the_same_time_all_complete() {
    let region = Region::default();
    let announcer = region.hospital(ANNOUNCER.0).await;
    let hospitals = fetchers(&region, 3).await;
    // They share segments with each other.
    let blocks: Vec<Vec<Vec<u8>>> = (0..4_u8)
        .map(|block| (0..10).map(|seed| vec![block * 5 + seed; 10_000]).collect())
        .collect();
    for content in &blocks {
        announcer.hold(content).await;
    }
    join_all(blocks.iter().map(|content| all_fetch(&hospitals, content))).await;
    // Nothing was fetched twice.
    for hospital in &hospitals {
        assert_eq!(hospital.metrics.segments_stored.get(), 25);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_hospital_leaves_a_slot_for_the_blocks_of_others() {
    let region = Region { patience: SHORT, ..Region::default() };
    let gate = Gate::silent();
    let silent = region.hospital_behind(ANNOUNCER.0, gate.clone()).await;
    let (other, own) = (region.hospital(1).await, region.hospital(2).await);
    let (content, _) = block(20);
    let (stalled, quick) = content.split_at(16);
    silent.hold(stalled).await;
    other.hold(quick).await;

    // Each of two blocks requests two segments at once, and there are four slots.
    let mut waiting = tokio::task::JoinSet::new();
    for block in stalled.chunks(8) {
        let (fetcher, wanted) = (Arc::clone(&own.fetcher), segments(block));
        waiting.spawn(async move { fetcher.fetch(&wanted, Some(ANNOUNCER)).await });
    }
    let are_requested = async {
        while gate.reached() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(NEVER / 2, are_requested).await.unwrap();
    let wanted = segments(quick);
    let fetched = own.fetcher.fetch(&wanted, Some(other.id));
    tokio::time::timeout(NEVER / 2, fetched).await.unwrap().unwrap();
    assert!(own.holds(quick).await);
    // The silent hospital has got no more than its share all the while.
    assert_eq!(gate.reached(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_announcer_does_not_hold_up_a_segment_that_another_announcer_has_too() {
    let region = Region { patience: SHORT, flight_patience: SHORT / 10, ..Region::default() };
    let gate = Gate::silent();
    let silent = region.hospital_behind(ANNOUNCER.0, gate.clone()).await;
    let (other, own) = (region.hospital(1).await, region.hospital(2).await);
    let (content, _) = block(2);
    silent.hold(&content).await;
    let (fetcher, wanted) = (Arc::clone(&own.fetcher), segments(&content));
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { fetcher.fetch(&wanted, Some(ANNOUNCER)).await });
    let are_requested = async {
        while gate.reached() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(NEVER / 2, are_requested).await.unwrap();
    other.hold(&content).await;
    let wanted = segments(&content);
    let fetched = own.fetcher.fetch(&wanted, Some(other.id));
    tokio::time::timeout(NEVER / 2, fetched).await.unwrap().unwrap();
    assert!(own.holds(&content).await);
}
