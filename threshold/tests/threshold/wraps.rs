//! A wrap is for one label, one key and one epoch, and opens for nobody who lacks one of the two secrets.

use epione_threshold::{MixingSecret, Point, Share, Wrap};
use proptest::prelude::*;

use crate::{
    oracle,
    world::{Epoch, KEY, LABEL, at, mixing},
};

fn epoch() -> Epoch {
    Epoch::generate(&[0, 1, 2], 2, 1)
}

/// The point that opens the wrap, and what is mixed in.
fn opening(epoch: &Epoch, wrap: &Wrap, mixing: &MixingSecret) -> (Point, [u8; 32]) {
    let shared = epoch.combine(&[0, 2], &[wrap.check(LABEL).unwrap()]);
    (shared[0], *Wrap::mixing_of(mixing, LABEL))
}

#[test]
fn a_wrap_opens_with_both_secrets_only() {
    let (epoch, mixing) = (epoch(), mixing(1));
    let wrap = epoch.wrap(&mixing);
    let (shared, mu) = opening(&epoch, &wrap, &mixing);
    assert_eq!(*wrap.open(LABEL, &mu, &shared).unwrap(), KEY);
    assert!(wrap.open(LABEL, &mu, &wrap.check(LABEL).unwrap()).is_none());
    assert!(wrap.open(LABEL, &mu, &epoch.public_key()).is_none());
    assert!(wrap.open(LABEL, &[0; 32], &shared).is_none());
    assert!(wrap.open(b"another label", &mu, &shared).is_none());
}

/// A worker that answers another mixing value than the others is noticed, because the wrap does not open.
#[test]
fn a_wrong_mixing_value_does_not_open() {
    let (epoch, mixing) = (epoch(), mixing(1));
    let wrap = epoch.wrap(&mixing);
    let (shared, mu) = opening(&epoch, &wrap, &mixing);
    for bit in 0..256 {
        let mut lie = mu;
        lie[bit / 8] ^= 1 << (bit % 8);
        assert!(wrap.open(LABEL, &lie, &shared).is_none());
    }
    // The value for another label opens nothing either.
    assert!(wrap.open(LABEL, &Wrap::mixing_of(&mixing, b"another label"), &shared).is_none());
}

#[test]
fn the_same_wrap_is_made_again_and_each_argument_changes_it() {
    let (epoch, secret) = (epoch(), mixing(1));
    let wrap = epoch.wrap(&secret);
    assert_eq!(epoch.wrap(&secret), wrap);
    let other = Epoch::generate(&[0, 1], 2, 2).public_key();
    let public = epoch.public_key();
    let others = [
        Wrap::make(&other, &secret, LABEL, &KEY),
        Wrap::make(&public, &mixing(2), LABEL, &KEY),
        Wrap::make(&public, &secret, b"another label", &KEY),
        Wrap::make(&public, &secret, LABEL, &[0; 32]),
    ];
    assert!(others.iter().all(|other| *other != wrap));
}

/// The same key under the same label has the same scalar, also for another public key. The challenges differ, and with
/// the same nonce, both responses would reveal the scalar.
#[test]
fn a_nonce_is_never_used_for_two_challenges() {
    let commitment = |wrap: &Wrap| {
        let bytes = wrap.encode();
        let [point, challenge, response]: [[u8; 32]; 3] =
            [0, 64, 96].map(|place| bytes[place..place + 32].try_into().unwrap());
        let point = oracle::Element::decode(&point).unwrap();
        let base = oracle::Element::base().times(&oracle::scalar_of(&response));
        base.plus(&point.times(&oracle::scalar_of(&challenge))).encode()
    };
    let publics = [1, 2].map(|number| Epoch::generate(&[0, 1], 2, number).public_key());
    let [one, other] = publics.map(|public| Wrap::make(&public, &mixing(1), LABEL, &KEY));
    assert_eq!(one.check(LABEL), other.check(LABEL), "the same scalar");
    assert_ne!(one.encode()[64..96], other.encode()[64..96], "another challenge");
    assert_ne!(commitment(&one), commitment(&other));
}

/// Genesis, consortium key, hospital, record, section and slot, as the chain will state them.
fn label(key: u32, slot: u8) -> Vec<u8> {
    [&[9; 32][..], &key.to_le_bytes(), &[1, 0], &[7; 16], &[3, 0], &[slot]].concat()
}

