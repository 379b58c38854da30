//! BLS12-381 by the library blst, as attribute-based encryption needs it, for measurements only. blst has no safe
//! functions for these operations; the wrappers below only pass it initialized values and the lengths of slices.

#![allow(unsafe_code)]

use std::ptr;

use blst::{
    blst_fp12, blst_fp12_cyclotomic_sqr, blst_hash_to_g1, blst_hash_to_g2, blst_p1, blst_p1_affine,
    blst_p1_mult, blst_p1_to_affine, blst_p2, blst_p2_affine, blst_p2_mult, blst_p2_to_affine,
};

/// Bits of the group's order.
const BITS: usize = 255;
/// What hashes to the groups are separated by, as RFC 9380 requires.
const TAG_G1: &[u8] = b"epione/measured/BLS12381G1_XMD:SHA-256_SSWU_RO_";
const TAG_G2: &[u8] = b"epione/measured/BLS12381G2_XMD:SHA-256_SSWU_RO_";

/// An exponent below the group's order, in little endian.
pub(super) struct Exponent([u8; 32]);

impl Exponent {
    /// Of these bytes, without the two highest bits: the order is between 2^254 and 2^255.
    pub fn of(mut bytes: [u8; 32]) -> Self {
        bytes[31] &= 0x3f;
        Self(bytes)
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) struct G1(blst_p1);

#[derive(Clone, Copy, PartialEq)]
pub(super) struct G2(blst_p2);

/// The group of the pairing's values.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Gt(blst_fp12);

/// In the form that a pairing takes.
#[derive(Clone, Copy)]
pub(super) struct Pair(blst_p1_affine, blst_p2_affine);

impl G1 {
    pub fn hash(message: &[u8]) -> Self {
        let mut point = blst_p1::default();
        // SAFETY: both slices live during the call, and their lengths are their own. The augmentation is empty.
        unsafe {
            blst_hash_to_g1(
                &mut point,
                message.as_ptr(),
                message.len(),
                TAG_G1.as_ptr(),
                TAG_G1.len(),
                ptr::null(),
                0,
            );
        }
        Self(point)
    }

    pub fn power(&self, exponent: &Exponent) -> Self {
        let mut point = blst_p1::default();
        // SAFETY: the exponent has 32 bytes, of which the function reads 255 bits.
        unsafe { blst_p1_mult(&mut point, &self.0, exponent.0.as_ptr(), BITS) };
        Self(point)
    }
}

impl G2 {
    pub fn hash(message: &[u8]) -> Self {
        let mut point = blst_p2::default();
        // SAFETY: both slices live during the call, and their lengths are their own. The augmentation is empty.
        unsafe {
            blst_hash_to_g2(
                &mut point,
                message.as_ptr(),
                message.len(),
                TAG_G2.as_ptr(),
                TAG_G2.len(),
                ptr::null(),
                0,
            );
        }
        Self(point)
    }

    pub fn power(&self, exponent: &Exponent) -> Self {
        let mut point = blst_p2::default();
        // SAFETY: the exponent has 32 bytes, of which the function reads 255 bits.
        unsafe { blst_p2_mult(&mut point, &self.0, exponent.0.as_ptr(), BITS) };
        Self(point)
    }
}

impl Pair {
    pub fn new(first: &G1, second: &G2) -> Self {
        let mut pair = Self(blst_p1_affine::default(), blst_p2_affine::default());
        // SAFETY: all four values are initialized.
        unsafe {
            blst_p1_to_affine(&mut pair.0, &first.0);
            blst_p2_to_affine(&mut pair.1, &second.0);
        }
        pair
    }

    pub fn pairing(&self) -> Gt {
        Gt(blst_fp12::miller_loop(&self.1, &self.0).final_exp())
    }
}

impl Gt {
    /// By squaring and multiplying: the library has no function for it.
    pub fn power(&self, exponent: &Exponent) -> Self {
        let mut power = blst_fp12::default();
        for bit in (0..BITS).rev() {
            let mut square = blst_fp12::default();
            // SAFETY: both values are initialized.
            unsafe { blst_fp12_cyclotomic_sqr(&mut square, &power) };
            power = square;
            if (exponent.0[bit / 8] >> (bit % 8)) & 1 == 1 {
                power *= self.0;
            }
        }
        Self(power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponent(number: u8) -> Exponent {
        Exponent::of(*blake3::hash(&[number]).as_bytes())
    }

    #[test]
    fn exponents_move_through_the_pairing() {
        let (one, two) = (exponent(1), exponent(2));
        let pairing = |first: &G1, second: &G2| Pair::new(first, second).pairing();
        for (first, second) in [
            (G1::hash(b"c"), G2::hash(b"d")),
            (G1::hash(b"a"), G2::hash(b"d")),
            (G1::hash(b"c"), G2::hash(b"b")),
        ] {
            let value = pairing(&first, &second);
            let raised = value.power(&one);
            assert!(pairing(&first.power(&one), &second) == raised);
            assert!(pairing(&first, &second.power(&one)) == raised);
            assert!(value.power(&two) != raised && value != raised);
            let both = pairing(&first.power(&one), &second.power(&two));
            assert!(both == raised.power(&two));
        }
    }

    #[test]
    fn different_messages_are_hashed_to_different_points() {
        assert!(G1::hash(b"a") != G1::hash(b"b") && G2::hash(b"a") != G2::hash(b"b"));
        assert!(G1::hash(b"a") == G1::hash(b"a") && G2::hash(b"a") == G2::hash(b"a"));
    }
}
