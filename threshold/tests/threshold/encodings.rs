//! There is one encoding of each value, and the identity is none of them.

use epione_threshold::{Commitments, KnowledgeProof, MAX_POINTS, Partial, Point, Share, Wrap};
use num_bigint::BigUint;
use proptest::prelude::*;

use crate::{
    oracle,
    world::{CONTEXT, Epoch, LABEL, mixing},
};

/// The eight points of edwards25519 whose order divides 8, in the encoding of Ed25519.
const SMALL_ORDER: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// The base point of ristretto255 (RFC 9496, A.1).
const BASE: &str = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";

fn array(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn prime() -> BigUint {
    (BigUint::from(1_u32) << 255) - 19_u32
}

/// Encodings that are no point, or the identity, and why.
fn refused() -> Vec<(&'static str, [u8; 32])> {
    let mut refused: Vec<_> =
        SMALL_ORDER.iter().map(|text| ("a point of small order", array(text))).collect();
    let base = BigUint::from_bytes_le(&array(BASE));
    let numbers = [
        ("the prime, which is 0", prime()),
        ("1 more than the prime", prime() + 1_u32),
        ("18 more than the prime", prime() + 18_u32),
        ("a negative field element", prime() - &base),
        ("a negative field element", BigUint::from(1_u32)),
        ("the base point with the highest bit set", &base + (BigUint::from(1_u32) << 255)),
        ("no square", BigUint::from(2_u32)),
        ("no square", BigUint::from(8_u32)),
    ];
    refused.extend(numbers.map(|(why, number)| (why, oracle::little_endian(&number))));
    refused.push(("all bits", [0xff; 32]));
    refused
}

#[test]
fn points_have_one_encoding() {
    let base = Point::decode(&array(BASE)).unwrap();
    assert_eq!(base.encode(), array(BASE));
    let one = Share::decode(&oracle::little_endian(&BigUint::from(1_u32))).unwrap();
    assert_eq!(one.public(), Some(base));
    for (why, bytes) in refused() {
        assert_eq!(Point::decode(&bytes), None, "{why}");
        assert_eq!(Commitments::decode(&[array(BASE), bytes]), None, "{why}");
        assert!(oracle::Element::decode(&bytes).is_none_or(|point| point.encode() == [0; 32]));
    }
}

#[test]
fn scalars_have_one_encoding() {
    let last = &*oracle::L - 1_u32;
    for number in [BigUint::from(0_u32), BigUint::from(1_u32), last] {
        let bytes = oracle::little_endian(&number);
        assert_eq!(*Share::decode(&bytes).unwrap().encode(), bytes);
    }
    let above = [oracle::L.clone(), &*oracle::L + 1_u32, BigUint::from(1_u32) << 255];
    for number in above {
        assert_eq!(Share::decode(&oracle::little_endian(&number)), None);
    }
    assert_eq!(Share::decode(&[0xff; 32]), None);
}

#[test]
fn wraps_with_other_encodings_are_refused() {
    let epoch = Epoch::generate(&[0, 1], 2, 1);
    let bytes = epoch.wrap(&mixing(1)).encode();
    assert_eq!(Wrap::decode(&bytes).unwrap().encode(), bytes);
    for place in [0, 32] {
        for (why, point) in refused() {
            let mut changed = bytes;
            changed[place..place + 32].copy_from_slice(&point);
            assert_eq!(Wrap::decode(&changed), None, "{why}");
        }
    }
    for place in [64, 96] {
        let mut changed = bytes;
        not_reduced(&mut changed[place..place + 32]);
        assert_eq!(Wrap::decode(&changed), None);
    }
}

#[test]
fn partial_decryptions_with_other_encodings_are_refused() {
    let epoch = Epoch::generate(&[0, 1], 2, 1);
    let point = epoch.wrap(&mixing(1)).check(LABEL).unwrap();
    let bytes = epoch.partial(0, &[point, point]).encode();
    assert_eq!(*Partial::decode(&bytes).unwrap().encode(), *bytes);
    for length in [0, 1, 63, 64, 65, 95, 97, 127] {
        assert_eq!(Partial::decode(&bytes[..length]), None);
    }
    for (why, point) in refused() {
        let mut changed = bytes.clone();
        changed[96..].copy_from_slice(&point);
        assert_eq!(Partial::decode(&changed), None, "{why}");
    }
    for place in [0, 32] {
        let mut changed = bytes.clone();
        not_reduced(&mut changed[place..place + 32]);
        assert_eq!(Partial::decode(&changed), None);
    }
    let longest = [&bytes[..64], &bytes[64..96].repeat(MAX_POINTS)].concat();
    assert!(Partial::decode(&longest).is_some());
    assert_eq!(Partial::decode(&[&longest[..], &bytes[64..96]].concat()), None);
}

#[test]
fn partial_decryptions_of_no_point_or_too_many_are_not_made() {
    let epoch = Epoch::generate(&[0, 1], 2, 1);
    let point = epoch.public_key();
    let share = epoch.share(0);
    assert_eq!(Partial::make(share, &[], CONTEXT, &[1; 32]), None);
    assert_eq!(Partial::make(share, &vec![point; MAX_POINTS + 1], CONTEXT, &[1; 32]), None);
    let zero = Share::decode(&[0; 32]).unwrap();
    assert_eq!(Partial::make(&zero, &[point], CONTEXT, &[1; 32]), None);
    assert_eq!(Partial::combine(&[]), None);
}

/// The same scalar, with the order of the group added.
fn not_reduced(bytes: &mut [u8]) {
    let scalar = BigUint::from_bytes_le(bytes) + &*oracle::L;
    bytes.copy_from_slice(&oracle::little_endian(&scalar));
}

proptest! {
    #[test]
    fn whatever_is_decoded_is_encoded_the_same(
        bytes in any::<[u8; 32]>(),
        proof in any::<[[u8; 32]; 2]>(),
    ) {
        // Even and below 2^255, so that about a quarter are points.
        let mut even = bytes;
        even[0] &= 0xfe;
        even[31] &= 0x7f;
        for bytes in [bytes, even] {
            if let Some(point) = Point::decode(&bytes) {
                prop_assert_eq!(point.encode(), bytes);
            }
            let by_oracle = oracle::Element::decode(&bytes).map(|point| point.encode());
            prop_assert_eq!(by_oracle, Point::decode(&bytes).map(|point| point.encode()));
        }
        let mut small = bytes;
        small[31] &= 0x0f;
        if let Some(share) = Share::decode(&small) {
            prop_assert_eq!(*share.encode(), small);
        }
        let base = Point::decode(&array(BASE)).unwrap();
        let proof: [u8; 64] = proof.concat().try_into().unwrap();
        prop_assert!(!KnowledgeProof(proof).verify(&base, CONTEXT));
    }
}
