//! A dealer's proof that it knows the constant term of its polynomial (Schnorr 1991), which FROST (Komlo and Goldberg
//! 2020) adds to the generation of keys. Without it, the last dealer could choose commitments that cancel those of the
//! others, or copy them.

use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar};
use zeroize::Zeroizing;

use crate::{Point, hash, proof::Proof};

/// Challenge and response, each 32 bytes in little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnowledgeProof(pub [u8; 64]);

impl KnowledgeProof {
    pub(crate) fn make(secret: &Scalar, context: &[u8], nonce_seed: &[u8; 32]) -> Self {
        let public = RistrettoPoint::mul_base(secret).compress();
        let parts: &[&[u8]] = &[nonce_seed, secret.as_bytes(), public.as_bytes(), context];
        let nonce = Zeroizing::new(hash::nonzero_scalar("pok-nonce", parts));
        let commitment = RistrettoPoint::mul_base(&nonce);
        let challenge = challenge(public.as_bytes(), context, &commitment);
        Self(Proof::new(challenge, &nonce, secret).encode())
    }

    /// Whether the prover knew the discrete logarithm of `public`, and made the proof for this context. False also if a
    /// scalar is not reduced.
    pub fn verify(&self, public: &Point, context: &[u8]) -> bool {
        let Some(Proof { challenge: stated, response }) = Proof::decode(&self.0) else {
            return false;
        };
        let commitment = RistrettoPoint::vartime_double_scalar_mul_basepoint(
            &stated,
            public.element(),
            &response,
        );
        challenge(public.as_bytes(), context, &commitment) == stated
    }
}

fn challenge(public: &[u8; 32], context: &[u8], commitment: &RistrettoPoint) -> Scalar {
    hash::scalar("dealer-pok", &[context, public, commitment.compress().as_bytes()])
}
