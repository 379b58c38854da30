//! A requester notices each wrong partial decryption, and who sent it.

use epione_threshold::{Partial, Point, Share};
use num_bigint::BigUint;
use proptest::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    oracle,
    world::{CONTEXT, Epoch, LABEL, at, combine, mixing, seed},
};

fn epoch() -> Epoch {
    Epoch::generate(&[0, 1, 2, 3], 3, 1)
}

/// The points of this many wraps.
fn points(epoch: &Epoch, count: usize) -> Vec<Point> {
    let wrap = |position: usize| {
        let label = [LABEL, &[position as u8]].concat();
        let key = seed(4, position);
        let wrap = epione_threshold::Wrap::make(&epoch.public_key(), &mixing(1), &label, &key);
        wrap.check(&label).unwrap()
    };
    (0..count).map(wrap).collect()
}

fn encoded(points: &[Point]) -> Vec<[u8; 32]> {
    points.iter().map(Point::encode).collect()
}

/// What a member with this share sends if it states these values: a proof as good as it can make one.
fn stated(share: &Share, points: &[Point], values: &[[u8; 32]]) -> Partial {
    let share = oracle::scalar_of(&share.encode());
    let bytes = oracle::partial(&share, &encoded(points), values, CONTEXT, &[1; 32]);
    Partial::decode(&bytes).unwrap()
}

fn plus(point: &[u8; 32], error: &oracle::Element) -> [u8; 32] {
    oracle::Element::decode(point).unwrap().plus(error).encode()
}

fn negated(point: &oracle::Element) -> oracle::Element {
    point.times(&(&*oracle::L - 1_u32))
}

fn sum(points: &[[u8; 32]]) -> oracle::Element {
    let elements = points.iter().map(|point| oracle::Element::decode(point).unwrap());
    elements.fold(oracle::Element::identity(), |sum, element| sum.plus(&element))
}

#[test]
fn a_wrong_value_is_noticed() {
    let epoch = epoch();
    let points = points(&epoch, 4);
    let key = epoch.verification_key(1);
    let right = encoded(epoch.partial(1, &points).values());
    assert!(stated(epoch.share(1), &points, &right).check(&key, &points, CONTEXT));

    let error = oracle::Element::base();
    for position in 0..points.len() {
        let mut wrong = right.clone();
        wrong[position] = plus(&wrong[position], &error);
        assert!(!stated(epoch.share(1), &points, &wrong).check(&key, &points, CONTEXT));
        // The proof of the right values does not fit either.
        let mut bytes = epoch.partial(1, &points).encode();
        bytes[64 + 32 * position..][..32].copy_from_slice(&wrong[position]);
        assert!(!Partial::decode(&bytes).unwrap().check(&key, &points, CONTEXT));
    }
}

/// Two wrong values whose sum is right: with equal weights, one proof for the whole batch would not show them.
#[test]
fn errors_that_cancel_each_other_are_noticed() {
    let epoch = epoch();
    let points = points(&epoch, 4);
    let share = oracle::scalar_of(&epoch.share(1).encode());
    let error = oracle::Element::base().times(&BigUint::from(77_u32));
    let mut values = encoded(epoch.partial(1, &points).values());
    let right = values.clone();
    values[0] = plus(&values[0], &error);
    values[2] = plus(&values[2], &negated(&error));
    assert_ne!(values, right);
    let product = sum(&encoded(&points)).times(&share);
    assert_eq!(sum(&values).encode(), product.encode(), "with equal weights they cancel");

    let key = epoch.verification_key(1);
    assert!(stated(epoch.share(1), &points, &right).check(&key, &points, CONTEXT));
    assert!(!stated(epoch.share(1), &points, &values).check(&key, &points, CONTEXT));
}

/// Errors that cancel under the weights of the right values: the wrong values have other weights.
#[test]
fn errors_chosen_for_known_weights_are_noticed() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let share = oracle::scalar_of(&epoch.share(1).encode());
    let key = epoch.verification_key(1);
    let right = encoded(epoch.partial(1, &points).values());
    let inputs = encoded(&points);
    let (_, weights) = oracle::weights(&key.encode(), &inputs, &right, CONTEXT);
    let base = oracle::Element::base();
    let values = [
        plus(&right[0], &base.times(&weights[1])),
        plus(&right[1], &negated(&base.times(&weights[0]))),
    ];
    let product = oracle::weighted(&weights, inputs.iter()).times(&share);
    let cancelled = oracle::weighted(&weights, values.iter());
    assert_eq!(cancelled.encode(), product.encode(), "with the known weights they cancel");
    assert!(!stated(epoch.share(1), &points, &values).check(&key, &points, CONTEXT));
}

#[test]
fn exchanged_values_are_noticed() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let key = epoch.verification_key(1);
    let right = encoded(epoch.partial(1, &points).values());
    let exchanged = [right[1], right[0]];
    assert!(!stated(epoch.share(1), &points, &exchanged).check(&key, &points, CONTEXT));
    assert!(!stated(epoch.share(1), &points, &[right[0]; 2]).check(&key, &points, CONTEXT));
}

