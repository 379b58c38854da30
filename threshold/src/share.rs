//! Shares: the values of a secret polynomial.

use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Index, MAX_MEMBERS, Point, group::factors_at_zero, proof::canonical};

/// A secret scalar: a member's share of the key, or what one dealer gave to a member. Comparing takes constant time.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Share(pub(crate) Scalar);

impl Share {
    /// From 32 bytes in little endian. None if they are not reduced modulo the order of the group.
    pub fn decode(bytes: &[u8; 32]) -> Option<Self> {
        canonical(bytes).map(Self)
    }

    /// 32 bytes in little endian, reduced.
    pub fn encode(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half, which verifies the owner's partial decryptions. None for 0.
    pub fn public(&self) -> Option<Point> {
        Point::of_scalar(&self.0)
    }

    /// A member's share of a new key: the sum of what the dealers gave to the member (Pedersen 1991). None if there is
    /// no dealer, or more than [`MAX_MEMBERS`].
    pub fn sum(all: &[Self]) -> Option<Self> {
        if all.is_empty() || all.len() > MAX_MEMBERS {
            return None;
        }
        let mut sum = Self(Scalar::ZERO);
        for share in all {
            sum.0 += share.0;
        }
        Some(sum)
    }

    /// The value at 0 of the polynomial that has these values: a member's new share, from what earlier members gave to
    /// the member (Desmedt and Jajodia 1997), with the indices of those who gave. None if there is no value, if there
    /// are more than [`MAX_MEMBERS`], or if two indices are equal.
    pub fn interpolate(all: &[(Index, Self)]) -> Option<Self> {
        let indices: Vec<_> = all.iter().map(|(index, _)| *index).collect();
        let factors = factors_at_zero(&indices)?;
        let mut value = Self(Scalar::ZERO);
        for (factor, (_, share)) in factors.iter().zip(all) {
            value.0 += factor * share.0;
        }
        Some(value)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(..)")
    }
}
