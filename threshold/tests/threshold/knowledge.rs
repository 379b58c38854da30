//! The proof that a dealer knows its constant term holds for one dealer in one ceremony.

use epione_threshold::{KnowledgeProof, Polynomial};
use proptest::prelude::*;

use crate::{oracle, world::seed};

/// Genesis, ceremony and dealer, as the chain states them.
fn context(ceremony: u32, dealer: u16) -> Vec<u8> {
    [&[9; 32][..], &ceremony.to_le_bytes(), &dealer.to_le_bytes()].concat()
}

fn dealer(number: u64) -> Polynomial {
    Polynomial::generate(&seed(number, 0), 3).unwrap()
}

#[test]
fn a_proof_holds_for_its_dealer_and_ceremony_only() {
    let public = dealer(1).commitments().constant();
    let proof = dealer(1).prove(&context(5, 2), &[3; 32]);
    assert!(proof.verify(&public, &context(5, 2)));
    assert!(!proof.verify(&public, &context(6, 2)), "replayed in another ceremony");
    assert!(!proof.verify(&public, &context(5, 3)), "copied by another dealer");
    assert!(!proof.verify(&public, b""));
    assert!(!proof.verify(&dealer(2).commitments().constant(), &context(5, 2)));
}

/// A dealer that copies the commitments of another one needs a proof in its own name.
#[test]
fn copied_commitments_have_no_proof() {
    let honest = dealer(1);
    let copied = honest.commitments();
    let proof = honest.prove(&context(5, 2), &[3; 32]);
    let own = dealer(2).prove(&context(5, 3), &[3; 32]);
    assert!(proof.verify(&copied.constant(), &context(5, 2)));
    for attempt in [proof, own] {
        assert!(!attempt.verify(&copied.constant(), &context(5, 3)));
    }
}

/// Otherwise the responses to two challenges would reveal the secret.
#[test]
fn a_nonce_is_never_used_for_two_challenges() {
    let commitment = |polynomial: &Polynomial, context: &[u8], seed: &[u8; 32]| {
        let KnowledgeProof(bytes) = polynomial.prove(context, seed);
        let [challenge, response] =
            [&bytes[..32], &bytes[32..]].map(|half| oracle::scalar_of(half.try_into().unwrap()));
        let public = polynomial.commitments().constant().encode();
        let public = oracle::Element::decode(&public).unwrap();
        oracle::Element::base().times(&response).plus(&public.times(&challenge)).encode()
    };
    let first = commitment(&dealer(1), b"a", &[3; 32]);
    assert_eq!(commitment(&dealer(1), b"a", &[3; 32]), first);
    assert_ne!(commitment(&dealer(1), b"b", &[3; 32]), first);
    assert_ne!(commitment(&dealer(2), b"a", &[3; 32]), first);
    assert_ne!(commitment(&dealer(1), b"a", &[4; 32]), first);
}

#[test]
fn scalars_that_are_not_reduced_are_refused() {
    let public = dealer(1).commitments().constant();
    let KnowledgeProof(bytes) = dealer(1).prove(b"context", &[3; 32]);
    for half in [0..32, 32..64] {
        let value = oracle::scalar_of(bytes[half.clone()].try_into().unwrap());
        let mut changed = bytes;
        changed[half].copy_from_slice(&oracle::little_endian(&(value + &*oracle::L)));
        assert!(!KnowledgeProof(changed).verify(&public, b"context"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_other_bytes_are_refused(position in 0..64_usize, bits in 1..=u8::MAX) {
        let public = dealer(1).commitments().constant();
        let KnowledgeProof(mut bytes) = dealer(1).prove(b"context", &[3; 32]);
        prop_assert!(KnowledgeProof(bytes).verify(&public, b"context"));
        bytes[position] ^= bits;
        prop_assert!(!KnowledgeProof(bytes).verify(&public, b"context"));
    }
}
