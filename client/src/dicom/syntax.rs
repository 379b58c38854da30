//! Transfer syntaxes: how a data set is written, and how its frames are compressed (PS3.5, annex A).

use epione_envelope::frames::NoFrames;

use super::elements::{BIG_ENDIAN, Coding, EXPLICIT, IMPLICIT};

/// A transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) coding: Coding,
    /// None for native pixel data.
    pub(super) compression: Option<Compression>,
}

/// The compression of each frame of encapsulated pixel data, as far as it determines where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Jpeg,
    JpegLs,
    /// Also high throughput.
    Jpeg2000,
    Rle,
    /// Not compressed: the length is known.
    Uncompressed,
    /// A compression that does not mark the end: JPEG XL, deflated frames.
    Unmarked,
}

impl Syntax {
    /// The syntax with this UID; an error if this module cannot find frames in it.
    pub(super) fn named(uid: &str) -> Result<Self, NoFrames> {
        let native = |coding| Ok(Self { coding, compression: None });
        let encapsulated =
            |compression| Ok(Self { coding: EXPLICIT, compression: Some(compression) });
        let Some(rest) = uid.strip_prefix("1.2.840.10008.1.2") else {
            return Err(NoFrames::UnknownSyntax);
        };
        match rest {
            "" => native(IMPLICIT),
            ".1" => native(EXPLICIT),
            ".2" => native(BIG_ENDIAN),
            ".1.98" => encapsulated(Compression::Uncompressed),
            ".1.99" => Err(NoFrames::Deflated),
            ".5" => encapsulated(Compression::Rle),
            ".8.1" => encapsulated(Compression::Unmarked),
            _ => match rest.strip_prefix(".4.").and_then(number) {
                Some(50..=66 | 70) => encapsulated(Compression::Jpeg),
                Some(80 | 81) => encapsulated(Compression::JpegLs),
                Some(90 | 91 | 201..=203) => encapsulated(Compression::Jpeg2000),
                Some(92 | 93) => Err(NoFrames::Together),
                Some(94 | 95 | 204 | 205) => Err(NoFrames::Elsewhere),
                Some(100..=108) => Err(NoFrames::Video),
                Some(110..=112) => encapsulated(Compression::Unmarked),
                // SMPTE ST 2110: a stream, not a file.
                _ if rest.starts_with(".7.") => Err(NoFrames::Video),
                _ => Err(NoFrames::UnknownSyntax),
            },
        }
    }
}

/// The number at the beginning of a text: the UIDs of video that may have several fragments end with another `.1`.
fn number(text: &str) -> Option<u32> {
    let (number, fragmented) = text.split_once('.').unwrap_or((text, ""));
    let number = number.parse().ok()?;
    (fragmented.is_empty() || (fragmented == "1" && (100..=108).contains(&number)))
        .then_some(number)
}
