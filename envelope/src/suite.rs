//! The suite byte at the beginning of every format, and the one function that decodes formats.

use codec::{Decode, Encode, Error, Input, Output};

use crate::FormatError;

/// The suite byte of a format: 2 in records, disclosures and profile bodies, 1 in sealed objects, grants, the sealed
/// terms of queries, sealed shares and sealed parts of openings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite<const BYTE: u8>;

impl<const BYTE: u8> Encode for Suite<BYTE> {
    fn size_hint(&self) -> usize {
        1
    }

    fn encode_to<O: Output + ?Sized>(&self, output: &mut O) {
        output.push_byte(BYTE);
    }
}

impl<const BYTE: u8> Decode for Suite<BYTE> {
    fn decode<I: Input>(input: &mut I) -> Result<Self, Error> {
        if input.read_byte()? == BYTE {
            Ok(Self)
        } else {
            Err("this version does not support the suite".into())
        }
    }
}

/// Decodes the whole of `bytes`, whose first byte must be `SUITE`.
pub(crate) fn decode_exactly<const SUITE: u8, T: Decode>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, FormatError> {
    match bytes.first() {
        Some(&suite) if suite == SUITE => {}
        Some(&format) if (1..SUITE).contains(&format) => {
            return Err(FormatError::OldFormat { what, format });
        }
        Some(&suite) => return Err(FormatError::UnknownSuite { what, suite }),
        None => return Err(FormatError::Malformed { what, reason: "it is empty".into() }),
    }
    if bytes.len() > limit {
        let (actual, limit) = (bytes.len() as u64, limit as u64);
        return Err(FormatError::TooLarge { what, actual, limit });
    }
    let mut rest = bytes;
    let decoded = T::decode(&mut rest)
        .map_err(|error| FormatError::Malformed { what, reason: error.to_string() })?;
    match rest.len() {
        0 => Ok(decoded),
        extra => Err(FormatError::TrailingBytes { what, extra }),
    }
}

/// Reads `length` bytes. Allocates only if the input has them.
pub(crate) fn read_bytes<I: Input>(input: &mut I, length: usize) -> Result<Vec<u8>, Error> {
    if input.remaining_len()?.is_some_and(|left| left < length) {
        return Err("the input ends too early".into());
    }
    let mut bytes = vec![0; length];
    input.read(&mut bytes)?;
    Ok(bytes)
}
