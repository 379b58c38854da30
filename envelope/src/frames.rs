//! Where the frames of an image are within its content, so that a reader can fetch one frame without the
//! others; or why the frames cannot be located.
//!
//! The author's client determines this when it describes a file, and the author signs it. It is an unverified claim
//! about the content: readers check it against the content's length, and rely on nothing else.

use std::ops::Range;

use codec::{Compact, Decode, Encode, Error, Input, Output};
use serde::{Deserialize, Serialize};
use thiserror::Error as ThisError;

use crate::FormatError;

/// Maximum number of frames of encapsulated pixel data that the indexes of one record list together. A length takes
/// at most four bytes unless the frame has a GiB, so the lists fill at most a quarter of a lite block's body.
pub const MAX_LISTED_FRAMES: u32 = 128 * 1024;
/// Bytes of an item's tag and length. Each fragment of a frame begins with them (PS3.5, A.4).
pub const ITEM_HEADER_BYTES: u32 = 8;

/// Why single frames of a file cannot be read, as determined by the author's client.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Encode,
    Decode,
    Serialize,
    Deserialize,
    ThisError
)]
#[serde(rename_all = "kebab-case")]
pub enum NoFrames {
    #[error(
        "it has no DICOM header (128 bytes, then DICM, then meta information that names a transfer syntax)"
    )]
    #[codec(index = 0)]
    NotDicom,
    #[error("the client that described it does not support its transfer syntax")]
    #[codec(index = 1)]
    UnknownSyntax,
    #[error("its data set is deflated as a whole")]
    #[codec(index = 2)]
    Deflated,
    #[error("it is video, whose frames depend on each other")]
    #[codec(index = 3)]
    Video,
    #[error("its frames are compressed together, not one by one (JPEG 2000 part 2)")]
    #[codec(index = 4)]
    Together,
    #[error("its pixels are not in the file, but at an address in the file (JPIP)")]
    #[codec(index = 5)]
    Elsewhere,
    #[error("it has no pixel data")]
    #[codec(index = 6)]
    NoPixels,
    #[error("it is truncated: it ends before its first frame ends")]
    #[codec(index = 7)]
    Cut,
    #[error(
        "its data set is not valid DICOM, or is nested too deeply, before or within its pixel data"
    )]
    #[codec(index = 8)]
    Malformed,
    #[error("its number of frames is not a number from 0 to 4294967295")]
    #[codec(index = 9)]
    FrameNumber,
    #[error(
        "its rows, columns, samples or bits are missing, or do not determine the length of a frame"
    )]
    #[codec(index = 10)]
    Geometry,
    #[error(
        "the length of its pixel data does not match its rows, columns, bits and number of frames"
    )]
    #[codec(index = 11)]
    Length,
    #[error("its frames begin within 16-bit words of big endian pixel data")]
    #[codec(index = 12)]
    SharedWords,
    #[error("whether its pixel data are compressed contradicts its transfer syntax")]
    #[codec(index = 13)]
    Encapsulation,
    #[error(
        "it has no offset table, and the compression of its frames does not mark where they end"
    )]
    #[codec(index = 14)]
    Unmarked,
    #[error("its offset table does not match its fragments and codestreams")]
    #[codec(index = 15)]
    Table,
    #[error("it does not have as many codestreams as it states frames")]
    #[codec(index = 16)]
    Count,
    #[error("one of its codestreams does not begin or end as its transfer syntax requires")]
    #[codec(index = 17)]
    Codestream,
    #[error(
        "the compressed images of its record have more than {MAX_LISTED_FRAMES} frames together, which is the limit"
    )]
    #[codec(index = 18)]
    TooMany,
}

/// The frames of a file, in order, one directly after the other.
///
/// `stated` is the number of frames that the file states. If the file ends within a frame, there are fewer: the frames
/// before that one are whole, and can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Frames {
    /// Single frames cannot be read.
    None(NoFrames),
    /// Frames of the same length, without gaps.
    Native {
        /// Offset of the first frame within the content, in bytes.
        first: u64,
        /// Bits of each frame: a multiple of 8, unless each pixel is a single bit.
        bits: u64,
        count: u32,
        stated: u32,
    },
    /// Frames of one or more fragments each. Each fragment begins with its item tag and length.
    Encapsulated {
        /// Offset of the first frame's first item tag within the content, in bytes.
        first: u64,
        /// Bytes of each frame, item tags and lengths included.
        lengths: Vec<u32>,
        stated: u32,
    },
}

/// The bytes of a frame within the content, and how they form the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    pub bytes: Range<u64>,
    pub form: Form,
}

