//! Where the frames of a multi-frame image lie within its content, so that one of them can be fetched
//! without the others.
//!
//! The author's client finds this out when it describes a file; it is part of what the author signs. It
//! is a claim about bytes that nobody else looked into: readers bound it by the content's length and
//! need not believe more of it.

use std::ops::Range;

use codec::{Compact, Decode, Encode, Error, Input, Output};
use serde::{Deserialize, Serialize};

use crate::FormatError;

/// Frames of encapsulated pixel data that an index may list, at four bytes each at most: 16 KiB. So the
/// lists of a record's 64 sections fill half of a lite block's body at most.
pub const MAX_LISTED_FRAMES: u32 = 4096;
/// Bytes of an item's tag and length, with which each fragment of a frame begins (PS3.5, A.4).
pub const ITEM_HEADER_BYTES: u32 = 8;

/// The frames of a DICOM file's pixel data, in their order, one directly after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum FrameIndex {
    /// Frames of one length, without anything between them.
    Native {
        /// Offset of the first frame within the content.
        first: u64,
        /// Bytes of each frame.
        length: u32,
        count: u32,
    },
    /// Frames of one or more fragments each, every fragment with its item tag and length before it.
    Encapsulated {
        /// Offset of the first frame's first item tag within the content.
        first: u64,
        /// Bytes of each frame, item tags and lengths included.
        lengths: Vec<u32>,
    },
}

impl FrameIndex {
    /// Number of frames.
    pub fn count(&self) -> u32 {
        match self {
            Self::Native { count, .. } => *count,
            Self::Encapsulated { lengths, .. } => u32::try_from(lengths.len()).unwrap_or(u32::MAX),
        }
    }

    /// The bytes of a frame within the content. Frames count from 1, as DICOM counts them; none for 0
    /// and beyond the last.
    pub fn frame(&self, number: u32) -> Option<Range<u64>> {
        let before = number.checked_sub(1).filter(|_| number <= self.count())?;
        let (first, skipped, length) = match self {
            Self::Native { first, length, .. } => {
                (first, u64::from(before) * u64::from(*length), *length)
            }
            Self::Encapsulated { first, lengths } => {
                let (before, rest) = lengths.split_at(before as usize);
                (first, before.iter().copied().map(u64::from).sum(), *rest.first()?)
            }
        };
        let start = first.checked_add(skipped)?;
        Some(start..start.checked_add(length.into())?)
    }

    /// Checks that there are frames, that none is too short to be one, and that all of them lie within
    /// content of this length.
    pub fn validate(&self, content_length: u64) -> Result<(), FormatError> {
        let malformed = |reason: &str| {
            Err(FormatError::Malformed { what: "the frame index", reason: reason.into() })
        };
        if let Self::Encapsulated { lengths, .. } = self {
            let (actual, limit) = (lengths.len() as u64, u64::from(MAX_LISTED_FRAMES));
            if actual > limit {
                let what = "the number of frames that are listed";
                return Err(FormatError::TooLarge { what, actual, limit });
            }
        }
        let long_enough = match self {
            Self::Native { length, .. } => *length > 0,
            Self::Encapsulated { lengths, .. } => {
                lengths.iter().all(|length| *length >= ITEM_HEADER_BYTES)
            }
        };
        if self.count() == 0 || !long_enough {
            return malformed("it has no frames, or one without bytes");
        }
        match self.frame(self.count()) {
            Some(last) if last.end <= content_length => Ok(()),
            _ => malformed("its frames go beyond the content"),
        }
    }
}

impl Encode for FrameIndex {
    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        match self {
            Self::Native { first, length, count } => {
                (0_u8, Compact(*first), Compact(*length), Compact(*count)).encode_to(output);
            }
            Self::Encapsulated { first, lengths } => {
                (1_u8, Compact(*first), Compact(self.count())).encode_to(output);
                lengths.iter().for_each(|length| Compact(*length).encode_to(output));
            }
        }
    }
}

