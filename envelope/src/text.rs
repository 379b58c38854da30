//! The plaintext of a text section: its description, then its content compressed with zstd. It is padded before it is
//! sealed ([`SealedObject::seal_padded`](crate::object::SealedObject::seal_padded)).

use codec::{Decode, Encode};
use zeroize::Zeroizing;

use crate::{OpenError, SealError, description::Description, record::MAX_TEXT_BYTES};

/// High, because records are small, written once and read often.
const COMPRESSION_LEVEL: i32 = 15;

pub(crate) fn pack(
    description: &Description,
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let compressed = zstd::bulk::compress(content, COMPRESSION_LEVEL)
        .map(Zeroizing::new)
        .map_err(|_| SealError::Refused("the text cannot be compressed"))?;
    let described = Zeroizing::new(description.encode());
    Ok(Zeroizing::new([described.as_slice(), &compressed].concat()))
}

/// Never decompresses to more than the described length, which is bounded.
pub(crate) fn unpack(packed: &[u8]) -> Result<(Description, Zeroizing<Vec<u8>>), OpenError> {
    let mut rest = packed;
    let description = describe(&mut rest)?;
    let content = zstd::bulk::decompress(rest, description.content_length as usize)
        .map(Zeroizing::new)
        .map_err(|_| OpenError)?;
    let mut check = description.check();
    check.update(&content);
    check.finish()?;
    Ok((description, content))
}

/// Decodes only the description.
pub(crate) fn describe(packed: &mut &[u8]) -> Result<Description, OpenError> {
    let description = Description::decode(packed).map_err(|_| OpenError)?;
    check(&description)?;
    Ok(description)
}

/// Checks the limits of the description of a text, which has no frames.
pub(crate) fn check(description: &Description) -> Result<(), OpenError> {
    description.validate().map_err(|_| OpenError)?;
    let is_short = description.content_length <= u64::from(MAX_TEXT_BYTES);
    if is_short && description.frames.is_default() { Ok(()) } else { Err(OpenError) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frames::{Frames, NoFrames},
        record::SectionKind,
    };

    fn described(content: &[u8]) -> Description {
        Description::of(SectionKind::Report, "text/plain", "", content).unwrap()
    }

    fn packed(claimed: u64, content: &[u8]) -> Vec<u8> {
        let mut description = described(content);
        description.content_length = claimed;
        let compressed = zstd::bulk::compress(content, 19).unwrap();
        [description.encode(), compressed].concat()
    }

    #[test]
    fn a_text_round_trips() {
        let description = described(b"text");
        let packed = pack(&description, b"text").unwrap();
        let (described, content) = unpack(&packed).unwrap();
        assert_eq!((described, content.as_slice()), (description, b"text".as_slice()));
    }

    #[test]
    fn a_decompression_bomb_is_rejected() {
        let bomb = vec![0; 64 << 20];
        for claimed in [0, 1, u64::from(MAX_TEXT_BYTES), 64 << 20, 1 << 37, u64::MAX] {
            let packed = packed(claimed, &bomb);
            assert!(packed.len() < 10_000);
            assert_eq!(unpack(&packed).err(), Some(OpenError));
        }
    }

    #[test]
    fn a_text_of_another_length_than_described_is_rejected() {
        for claimed in [3, 5] {
            assert_eq!(unpack(&packed(claimed, b"text")).err(), Some(OpenError));
        }
    }

    #[test]
    fn a_text_has_no_frames() {
        let mut description = described(b"text");
        for frames in [
            Frames::Native { first: 0, bits: 16, count: 2, stated: 2 },
            Frames::None(NoFrames::Video),
        ] {
            description.frames = frames;
            let packed = pack(&description, b"text").unwrap();
            assert_eq!(unpack(&packed).err(), Some(OpenError));
        }
    }

    #[test]
    fn bytes_after_the_compressed_text_are_rejected() {
        let packed = [packed(4, b"text"), b"x".to_vec()].concat();
        assert_eq!(unpack(&packed).err(), Some(OpenError));
    }

    #[test]
    fn a_truncated_text_is_rejected() {
        let whole = packed(4, b"text");
        for length in 0..whole.len() {
            assert_eq!(unpack(&whole[..length]).err(), Some(OpenError));
        }
    }
}
