//! The transplant of a wrap: somebody who may have one label opened copies the point of another wrap into a wrap of
//! their own. The first half of this file shows that it works against a bare key encapsulation of ElGamal, in which
//! only the encryption of the key names the label. The second half shows that the proof of a wrap prevents it.

use curve25519_dalek::{ristretto::CompressedRistretto, ristretto::RistrettoPoint, scalar::Scalar};
use epione_threshold::{Partial, Point, Wrap};
use sha2::{Digest, Sha256};

use crate::{
    oracle,
    world::{CONTEXT, Epoch, KEY, LABEL, combine, mixing, seed},
};

/// The attacker is a patient, and lets everybody read this.
const PUPPET: &[u8] = b"the label of the attacker's own section";

fn element(point: &Point) -> RistrettoPoint {
    CompressedRistretto(point.encode()).decompress().unwrap()
}

fn point(element: RistrettoPoint) -> Point {
    Point::decode(&element.compress().to_bytes()).unwrap()
}

/// A wrap without a proof.
#[derive(Clone)]
struct Bare {
    point: Point,
    encrypted: [u8; 32],
}

impl Bare {
    fn make(public: &Point, label: &[u8], key: &[u8; 32], secret: &Scalar) -> Self {
        let shared = point(element(public) * secret);
        let encrypted = Self::cipher(&shared, label, key);
        Self { point: point(RistrettoPoint::mul_base(secret)), encrypted }
    }

    fn open(&self, shared: &Point, label: &[u8]) -> [u8; 32] {
        Self::cipher(shared, label, &self.encrypted)
    }

    fn cipher(shared: &Point, label: &[u8], input: &[u8; 32]) -> [u8; 32] {
        let stream = Sha256::new().chain_update(shared.encode()).chain_update(label).finalize();
        let mut output = *input;
        output.iter_mut().zip(stream).for_each(|(byte, mask)| *byte ^= mask);
        output
    }
}

/// The members serve a bare wrap if the label that is stated with it may be opened. They can check nothing else.
fn bare_service(epoch: &Epoch, stated: &[u8], wrap: &Bare) -> Option<Point> {
    (stated == PUPPET).then(|| epoch.combine(&[0, 2], &[wrap.point])[0])
}

/// The members serve a wrap if the label may be opened, and the wrap was made for it.
fn service(epoch: &Epoch, stated: &[u8], wrap: &Wrap) -> Option<Point> {
    let point = (stated == PUPPET).then(|| wrap.check(stated))??;
    let partials = [0, 2].map(|one| {
        let at = epione_threshold::Index::of_hospital(one);
        (at, Partial::make(epoch.share(one), &[point], CONTEXT, &seed(0, 0)).unwrap())
    });
    Some(combine(&partials).unwrap()[0])
}

#[test]
fn without_the_proof_a_copied_point_opens_the_victims_section() {
    let epoch = Epoch::generate(&[0, 1, 2], 2, 1);
    let victim = Bare::make(&epoch.public_key(), LABEL, &KEY, &Scalar::from(0x5eed_u64));
    assert!(bare_service(&epoch, LABEL, &victim).is_none(), "nobody may open the victim's");

    let puppet = Bare { point: victim.point, encrypted: [0; 32] };
    let shared = bare_service(&epoch, PUPPET, &puppet).unwrap();
    assert_eq!(victim.open(&shared, LABEL), KEY, "the attack");
}

/// Comparing the points of all wraps would not help.
#[test]
fn without_the_proof_a_shifted_point_opens_the_victims_section() {
    let epoch = Epoch::generate(&[0, 1, 2], 2, 1);
    let victim = Bare::make(&epoch.public_key(), LABEL, &KEY, &Scalar::from(0x5eed_u64));

    let shift = Scalar::from(77_u32);
    let shifted = point(element(&victim.point) + RistrettoPoint::mul_base(&shift));
    assert_ne!(shifted, victim.point);
    let puppet = Bare { point: shifted, encrypted: [0; 32] };
    let shared = bare_service(&epoch, PUPPET, &puppet).unwrap();
    let shared = point(element(&shared) - element(&epoch.public_key()) * shift);
    assert_eq!(victim.open(&shared, LABEL), KEY, "the attack");
}

#[test]
fn with_the_proof_a_copied_wrap_is_not_served() {
    let epoch = Epoch::generate(&[0, 1, 2], 2, 1);
    let mixing = mixing(1);
    let victim = epoch.wrap(&mixing);
    let own = Wrap::make(&epoch.public_key(), &mixing, PUPPET, &[1; 32]);
    assert!(service(&epoch, PUPPET, &own).is_some(), "the service works for the attacker's own");
    assert!(service(&epoch, LABEL, &victim).is_none(), "nobody may open the victim's");
    assert!(service(&epoch, PUPPET, &victim).is_none(), "copied as it is");

    // Each part of the victim's wrap in the attacker's own, in all combinations that have the victim's point.
    let parts = [0..32, 32..64, 64..96, 96..128, 128..168];
    for copied in (0..1_u32 << parts.len()).filter(|copied| copied & 1 == 1) {
        let mut bytes = own.encode();
        for (position, part) in parts.iter().enumerate() {
            if copied >> position & 1 == 1 {
                bytes[part.clone()].copy_from_slice(&victim.encode()[part.clone()]);
            }
        }
        let wrap = Wrap::decode(&bytes).unwrap();
        assert!(service(&epoch, PUPPET, &wrap).is_none(), "copied {copied:b}");
    }
}

#[test]
fn with_the_proof_a_shifted_wrap_is_not_served() {
    let epoch = Epoch::generate(&[0, 1, 2], 2, 1);
    let victim = epoch.wrap(&mixing(1)).encode();
    let shift = Scalar::from(77_u32);
    let second = CompressedRistretto(oracle::second_generator().encode()).decompress().unwrap();
    let shifted = |place: usize, generator: RistrettoPoint| {
        let bytes: [u8; 32] = victim[place..place + 32].try_into().unwrap();
        let element = CompressedRistretto(bytes).decompress().unwrap();
        (element + generator * shift).compress().to_bytes()
    };
    let scalar = |place: usize| {
        let bytes: [u8; 32] = victim[place..place + 32].try_into().unwrap();
        Scalar::from_canonical_bytes(bytes).unwrap()
    };
    let base = RistrettoPoint::mul_base(&Scalar::ONE);
    let (challenge, response) = (scalar(64), scalar(96));

    // The response that belongs to the shifted scalar, if the challenge stayed the same, and the victim's.
    for response in [response - challenge * shift, response] {
        for both in [true, false] {
            let mut bytes = victim;
            bytes[..32].copy_from_slice(&shifted(0, base));
            if both {
                bytes[32..64].copy_from_slice(&shifted(32, second));
            }
            bytes[96..128].copy_from_slice(response.as_bytes());
            let wrap = Wrap::decode(&bytes).unwrap();
            assert_eq!(wrap.check(PUPPET), None);
            assert_eq!(wrap.check(LABEL), None);
        }
    }
}