impl Decode for FrameIndex {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        let (form, Compact(first)) = <(u8, Compact<u64>)>::decode(input)?;
        match form {
            0 => {
                let (Compact(length), Compact(count)) =
                    <(Compact<u32>, Compact<u32>)>::decode(input)?;
                Ok(Self::Native { first, length, count })
            }
            1 => {
                let Compact(count) = Compact::<u32>::decode(input)?;
                if count > MAX_LISTED_FRAMES {
                    return Err("more frames are listed than may be".into());
                }
                let lengths = (0..count).map(|_| Ok(Compact::<u32>::decode(input)?.0));
                Ok(Self::Encapsulated { first, lengths: lengths.collect::<Result<_, Error>>()? })
            }
            _ => Err("the frame index is of a form that is not known".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use codec::DecodeAll;
    use proptest::prelude::*;

    use super::*;

    fn native(first: u64, length: u32, count: u32) -> FrameIndex {
        FrameIndex::Native { first, length, count }
    }

    fn listed(first: u64, lengths: &[u32]) -> FrameIndex {
        FrameIndex::Encapsulated { first, lengths: lengths.to_vec() }
    }

    #[test]
    fn frames_are_counted_from_one_and_lie_side_by_side() {
        for index in [native(100, 20, 3), listed(100, &[20, 20, 20])] {
            assert_eq!(index.frame(0), None);
            assert_eq!(index.frame(1), Some(100..120));
            assert_eq!(index.frame(3), Some(140..160));
            assert_eq!(index.frame(4), None);
            assert_eq!(index.frame(u32::MAX), None);
        }
        assert_eq!(listed(7, &[9, 30, 8]).frame(3), Some(46..54));
    }

    #[test]
    fn an_index_holds_only_within_its_content() {
        for index in [native(100, 20, 3), listed(100, &[20, 20, 20])] {
            assert_eq!(index.validate(160), Ok(()));
            assert!(index.validate(159).is_err());
        }
        for wrong in [
            native(0, 0, 5),
            native(0, 5, 0),
            native(u64::MAX, 1, 1),
            native(0, u32::MAX, u32::MAX),
            listed(0, &[]),
            listed(0, &[20, 7]),
            listed(u64::MAX - 5, &[8]),
            listed(0, &[8; MAX_LISTED_FRAMES as usize + 1]),
        ] {
            assert!(wrong.validate(1 << 38).is_err(), "{wrong:?}");
        }
        assert_eq!(listed(0, &[8; MAX_LISTED_FRAMES as usize]).validate(1 << 38), Ok(()));
    }

    #[test]
    fn the_longest_list_takes_four_bytes_a_frame() {
        let index = listed(4_000_000_000, &[1 << 29; MAX_LISTED_FRAMES as usize]);
        assert!(index.encoded_size() <= 16 * 1024 + 16);
        assert!(native(4_000_000_000, 6_000_000, 500).encoded_size() <= 16);
    }

    #[test]
    fn a_claim_of_many_frames_is_refused_before_there_is_memory_for_them() {
        let claimed = (1_u8, Compact(0_u64), Compact(u32::MAX)).encode();
        assert!(FrameIndex::decode_all(&mut claimed.as_slice()).is_err());
        assert!(FrameIndex::decode_all(&mut [2, 0, 0, 0].as_slice()).is_err());
    }

    fn any_index() -> impl Strategy<Value = FrameIndex> {
        prop_oneof![
            any::<(u64, u32, u32)>()
                .prop_map(|(first, length, count)| native(first, length, count)),
            (any::<u64>(), prop::collection::vec(any::<u32>(), 0..50))
                .prop_map(|(first, lengths)| listed(first, &lengths)),
        ]
    }

    proptest! {
        #[test]
        fn an_index_comes_back_from_its_bytes(index in any_index()) {
            let bytes = index.encode();
            prop_assert_eq!(&FrameIndex::decode_all(&mut bytes.as_slice()).unwrap(), &index);
            let json = serde_json::to_string(&index).unwrap();
            prop_assert_eq!(serde_json::from_str::<FrameIndex>(&json).unwrap(), index);
        }

        #[test]
        fn whatever_decodes_has_one_encoding_and_no_frame_beyond_what_it_was_checked_against(
            bytes in prop::collection::vec(any::<u8>(), 0..60), form in 0_u8..3,
            content in any::<u64>(), number in any::<u32>(),
        ) {
            let bytes = [&[form], bytes.as_slice()].concat();
            let Ok(index) = FrameIndex::decode_all(&mut bytes.as_slice()) else { return Ok(()) };
            prop_assert_eq!(index.encode(), bytes);
            let near = number % index.count().saturating_add(2);
            let frames = [index.frame(number), index.frame(near)];
            if index.validate(content).is_ok() {
                for frame in frames.into_iter().flatten() {
                    prop_assert!(frame.start < frame.end && frame.end <= content);
                }
            }
        }
    }
}
