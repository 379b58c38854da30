//! The `Range` header of a request for a segment (RFC 9110, section 14.2): one range of bytes. For anything else that
//! the RFC permits, the whole segment is sent.

use std::ops::Range;

/// The part of a segment to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requested {
    Whole,
    Part(Range<u32>),
    /// The range begins after the last byte.
    Unsatisfiable,
}

/// Parses a `Range` header for a segment of `length` bytes.
pub(super) fn requested(header: Option<&str>, length: u32) -> Requested {
    let Some((first, last)) = header
        .and_then(|header| header.trim().strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Requested::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let whole = u64::from(length);
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(whole),
        (Ok(first), _) if last.is_empty() => first..whole,
        (_, Ok(0)) if first.is_empty() => return Requested::Unsatisfiable,
        (_, Ok(suffix)) if first.is_empty() => whole.saturating_sub(suffix)..whole,
        _ => return Requested::Whole,
    };
    match (u32::try_from(part.start), u32::try_from(part.end)) {
        (Ok(start), Ok(end)) if start < length => Requested::Part(start..end),
        _ => Requested::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::{Requested::*, *};

    #[test]
    fn ranges_are_parsed_as_the_rfc_defines() {
        for (header, expected) in [
            (None, Whole),
            (Some("bytes=0-99"), Part(0..100)),
            (Some("bytes=10-19"), Part(10..20)),
            (Some("bytes=90-"), Part(90..100)),
            (Some("bytes=-10"), Part(90..100)),
            (Some("bytes=-1000"), Part(0..100)),
            (Some("bytes=50-1000"), Part(50..100)),
            (Some("bytes=0-18446744073709551615"), Part(0..100)),
            (Some("bytes=100-"), Unsatisfiable),
            (Some("bytes=-0"), Unsatisfiable),
            (Some("bytes=20-10"), Whole),
            (Some("bytes=0-1,5-6"), Whole),
            (Some("bytes=a-b"), Whole),
            (Some("pages=1-2"), Whole),
        ] {
            assert_eq!(requested(header, 100), expected, "{header:?}");
        }
    }
}