#[test]
fn it_is_valid_for_its_member_points_and_context_only() {
    let epoch = epoch();
    let all = points(&epoch, 3);
    let partial = epoch.partial(1, &all);
    let key = epoch.verification_key(1);
    assert!(partial.check(&key, &all, CONTEXT));
    assert!(!partial.check(&epoch.verification_key(2), &all, CONTEXT), "misattributed");
    assert!(!partial.check(&epoch.public_key(), &all, CONTEXT));
    assert!(!partial.check(&key, &all, b"another query"), "replayed");
    assert!(!partial.check(&key, &all, b""), "replayed");
    assert!(!partial.check(&key, &[all[1], all[0], all[2]], CONTEXT), "in another order");
    assert!(!partial.check(&key, &all[..2], CONTEXT), "for fewer wraps");
    assert!(!partial.check(&key, &[], CONTEXT), "for none");
    let other = points(&epoch, 4)[3];
    assert!(!partial.check(&key, &[all[0], all[1], other], CONTEXT), "for another wrap");
}

/// A stranger who invents a share is none of the members.
#[test]
fn nobody_without_the_share_makes_one() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let own = Share::decode(&[5; 32]).unwrap();
    let partial = Partial::make(&own, &points, CONTEXT, &[1; 32]).unwrap();
    for hospital in 0..4 {
        assert!(!partial.check(&epoch.verification_key(hospital), &points, CONTEXT));
    }
    assert!(partial.check(&own.public().unwrap(), &points, CONTEXT));
}

/// With a wrong partial decryption, nothing opens; without it, the others open.
#[test]
fn the_others_open_without_the_liar() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let right = epoch.combine(&[0, 1, 2], &points);
    let liar = Partial::make(epoch.share(0), &points, CONTEXT, &[1; 32]).unwrap();
    let honest = [1, 2, 3].map(|one| (at(one), epoch.partial(one, &points)));
    // Hospital 0 sends what is right for hospital 0, as if it was hospital 3.
    assert!(!liar.check(&epoch.verification_key(3), &points, CONTEXT));
    let [first, second, _] = honest.clone();
    assert_ne!(combine(&[first, second, (at(3), liar)]).unwrap(), right);
    assert_eq!(combine(&honest).unwrap(), right);
}

/// Whoever reads the memory later finds neither the products nor what opens the wraps.
#[test]
fn products_and_what_they_open_are_zeroized() {
    fn is_erased_on_drop<T: ZeroizeOnDrop>(_: &T) {}
    let epoch = epoch();
    let points = points(&epoch, 2);
    let [one, two] = [1, 2].map(|hospital| (at(hospital), epoch.partial(hospital, &points)));
    let combined = Partial::combine(&[(one.0, &one.1), (two.0, &two.1)]).unwrap();
    is_erased_on_drop(&combined);
    let (_, mut partial) = one;
    is_erased_on_drop(&partial);
    partial.zeroize();
    assert!(partial.values().is_empty());
}

#[test]
fn what_does_not_fit_together_is_not_combined() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let [one, two] = [1, 2].map(|hospital| (at(hospital), epoch.partial(hospital, &points)));
    let shorter = (at(3), epoch.partial(3, &points[..1]));
    assert_eq!(combine(&[one.clone(), two.clone(), shorter]), None);
    assert_eq!(combine(&[one.clone(), two, one.clone()]), None);
    let many: Vec<_> = (0..=epione_threshold::MAX_MEMBERS as u16)
        .map(|hospital| (at(hospital), one.1.clone()))
        .collect();
    assert_eq!(combine(&many), None);
}

/// Otherwise two proofs would reveal the share.
#[test]
fn a_nonce_is_never_used_for_two_challenges() {
    let epoch = epoch();
    let points = points(&epoch, 2);
    let commitment = |points: &[Point], context: &[u8], nonce_seed: &[u8; 32]| {
        let share = epoch.share(1);
        let bytes = Partial::make(share, points, context, nonce_seed).unwrap().encode();
        let [challenge, response] =
            [&bytes[..32], &bytes[32..64]].map(|half| oracle::scalar_of(half.try_into().unwrap()));
        let public = oracle::Element::decode(&epoch.verification_key(1).encode()).unwrap();
        oracle::Element::base().times(&response).plus(&public.times(&challenge)).encode()
    };
    let first = commitment(&points, b"a", &[1; 32]);
    assert_eq!(commitment(&points, b"a", &[1; 32]), first);
    assert_ne!(commitment(&points, b"b", &[1; 32]), first);
    assert_ne!(commitment(&points[..1], b"a", &[1; 32]), first);
    assert_ne!(commitment(&points, b"a", &[2; 32]), first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_can_be_changed(position in 0..160_usize, bits in 1..=u8::MAX) {
        let epoch = epoch();
        let points = points(&epoch, 3);
        let mut bytes = epoch.partial(2, &points).encode();
        bytes[position] ^= bits;
        let accepted = Partial::decode(&bytes).is_some_and(|partial| {
            partial.check(&epoch.verification_key(2), &points, CONTEXT)
        });
        prop_assert!(!accepted);
    }
}
