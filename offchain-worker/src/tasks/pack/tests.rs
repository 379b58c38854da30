use epione_primitives::{RecordId, UserId};
use proptest::prelude::*;

use super::*;

const NOW: Moment = 1_000_000;

fn bounds() -> BlockBounds {
    BlockBounds {
        records: 4,
        body_bytes: 1_000,
        media_bytes: 10_000,
        segments: 8,
        max_age: Duration::from_secs(30),
    }
}

fn visit(row: i64, record_bytes: u32, segments: u32, media_bytes: u64, age_ms: u64) -> QueuedVisit {
    QueuedVisit {
        row,
        record_id: RecordId([0; 16]),
        patient: UserId([0; 32]),
        record_bytes,
        segments,
        media_bytes,
        queued_at: NOW - age_ms,
    }
}

fn small(row: i64) -> QueuedVisit {
    visit(row, 10, 1, 10, 0)
}

#[test]
fn an_empty_queue_packs_nothing() {
    assert_eq!(choose(&[], &bounds(), NOW), Choice::Empty);
}

#[test]
fn a_block_that_is_not_full_waits_for_its_oldest_visit() {
    let queue = [visit(1, 10, 1, 10, 29_000), small(2)];
    assert_eq!(choose(&queue, &bounds(), NOW), Choice::Later(Duration::from_secs(1)));
    assert_eq!(choose(&queue, &bounds(), NOW + 1_000), Choice::Pack(2));
}

#[test]
fn a_full_block_does_not_wait() {
    let queue: Vec<_> = (0..5).map(small).collect();
    assert_eq!(choose(&queue, &bounds(), NOW), Choice::Pack(4));
    assert_eq!(choose(&queue[..4], &bounds(), NOW), Choice::Pack(4));
    assert_eq!(choose(&queue[..3], &bounds(), NOW), Choice::Later(Duration::from_secs(30)));
}

#[test]
fn each_bound_closes_a_block() {
    for next in [visit(2, 995, 0, 0, 0), visit(2, 1, 1, 9_995, 0), visit(2, 1, 8, 1, 0)] {
        assert_eq!(choose(&[small(1), next.clone()], &bounds(), NOW), Choice::Pack(1), "{next:?}");
    }
}

#[test]
fn a_visit_beyond_the_bounds_gets_a_separate_block() {
    let queue = [visit(1, 1, 1, 1_000_000, 0), small(2)];
    assert_eq!(choose(&queue, &bounds(), NOW), Choice::Pack(1));
}

fn queue() -> impl Strategy<Value = Vec<QueuedVisit>> {
    let sizes = (1_u32..1_500, 0_u32..10, 0_u64..12_000, 0_u64..60_000);
    prop::collection::vec(sizes, 0..60).prop_map(|visits| {
        (0..)
            .zip(visits)
            .map(|(row, (bytes, segments, media, age))| visit(row, bytes, segments, media, age))
            .collect()
    })
}

proptest! {
    #[test]
    fn blocks_never_exceed_their_bounds_and_take_every_visit_in_order(queue in queue()) {
        let bounds = bounds();
        let mut left = queue.as_slice();
        let mut packed = Vec::new();
        // Old enough to be packed at once.
        let later = NOW + 60_000;
        while let Choice::Pack(count) = choose(left, &bounds, later) {
            prop_assert!(count >= 1 && count <= left.len());
            let (block, rest) = left.split_at(count);
            prop_assert!(block.len() <= bounds.records);
            if block.len() > 1 {
                prop_assert!(block.iter().map(|v| u64::from(v.record_bytes)).sum::<u64>() <= bounds.body_bytes);
                prop_assert!(block.iter().map(|v| v.media_bytes).sum::<u64>() <= bounds.media_bytes);
                prop_assert!(block.iter().map(|v| u64::from(v.segments)).sum::<u64>() <= bounds.segments);
            }
            packed.extend(block.iter().map(|visit| visit.row));
            left = rest;
        }
        prop_assert!(left.is_empty());
        prop_assert_eq!(packed, queue.iter().map(|visit| visit.row).collect::<Vec<_>>());
    }

    #[test]
    fn a_longer_queue_never_makes_a_smaller_block(queue in queue()) {
        let bounds = bounds();
        for length in 1..queue.len() {
            prop_assert!(fitting(&queue[..length], &bounds) <= fitting(&queue, &bounds));
        }
    }

    #[test]
    fn the_visit_to_blame_ends_up_alone(bad in 0_usize..200) {
        let bounds = BlockBounds { records: 200, ..bounds() };
        let mut caution = Caution::default();
        // The visits before the bad one, and how many blocks are needed to isolate it.
        let (mut before, mut blocks) = (bad, 0);
        loop {
            blocks += 1;
            let size = caution.narrow(bounds).records;
            if before >= size {
                before -= size;
                caution.committed(&bounds);
            } else {
                caution.refused(size, NOW);
                if size == 1 {
                    break;
                }
            }
        }
        prop_assert_eq!(before, 0);
        prop_assert!(blocks <= 64, "{} blocks", blocks);
    }
}

#[test]
fn blocks_are_delayed_after_failures_until_a_success() {
    let mut caution = Caution::default();
    assert_eq!(caution.pause(NOW), None);
    caution.delay(NOW);
    assert_eq!(caution.pause(NOW), Some(Duration::from_secs(2)));
    caution.delay(NOW);
    assert_eq!(caution.pause(NOW), Some(Duration::from_secs(4)));
    assert_eq!(caution.pause(NOW + 4_000), None);
    caution.committed(&bounds());
    assert_eq!(caution.pause(NOW), None);
}

#[test]
fn a_clock_that_was_set_back_delays_nothing() {
    let hour = 3_600_000;
    assert_eq!(choose(&[small(1)], &bounds(), NOW - hour / 4), Choice::Pack(1));
    let mut caution = Caution::default();
    caution.delay(NOW + hour);
    assert_eq!(caution.pause(NOW), None);
}

#[test]
fn a_visit_that_fails_alone_delays_only_itself() {
    let mut caution = Caution::default();
    caution.refused(1, NOW);
    assert_eq!(caution.pause(NOW), None);
    assert_eq!(caution.narrow(bounds()).records, 1);
    assert_eq!(hold(1), 60_000);
    assert_eq!(hold(100), 900_000);
}