/// How bytes form a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The bytes are the frame.
    Plain,
    /// The frame is `bits` bits of the bytes, after `skip` bits (0 to 7). The least significant bit of a byte is first.
    Packed { skip: u8, bits: u64 },
    /// The bytes are items, whose values together are the frame.
    Fragments,
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
pub enum NoFrame {
    #[error("single frames of this file cannot be read: {0}")]
    None(NoFrames),
    #[error("the file has {} only", first_frames(*count))]
    Beyond { count: u32 },
    #[error(
        "the file states {stated} frames, but it ends early: only {} {} whole",
        first_frames(*count), if *count == 1 { "is" } else { "are" }
    )]
    NotWhole { count: u32, stated: u32 },
}

/// The frames from the first to this one.
fn first_frames(count: u32) -> String {
    if count == 1 { "frame 1".into() } else { format!("frames 1 to {count}") }
}

impl Default for Frames {
    fn default() -> Self {
        Self::None(NoFrames::NotDicom)
    }
}

impl Frames {
    /// Whether this is the default, for a file that is not DICOM.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Number of frames that can be read.
    pub fn count(&self) -> u32 {
        match self {
            Self::None(_) => 0,
            Self::Native { count, .. } => *count,
            Self::Encapsulated { lengths, .. } => u32::try_from(lengths.len()).unwrap_or(u32::MAX),
        }
    }

    /// Number of frames that the file states; 0 if none can be read.
    pub fn stated(&self) -> u32 {
        match self {
            Self::None(_) => 0,
            Self::Native { stated, .. } | Self::Encapsulated { stated, .. } => *stated,
        }
    }

    /// Number of frames that each have their own entry in the index.
    pub fn listed(&self) -> u32 {
        if let Self::Encapsulated { .. } = self { self.count() } else { 0 }
    }

    /// Where a frame is. Frames are numbered from 1, as in DICOM.
    pub fn extent(&self, number: u32) -> Result<Extent, NoFrame> {
        let (count, stated) = (self.count(), self.stated());
        let beyond = NoFrame::Beyond { count };
        let before = match number.checked_sub(1) {
            Some(before) if before < count => before,
            Some(before) if before < stated => return Err(NoFrame::NotWhole { count, stated }),
            _ => {
                return Err(if let Self::None(reason) = self {
                    NoFrame::None(*reason)
                } else {
                    beyond
                });
            }
        };
        let found = match self {
            Self::None(reason) => return Err(NoFrame::None(*reason)),
            Self::Native { first, bits, .. } => native(*first, *bits, before),
            Self::Encapsulated { first, lengths, .. } => fragments(*first, lengths, before),
        };
        found.ok_or(beyond)
    }

    /// Checks that there are frames, that none is too short, and that all of them are within
    /// content of this length.
    pub fn validate(&self, content_length: u64) -> Result<(), FormatError> {
        let malformed = |reason: &str| {
            Err(FormatError::Malformed { what: "the frame index", reason: reason.into() })
        };
        check_listed(u64::from(self.listed()))?;
        let long_enough = match self {
            Self::None(_) => return Ok(()),
            Self::Native { bits, .. } => *bits > 0,
            Self::Encapsulated { lengths, .. } => {
                lengths.iter().all(|length| *length > ITEM_HEADER_BYTES)
            }
        };
        if self.count() == 0 || !long_enough {
            return malformed("it has no frames, or a frame without bytes");
        }
        if self.count() > self.stated() {
            return malformed("it has more frames than the file states");
        }
        match self.extent(self.count()) {
            Ok(last) if last.bytes.end <= content_length => Ok(()),
            _ => malformed("its frames extend beyond the content"),
        }
    }
}

/// Checks the number of listed frames, of one index or of all indexes of a record.
pub(crate) fn check_listed(actual: u64) -> Result<(), FormatError> {
    let limit = u64::from(MAX_LISTED_FRAMES);
    if actual > limit {
        let what = "the number of listed frames";
        return Err(FormatError::TooLarge { what, actual, limit });
    }
    Ok(())
}

fn native(first: u64, bits: u64, before: u32) -> Option<Extent> {
    let from = bits.checked_mul(before.into())?;
    let to = from.checked_add(bits)?;
    let bytes = first.checked_add(from / 8)?..first.checked_add(to.div_ceil(8))?;
    let whole = bits.is_multiple_of(8);
    let form = if whole { Form::Plain } else { Form::Packed { skip: (from % 8) as u8, bits } };
    Some(Extent { bytes, form })
}

