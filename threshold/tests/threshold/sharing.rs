//! Any members as many as the threshold open, and fewer do not; new shares of the same key, for the same or for other
//! members.

use epione_threshold::{Index, MAX_MEMBERS, Polynomial, Share};
use proptest::prelude::*;

use crate::world::{CONTEXT, Epoch, LABEL, at, combine, mixing, seed};

/// Hospitals in any order, a threshold, and a number for their seeds.
fn members() -> impl Strategy<Value = (Vec<u16>, usize, u64)> {
    let hospitals = prop::collection::btree_set(any::<u16>(), 1..8_usize);
    (hospitals, any::<prop::sample::Index>(), any::<u64>()).prop_flat_map(
        |(hospitals, threshold, number)| {
            let hospitals: Vec<u16> = hospitals.into_iter().collect();
            let threshold = 1 + threshold.index(hospitals.len());
            (Just(hospitals).prop_shuffle(), Just(threshold), Just(number))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn as_many_as_the_threshold_open_and_fewer_do_not((hospitals, threshold, number) in members()) {
        let epoch = Epoch::generate(&hospitals, threshold, number);
        let mixing = mixing(number);
        let wrap = epoch.wrap(&mixing);
        prop_assert!(epoch.opens(&hospitals[..threshold], &wrap, &mixing));
        prop_assert!(epoch.opens(&hospitals[hospitals.len() - threshold..], &wrap, &mixing));
        prop_assert!(epoch.opens(&hospitals, &wrap, &mixing));
        if threshold > 1 {
            prop_assert!(!epoch.opens(&hospitals[1..threshold], &wrap, &mixing));
        }
    }

    #[test]
    fn a_key_is_the_sum_of_the_dealers_keys((hospitals, threshold, number) in members()) {
        let epoch = Epoch::generate(&hospitals, threshold, number);
        for hospital in &hospitals {
            let share = epoch.share(*hospital);
            prop_assert_eq!(share.public().unwrap(), epoch.verification_key(*hospital));
            prop_assert!(epoch.commitments.includes(at(*hospital), share));
        }
        let shares: Vec<_> = hospitals[..threshold]
            .iter()
            .map(|hospital| (at(*hospital), epoch.share(*hospital).clone()))
            .collect();
        let secret = Share::interpolate(&shares).unwrap();
        prop_assert_eq!(secret.public().unwrap(), epoch.public_key());
        let constants: Vec<_> = (0..hospitals.len())
            .map(|position| {
                let dealer = Polynomial::generate(&seed(number, position), threshold).unwrap();
                let shares: Vec<_> =
                    (0..threshold as u16).map(|one| (at(one), dealer.share(at(one)))).collect();
                Share::interpolate(&shares).unwrap()
            })
            .collect();
        prop_assert_eq!(Share::sum(&constants).unwrap(), secret);
    }

    #[test]
    fn new_members_get_shares_of_the_same_key(
        (hospitals, threshold, number) in members(),
        (others, other_threshold, _) in members(),
    ) {
        let first = Epoch::generate(&hospitals, threshold, number);
        let mixing = mixing(number);
        let wrap = first.wrap(&mixing);
        let later = number.wrapping_add(1);
        let second = first.reshare(&hospitals[..threshold], &others, other_threshold, later);
        prop_assert_eq!(second.public_key(), first.public_key());
        prop_assert_eq!(second.commitments.len(), other_threshold);
        for hospital in &others {
            let public = second.share(*hospital).public().unwrap();
            prop_assert_eq!(public, second.verification_key(*hospital));
        }
        prop_assert!(second.opens(&others[..other_threshold], &wrap, &mixing));
        if other_threshold > 1 {
            prop_assert!(!second.opens(&others[1..other_threshold], &wrap, &mixing));
        }
    }
}

/// Four hospitals, then five, then four without the first; then new shares for the same.
#[test]
fn what_was_wrapped_in_the_first_epoch_opens_in_the_last() {
    let first = Epoch::generate(&[0, 1, 2, 3], 3, 1);
    let mixing = mixing(1);
    let wrap = first.wrap(&mixing);
    let second = first.reshare(&[0, 1, 3], &[0, 1, 2, 3, 4], 4, 2);
    let third = second.reshare(&[1, 2, 3, 4], &[1, 2, 3, 4], 3, 3);
    let fourth = third.reshare(&[4, 2, 1], &[1, 2, 3, 4], 3, 4);
    for epoch in [&second, &third, &fourth] {
        assert_eq!(epoch.public_key(), first.public_key());
    }
    assert!(fourth.opens(&[1, 2, 4], &wrap, &mixing));
    assert!(fourth.opens(&[3, 4, 2], &wrap, &mixing));
}

#[test]
fn shares_of_different_epochs_do_not_fit_together() {
    let first = Epoch::generate(&[0, 1, 2, 3], 3, 1);
    let second = first.reshare(&[0, 1, 2], &[0, 1, 2, 3], 3, 2);
    let points = [first.wrap(&mixing(1)).check(LABEL).unwrap()];
    let right = first.combine(&[0, 1, 2], &points);
    assert_eq!(second.combine(&[0, 1, 2], &points), right);
    let earlier = (at(0), first.partial(0, &points));
    let mixed = [earlier, (at(1), second.partial(1, &points)), (at(2), second.partial(2, &points))];
    assert_ne!(combine(&mixed).unwrap(), right);
    // A requester notices before: the earlier partial decryption has another verification key.
    let partial = first.partial(0, &points);
    assert!(!partial.check(&second.verification_key(0), &points, CONTEXT));
}

/// The removed hospital has its earlier share, and one member fewer than the threshold helps it.
#[test]
fn a_removed_member_does_not_help_those_who_remain_too_few() {
    let first = Epoch::generate(&[0, 1, 2, 3], 3, 1);
    let mixing = mixing(1);
    let wrap = first.wrap(&mixing);
    let second = first.reshare(&[1, 2, 3], &[1, 2, 3], 2, 2);
    let points = [wrap.check(LABEL).unwrap()];
    let right = second.combine(&[1, 2], &points);
    let removed = (at(0), first.partial(0, &points));
    assert_ne!(combine(&[removed.clone(), (at(1), second.partial(1, &points))]).unwrap(), right);
    assert_ne!(combine(&[removed]).unwrap(), right);
}

#[test]
fn the_same_seed_gives_the_same_polynomial() {
    let one = Polynomial::generate(&[7; 32], 4).unwrap();
    let same = Polynomial::generate(&[7; 32], 4).unwrap();
    let other = Polynomial::generate(&[8; 32], 4).unwrap();
    let shorter = Polynomial::generate(&[7; 32], 3).unwrap();
    assert_eq!(one.commitments(), same.commitments());
    let points = one.commitments().encode();
    for polynomial in [other, shorter] {
        assert!(polynomial.commitments().encode().iter().all(|point| !points.contains(point)));
    }
}

/// If a dealer ever used a seed for two constant terms, nobody could compute their difference from two shares.
#[test]
fn no_term_is_the_same_for_another_constant_term() {
    let constants = [1_u8, 2].map(|first| {
        let mut bytes = [0; 32];
        bytes[0] = first;
        Share::decode(&bytes).unwrap()
    });
    let [one, other] = constants.map(|constant| {
        Polynomial::sharing(&constant, &[7; 32], 3).unwrap().commitments().encode()
    });
    assert!(one.iter().all(|point| !other.contains(point)));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let share = Polynomial::generate(&[1; 32], 2).unwrap().share(at(0));
    assert!(Polynomial::generate(&[1; 32], MAX_MEMBERS).is_some());
    for threshold in [0, MAX_MEMBERS + 1, usize::MAX] {
        assert!(Polynomial::generate(&[1; 32], threshold).is_none());
        assert!(Polynomial::sharing(&share, &[1; 32], threshold).is_none());
    }
    let zero = Share::decode(&[0; 32]).unwrap();
    assert!(Polynomial::sharing(&zero, &[1; 32], 2).is_none());

    assert_eq!(Share::sum(&[]), None);
    assert_eq!(Share::interpolate(&[]), None);
    let many = vec![share.clone(); MAX_MEMBERS + 1];
    assert_eq!(Share::sum(&many), None);
    assert!(Share::sum(&many[1..]).is_some());
    let many: Vec<_> = (0..).map(at).zip(many).collect();
    assert_eq!(Share::interpolate(&many), None);
    assert!(Share::interpolate(&many[1..]).is_some());
    assert_eq!(Share::interpolate(&[(at(1), share.clone()), (at(1), share)]), None);
}

#[test]
fn no_hospital_is_evaluated_at_0() {
    let indices: Vec<Index> = [0, 1, u16::MAX].map(at).to_vec();
    assert!(indices.is_sorted_by(|one, next| one < next));
    // The value at 0 is the secret.
    let polynomial = Polynomial::generate(&[1; 32], 2).unwrap();
    for index in indices {
        assert_ne!(polynomial.share(index).public(), Some(polynomial.commitments().constant()));
    }
}
