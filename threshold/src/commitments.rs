//! Commitments to a polynomial (Feldman 1987): each coefficient times the base point.

// There is no empty list.
#![allow(clippy::len_without_is_empty)]

use alloc::vec::Vec;

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar, traits::VartimeMultiscalarMul};

use crate::{Index, MAX_MEMBERS, Point, Share, group::factors_at_zero};

/// The commitments to the coefficients, beginning with the constant term: 1 to [`MAX_MEMBERS`] points. They are public,
/// so that calculating with them need not take constant time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments(Vec<Point>);

impl Commitments {
    /// None if there is no point, if there are more than [`MAX_MEMBERS`], or if one is the identity or not canonical.
    pub fn decode(points: &[[u8; 32]]) -> Option<Self> {
        if points.is_empty() || points.len() > MAX_MEMBERS {
            return None;
        }
        points.iter().map(Point::decode).collect::<Option<_>>().map(Self)
    }

    /// The encodings of the points.
    pub fn encode(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(Point::encode).collect()
    }

    /// How many terms the polynomial has: so many shares determine it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The commitment to the constant term: the public key, if the constant term is the secret key.
    pub fn constant(&self) -> Point {
        *self.0.first().expect("there is at least one point")
    }

    /// The public half of the share at this index. None if it is the identity.
    pub fn evaluate(&self, at: Index) -> Option<Point> {
        Point::new(self.value(at))
    }

    /// Whether the share is the polynomial's value at this index (Feldman's check). Takes constant time for the share.
    pub fn includes(&self, at: Index, share: &Share) -> bool {
        self.value(at) == RistrettoPoint::mul_base(&share.0)
    }

    /// The commitments to the sum of the polynomials. None if there are none or more than [`MAX_MEMBERS`], if their
    /// lengths differ, or if a point of the sum is the identity.
    pub fn sum(all: &[Self]) -> Option<Self> {
        let length = all.first()?.len();
        if all.len() > MAX_MEMBERS || all.iter().any(|one| one.len() != length) {
            return None;
        }
        let term = |term: usize| -> Option<Point> {
            Point::new(all.iter().map(|one| one.0[term].element()).sum())
        };
        (0..length).map(term).collect::<Option<_>>().map(Self)
    }

    /// The commitments to the polynomial of the new shares, from those of the dealers with their indices (Desmedt and
    /// Jajodia 1997). None as in [`sum`](Self::sum), and if two indices are equal.
    pub fn interpolate(all: &[(Index, Self)]) -> Option<Self> {
        let length = all.first()?.1.len();
        if all.iter().any(|(_, one)| one.len() != length) {
            return None;
        }
        let indices: Vec<_> = all.iter().map(|(index, _)| *index).collect();
        let factors = factors_at_zero(&indices)?;
        let term = |term: usize| {
            let points = all.iter().map(|(_, one)| one.0[term].element());
            Point::new(RistrettoPoint::vartime_multiscalar_mul(&factors, points))
        };
        (0..length).map(term).collect::<Option<_>>().map(Self)
    }

    /// At least one point, at most [`MAX_MEMBERS`].
    pub(crate) fn new(points: Vec<Point>) -> Self {
        Self(points)
    }

    fn value(&self, at: Index) -> RistrettoPoint {
        let at = at.scalar();
        let mut power = Scalar::ONE;
        let mut powers = Vec::with_capacity(self.0.len());
        for _ in &self.0 {
            powers.push(power);
            power *= at;
        }
        RistrettoPoint::vartime_multiscalar_mul(powers, self.0.iter().map(Point::element))
    }
}
