//! Padding of a small plaintext before it is sealed, because everybody who sees a sealed object sees its length:
//!
//! ```text
//! padded plaintext = length of the plaintext (u32) ‖ plaintext ‖ zeros
//! ```
//!
//! The length of the whole follows the scheme Padmé (Nikitin, Barman, Lueks, Underwood, Hubaux, Ford: "Reducing
//! Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs 2019), with a minimum.

use epione_primitives::limits::MAX_BODY_BYTES;
use zeroize::Zeroizing;

use crate::{FormatError, OpenError};

/// Bytes of the length that precedes the plaintext.
const LENGTH_BYTES: usize = 4;

/// Minimum bytes of a padded plaintext. So a FHIR text of up to 150 bytes that do not compress, and the description of
/// an image with a file name of 68 bytes (a DICOM UID and `.dcm`), have the same length as the shortest ones.
const MIN_PADDED_BYTES: u64 = 256;

pub(super) fn pad(plaintext: &[u8]) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let (actual, limit) = (plaintext.len() as u64, u64::from(MAX_BODY_BYTES));
    if actual > limit {
        return Err(FormatError::TooLarge { what: "a sealed text", actual, limit });
    }
    // The limit fits u32, and so does what padding adds.
    let length = padded_length(LENGTH_BYTES as u64 + actual) as usize;
    // Never reallocates, so no copy of the plaintext stays in freed memory.
    let mut padded = Zeroizing::new(Vec::<u8>::with_capacity(length));
    padded.extend_from_slice(&(actual as u32).to_le_bytes());
    padded.extend_from_slice(plaintext);
    padded.resize(length, 0);
    Ok(padded)
}

/// Accepts only what [`pad`] returns, so that a plaintext has one padded form.
pub(super) fn unpad(padded: &[u8]) -> Result<&[u8], OpenError> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(OpenError)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (plaintext, zeros) = rest.split_at_checked(length).ok_or(OpenError)?;
    let expected = padded_length((LENGTH_BYTES + plaintext.len()) as u64);
    let right = padded.len() as u64 == expected && zeros.iter().all(|byte| *byte == 0);
    if right { Ok(plaintext) } else { Err(OpenError) }
}

/// Padmé: rounds up so that only the first 1 + S binary digits can be ones, where S is the number of binary digits of
/// E, and E the exponent of the highest digit. From the minimum on, this adds less than a sixteenth.
fn padded_length(length: u64) -> u64 {
    let length = length.max(MIN_PADDED_BYTES);
    let exponent = length.ilog2();
    let significant = exponent.ilog2() + 1;
    length.next_multiple_of(1 << (exponent - significant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_lengths_are_those_of_the_published_scheme_with_a_minimum() {
        for (length, padded) in [
            (4, 256),
            (255, 256),
            (256, 256),
            (257, 272),
            (272, 272),
            (273, 288),
            (511, 512),
            (512, 512),
            (513, 544),
            (1025, 1088),
            (32_769, 34_816),
            (65_535, 65_536),
            (65_537, 67_584),
            (1 << 20, 1 << 20),
            ((1 << 20) + 1, (1 << 20) + (1 << 15)),
        ] {
            assert_eq!(padded_length(length), padded, "{length}");
        }
    }

    #[test]
    fn padded_lengths_are_few_and_add_less_than_a_sixteenth() {
        let mut values = vec![MIN_PADDED_BYTES];
        for length in 0..=u64::from(MAX_BODY_BYTES) {
            let padded = padded_length(length);
            assert!(padded >= length, "{length}");
            assert!(length < MIN_PADDED_BYTES || (padded - length) * 16 < length, "{length}");
            assert!(length < 1 << 16 || (padded - length) * 32 < length, "{length}");
            assert_eq!(padded_length(padded), padded, "{length}");
            let last = values[values.len() - 1];
            if padded != last {
                assert!(padded > last, "{length}");
                values.push(padded);
            }
        }
        // The minimum; 16 values for each power of two up to 64 KiB, and 32 from there to 2 MiB.
        assert_eq!(values.len(), 1 + 8 * 16 + 5 * 32);
    }

    #[test]
    fn a_plaintext_is_padded_and_found_again() {
        for length in [0, 1, 251, 252, 253, 255, 256, 257, 70_000, MAX_BODY_BYTES as usize] {
            let plaintext = vec![7; length];
            let padded = pad(&plaintext).unwrap();
            assert_eq!(padded.len() as u64, padded_length(4 + length as u64));
            assert_eq!(unpad(&padded), Ok(plaintext.as_slice()));
        }
        let error = pad(&vec![7; MAX_BODY_BYTES as usize + 1]).unwrap_err();
        assert!(matches!(error, FormatError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn bytes_that_are_not_padded_by_the_rule_are_refused() {
        let padded = pad(b"male").unwrap().to_vec();
        for position in 8..padded.len() {
            let mut edited = padded.clone();
            edited[position] = 1;
            assert_eq!(unpad(&edited), Err(OpenError), "{position}");
        }
        // Less or more zeros, among them those of other padded lengths.
        for length in (0..700).filter(|length| *length != padded.len()) {
            let mut edited = padded.clone();
            edited.resize(length, 0);
            assert_eq!(unpad(&edited), Err(OpenError), "{length}");
        }
        // A length that ends before the plaintext, or does not belong to the padded length, or is beyond the end.
        for length in [0, 3, 253, u32::MAX] {
            let edited = [&length.to_le_bytes()[..], &padded[4..]].concat();
            assert_eq!(unpad(&edited), Err(OpenError), "{length}");
        }
    }
}
