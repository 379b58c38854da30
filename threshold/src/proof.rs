//! What the three proofs of this crate have in common: a challenge, which is a hash, and the response to it (Fiat and
//! Shamir 1986, Schnorr 1991).

use curve25519_dalek::scalar::Scalar;

/// A challenge and the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) challenge: Scalar,
    pub(crate) response: Scalar,
}

impl Proof {
    /// The response is nonce - challenge * secret, in constant time. No nonce may be used for two challenges: both
    /// responses together would reveal the secret.
    pub(crate) fn new(challenge: Scalar, nonce: &Scalar, secret: &Scalar) -> Self {
        Self { challenge, response: nonce - challenge * secret }
    }

    pub(crate) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(self.challenge.as_bytes());
        bytes[32..].copy_from_slice(self.response.as_bytes());
        bytes
    }

    /// None if a scalar is not reduced.
    pub(crate) fn decode(bytes: &[u8; 64]) -> Option<Self> {
        let (challenge, response) = bytes.split_first_chunk::<32>()?;
        let response = response.first_chunk::<32>()?;
        Some(Self { challenge: canonical(challenge)?, response: canonical(response)? })
    }
}

/// A scalar in little endian. None if it is not reduced.
pub(crate) fn canonical(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(*bytes).into()
}
