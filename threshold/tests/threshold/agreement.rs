//! Library and oracle compute the same bytes for any input.

use epione_threshold::{Commitments, MixingSecret, Partial, Point, Polynomial, Share, Wrap};
use proptest::prelude::*;

use crate::{
    oracle,
    world::{at, combine},
};

fn point(scalar: &[u8; 32]) -> Point {
    let reduced = oracle::scalar_of(scalar) % &*oracle::L;
    Share::decode(&oracle::little_endian(&reduced)).unwrap().public().unwrap()
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

#[test]
fn the_second_generator_is_the_documented_one() {
    let expected = "c2064cd16c6580062ae4de7415dbcd2dc18574352168aa09953700ed8d5ff478";
    assert_eq!(hex::encode(oracle::second_generator().encode()), expected);
}

proptest! {
    // The oracle needs milliseconds for each multiplication.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn on_polynomials(
        seed in any::<[u8; 32]>(),
        nonce_seed in any::<[u8; 32]>(),
        context in text(),
        threshold in 1..6_u32,
        hospital in any::<u16>(),
    ) {
        let coefficients = oracle::generate(&seed, threshold);
        let polynomial = Polynomial::generate(&seed, threshold as usize).unwrap();
        let commitments = polynomial.commitments();
        prop_assert_eq!(commitments.encode(), oracle::commit(&coefficients));

        let share = oracle::evaluate(&coefficients, hospital);
        prop_assert_eq!(*polynomial.share(at(hospital)).encode(), oracle::little_endian(&share));
        let public = oracle::Element::base().times(&share).encode();
        prop_assert_eq!(commitments.evaluate(at(hospital)).unwrap().encode(), public);

        let proof = oracle::prove_knowledge(&coefficients[0], &context, &nonce_seed);
        prop_assert_eq!(polynomial.prove(&context, &nonce_seed).0.to_vec(), proof);
    }

    #[test]
    fn on_sums_and_interpolations(
        seeds in any::<[[u8; 32]; 3]>(),
        hospitals in prop::collection::btree_set(any::<u16>(), 3),
    ) {
        let hospitals: Vec<_> = hospitals.into_iter().collect();
        let coefficients = seeds.map(|seed| oracle::generate(&seed, 2));
        let polynomials = seeds.map(|seed| Polynomial::generate(&seed, 2).unwrap());
        let sum: Vec<_> = (0..2)
            .map(|term| coefficients.iter().map(|one| &one[term]).sum::<num_bigint::BigUint>())
            .map(|sum| sum % &*oracle::L)
            .collect();
        let dealt = polynomials.each_ref().map(Polynomial::commitments);
        prop_assert_eq!(Commitments::sum(&dealt).unwrap().encode(), oracle::commit(&sum));

        let placed: Vec<_> = hospitals.iter().map(|one| at(*one)).zip(dealt).collect();
        let expected: Vec<_> = (0..2)
            .map(|term| {
                let points = placed.iter().map(|(_, one)| one.encode()[term]);
                let points: Vec<_> = hospitals.iter().copied().zip(points).collect();
                oracle::interpolate_points(&points)
            })
            .collect();
        prop_assert_eq!(Commitments::interpolate(&placed).unwrap().encode(), expected);

        let shares = polynomials.each_ref().map(|one| one.share(at(7)));
        let numbers = shares.each_ref().map(|share| oracle::scalar_of(&share.encode()));
        let numbers: Vec<_> = hospitals.iter().copied().zip(numbers).collect();
        let shares: Vec<_> = hospitals.iter().map(|one| at(*one)).zip(shares).collect();
        let expected = oracle::little_endian(&oracle::interpolate(&numbers));
        prop_assert_eq!(*Share::interpolate(&shares).unwrap().encode(), expected);
    }

    #[test]
    fn on_mixing_secrets(parts in any::<[[u8; 32]; 3]>(), label in text()) {
        let parts = [(0, parts[0]), (7, parts[1]), (300, parts[2])];
        let by_oracle = oracle::mixing(&parts);
        let secret = MixingSecret::combine(&parts).unwrap();
        prop_assert_eq!(*secret.encode(), by_oracle);
        prop_assert_eq!(secret.hash(), oracle::mixing_hash(&by_oracle));
        prop_assert_eq!(MixingSecret::part_hash(&parts[0].1), oracle::part_hash(&parts[0].1));
        let earlier = MixingSecret::from_bytes(parts[1].1);
        prop_assert_eq!(secret.link(&earlier), oracle::link(&by_oracle, &parts[1].1));
        prop_assert_eq!(*Wrap::mixing_of(&secret, &label), oracle::mixing_of(&by_oracle, &label));
    }

    #[test]
    fn on_wraps(
        scalar in any::<[u8; 32]>(),
        mixing in any::<[u8; 32]>(),
        label in text(),
        key in any::<[u8; 32]>(),
    ) {
        let public = point(&scalar);
        let (by_oracle, shared) = oracle::wrap(&public.encode(), &mixing, &label, &key);
        let secret = MixingSecret::from_bytes(mixing);
        let wrap = Wrap::make(&public, &secret, &label, &key);
        prop_assert_eq!(wrap.encode().to_vec(), by_oracle);
        let shared = Point::decode(&shared).unwrap();
        let opened = wrap.open(&label, &oracle::mixing_of(&mixing, &label), &shared);
        prop_assert_eq!(*opened.unwrap(), key);
    }

    #[test]
    fn on_partial_decryptions(
        scalars in any::<[[u8; 32]; 3]>(),
        hospitals in prop::collection::btree_set(any::<u16>(), 2),
        nonce_seed in any::<[u8; 32]>(),
        context in text(),
    ) {
        let polynomial = Polynomial::generate(&nonce_seed, 2).unwrap();
        let points = scalars.map(|scalar| point(&scalar));
        let encoded = points.map(|point| point.encode());
        let mut partials = Vec::new();
        let mut values = Vec::new();
        for hospital in hospitals {
            let share = polynomial.share(at(hospital));
            let number = oracle::scalar_of(&share.encode());
            let products = oracle::products(&number, &encoded);
            let by_oracle = oracle::partial(&number, &encoded, &products, &context, &nonce_seed);
            let partial = Partial::make(&share, &points, &context, &nonce_seed).unwrap();
            prop_assert_eq!(partial.encode().to_vec(), by_oracle);
            prop_assert!(partial.check(&share.public().unwrap(), &points, &context));
            partials.push((at(hospital), partial));
            values.push((hospital, products[0]));
        }
        let combined = combine(&partials).unwrap();
        prop_assert_eq!(combined[0].encode(), oracle::interpolate_points(&values));
    }
}
