//! Segments: cutting, naming, verifying, and finding bytes in them.

use epione_envelope::{
    keys::ContentKey,
    object::{ObjectContext, ObjectSealer, Part},
    segment::{SegmentCutter, SegmentPart, WrongSegment, object_key, verify},
};
use epione_primitives::{block::Segment, limits::SEGMENT_BYTES};
use proptest::prelude::*;

use crate::fixture::{content, section_context};

const SEGMENT: usize = SEGMENT_BYTES as usize;

fn cut(bytes: &[u8], pieces: usize) -> Vec<SegmentPart> {
    let mut cutter = SegmentCutter::new();
    let size = bytes.len().div_ceil(pieces).max(1);
    let mut parts: Vec<_> =
        bytes.chunks(size).flat_map(|piece| cutter.push(piece.to_vec())).collect();
    parts.extend(cutter.finish());
    parts
}

#[test]
fn all_segments_but_the_last_are_whole_however_the_bytes_arrive() {
    let bytes = content(2 * SEGMENT + 5);
    for pieces in [1, 3, 40] {
        let parts = cut(&bytes, pieces);
        let names: Vec<_> = parts.iter().filter_map(|part| part.ends).collect();
        let expected: Vec<_> = bytes
            .chunks(SEGMENT)
            .map(|piece| Segment { hash: blake3::hash(piece).into(), length: piece.len() as u32 })
            .collect();
        assert_eq!(names, expected);
        assert!(parts.into_iter().flat_map(|part| part.bytes).eq(bytes.iter().copied()));
    }
}

#[test]
fn no_segment_is_empty() {
    assert!(cut(&[], 1).is_empty());
    let parts = cut(&content(SEGMENT), 1);
    assert_eq!(parts.iter().filter(|part| part.ends.is_some()).count(), 1);
}

#[test]
fn wrong_bytes_are_refused() {
    let bytes = content(1000);
    let segment = Segment { hash: blake3::hash(&bytes).into(), length: 1000 };
    assert_eq!(verify(&segment, &bytes), Ok(()));
    let mut damaged = bytes.clone();
    damaged[999] ^= 1;
    let wrong = Err(WrongSegment { name: segment.hash });
    assert_eq!(verify(&segment, &damaged), wrong);
    assert_eq!(verify(&segment, &bytes[..999]), wrong);
    assert_eq!(verify(&Segment { length: 999, ..segment }, &bytes), wrong);
}

#[test]
fn segments_are_stored_under_their_hash() {
    assert_eq!(object_key(&[0xab; 32]), format!("segments/{}", "ab".repeat(32)));
}

proptest! {
    #[test]
    fn any_range_of_an_object_is_found_in_its_segments(
        length in 0_u64..200_000_000,
        start in 0_u64..200_000_000,
        size in 0_u64..100_000_000,
    ) {
        let context = ObjectContext { section: section_context(), part: Part::Media, version: 1 };
        let key = ContentKey::from_bytes([1; 32]);
        let layout = ObjectSealer::new(&key, &context, length).unwrap().layout();
        let end = (start + size).min(layout.sealed_length());
        let pieces = layout.in_segments(start..start + size);
        let mut at = start;
        for (segment, range) in &pieces {
            let base = *segment as u64 * u64::from(SEGMENT_BYTES);
            prop_assert_eq!(base + u64::from(range.start), at);
            prop_assert!(range.start < range.end && range.end <= SEGMENT_BYTES);
            at = base + u64::from(range.end);
        }
        prop_assert!(at == end || start >= end);

        let chunks = layout.chunks_of(start..start + size);
        for index in chunks.clone() {
            let chunk = layout.chunk(index).unwrap();
            prop_assert!(chunk.start < start + size && start < chunk.end);
        }
        let covered: u64 = chunks
            .map(|index| layout.chunk(index).unwrap())
            .map(|chunk| chunk.end.min(start + size) - chunk.start.max(start))
            .sum();
        prop_assert_eq!(covered, (start + size).min(length).saturating_sub(start));
        prop_assert_eq!(layout.tags().end, layout.tag(layout.chunks() - 1).unwrap().end);
        prop_assert!(layout.chunk(layout.chunks()).is_none() && layout.tag(layout.chunks()).is_none());
    }
}

#[test]
fn content_over_the_limit_is_refused() {
    use epione_envelope::record::MAX_MEDIA_BYTES;
    let (key, context) = (
        ContentKey::generate(),
        ObjectContext { section: section_context(), part: Part::Media, version: 1 },
    );
    assert!(ObjectSealer::new(&key, &context, MAX_MEDIA_BYTES).is_ok());
    for length in [MAX_MEDIA_BYTES + (1 << 20), u64::MAX] {
        assert!(ObjectSealer::new(&key, &context, length).is_err());
    }
}
