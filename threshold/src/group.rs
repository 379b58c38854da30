//! Points of ristretto255 (RFC 9496), where polynomials are evaluated, and interpolation.

use alloc::vec::Vec;
use core::{fmt, num::NonZeroU32};

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::{IsIdentity, MultiscalarMul},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The most terms of a polynomial, and the most members or dealers whose values are combined.
pub const MAX_MEMBERS: usize = 128;

/// A point of ristretto255 that is not the identity.
///
/// Most points are public. A point that opens a wrap is not: its owner zeroizes it, after which it must not be used.
/// `Debug` never shows it, and comparing takes constant time.
#[derive(Clone, Copy, Zeroize)]
pub struct Point {
    element: RistrettoPoint,
    encoding: [u8; 32],
}

impl Point {
    /// The point with this encoding. None for the identity, and for bytes that are not what [`encode`](Self::encode)
    /// returns for any point.
    pub fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let element = CompressedRistretto(*bytes).decompress()?;
        (!element.is_identity()).then_some(Self { element, encoding: *bytes })
    }

    /// The canonical encoding of RFC 9496 (4.3.2).
    pub fn encode(&self) -> [u8; 32] {
        self.encoding
    }

    /// None for the identity.
    pub(crate) fn new(element: RistrettoPoint) -> Option<Self> {
        let point = Self { element, encoding: element.compress().to_bytes() };
        (!element.is_identity()).then_some(point)
    }

    /// In constant time. None for 0.
    pub(crate) fn of_scalar(scalar: &Scalar) -> Option<Self> {
        Self::new(RistrettoPoint::mul_base(scalar))
    }

    /// The product with a scalar, in constant time. None for 0.
    pub(crate) fn times(&self, scalar: &Scalar) -> Option<Self> {
        Self::new(self.element * scalar)
    }

    pub(crate) fn element(&self) -> &RistrettoPoint {
        &self.element
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.encoding
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.encoding.ct_eq(&other.encoding).into()
    }
}

impl Eq for Point {}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Point(..)")
    }
}

/// Where a polynomial is evaluated for a member. It is never 0, where the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(NonZeroU32);

impl Index {
    /// The number of the hospital, plus 1.
    pub fn of_hospital(hospital: u16) -> Self {
        Self(NonZeroU32::MIN.saturating_add(u32::from(hospital)))
    }

    pub(crate) fn scalar(self) -> Scalar {
        Scalar::from(self.0.get())
    }
}

/// The factors with which values at these indices add up to the value at 0 (Lagrange). None if there is no index, if
/// there are more than [`MAX_MEMBERS`], or if two are equal.
pub(crate) fn factors_at_zero(indices: &[Index]) -> Option<Vec<Scalar>> {
    if indices.is_empty() || indices.len() > MAX_MEMBERS {
        return None;
    }
    let mut numerators = Vec::with_capacity(indices.len());
    let mut denominators = Vec::with_capacity(indices.len());
    for (position, index) in indices.iter().enumerate() {
        if indices[..position].contains(index) {
            return None;
        }
        let (mut numerator, mut denominator) = (Scalar::ONE, Scalar::ONE);
        for other in indices.iter().filter(|other| *other != index) {
            numerator *= other.scalar();
            denominator *= other.scalar() - index.scalar();
        }
        numerators.push(numerator);
        denominators.push(denominator);
    }
    // None is 0: the indices are different, and less than the order of the group.
    Scalar::invert_batch_alloc(&mut denominators);
    Some(numerators.iter().zip(&denominators).map(|(over, under)| over * under).collect())
}

/// The sum of products, in constant time. None if it is the identity.
pub(crate) fn combine<'a>(
    factors: &[Scalar],
    points: impl Iterator<Item = &'a Point>,
) -> Option<Point> {
    Point::new(RistrettoPoint::multiscalar_mul(factors, points.map(Point::element)))
}
