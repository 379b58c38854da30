//! Wraps: content keys that as many members as the threshold open together, for one label only.
//!
//! This is TDH2 of Shoup and Gennaro (1998, 2002) as a key encapsulation. Its proof binds the wrap to the label.
//! Without the proof, an attacker who may have one label opened could copy the point of another wrap into a wrap of
//! their own, and would get what opens the other one.

use aes_kw::{KeyInit, KwAes256};
use curve25519_dalek::{ristretto::RistrettoPoint, scalar::Scalar, traits::VartimeMultiscalarMul};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{MixingSecret, Point, hash, kdf, proof::Proof};

/// Bytes of an encoded wrap.
pub const WRAP_LENGTH: usize = 168;

/// A wrapped key. What it contains is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// The secret scalar of the wrap times the base point.
    first: Point,
    /// The same scalar times the second generator.
    second: Point,
    /// That both have the same scalar, for this label and this encrypted key.
    proof: Proof,
    /// The key, encrypted (AES-KW, RFC 3394).
    key: [u8; 40],
}

impl Wrap {
    /// Wraps a key to the public key of the consortium. The label says what the key is for, and under which consortium
    /// key and epoch it is wrapped: no two keys have the same label.
    ///
    /// The same arguments make the same wrap: an auditor who knows the key checks that the wrap contains it.
    pub fn make(public: &Point, mixing: &MixingSecret, label: &[u8], key: &[u8; 32]) -> Self {
        let mixing = mixing.with_label(label);
        let secret = secret(key, &mixing, label);
        let shared = public.times(&secret).expect("neither is 0, and the order is prime");
        let shared = Zeroizing::new(shared);
        Self::assemble(&secret, &shared, &mixing, label, key)
    }

    /// The point of which members make their partial decryptions, if the wrap was made for this label.
    ///
    /// That the wrap contains the right key only shows when it is opened.
    pub fn check(&self, label: &[u8]) -> Option<Point> {
        let Proof { challenge: stated, response } = &self.proof;
        let first = RistrettoPoint::vartime_double_scalar_mul_basepoint(
            stated,
            self.first.element(),
            response,
        );
        let second = RistrettoPoint::vartime_multiscalar_mul(
            [stated, response],
            [self.second.element(), &second_generator()],
        );
        (self.challenge(label, &first, &second) == *stated).then_some(self.first)
    }

    /// The wrapped key, from the mixing secret for this label ([`mixing_of`](Self::mixing_of)) and the point that
    /// [`Partial::combine`](crate::Partial::combine) returned for this wrap. None if the label, the mixing secret or
    /// the point is another one, or if the wrap is not what [`make`](Self::make) makes of this key.
    pub fn open(
        &self,
        label: &[u8],
        mixing: &[u8; 32],
        shared: &Point,
    ) -> Option<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        encryption(&self.first, &self.second, shared, mixing, label)
            .unwrap_key(&self.key, key.as_mut_slice())
            .ok()?;
        let remade = Self::assemble(&secret(&key, mixing, label), shared, mixing, label, &key);
        let is_equal = remade.encode().as_slice().ct_eq(self.encode().as_slice());
        bool::from(is_equal).then_some(key)
    }

    /// What a member hands out, in addition to its partial decryption, for the wraps with this label. It opens no
    /// others.
    pub fn mixing_of(mixing: &MixingSecret, label: &[u8]) -> Zeroizing<[u8; 32]> {
        mixing.with_label(label)
    }

    /// Both points, the proof (64 bytes) and the encrypted key (40 bytes).
    pub fn encode(&self) -> [u8; WRAP_LENGTH] {
        let mut bytes = [0; WRAP_LENGTH];
        bytes[..32].copy_from_slice(self.first.as_bytes());
        bytes[32..64].copy_from_slice(self.second.as_bytes());
        bytes[64..128].copy_from_slice(&self.proof.encode());
        bytes[128..].copy_from_slice(&self.key);
        bytes
    }

    /// None if a point is the identity or not canonical, or if a scalar is not reduced.
    pub fn decode(bytes: &[u8; WRAP_LENGTH]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        let (second, rest) = rest.split_first_chunk()?;
        let (proof, rest) = rest.split_first_chunk()?;
        Some(Self {
            first: Point::decode(first)?,
            second: Point::decode(second)?,
            proof: Proof::decode(proof)?,
            key: rest.try_into().ok()?,
        })
    }

    fn assemble(
        secret: &Scalar,
        shared: &Point,
        mixing: &[u8; 32],
        label: &[u8],
        key: &[u8; 32],
    ) -> Self {
        let both =
            |scalar: &Scalar| (RistrettoPoint::mul_base(scalar), second_generator() * scalar);
        let not_0 = "the scalar is not 0, and the order is prime";
        let (first, second) = both(secret);
        let first = Point::new(first).expect(not_0);
        let second = Point::new(second).expect(not_0);

        let mut wrapped = [0; 40];
        encryption(&first, &second, shared, mixing, label)
            .wrap_key(key, &mut wrapped)
            .expect("32 bytes wrap to 40");

        // The nonce depends on everything on which the challenge depends.
        let parts: &[&[u8]] = &[secret.as_bytes(), shared.as_bytes(), label, &wrapped];
        let nonce = Zeroizing::new(hash::nonzero_scalar("wrap-k", parts));
        let (nonce_first, nonce_second) = both(&nonce);
        let mut wrap = Self {
            first,
            second,
            proof: Proof { challenge: Scalar::ZERO, response: Scalar::ZERO },
            key: wrapped,
        };
        let challenge = wrap.challenge(label, &nonce_first, &nonce_second);
        wrap.proof = Proof::new(challenge, &nonce, secret);
        wrap
    }

    fn challenge(&self, label: &[u8], first: &RistrettoPoint, second: &RistrettoPoint) -> Scalar {
        let (first, second) = (first.compress(), second.compress());
        let parts: &[&[u8]] = &[
            label,
            &self.key,
            self.first.as_bytes(),
            first.as_bytes(),
            self.second.as_bytes(),
            second.as_bytes(),
        ];
        hash::scalar("wrap", parts)
    }
}

/// The scalar of the wrap follows from the key, which nobody guesses.
fn secret(key: &[u8; 32], mixing: &[u8; 32], label: &[u8]) -> Zeroizing<Scalar> {
    Zeroizing::new(hash::nonzero_scalar("wrap-r", &[key, mixing, label]))
}

fn encryption(
    first: &Point,
    second: &Point,
    shared: &Point,
    mixing: &[u8; 32],
    label: &[u8],
) -> KwAes256 {
    let mut secrets = Zeroizing::new([0; 64]);
    secrets[..32].copy_from_slice(shared.as_bytes());
    secrets[32..].copy_from_slice(mixing);
    let info: &[&[u8]] = &[b"epione/ctk/v1/kek", first.as_bytes(), second.as_bytes(), label];
    let key = kdf::derive(secrets.as_slice(), info);
    KwAes256::new((&*key).into())
}

/// A generator of which nobody knows the discrete logarithm.
fn second_generator() -> RistrettoPoint {
    hash::point("second-generator", &[])
}
