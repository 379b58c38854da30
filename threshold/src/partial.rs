//! Partial decryptions: what each member adds to open wraps, with one proof for all of them.
//!
//! The proof is that of Chaum and Pedersen (1992), for a weighted sum of all points, as in RFC 9497 (2.2). Other than
//! there, each weight depends on all points and values, so that nobody can choose wrong values that cancel each other.

use alloc::vec::Vec;

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar, traits::VartimeMultiscalarMul};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    Index, Point, Share,
    group::{combine, factors_at_zero},
    hash,
    proof::Proof,
};

/// The most points of one partial decryption.
pub const MAX_POINTS: usize = 4096;

/// One member's products of its share with the points of wraps, in their order, and the proof. The products are secret:
/// as many of them as the threshold open the wraps. They are zeroized when the value is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Partial {
    /// 1 to [`MAX_POINTS`].
    values: Vec<Point>,
    #[zeroize(skip)]
    proof: [u8; 64],
}

impl Partial {
    /// The member's products with these points, which [`Wrap::check`](crate::Wrap::check) returned. `context` names
    /// what is opened, for whom, and by whom; the proof is valid in no other. The nonce follows from `nonce_seed` (32
    /// random bytes), the share and all that is proved, so that a bad seed reveals nothing.
    ///
    /// None if the share is 0, if there is no point, or if there are more than [`MAX_POINTS`].
    pub fn make(
        share: &Share,
        points: &[Point],
        context: &[u8],
        nonce_seed: &[u8; 32],
    ) -> Option<Self> {
        if !is_valid(points) {
            return None;
        }
        let public = share.public()?;
        // With its capacity from the beginning, it is never moved, which would leave a copy.
        let mut values = Zeroizing::new(Vec::<Point>::with_capacity(points.len()));
        for point in points {
            values.push(point.times(&share.0)?);
        }
        let batch = Batch::new(&public, points, &values, context)?;

        let base = batch.weighted(points);
        let product = base * share.0;
        let parts: &[&[u8]] = &[nonce_seed, share.0.as_bytes(), &batch.seed];
        let nonce = Zeroizing::new(hash::nonzero_scalar("dleq-nonce", parts));
        let commitments = [RistrettoPoint::mul_base(&nonce), base * *nonce];
        let challenge = batch.challenge(&base, &product, &commitments);
        let proof = Proof::new(challenge, &nonce, &share.0).encode();
        Some(Self { values: core::mem::take(&mut *values), proof })
    }

    /// Whether the values are the products of these points with the share whose public half is `verification_key`, and
    /// the proof was made in this context.
    pub fn check(&self, verification_key: &Point, points: &[Point], context: &[u8]) -> bool {
        let Some(Proof { challenge: stated, response }) = Proof::decode(&self.proof) else {
            return false;
        };
        let Some(batch) = Batch::new(verification_key, points, &self.values, context) else {
            return false;
        };
        let (base, product) = (batch.weighted(points), batch.weighted(&self.values));
        let commitments = [
            RistrettoPoint::vartime_double_scalar_mul_basepoint(
                &stated,
                verification_key.element(),
                &response,
            ),
            RistrettoPoint::vartime_multiscalar_mul([stated, response], [product, base]),
        ];
        batch.challenge(&base, &product, &commitments) == stated
    }

    /// The products, in the order of the points.
    pub fn values(&self) -> &[Point] {
        &self.values
    }

    /// For each wrap, the point that opens it, from partial decryptions of as many members as the threshold, with their
    /// indices. They must have been checked: this function does not see whether one is wrong, or whether they are too
    /// few. The points are secret, and zeroized when they are dropped.
    ///
    /// None if there are none or more than [`MAX_MEMBERS`](crate::MAX_MEMBERS), if two indices are equal, if their
    /// lengths differ, or if a result is the identity.
    pub fn combine(partials: &[(Index, &Self)]) -> Option<Zeroizing<Vec<Point>>> {
        let length = partials.first()?.1.values.len();
        if partials.iter().any(|(_, partial)| partial.values.len() != length) {
            return None;
        }
        let indices: Vec<_> = partials.iter().map(|(index, _)| *index).collect();
        let factors = factors_at_zero(&indices)?;
        let mut combined = Zeroizing::new(Vec::<Point>::with_capacity(length));
        for wrap in 0..length {
            let of_members = partials.iter().map(|(_, partial)| &partial.values[wrap]);
            combined.push(combine(&factors, of_members)?);
        }
        Some(combined)
    }

    /// The proof (64 bytes), then each value (32 bytes).
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 + 32 * self.values.len()));
        bytes.extend_from_slice(&self.proof);
        for value in &self.values {
            bytes.extend_from_slice(value.as_bytes());
        }
        bytes
    }

    /// None if the length is none of a partial decryption, if a value is the identity or not canonical, or if a scalar
    /// of the proof is not reduced.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (proof, values) = bytes.split_first_chunk::<64>()?;
        let (values, []) = values.as_chunks::<32>() else { return None };
        if !is_valid(values) {
            return None;
        }
        Proof::decode(proof)?;
        let mut decoded = Zeroizing::new(Vec::<Point>::with_capacity(values.len()));
        for value in values {
            decoded.push(Point::decode(value)?);
        }
        Some(Self { values: core::mem::take(&mut *decoded), proof: *proof })
    }
}

/// Whether there are 1 to [`MAX_POINTS`].
fn is_valid<T>(points: &[T]) -> bool {
    (1..=MAX_POINTS).contains(&points.len())
}

/// What one proof is about.
struct Batch {
    /// The hash of all of it.
    seed: [u8; 64],
    /// One for each point.
    weights: Vec<Scalar>,
}

impl Batch {
    /// None if there is no point, if there are more than [`MAX_POINTS`], or not as many values as points.
    fn new(public: &Point, points: &[Point], values: &[Point], context: &[u8]) -> Option<Self> {
        if !is_valid(points) || points.len() != values.len() {
            return None;
        }
        let pairs = points.iter().zip(values);
        let pairs = pairs.flat_map(|(point, value)| [&point.as_bytes()[..], value.as_bytes()]);
        let parts: Vec<_> = [context, public.as_bytes()].into_iter().chain(pairs).collect();
        let seed = hash::bytes::<64>("dleq-seed", &parts);
        let weight = |position: u32| {
            let bytes = hash::bytes::<16>("composite", &[&seed, &position.to_be_bytes()]);
            Scalar::from(u128::from_le_bytes(bytes))
        };
        let weights = (0..).take(points.len()).map(weight).collect();
        Some(Self { seed, weights })
    }

    /// The time depends on the weights only, which follow from what both sides know. It does not depend on the points.
    fn weighted(&self, points: &[Point]) -> RistrettoPoint {
        let points = points.iter().map(Point::element);
        RistrettoPoint::vartime_multiscalar_mul(&self.weights, points)
    }

    fn challenge(
        &self,
        base: &RistrettoPoint,
        product: &RistrettoPoint,
        commitments: &[RistrettoPoint; 2],
    ) -> Scalar {
        let [first, second] = commitments;
        let points = [base, product, first, second].map(|point| point.compress().to_bytes());
        let [base, product, first, second] = &points;
        hash::scalar("dleq", &[&self.seed, base, product, first, second])
    }
}