fn fragments(first: u64, lengths: &[u32], before: u32) -> Option<Extent> {
    let (before, rest) = lengths.split_at_checked(before as usize)?;
    let start = first.checked_add(before.iter().copied().map(u64::from).sum())?;
    let end = start.checked_add((*rest.first()?).into())?;
    Some(Extent { bytes: start..end, form: Form::Fragments })
}

impl Encode for Frames {
    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        match self {
            Self::None(reason) => (0_u8, reason).encode_to(output),
            Self::Native { first, bits, count, stated } => {
                let numbers = (Compact(*first), Compact(*bits), Compact(*count), Compact(*stated));
                (1_u8, numbers).encode_to(output);
            }
            Self::Encapsulated { first, lengths, stated } => {
                (2_u8, Compact(*first), Compact(*stated), Compact(self.count())).encode_to(output);
                lengths.iter().for_each(|length| Compact(*length).encode_to(output));
            }
        }
    }
}

impl Decode for Frames {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        match u8::decode(input)? {
            0 => Ok(Self::None(NoFrames::decode(input)?)),
            1 => {
                let (Compact(first), Compact(bits)) =
                    <(Compact<u64>, Compact<u64>)>::decode(input)?;
                let (Compact(count), Compact(stated)) =
                    <(Compact<u32>, Compact<u32>)>::decode(input)?;
                Ok(Self::Native { first, bits, count, stated })
            }
            2 => {
                let (Compact(first), Compact(stated)) =
                    <(Compact<u64>, Compact<u32>)>::decode(input)?;
                let Compact(count) = Compact::<u32>::decode(input)?;
                if count > MAX_LISTED_FRAMES {
                    return Err("more frames are listed than the limit allows".into());
                }
                let lengths = (0..count).map(|_| Ok(Compact::<u32>::decode(input)?.0));
                let lengths = lengths.collect::<Result<_, Error>>()?;
                Ok(Self::Encapsulated { first, lengths, stated })
            }
            _ => Err("the frame index has an unknown form".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use codec::DecodeAll;
    use proptest::prelude::*;

    use super::*;

    fn native(first: u64, bits: u64, count: u32) -> Frames {
        Frames::Native { first, bits, count, stated: count }
    }

    fn listed(first: u64, lengths: &[u32]) -> Frames {
        Frames::Encapsulated { first, lengths: lengths.to_vec(), stated: lengths.len() as u32 }
    }

    fn bytes(frames: &Frames, number: u32) -> Result<Range<u64>, NoFrame> {
        frames.extent(number).map(|extent| extent.bytes)
    }

    #[test]
    fn frames_are_numbered_from_one_and_adjacent() {
        let beyond = Err(NoFrame::Beyond { count: 3 });
        for frames in [native(100, 160, 3), listed(100, &[20, 20, 20])] {
            assert_eq!(bytes(&frames, 0), beyond);
            assert_eq!(bytes(&frames, 1), Ok(100..120));
            assert_eq!(bytes(&frames, 3), Ok(140..160));
            assert_eq!(bytes(&frames, 4), beyond);
            assert_eq!(bytes(&frames, u32::MAX), beyond);
        }
        assert_eq!(bytes(&listed(7, &[9, 30, 10]), 3), Ok(46..56));
    }

    #[test]
    fn single_bit_frames_begin_and_end_within_bytes() {
        let frames = native(10, 13, 4);
        let packed = |bytes, skip| Ok(Extent { bytes, form: Form::Packed { skip, bits: 13 } });
        assert_eq!(frames.extent(1), packed(10..12, 0));
        assert_eq!(frames.extent(2), packed(11..14, 5));
        assert_eq!(frames.extent(3), packed(13..15, 2));
        assert_eq!(frames.extent(4), packed(14..17, 7));
        assert_eq!(frames.validate(17), Ok(()));
        assert!(frames.validate(16).is_err());
        assert_eq!(native(10, 16, 4).extent(2).unwrap().form, Form::Plain);
    }

    #[test]
    fn a_missing_frame_is_rejected_with_the_reason() {
        let none = Frames::None(NoFrames::Video);
        for number in [0, 1, u32::MAX] {
            assert_eq!(none.extent(number), Err(NoFrame::None(NoFrames::Video)));
        }
        let cut = Frames::Encapsulated { first: 0, lengths: vec![10; 7], stated: 10 };
        assert!(cut.extent(7).is_ok());
        assert_eq!(cut.extent(8), Err(NoFrame::NotWhole { count: 7, stated: 10 }));
        assert_eq!(cut.extent(10), Err(NoFrame::NotWhole { count: 7, stated: 10 }));
        assert_eq!(cut.extent(11), Err(NoFrame::Beyond { count: 7 }));
    }

    #[test]
    fn the_reason_for_a_missing_frame_is_a_sentence() {
        for (reason, sentence) in [
            (
                NoFrame::None(NoFrames::NoPixels),
                "single frames of this file cannot be read: it has no pixel data",
            ),
            (NoFrame::Beyond { count: 1 }, "the file has frame 1 only"),
            (
                NoFrame::NotWhole { count: 7, stated: 10 },
                "the file states 10 frames, but it ends early: only frames 1 to 7 are whole",
            ),
        ] {
            assert_eq!(reason.to_string(), sentence);
        }
    }

    #[test]
    fn an_index_is_valid_only_within_its_content() {
        for frames in [native(100, 160, 3), listed(100, &[20, 20, 20])] {
            assert_eq!(frames.validate(160), Ok(()));
            assert!(frames.validate(159).is_err());
        }
        for wrong in [
            native(0, 0, 5),
            native(0, 5, 0),
            native(u64::MAX, 1, 1),
            native(0, u64::MAX, u32::MAX),
            Frames::Native { first: 0, bits: 8, count: 3, stated: 2 },
            listed(0, &[]),
            listed(0, &[20, 8]),
            listed(u64::MAX - 5, &[9]),
            listed(0, &[9; MAX_LISTED_FRAMES as usize + 1]),
        ] {
            assert!(wrong.validate(1 << 38).is_err(), "{:?}", wrong.count());
        }
        assert_eq!(listed(0, &[9; MAX_LISTED_FRAMES as usize]).validate(1 << 38), Ok(()));
        assert_eq!(Frames::default().validate(0), Ok(()));
    }

    #[test]
    fn the_longest_list_takes_four_bytes_per_frame() {
        let frames = listed(4_000_000_000, &[(1 << 30) - 1; MAX_LISTED_FRAMES as usize]);
        assert!(frames.encoded_size() <= 512 * 1024 + 24);
        assert!(native(4_000_000_000, 48_000_000, 500).encoded_size() <= 20);
    }

    #[test]
    fn a_claim_of_too_many_frames_is_rejected_before_allocation() {
        let claimed = (2_u8, Compact(0_u64), Compact(u32::MAX), Compact(u32::MAX)).encode();
        assert!(Frames::decode_all(&mut claimed.as_slice()).is_err());
        assert!(Frames::decode_all(&mut [3, 0, 0, 0].as_slice()).is_err());
        assert!(Frames::decode_all(&mut [0, 200].as_slice()).is_err());
    }

    fn any_frames() -> impl Strategy<Value = Frames> {
        prop_oneof![
            (0..=18_u8).prop_map(|reason| {
                Frames::None(NoFrames::decode(&mut [reason].as_slice()).unwrap())
            }),
            any::<(u64, u64, u32, u32)>().prop_map(|(first, bits, count, stated)| {
                Frames::Native { first, bits, count, stated }
            }),
            (any::<u64>(), prop::collection::vec(any::<u32>(), 0..50), any::<u32>()).prop_map(
                |(first, lengths, stated)| Frames::Encapsulated { first, lengths, stated }
            ),
        ]
    }

    proptest! {
        #[test]
        fn an_index_round_trips(frames in any_frames()) {
            let bytes = frames.encode();
            prop_assert_eq!(&Frames::decode_all(&mut bytes.as_slice()).unwrap(), &frames);
            let json = serde_json::to_string(&frames).unwrap();
            prop_assert_eq!(serde_json::from_str::<Frames>(&json).unwrap(), frames);
        }

        #[test]
        fn decoded_frames_have_one_encoding_and_stay_within_the_content(
            bytes in prop::collection::vec(any::<u8>(), 0..60), form in 0_u8..4,
            content in any::<u64>(), number in any::<u32>(),
        ) {
            let bytes = [&[form], bytes.as_slice()].concat();
            let Ok(frames) = Frames::decode_all(&mut bytes.as_slice()) else { return Ok(()) };
            prop_assert_eq!(frames.encode(), bytes);
            let near = number % frames.count().saturating_add(2);
            let extents = [frames.extent(number), frames.extent(near)];
            if frames.validate(content).is_ok() {
                for Extent { bytes, .. } in extents.into_iter().flatten() {
                    prop_assert!(bytes.start < bytes.end && bytes.end <= content);
                }
            }
        }
    }
}
