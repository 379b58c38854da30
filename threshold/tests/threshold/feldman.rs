//! Feldman's check: a dealer cannot give a member a wrong share, and commitments that do not fit are refused.

use epione_threshold::{Commitments, MAX_MEMBERS, Polynomial, Share};

use crate::{
    oracle,
    world::{at, seed},
};

fn polynomial(number: u64, threshold: usize) -> Polynomial {
    Polynomial::generate(&seed(number, 0), threshold).unwrap()
}

#[test]
fn only_the_right_share_for_the_right_member_passes() {
    let dealer = polynomial(1, 3);
    let commitments = dealer.commitments();
    for hospital in [0, 1, 2, 300, u16::MAX] {
        let share = dealer.share(at(hospital));
        assert!(commitments.includes(at(hospital), &share));
        assert!(!commitments.includes(at(hospital ^ 1), &share), "moved to another member");
        let mut bytes = *share.encode();
        bytes[0] ^= 1;
        let changed = Share::decode(&bytes).unwrap();
        assert!(!commitments.includes(at(hospital), &changed), "another value");
        assert!(!polynomial(2, 3).commitments().includes(at(hospital), &share), "another dealer");
    }
}

/// Everybody counts the commitments. If a dealer's polynomial has more terms than it commits to, its shares do not fit.
#[test]
fn a_dealer_with_another_degree_is_noticed() {
    let dealer = polynomial(1, 4);
    assert_eq!(dealer.commitments().len(), 4);
    let points = dealer.commitments().encode();
    let shorter = Commitments::decode(&points[..3]).unwrap();
    assert!((0..4).all(|hospital| !shorter.includes(at(hospital), &dealer.share(at(hospital)))));
    assert_eq!(Commitments::sum(&[dealer.commitments(), shorter.clone()]), None);
    assert_eq!(Commitments::interpolate(&[(at(0), dealer.commitments()), (at(1), shorter)]), None);
}

/// A polynomial may have its zero at a member. The member's share is 0 then, and there is no point for it.
#[test]
fn a_share_of_0_passes_but_has_no_public_half() {
    // 2 - x, which is 0 for hospital 1.
    let number = |value: u8| {
        let mut bytes = [0; 32];
        bytes[0] = value;
        bytes
    };
    let minus_1 = oracle::little_endian(&(&*oracle::L - oracle::scalar_of(&number(1))));
    let points =
        [number(2), minus_1].map(|term| Share::decode(&term).unwrap().public().unwrap().encode());
    let commitments = Commitments::decode(&points).unwrap();
    let zero = Share::decode(&[0; 32]).unwrap();
    assert!(commitments.includes(at(1), &zero));
    assert_eq!(commitments.evaluate(at(1)), None);
    assert_eq!(zero.public(), None);
    assert!(commitments.includes(at(0), &Share::decode(&number(1)).unwrap()));
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let point = polynomial(1, 1).commitments().encode()[0];
    assert_eq!(Commitments::decode(&[]), None);
    assert!(Commitments::decode(&[point; MAX_MEMBERS]).is_some());
    assert_eq!(Commitments::decode(&[point; MAX_MEMBERS + 1]), None);
    assert_eq!(Commitments::decode(&[point, [0; 32]]), None, "the identity");
    assert_eq!(Commitments::decode(&[point, [0xff; 32]]), None, "no point");

    let commitments = polynomial(1, 2).commitments();
    assert_eq!(Commitments::sum(&[]), None);
    assert_eq!(Commitments::interpolate(&[]), None);
    assert_eq!(Commitments::sum(&vec![commitments.clone(); MAX_MEMBERS + 1]), None);
    let twice = [(at(1), commitments.clone()), (at(1), commitments.clone())];
    assert_eq!(Commitments::interpolate(&twice), None);
    let many: Vec<_> = (0..=MAX_MEMBERS as u16).map(|one| (at(one), commitments.clone())).collect();
    assert_eq!(Commitments::interpolate(&many), None);
}

/// The last dealer may choose commitments that cancel the others'. It cannot prove that it knows their constant term,
/// and gives no member a valid share.
#[test]
fn commitments_that_cancel_are_refused() {
    let honest = polynomial(1, 2).commitments();
    let negated: Vec<_> = honest
        .encode()
        .iter()
        .map(|point| {
            let minus_1 = &*oracle::L - 1_u32;
            oracle::Element::decode(point).unwrap().times(&minus_1).encode()
        })
        .collect();
    let cancelling = Commitments::decode(&negated).unwrap();
    assert_eq!(Commitments::sum(&[honest, cancelling]), None);
}
