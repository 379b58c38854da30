//! The invariants of the state find what breaks them.

use epione_primitives::{
    access::Purpose,
    consortium::{EpochId, KeyId},
    limits::OPENING_BLOCKS,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    release::{ReviewId, ReviewedEmergency, SectionSet},
    sharing::{SlotId, SlotSet},
};
use frame_support::{assert_err, assert_ok};

use crate::{
    HandedOutBy, OpeningCount, PatientOpeningCount, PatientOpenings, RequesterOpeningCount,
    RequesterOpenings, Wraps, mock::*,
};

const ID: OpeningId = OpeningId(0);

/// Runs a test that breaks a state with two openings, of the first of which a hospital handed out its part, and expects
/// this finding.
fn finds(expected: &'static str, breaks: impl FnOnce()) {
    externalities().execute_with(|| {
        opened();
        assert_ok!(ask(&[(FIRST, 0b1)]));
        assert_ok!(hand_out(AWAY, ID));
        Openings::check_state().unwrap();
        breaks();
        assert_err!(Openings::check_state(), expected);
    });
}

fn change(change: impl FnOnce(&mut Opening)) {
    crate::Openings::<Test>::mutate(ID, |opening| change(opening.as_mut().unwrap()));
}

fn change_wraps(change: impl FnOnce(&mut Wrapped)) {
    Wraps::<Test>::mutate(FIRST, SLOT, |wrapped| change(wrapped.as_mut().unwrap()));
}

fn change_part(change: impl FnOnce(&mut HandedOut)) {
    HandedOutBy::<Test>::mutate(ID, AWAY, |handed| change(handed.as_mut().unwrap()));
}

#[test]
fn openings_for_which_nobody_can_ask_are_found() {
    let changes: [fn(&mut Opening); 7] = [
        |it| it.records = Default::default(),
        |it| it.records = records(&[(FIRST, u64::MAX), (SECOND, 1)]),
        |it| it.records = records(&[(SECOND, 1), (FIRST, 1)]),
        |it| it.requester = PATIENT,
        |it| it.purpose = Purpose::Emergency,
        |it| it.emergency = Some(ReviewedEmergency { reason: REASON, review: ReviewId(0) }),
        |it| it.slots = SlotSet(0),
    ];
    for broken in changes {
        finds("an opening is one for which nobody can ask", || change(broken));
    }
    finds("an opening is in the future", || change(|it| it.block = 2));
    finds("an opening is in the future", || change(|it| it.at = START + 1));
}

#[test]
fn missing_and_unlisted_openings_are_found() {
    finds("an opening is missing", || crate::Openings::<Test>::remove(ID));
    finds("an opening has an id that was not assigned yet", || {
        crate::Openings::<Test>::insert(OpeningId(9), opening(ID));
    });
    finds("a number of a user's openings has no opening", || {
        PatientOpenings::<Test>::remove(PATIENT, 1);
    });
    finds("a user's openings do not ascend", || {
        PatientOpenings::<Test>::insert(PATIENT, 1, ID);
    });
    finds("an opening is listed under another user", || change(|it| it.patient = PUPPET));
    finds("an opening is listed under another user", || change(|it| it.requester = REVIEWED));
    finds("the openings of all patients are not all openings", || {
        PatientOpeningCount::<Test>::insert(PATIENT, 1);
    });
    finds("the openings of all requesters are not all openings", || {
        RequesterOpeningCount::<Test>::insert(RESEARCHER, 1);
    });
    finds("the openings of all requesters are not all openings", || {
        RequesterOpenings::<Test>::insert(REVIEWED, 0, ID);
    });
    finds("an opening has an id that was not assigned yet", || OpeningCount::<Test>::put(1));
}

#[test]
fn parts_that_nobody_could_hand_out_are_found() {
    finds("a part belongs to no opening", || {
        let handed = HandedOutBy::<Test>::get(ID, AWAY).unwrap();
        HandedOutBy::<Test>::insert(OpeningId(9), AWAY, handed);
    });
    let outside = "a part was handed out before its opening, or after the opening was over";
    finds(outside, || change_part(|it| it.block = 0));
    finds(outside, || change_part(|it| it.at = START - 1));
    finds(outside, || {
        pass_blocks(OPENING_BLOCKS + 9);
        change_part(|it| it.block = 1 + OPENING_BLOCKS + 1);
    });
    finds("a part was handed out in the future", || change_part(|it| it.block = 2));
    finds("a part was handed out in the future", || change_part(|it| it.at = START + 1));
    finds("a part is of a later epoch", || change_part(|it| it.epoch = EpochId(6)));
}

#[test]
fn wraps_that_nobody_could_publish_are_found() {
    finds("wraps are of no section, or in no slot", || {
        change_wraps(|it| it.sections = SectionSet(0));
    });
    finds("wraps are of no section, or in no slot", || {
        let wrapped = Wraps::<Test>::get(FIRST, SLOT).unwrap();
        Wraps::<Test>::insert(FIRST, SlotId(16), wrapped);
    });
    let foreign = "wraps are by another hospital than the record";
    finds(foreign, || change_wraps(|it| it.hospital = AWAY));
    finds(foreign, || {
        let wrapped = Wraps::<Test>::get(FIRST, SLOT).unwrap();
        Wraps::<Test>::insert(UNCOMMITTED, SLOT, wrapped);
    });
    finds("wraps are for a later key or epoch", || change_wraps(|it| it.key = KeyId(3)));
    finds("wraps are for a later key or epoch", || change_wraps(|it| it.epoch = EpochId(6)));
    finds("wraps are in the future", || change_wraps(|it| it.block = 2));
}
