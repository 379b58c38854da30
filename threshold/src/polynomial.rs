//! A dealer's secret polynomial (Shamir 1979).

use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::scalar::Scalar;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Commitments, Index, KnowledgeProof, MAX_MEMBERS, Point, Share, hash};

/// The coefficients, beginning with the constant term. None is 0.
///
/// All follow from a seed, so that a dealer that was restarted deals the same again.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Polynomial(Vec<Scalar>);

impl Polynomial {
    /// A polynomial with `threshold` terms, all of which follow from the seed. So many values determine it, and fewer
    /// say nothing about the constant term.
    ///
    /// A seed is 32 random bytes, for one ceremony only. None if `threshold` is 0 or more than [`MAX_MEMBERS`].
    pub fn generate(seed: &[u8; 32], threshold: usize) -> Option<Self> {
        let terms = terms(threshold)?;
        let constant = Share(hash::nonzero_scalar("constant", &[seed, &terms]));
        Self::sharing(&constant, seed, threshold)
    }

    /// A polynomial whose value at 0 is given. The other terms follow from the seed and the constant term. None if the
    /// constant term is 0, and as in [`generate`](Self::generate).
    pub fn sharing(constant: &Share, seed: &[u8; 32], threshold: usize) -> Option<Self> {
        let terms = terms(threshold)?;
        if constant.0 == Scalar::ZERO {
            return None;
        }
        let secret = constant.encode();
        // With its capacity from the begin, it is never moved, which would leave a copy.
        let mut coefficients = Vec::with_capacity(threshold);
        coefficients.push(constant.0);
        for term in (0_u32..).take(threshold).skip(1) {
            let parts: &[&[u8]] = &[seed, secret.as_slice(), &terms, &term.to_be_bytes()];
            coefficients.push(hash::nonzero_scalar("coefficient", parts));
        }
        Some(Self(coefficients))
    }

    /// What everybody may know of the polynomial (Feldman 1987).
    pub fn commitments(&self) -> Commitments {
        let commitment = |coefficient: &Scalar| {
            Point::of_scalar(coefficient).expect("no coefficient is 0, and the order is prime")
        };
        Commitments::new(self.0.iter().map(commitment).collect())
    }

    /// The value for a member.
    pub fn share(&self, at: Index) -> Share {
        let at = at.scalar();
        let mut value = Share(Scalar::ZERO);
        for coefficient in self.0.iter().rev() {
            value.0 = value.0 * at + coefficient;
        }
        value
    }

    /// Proves that the dealer knows the constant term. `context` names chain, ceremony and dealer. The nonce follows
    /// from `nonce_seed` (32 random bytes), the constant term and the context, so that a bad seed reveals nothing.
    pub fn prove(&self, context: &[u8], nonce_seed: &[u8; 32]) -> KnowledgeProof {
        KnowledgeProof::make(&self.constant(), context, nonce_seed)
    }

    fn constant(&self) -> Zeroizing<Scalar> {
        Zeroizing::new(*self.0.first().expect("there is at least one term"))
    }
}

impl fmt::Debug for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Polynomial(..)")
    }
}

/// The number of terms as it is hashed, if it is valid.
fn terms(threshold: usize) -> Option<[u8; 4]> {
    let terms = u32::try_from(threshold).ok()?;
    (1..=MAX_MEMBERS).contains(&threshold).then_some(terms.to_be_bytes())
}
