//! A section is shared with a requester while a consent of its patient shares it, and rights to shared sections open no
//! private ones.

use epione_primitives::{
    access::{Purpose, SectionClass},
    release::{Release, ReleasedRecord, Right, SectionSet},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::BoundedVec;

use crate::{Error, mock::*};

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
fn while_a_section_is_private_each_action_needs_its_right_to_private_ones() {
    run(|| {
        for shared in [0b00, 0b01, 0b10] {
            share(FIRST, SectionSet(shared));
            mismatch(&[READ_TEXT, MEDIA_SHARED]);
            mismatch(&[READ_MEDIA, READ_SHARED]);
            mismatch(&[READ_SHARED, MEDIA_SHARED]);
            mismatch(&[READ_TEXT, READ_SHARED, MEDIA_SHARED]);
        }
        assert_ok!(record(agent(HOME), by(1, &[READ_TEXT, READ_MEDIA])));
        assert_ok!(record(agent(HOME), by(2, &[READ_TEXT, READ_SHARED])));
    });
}

#[test]
fn rights_to_private_sections_open_shared_ones_too() {
    run(|| {
        for (shared, seed) in [(0b00, 1), (0b01, 2), (0b11, 3)] {
            share(FIRST, SectionSet(shared));
            assert_ok!(record(agent(HOME), by(seed, &[READ_TEXT])));
        }
        assert_ok!(record(agent(HOME), by(4, &[READ_TEXT, MEDIA_SHARED])));
        assert_ok!(record(agent(HOME), by(5, &[READ_SHARED, MEDIA_SHARED])));
    });
}

/// Section 0 is a text that the requester may read although it is private, section 1 an image that the requester may
/// read because it is shared. The chain does not know which is which.
#[test]
fn a_private_text_does_not_keep_open_an_image_that_the_patient_unshares() {
    run(|| {
        Denied::set(vec![READ_MEDIA]);
        share(FIRST, SectionSet(0b10));
        // Together: if this were recorded, it would stay in force without the sharing.
        mismatch(&[READ_TEXT, MEDIA_SHARED]);
        let alone = |seed, sections, right| {
            let part = ReleasedRecord { pointer: FIRST, sections: SectionSet(sections) };
            let rights = BoundedVec::truncate_from(vec![right]);
            Release { rights, ..releasing(reading(seed), &[part]) }
        };
        assert_ok!(record(agent(HOME), alone(1, 0b01, READ_TEXT)));
        assert_ok!(record(agent(HOME), alone(2, 0b10, MEDIA_SHARED)));
        // Both were shared when this was recorded.
        share(FIRST, SectionSet(0b11));
        assert_ok!(record(agent(HOME), by(3, &[READ_TEXT, MEDIA_SHARED])));
        assert!((1..=3).all(|seed| Releases::is_in_force(grant(seed))));

        share(FIRST, SectionSet(0b01));
        assert!(Releases::is_in_force(grant(1)));
        assert!(!Releases::is_in_force(grant(2)));
        assert!(!Releases::is_in_force(grant(3)));
    });
}

/// The worker decides by a finalized block. The patient, or somebody with their account's key, changes in each block
/// what is shared.
#[test]
fn sharing_in_every_block_does_not_stop_an_emergency() {
    run(|| {
        for (seed, shared) in [(1, 0b00), (2, 0b11), (3, 0b01)] {
            share(FIRST, SectionSet(shared));
            assert_ok!(record(agent(HOME), emergency(seed)));
        }
        withdraw_consent();
        assert!((1..=3).all(|seed| Releases::is_in_force(grant(seed))));
    });
}

/// No consent is for emergencies.
#[test]
fn in_an_emergency_every_section_is_private() {
    run(|| {
        let shared = Right { class: SectionClass::Shared, ..BREAK_GLASS };
        let by = |seed, right| {
            let rights = BoundedVec::truncate_from(vec![right]);
            Release { rights, ..emergency(seed) }
        };
        for placed in [0b00, 0b11] {
            share(FIRST, SectionSet(placed));
            assert_noop!(record(agent(HOME), by(1, shared)), Error::<Test>::ClassMismatch);
        }
        assert_ok!(record(agent(HOME), by(1, BREAK_GLASS)));
        assert!(Releases::is_in_force(grant(1)));
    });
}

#[test]
fn a_requester_outside_the_audience_opens_nothing_that_is_shared_with_others() {
    run(|| {
        share(FIRST, SectionSet(0b11));
        admit_requester(NURSE, Purpose::Treatment);
        mismatch(&[READ_SHARED]);
        admit_requester(DOCTOR, Purpose::Treatment);
        assert_ok!(record(agent(HOME), by(1, &[READ_SHARED])));
    });
}

#[test]
fn a_consent_for_another_purpose_opens_nothing() {
    run(|| {
        share(FIRST, SectionSet(0b11));
        admit_requester(DOCTOR, Purpose::Audit);
        mismatch(&[READ_SHARED]);
        let audit = asking(by(1, &[READ_SHARED]), |request| request.purpose = Purpose::Audit);
        assert_ok!(record(agent(HOME), audit));
    });
}

#[test]
fn an_open_grant_is_no_longer_in_force_after_the_consent_has_ended() {
    run(|| {
        share(FIRST, SectionSet(0b11));
        assert_ok!(record(agent(HOME), by(1, &[READ_SHARED])));
        assert_ok!(record(agent(HOME), by(2, &[READ_TEXT])));
        withdraw_consent();
        assert!(!Releases::is_in_force(grant(1)));
        assert!(Releases::is_in_force(grant(2)), "this right needs no consent");
        mismatch(&[READ_SHARED]);
        // For somebody else, or for something else.
        admit_requester(NURSE, Purpose::Treatment);
        assert!(!Releases::is_in_force(grant(1)));
        admit_requester(DOCTOR, Purpose::Research);
        assert!(!Releases::is_in_force(grant(1)));
        admit_requester(DOCTOR, Purpose::Treatment);
        assert!(Releases::is_in_force(grant(1)));
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
    for some_are_private in [false, true] {
        assert!(!Right::open(&[], some_are_private));
        assert!(Right::open(&[READ_TEXT], some_are_private));
        assert!(Right::open(&[READ_SHARED, READ_TEXT], some_are_private));
        assert!(Right::open(&[READ_MEDIA, READ_TEXT], some_are_private));
        assert_eq!(Right::open(&[READ_SHARED], some_are_private), !some_are_private);
        assert_eq!(Right::open(&[READ_TEXT, MEDIA_SHARED], some_are_private), !some_are_private);
    }
}
