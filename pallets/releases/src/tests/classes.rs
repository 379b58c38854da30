//! The class of a section is what its patient shares, and rights to shared sections open no private ones.

use epione_primitives::{
    access::SectionClass,
    release::{Release, Right, SectionSet},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::BoundedVec;

use crate::{Error, classes::Classes, mock::*};

/// A release of the first two sections of [`FIRST`] by these rights.
fn by(seed: u8, rights: &[Right]) -> Release {
    let rights = BoundedVec::truncate_from(rights.to_vec());
    Release { rights, ..releasing(reading(seed), &[part(FIRST)]) }
}

#[track_caller]
fn mismatch(rights: &[Right]) {
    assert_noop!(record(agent(HOME), by(1, rights)), Error::<Test>::ClassMismatch);
}

#[test]
fn a_private_section_is_not_released_by_a_right_to_shared_ones() {
    run(|| {
        mismatch(&[READ_SHARED]);
        // Nor if one of the sections is shared, or a section that is not released, or one of another record.
        share(FIRST, SectionSet(0b01));
        mismatch(&[READ_SHARED]);
        share(FIRST, SectionSet(0b100));
        mismatch(&[READ_SHARED]);
        share(FIRST, SectionSet::default());
        share(SECOND, SectionSet::ALL);
        mismatch(&[READ_SHARED]);
        share(FIRST, SectionSet(0b11));
        assert_ok!(record(agent(HOME), by(1, &[READ_SHARED])));
    });
}

#[test]
fn the_classes_of_the_rights_are_exactly_those_of_the_sections() {
    run(|| {
        mismatch(&[READ_TEXT, READ_SHARED]);
        share(FIRST, SectionSet(0b01));
        mismatch(&[READ_TEXT]);
        assert_ok!(record(agent(HOME), by(1, &[READ_TEXT, READ_SHARED])));
        assert_ok!(record(agent(HOME), by(2, &[READ_MEDIA, READ_SHARED])));
        share(FIRST, SectionSet(0b11));
        mismatch(&[READ_TEXT, READ_SHARED]);
        mismatch(&[READ_TEXT]);
    });
}

#[test]
fn the_glass_of_private_sections_is_not_broken_by_a_right_to_shared_ones() {
    run(|| {
        let shared = Right { class: SectionClass::Shared, ..BREAK_GLASS };
        let by = |seed, right| {
            let rights = BoundedVec::truncate_from(vec![right]);
            Release { rights, ..emergency(seed) }
        };
        assert_noop!(record(agent(HOME), by(1, shared)), Error::<Test>::ClassMismatch);
        assert_ok!(record(agent(HOME), by(1, BREAK_GLASS)));
        share(FIRST, SectionSet(0b11));
        assert_noop!(record(agent(HOME), by(2, BREAK_GLASS)), Error::<Test>::ClassMismatch);
        assert_ok!(record(agent(HOME), by(2, shared)));
    });
}

#[test]
fn sharing_that_is_withdrawn_between_decision_and_recording_stops_the_release() {
    run(|| {
        share(FIRST, SectionSet(0b11));
        let decided = by(1, &[READ_SHARED]);
        share(FIRST, SectionSet(0b01));
        assert_noop!(record(agent(HOME), decided.clone()), Error::<Test>::ClassMismatch);
        // The worker decides again. The request is not answered yet.
        let rights = BoundedVec::truncate_from(vec![READ_SHARED, READ_TEXT]);
        assert_ok!(record(agent(HOME), Release { rights, ..decided }));
    });
}

#[test]
fn a_grant_is_no_longer_in_force_after_its_sections_became_private() {
    run(|| {
        share(FIRST, SectionSet(0b11));
        assert_ok!(record(agent(HOME), by(1, &[READ_SHARED])));
        assert!(Releases::is_in_force(grant(1)));
        share(FIRST, SectionSet(0b10));
        assert!(!Releases::is_in_force(grant(1)));
        share(FIRST, SectionSet::default());
        assert!(!Releases::is_in_force(grant(1)));
        share(FIRST, SectionSet::ALL);
        assert!(Releases::is_in_force(grant(1)));
    });
}

#[test]
fn a_grant_of_private_sections_stays_in_force_when_the_patient_shares_them() {
    run(|| {
        assert_ok!(record(agent(HOME), by(1, &[READ_TEXT])));
        share(FIRST, SectionSet::ALL);
        assert!(Releases::is_in_force(grant(1)));
        Denied::set(vec![READ_TEXT]);
        assert!(!Releases::is_in_force(grant(1)));
    });
}

#[test]
fn rights_open_sections_of_their_classes() {
    let (none, both) = (Classes::default(), Classes { private: true, shared: true });
    let private = Classes { private: true, shared: false };
    let shared = Classes { private: false, shared: true };
    for sections in [private, shared, both] {
        assert!(private.open(sections) && both.open(sections));
        assert!(!none.open(sections));
        assert_eq!(shared.open(sections), !sections.private);
    }
}
