//! Audiences as formulas, and when a consent is in force.

#![allow(clippy::unwrap_used)]

use epione_primitives::{
    UserId,
    access::Purpose,
    limits::{MAX_AUDIENCE_DEPTH, MAX_AUDIENCE_LEAVES, MAX_AUDIENCE_TERMS, MAX_SLOTS},
    sharing::{
        Consent, ConsentVersion, InvalidAudience, KindSet, RecordedPeriod, SlotId, SlotSet, Term,
        check_audience, fold, includes,
    },
};
use sp_core::bounded::BoundedVec;

fn user(number: u8) -> Term {
    Term::User(UserId([number; 32]))
}

fn at_least(met: u8, of: u8) -> Term {
    Term::AtLeast { met, of }
}

/// Whether an audience includes a requester for whom these leaves hold.
fn holds(terms: &[Term], leaves: &[u8]) -> bool {
    includes(terms, |term| leaves.iter().any(|number| *term == user(*number)))
}

#[test]
fn a_threshold_counts_the_terms_before_it() {
    let two_of_three = [user(1), user(2), user(3), at_least(2, 3)];
    assert_eq!(check_audience(&two_of_three), Ok(()));
    for (leaves, expected) in
        [(&[][..], false), (&[1], false), (&[1, 3], true), (&[1, 2, 3], true), (&[4, 5], false)]
    {
        assert_eq!(holds(&two_of_three, leaves), expected, "{leaves:?}");
    }
}

#[test]
fn thresholds_nest() {
    // 1, and one of 2 and 3.
    let nested = [user(1), user(2), user(3), at_least(1, 2), at_least(2, 2)];
    assert_eq!(check_audience(&nested), Ok(()));
    for (leaves, expected) in
        [(&[1][..], false), (&[2, 3], false), (&[1, 2], true), (&[1, 3], true)]
    {
        assert_eq!(holds(&nested, leaves), expected, "{leaves:?}");
    }
}

#[test]
fn what_is_no_formula_includes_nobody() {
    let malformed: [&[Term]; 7] = [
        &[],
        &[at_least(1, 1)],
        &[user(1), at_least(1, 2)],
        &[user(1), at_least(0, 1)],
        &[user(1), at_least(2, 1)],
        &[user(1), at_least(0, 0)],
        &[user(1), user(1)],
    ];
    for terms in malformed {
        assert_eq!(check_audience(terms), Err(InvalidAudience::Malformed), "{terms:?}");
        assert!(!includes(terms, |_| true), "{terms:?}");
        assert_eq!(fold(terms, |_| (), |_, _| ()), None, "{terms:?}");
    }
}

#[test]
fn leaves_terms_and_depth_are_limited() {
    let wide = |leaves: u32| {
        let mut terms = vec![user(1); leaves as usize];
        terms.push(at_least(1, leaves as u8));
        check_audience(&terms)
    };
    assert_eq!(wide(MAX_AUDIENCE_LEAVES), Ok(()));
    assert_eq!(wide(MAX_AUDIENCE_LEAVES + 1), Err(InvalidAudience::TooLarge));
    let deep = |depth: u32| {
        let mut terms = vec![user(1)];
        terms.extend((0..depth).map(|_| at_least(1, 1)));
        check_audience(&terms)
    };
    assert_eq!(deep(MAX_AUDIENCE_DEPTH), Ok(()));
    assert_eq!(deep(MAX_AUDIENCE_DEPTH + 1), Err(InvalidAudience::TooLarge));
    assert_eq!(deep(MAX_AUDIENCE_TERMS), Err(InvalidAudience::TooLarge));
}

#[test]
fn a_consent_is_in_force_from_its_beginning_until_its_end_or_its_withdrawal() {
    let consent = Consent {
        audience: BoundedVec::truncate_from(vec![user(1)]),
        purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
        kinds: KindSet::default(),
        recorded: RecordedPeriod::default(),
        until: 20,
        standing: false,
    };
    let given = ConsentVersion { version: 1, consent, since: 10, block: 3, ended: None };
    let withdrawn = ConsentVersion { ended: Some(15), ..given.clone() };
    for (at, expected) in
        [(9, [false, false]), (10, [true, true]), (15, [true, false]), (20, [false, false])]
    {
        assert_eq!([given.in_force(at), withdrawn.in_force(at)], expected, "{at}");
    }
}

#[test]
fn a_period_includes_its_beginning_and_excludes_its_end() {
    let whole = RecordedPeriod::default();
    assert!(whole.contains(0) && whole.contains(u64::MAX));
    let period = RecordedPeriod { from: Some(10), to: Some(20) };
    assert_eq!([9, 10, 19, 20].map(|at| period.contains(at)), [false, true, true, false]);
}

#[test]
fn a_set_has_only_slots_that_exist() {
    let mut slots = SlotSet::default();
    assert!(slots.is_empty());
    assert!(slots.insert(SlotId(0)) && slots.insert(SlotId(MAX_SLOTS - 1)));
    assert!(!slots.insert(SlotId(MAX_SLOTS)) && !slots.insert(SlotId(u8::MAX)));
    assert_eq!(slots, SlotSet(0x8001));
    assert!(slots.contains(SlotId(15)) && !slots.contains(SlotId(1)));
    assert!(!slots.contains(SlotId(MAX_SLOTS)) && !slots.contains(SlotId(u8::MAX)));
}