#[test]
fn a_wrap_for_another_key_or_slot_is_refused() {
    let (epoch, mixing) = (epoch(), mixing(1));
    let wrap = Wrap::make(&epoch.public_key(), &mixing, &label(0, 4), &KEY);
    assert!(wrap.check(&label(0, 4)).is_some());
    assert_eq!(wrap.check(&label(1, 4)), None, "another key");
    for bit in 0..8 {
        assert_eq!(wrap.check(&label(0, 4 ^ (1 << bit))), None, "another slot");
    }
    for bit in 0..8 * label(0, 4).len() {
        let mut changed = label(0, 4);
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(wrap.check(&changed), None, "bit {bit}");
    }
    assert_eq!(wrap.check(&[&label(0, 4)[..], &[0]].concat()), None, "a longer label");
}

/// Bit by bit: nothing of a wrap can be changed.
#[test]
fn no_bit_of_a_wrap_can_be_changed() {
    let bytes = epoch().wrap(&mixing(1)).encode();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted = Wrap::decode(&changed).and_then(|wrap| wrap.check(LABEL));
        assert_eq!(accepted, None, "bit {bit}");
    }
}

/// The home hospital wraps another key than that of the section: the wrap is valid, and a reader with the section's
/// key makes the right wrap and compares.
#[test]
fn a_wrap_of_the_wrong_key_is_exposed_by_making_it_again() {
    let (epoch, mixing) = (epoch(), mixing(1));
    let wrong = Wrap::make(&epoch.public_key(), &mixing, LABEL, &[1; 32]);
    assert!(wrong.check(LABEL).is_some());
    let (shared, mu) = opening(&epoch, &wrong, &mixing);
    assert_ne!(*wrong.open(LABEL, &mu, &shared).unwrap(), KEY);
    assert_ne!(Wrap::make(&epoch.public_key(), &mixing, LABEL, &KEY), wrong);
}

/// Somebody who breaks the curve has the secret key, and all wraps of the chain. Without the mixing secret, which no
/// wrap reveals, nothing opens.
#[test]
fn who_breaks_the_curve_opens_nothing_without_the_mixing_secret() {
    let (epoch, mixing) = (epoch(), mixing(1));
    let wrap = epoch.wrap(&mixing);
    let shares: Vec<_> = [0, 1].map(|one| (at(one), epoch.share(one).clone())).into();
    let secret_key = Share::interpolate(&shares).unwrap();
    assert_eq!(secret_key.public(), Some(epoch.public_key()), "the curve is broken");
    let point = wrap.check(LABEL).unwrap();
    let partial = epione_threshold::Partial::make(&secret_key, &[point], b"", &[1; 32]).unwrap();
    let shared = partial.values()[0];

    let next = crate::world::mixing(2);
    let on_chain = [mixing.hash(), next.hash(), next.link(&mixing)[..32].try_into().unwrap()];
    for guess in on_chain {
        assert!(wrap.open(LABEL, &guess, &shared).is_none());
        let guessed = MixingSecret::from_bytes(guess);
        assert!(wrap.open(LABEL, &Wrap::mixing_of(&guessed, LABEL), &shared).is_none());
        assert_eq!(guessed.follow(&next.link(&mixing)), None);
    }
    assert!(wrap.open(LABEL, &Wrap::mixing_of(&mixing, LABEL), &shared).is_some());
}

/// A removed member has the earlier mixing secret. What is wrapped after its removal has the later one.
#[test]
fn a_removed_member_opens_no_later_wrap_even_with_the_curve_broken() {
    let (epoch, earlier, later) = (epoch(), mixing(1), mixing(2));
    let wrap = epoch.wrap(&later);
    let (shared, mu) = opening(&epoch, &wrap, &later);
    assert!(wrap.open(LABEL, &Wrap::mixing_of(&earlier, LABEL), &shared).is_none());
    assert!(wrap.open(LABEL, &mu, &shared).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_key_under_any_label_opens_again(
        key in any::<[u8; 32]>(),
        label in prop::collection::vec(any::<u8>(), 0..300),
        other in prop::collection::vec(any::<u8>(), 0..300),
        number in any::<u64>(),
    ) {
        let (epoch, mixing) = (epoch(), mixing(number));
        let wrap = Wrap::make(&epoch.public_key(), &mixing, &label, &key);
        let wrap = Wrap::decode(&wrap.encode()).unwrap();
        let shared = epoch.combine(&[1, 2], &[wrap.check(&label).unwrap()]);
        let mu = Wrap::mixing_of(&mixing, &label);
        prop_assert_eq!(*wrap.open(&label, &mu, &shared[0]).unwrap(), key);
        if other != label {
            prop_assert_eq!(wrap.check(&other), None);
        }
    }
}
