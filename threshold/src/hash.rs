//! Hashes of named parts. Every hash of this crate has a tag of its own, so that none stands for another.

use core::array;

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar};
use sha2::{Digest, Sha512};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// What all tags begin with.
const SUITE: &[u8] = b"epione/ctk/v1/ristretto255-SHA512/";
/// The bytes of one input block of SHA-512.
const BLOCK: usize = 128;

/// `N` bytes, at most 64: `expand_message_xmd` of RFC 9380 (5.3.1) with SHA-512. The message is each part after its
/// length (8 bytes, big-endian).
pub(crate) fn bytes<const N: usize>(tag: &str, parts: &[&[u8]]) -> [u8; N] {
    expand(&[SUITE, tag.as_bytes()], |hash| {
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    })
}

/// A scalar: 64 bytes as an integer in little endian, reduced, as in RFC 9497 (4.1).
pub(crate) fn scalar(tag: &str, parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Zeroizing::new(bytes::<64>(tag, parts)))
}

/// A scalar that is not 0. It would be 0 with a probability of 2^-252, and is 1 then.
pub(crate) fn nonzero_scalar(tag: &str, parts: &[&[u8]]) -> Scalar {
    let scalar = scalar(tag, parts);
    Scalar::conditional_select(&scalar, &Scalar::ONE, scalar.ct_eq(&Scalar::ZERO))
}

/// A point whose discrete logarithm nobody knows: the map of RFC 9496 (4.3.4) of 64 bytes.
pub(crate) fn point(tag: &str, parts: &[&[u8]]) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&bytes::<64>(tag, parts))
}

fn expand<const N: usize>(dst: &[&[u8]], message: impl FnOnce(&mut Sha512)) -> [u8; N] {
    const { assert!(N <= 64, "one output of SHA-512 has 64 bytes") };
    let length: usize = dst.iter().map(|part| part.len()).sum();
    let suffix = |hash: &mut Sha512| {
        for part in dst {
            hash.update(part);
        }
        // The tags of this crate are shorter than 200 bytes together with the suite.
        hash.update([length as u8]);
    };

    let mut hash = Sha512::new();
    hash.update([0; BLOCK]);
    message(&mut hash);
    hash.update([0, N as u8, 0]);
    suffix(&mut hash);
    let first: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());

    let mut hash = Sha512::new();
    hash.update(first.as_slice());
    hash.update([1]);
    suffix(&mut hash);
    let output: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    array::from_fn(|position| output[position])
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::traits::Identity;

    use super::*;

    /// RFC 9380, appendix K.3.
    #[test]
    fn expands_as_the_rfc_does() {
        let dst: &[&[u8]] = &[b"QUUX-V01-CS02-with-expander-", b"SHA512-256"];
        let expanded = |message: &[u8]| hex::encode(expand::<32>(dst, |hash| hash.update(message)));
        let empty = "6b9a7312411d92f921c6f68ca0b6380730a1a4d982c507211a90964c394179ba";
        let abc = "0da749f12fbe5483eb066a5f595055679b976e93abe9be6f0f6318bce7aca8dc";
        assert_eq!([expanded(b""), expanded(b"abc")], [empty, abc]);
    }

    /// RFC 9496, appendix A.3.
    #[test]
    fn maps_as_the_rfc_does() {
        let mut input = [0; 64];
        let text = "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c1\
                    4d98b696a1bbfb5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6";
        hex::decode_to_slice(text, &mut input).unwrap();
        let mapped = RistrettoPoint::from_uniform_bytes(&input).compress();
        let expected = "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46";
        assert_eq!(hex::encode(mapped.as_bytes()), expected);
    }

    #[test]
    fn parts_and_tags_are_kept_apart() {
        let hashes: [[u8; 32]; 5] = [
            bytes("a", &[b"b", b"c"]),
            bytes("a", &[b"bc"]),
            bytes("a", &[b"bc", b""]),
            bytes("a", &[b"", b"bc"]),
            bytes("ab", &[b"c"]),
        ];
        for (position, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..position].contains(hash));
        }
    }

    #[test]
    fn nobody_chose_the_second_generator() {
        assert_ne!(point("second-generator", &[]), RistrettoPoint::identity());
        assert_ne!(point("second-generator", &[]), RistrettoPoint::mul_base(&Scalar::ONE));
        assert_ne!(point("second-generator", &[]), point("second-generator", &[b""]));
    }
}
