//! What the runtime API answers.

use epione_primitives::{
    limits::MAX_PAGE,
    opening::{OpeningId, WrapLabel},
    sharing::Term,
};
use frame_support::assert_ok;

use crate::mock::*;

#[test]
fn openings_are_listed_for_patient_and_requester_newest_first() {
    run(|| {
        share_and_wrap();
        give(PATIENT, OTHER_SLOT, standing(&[Term::User(CARDIOLOGIST)]));
        place(PATIENT, OTHER_SLOT, FIRST, 0b1);
        assert_ok!(wrap(&WrapLabel { slot: OTHER_SLOT, ..label(0) }, 0b1));
        let one = [(FIRST, 0b1)];
        for requester in [RESEARCHER, CARDIOLOGIST, RESEARCHER] {
            assert_ok!(ask_as(requester, &one));
        }
        let ids = |list: Vec<(u32, OpeningId, _)>| -> Vec<(u32, u32)> {
            list.into_iter().map(|(number, id, _)| (number, id.0)).collect()
        };
        assert_eq!(ids(Openings::openings_of_patient(PATIENT, None, 9)), [(2, 2), (1, 1), (0, 0)]);
        assert_eq!(ids(Openings::openings_of_patient(PATIENT, Some(2), 1)), [(1, 1)]);
        assert_eq!(ids(Openings::openings_of_requester(RESEARCHER, None, 9)), [(1, 2), (0, 0)]);
        assert_eq!(ids(Openings::openings_of_requester(CARDIOLOGIST, None, 9)), [(0, 1)]);
        assert!(Openings::openings_of_patient(PUPPET, None, 9).is_empty());
        let newest = OpeningId(2);
        let read = Openings::openings_of_patient(PATIENT, None, 1);
        assert_eq!(read, [(2, newest, opening(newest))]);
        assert_eq!(Openings::opening(OpeningId(3)), None);
    });
}

#[test]
fn no_page_is_longer_than_the_limit() {
    run(|| {
        share_and_wrap();
        for _ in 0..=MAX_PAGE {
            assert_ok!(ask(&[(FIRST, 0b1)]));
        }
        let page = MAX_PAGE as usize;
        assert_eq!(Openings::openings_of_patient(PATIENT, None, u32::MAX).len(), page);
        assert_eq!(Openings::openings_of_requester(RESEARCHER, None, u32::MAX).len(), page);
    });
}

#[test]
fn wraps_of_a_record_are_listed_by_slot() {
    run(|| {
        give(PATIENT, OTHER_SLOT, standing(&AUDIENCE));
        place(PATIENT, OTHER_SLOT, FIRST, 0b100);
        assert_ok!(wrap(&WrapLabel { slot: OTHER_SLOT, ..label(0) }, 0b100));
        share_and_wrap();
        let listed: Vec<_> =
            Openings::wraps(FIRST).into_iter().map(|(slot, it)| (slot, it.sections.0)).collect();
        assert_eq!(listed, [(SLOT, 0b11), (OTHER_SLOT, 0b100)]);
        assert!(Openings::wraps(SECOND).is_empty());
    });
}

#[test]
fn hospitals_that_handed_out_are_listed_ascending() {
    run(|| {
        let opening = opened();
        for hospital in [THIRD, HOME, AWAY] {
            assert_ok!(hand_out(hospital, opening));
        }
        let listed: Vec<_> = Openings::handed_out(opening).into_iter().map(|(it, _)| it).collect();
        assert_eq!(listed, [HOME, AWAY, THIRD]);
        assert!(Openings::handed_out(OpeningId(1)).is_empty());
    });
}
