//! Broken invariants are detected.

use epione_primitives::{
    Hash,
    release::SectionSet,
    sharing::{ConsentVersion, Placement, SlotId, Term},
};
use frame_support::{BoundedVec, assert_err, assert_ok};

use crate::{
    Changes, Consents, EarlierConsents, Head, Placed, PlacedByKind, PlacedIn, SlotHeights, mock::*,
};

fn broken(change: impl FnOnce(), message: &'static str) {
    externalities().execute_with(|| {
        assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(INSURER)])));
        pass(1);
        assert_ok!(give(user(PATIENT), SLOT, consent(&[Term::User(INSURER)])));
        assert_ok!(place(user(PATIENT), SLOT, &[part(FIRST, &[0])]));
        assert_ok!(place(user(PATIENT), SlotId(4), &[part(FIRST, &[0])]));
        assert_ok!(Sharing::check_state());
        change();
        assert_err!(Sharing::check_state(), message);
    });
}

fn newest(change: impl FnOnce(&mut ConsentVersion)) {
    Consents::<Test>::mutate(PATIENT, SLOT, |version| change(version.as_mut().unwrap()));
}

fn earlier(change: impl FnOnce(&mut ConsentVersion)) {
    EarlierConsents::<Test>::mutate((PATIENT, SLOT, 1_u32), |version| {
        change(version.as_mut().unwrap())
    });
}

#[test]
fn consents_that_cannot_be_are_detected() {
    let elsewhere = || Consents::<Test>::get(PATIENT, SLOT).unwrap();
    broken(
        || Consents::<Test>::insert(PATIENT, SlotId(16), elsewhere()),
        "a consent is in a slot that does not exist",
    );
    broken(
        || newest(|version| version.version = 0),
        "the versions of a consent do not begin with 1",
    );
    broken(|| newest(|version| version.version = 3), "a version of a consent is missing");
    broken(
        || EarlierConsents::<Test>::remove((PATIENT, SLOT, 1_u32)),
        "a version of a consent is missing",
    );
    broken(|| earlier(|version| version.version = 2), "a version of a consent has another number");
    broken(
        || EarlierConsents::<Test>::insert((PATIENT, SLOT, 2_u32), elsewhere()),
        "a version of a consent has no newest version",
    );
    broken(
        || earlier(|version| version.ended = None),
        "two versions of a consent are in force at the same time",
    );
    broken(
        || newest(|version| version.consent.purposes = BoundedVec::new()),
        "a consent is stored that no patient can give",
    );
    broken(|| newest(|version| version.ended = Some(0)), "a consent ended before it began");
}

#[test]
fn placements_that_cannot_be_are_detected() {
    let placement = |slot, bits| Placement { slot: SlotId(slot), sections: SectionSet(bits) };
    let store = |pointer, placements: Vec<Placement>| {
        Placed::<Test>::insert(pointer, BoundedVec::truncate_from(placements));
    };
    broken(|| store(FIRST, vec![]), "a record is listed without placements");
    broken(
        || store(FIRST, vec![placement(4, 1), placement(3, 1)]),
        "the placements of a record do not ascend by slot",
    );
    broken(
        || store(UNCOMMITTED, vec![placement(3, 1)]),
        "sections of no committed record are placed",
    );
    for wrong in [placement(3, 0), placement(16, 1)] {
        let message = "a placement has no sections, or a slot that does not exist";
        broken(|| store(FIRST, vec![wrong]), message);
    }
    broken(|| store(SECOND, vec![placement(3, 1)]), "a placement is not in its patient's index");
    broken(
        || PlacedIn::<Test>::insert((PATIENT, SLOT, SECOND), SectionSet(1)),
        "the index contains what is not placed",
    );
}

#[test]
fn changes_that_do_not_follow_each_other_are_detected() {
    broken(|| Changes::<Test>::remove(2_u64), "a change is missing");
    let change = |height: u64, hash: u8| {
        Changes::<Test>::mutate(height, |change| {
            change.as_mut().unwrap().previous = Hash::repeat_byte(hash);
        });
    };
    broken(|| change(2, 7), "a change does not follow the previous one");
    broken(|| change(1, 7), "a change does not follow the previous one");
    broken(
        || Head::<Test>::mutate(|(_, hash)| *hash = Hash::zero()),
        "the head is not the hash of the last change",
    );
    broken(
        || {
            let last = Changes::<Test>::get(4_u64).unwrap();
            Changes::<Test>::insert(5_u64, last);
        },
        "a change is after the head",
    );
}

#[test]
fn heights_of_slots_that_cannot_be_are_detected() {
    let wrong = "the height of a slot is not that of its newest change";
    broken(|| SlotHeights::<Test>::insert(PATIENT, SLOT, 2), wrong);
    broken(|| SlotHeights::<Test>::insert(PATIENT, SlotId(9), 1), wrong);
    broken(|| SlotHeights::<Test>::remove(PATIENT, SLOT), "a slot has changed and has no height");
}

#[test]
fn placements_by_kind_that_cannot_be_are_detected() {
    for (slot, pointer) in [(SLOT, OTHERS), (SLOT, UNCOMMITTED), (SlotId(16), FIRST)] {
        broken(
            || PlacedByKind::<Test>::insert((PATIENT, slot, pointer), ()),
            "a hospital placed by kind what is no record of the patient",
        );
    }
}
