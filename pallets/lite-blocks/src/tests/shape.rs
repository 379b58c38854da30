use epione_primitives::block::Range;
use proptest::{collection::vec, prelude::*};

use crate::shape::{Tear, tile};

/// Lengths with a small sum. Some are zero.
fn lengths() -> impl Strategy<Value = Vec<u32>> {
    vec(0..50_u32, 0..20)
}

/// Adjacent ranges of these lengths.
fn tiles(lengths: &[u32]) -> Vec<Range> {
    lengths
        .iter()
        .scan(0, |offset, &length| {
            let range = Range { offset: *offset, length };
            *offset += length;
            Some(range)
        })
        .collect()
}

/// How often each position is covered.
fn painted(ranges: &[Range], total: u32) -> Option<Vec<u32>> {
    let mut positions = vec![0; total as usize];
    for range in ranges {
        let begin = range.offset as usize;
        let end = begin + range.length as usize;
        positions.get_mut(begin..end)?.iter_mut().for_each(|count| *count += 1);
    }
    Some(positions)
}

proptest! {
    #[test]
    fn adjacent_ranges_tile_the_sum_of_their_lengths(lengths in lengths()) {
        prop_assert_eq!(tile(tiles(&lengths), lengths.iter().sum()), Ok(()));
    }

    #[test]
    fn tiles_cover_every_position_once_and_in_order(
        ranges in vec((0..12_u32, 0..12_u32), 0..4),
        total in 0..12_u32,
    ) {
        let ranges: Vec<_> =
            ranges.into_iter().map(|(offset, length)| Range { offset, length }).collect();
        let ordered = ranges.windows(2).all(|pair| pair[0].offset <= pair[1].offset);
        let once = painted(&ranges, total).is_some_and(|counts| counts.iter().all(|n| *n == 1));
        if tile(ranges.clone(), total).is_ok() {
            prop_assert!(ordered && once);
        } else if ranges.iter().all(|range| range.length > 0) {
            prop_assert!(!(ordered && once));
        }
    }

    #[test]
    fn a_moved_offset_is_detected(
        lengths in vec(1..50_u32, 1..20),
        moved in any::<prop::sample::Index>(),
        by in prop_oneof![-60_i64..0, 1..60_i64],
    ) {
        let total = lengths.iter().sum();
        let mut ranges = tiles(&lengths);
        let range = moved.get_mut(&mut ranges);
        let offset = u32::try_from(i64::from(range.offset) + by);
        prop_assume!(offset.is_ok());
        range.offset = offset.unwrap();
        let overrun = range.offset + range.length > total;
        let expected = if overrun {
            Tear::Overrun
        } else if by < 0 {
            Tear::Overlap
        } else {
            Tear::Gap
        };
        prop_assert_eq!(tile(ranges, total), Err(expected));
    }

    #[test]
    fn a_wrong_total_is_detected(lengths in vec(1..50_u32, 1..20), by in 1..50_u32) {
        let sum: u32 = lengths.iter().sum();
        prop_assert_eq!(tile(tiles(&lengths), sum + by), Err(Tear::Gap));
        prop_assert_eq!(tile(tiles(&lengths), sum.saturating_sub(by)), Err(Tear::Overrun));
    }

    #[test]
    fn ranges_of_any_numbers_cause_no_panic(
        ranges in vec((any::<u32>(), any::<u32>()), 0..8),
        total in any::<u32>(),
    ) {
        let ranges = ranges.into_iter().map(|(offset, length)| Range { offset, length });
        let _ = tile(ranges, total);
    }
}

#[test]
fn a_range_that_ends_after_the_largest_offset_overruns() {
    let range = Range { offset: u32::MAX, length: 1 };
    assert_eq!(tile([range], u32::MAX), Err(Tear::Overrun));
}

#[test]
fn an_empty_list_of_ranges_tiles_only_a_total_of_zero() {
    assert_eq!(tile([], 0), Ok(()));
    assert_eq!(tile([], 1), Err(Tear::Gap));
}
