//! Checks whether announced entries fit their body and their segments. Pure: no storage, no origin.

use epione_primitives::{
    block::{AnnouncedEntry, Range, Segments, segments_root},
    limits::{MAX_SEGMENTS, SEGMENT_BYTES},
};

/// Why the entries of an announced block do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    NoEntries,
    EmptyRange,
    RangeOverlap,
    RangeOverrun,
    BodyNotCovered,
    MediaOverlap,
    MediaOverrun,
    SegmentsNotCovered,
    TooManySegments,
    SegmentBytesMismatch,
    SegmentsRootMismatch,
}

/// Checks that the entries' text ranges are not empty and tile the body, that their media ranges tile
/// the list of segments, and that the segments' count, bytes and root do not contradict each other.
pub fn check(
    body_bytes: u32,
    segments: &Segments,
    entries: &[AnnouncedEntry],
) -> Result<(), Misfit> {
    if entries.is_empty() {
        return Err(Misfit::NoEntries);
    }
    if entries.iter().any(|entry| entry.text.length == 0) {
        return Err(Misfit::EmptyRange);
    }
    tile(entries.iter().map(|entry| entry.text), body_bytes).map_err(|tear| match tear {
        Tear::Overlap => Misfit::RangeOverlap,
        Tear::Overrun => Misfit::RangeOverrun,
        Tear::Gap => Misfit::BodyNotCovered,
    })?;
    check_segments(segments)?;
    tile(entries.iter().map(|entry| entry.media), segments.count).map_err(|tear| match tear {
        Tear::Overlap => Misfit::MediaOverlap,
        Tear::Overrun => Misfit::MediaOverrun,
        Tear::Gap => Misfit::SegmentsNotCovered,
    })
}

fn check_segments(segments: &Segments) -> Result<(), Misfit> {
    let Segments { root, count, bytes } = *segments;
    if count > MAX_SEGMENTS {
        return Err(Misfit::TooManySegments);
    }
    let least = u64::from(count);
    if bytes < least || bytes > least.saturating_mul(SEGMENT_BYTES.into()) {
        return Err(Misfit::SegmentBytesMismatch);
    }
    if (count == 0) != (root == segments_root(&[])) {
        return Err(Misfit::SegmentsRootMismatch);
    }
    Ok(())
}

/// Why ranges do not tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// A range begins before the previous range ends.
    Overlap,
    /// A range extends beyond the total.
    Overrun,
    /// A position belongs to no range.
    Gap,
}

/// Checks that the ranges, in order, cover exactly `total` positions without gaps or overlaps.
pub fn tile(ranges: impl IntoIterator<Item = Range>, total: u32) -> Result<(), Tear> {
    let mut covered = 0;
    for range in ranges {
        let end = range.end().filter(|end| *end <= total).ok_or(Tear::Overrun)?;
        if range.offset < covered {
            return Err(Tear::Overlap);
        }
        if range.offset > covered {
            return Err(Tear::Gap);
        }
        covered = end;
    }
    if covered == total { Ok(()) } else { Err(Tear::Gap) }
}
