use epione_primitives::{
    HospitalId,
    access::Purpose,
    limits::{DAY_MILLIS, MAX_EMERGENCIES_PER_DAY, UNJUSTIFIED_MILLIS},
    opening::OpeningId,
    ports::{Emergencies as _, EmergencyOpening},
    release::{Review, ReviewId, ReviewStatus, ReviewSubject, Tally},
};
use frame_support::{assert_noop, assert_ok, storage::with_storage_layer};
use sp_runtime::{BoundedVec, DispatchError};

use crate::{Error, Event, Usages, mock::*};

/// Breaks the glass as often as the daily limit allows.
fn exhaust(seed: u8) {
    for number in 0..MAX_EMERGENCIES_PER_DAY {
        assert_ok!(record(agent(HOME), emergency(seed + number)));
    }
    let late = emergency(seed + MAX_EMERGENCIES_PER_DAY);
    assert_noop!(record(agent(HOME), late), Error::<Test>::TooManyEmergencies);
}

#[test]
fn an_emergency_opens_a_review() {
    run(|| {
        System::set_block_number(5);
        assert_ok!(record(agent(HOME), reading(1)));
        events();
        assert_ok!(record(agent(HOME), emergency(2)));

        let id = ReviewId(0);
        let deadline = 5 + ReviewBlocks::get();
        assert_eq!(
            events(),
            vec![
                Event::Released {
                    hospital: HOME,
                    requester: DOCTOR,
                    patient: PATIENT,
                    receipt: 1,
                    grant: grant(2),
                    emergency: true,
                },
                Event::ReviewOpened { review: id, deadline },
            ]
        );
        let receipt = Releases::receipt(grant(2)).unwrap();
        assert_eq!(receipt.review, Some(id));
        assert_eq!(receipt.policies.as_slice(), &[policy(BREAK_GLASS)]);
        assert_eq!(
            review(0),
            Review {
                requester: DOCTOR,
                patient: PATIENT,
                hospital: HOME,
                subject: ReviewSubject::Receipt(1),
                reason: REASON,
                opened: START,
                deadline,
                verdicts: BoundedVec::new(),
                status: ReviewStatus::Open,
            }
        );
        assert_eq!(Releases::emergencies(PATIENT, None, 9), vec![(0, id, review(0))]);
    });
}

#[test]
fn an_emergency_needs_a_reason_its_purpose_and_only_its_rights() {
    run(|| {
        let no_reason = asking(emergency(1), |request| request.emergency = None);
        assert_noop!(record(agent(HOME), no_reason), Error::<Test>::RightsMismatch);
        let mut mixed = emergency(1);
        mixed.rights.try_push(READ_TEXT).unwrap();
        assert_noop!(record(agent(HOME), mixed), Error::<Test>::RightsMismatch);
        let treatment = asking(emergency(1), |request| request.purpose = Purpose::Treatment);
        assert_noop!(record(agent(HOME), treatment), Error::<Test>::PurposeNotEmergency);
    });
}

#[test]
fn the_glass_cannot_be_broken_if_the_policies_do_not_allow_it() {
    run(|| {
        Denied::set(vec![BREAK_GLASS]);
        assert_noop!(record(agent(HOME), emergency(1)), Error::<Test>::NotAllowed);
        assert_eq!(crate::Tallies::<Test>::iter().count(), 0);
    });
}

#[test]
fn the_emergencies_of_a_day_are_bounded() {
    run(|| {
        exhaust(1);
        let full = Tally { day: 1, refusals: 0, emergencies: MAX_EMERGENCIES_PER_DAY };
        assert_eq!(Releases::tally(HOME, DOCTOR), full);
        assert_eq!(Releases::tally(AWAY, DOCTOR), Tally { emergencies: 0, ..full });
        // Ordinary reading is not affected.
        assert_ok!(record(agent(HOME), reading(50)));
    });
}

#[test]
fn the_limit_of_emergencies_is_reset_at_midnight() {
    run(|| {
        exhaust(1);
        pass(DAY_MILLIS / 2 - 1);
        assert_noop!(record(agent(HOME), emergency(10)), Error::<Test>::TooManyEmergencies);
        pass(1);
        assert_eq!(Releases::tally(HOME, DOCTOR), Tally { day: 2, ..Tally::default() });
        exhaust(10);
    });
}

/// Opens sections for the doctor in an emergency, as pallet-openings does.
fn open(opening: u32) -> Result<ReviewId, DispatchError> {
    open_for(HOME, opening)
}

/// The same, for another hospital at which the doctor is registered.
fn open_for(hospital: HospitalId, opening: u32) -> Result<ReviewId, DispatchError> {
    let (requester, patient, reason) = (DOCTOR, PATIENT, REASON);
    let opening = OpeningId(opening);
    let emergency = EmergencyOpening { opening, requester, patient, hospital, reason };
    with_storage_layer(|| Releases::open(emergency))
}

#[test]
fn an_opening_in_an_emergency_uses_a_place_of_its_hospital_and_has_its_review_among_the_others() {
    run(|| {
        assert_ok!(record(agent(HOME), emergency(1)));
        events();
        for (opening, id) in [(0, ReviewId(1)), (1, ReviewId(2))] {
            assert_eq!(open(opening), Ok(id));
            let deadline = 1 + ReviewBlocks::get();
            assert_eq!(events(), [Event::ReviewOpened { review: id, deadline }]);
            let subject = ReviewSubject::Opening(OpeningId(opening));
            assert_eq!((review(id.0).subject, review(id.0).hospital), (subject, HOME));
        }
        let usage = Usages::<Test>::get(HOME);
        assert_eq!(
            (usage.receipts, usage.emergencies, usage.openings, usage.visitors),
            (3, 3, 2, 0)
        );
        assert_eq!(usage.ordinary(), 0, "they use up no place of an ordinary receipt");
        assert_eq!(Releases::emergencies(PATIENT, None, 9).len(), 3);
    });
}

/// A doctor of two hospitals has no more than a doctor of one.
#[test]
fn a_requesters_openings_are_counted_over_all_hospitals() {
    run(|| {
        register(AWAY, DOCTOR, 0);
        for (opening, hospital) in [(0, HOME), (1, AWAY), (2, HOME)] {
            assert_eq!(open_for(hospital, opening), Ok(ReviewId(opening)));
        }
        for hospital in [HOME, AWAY] {
            assert_noop!(open_for(hospital, 3), Error::<Test>::TooManyOpenings);
        }
        // They do not stop the doctor from breaking the glass.
        assert_eq!(Releases::tally(HOME, DOCTOR).emergencies, 0);
        assert_ok!(record(agent(HOME), emergency(1)));
        pass(DAY_MILLIS / 2);
        assert_eq!(open_for(AWAY, 3), Ok(ReviewId(4)));
    });
}

/// Otherwise a few doctors who open summaries would stop all others from breaking the glass.
#[test]
fn openings_use_up_at_most_half_of_a_hospitals_emergencies() {
    run(|| {
        MaxEmergencies::set(4);
        assert_ok!(open(0));
        assert_ok!(open(1));
        assert_noop!(open(2), Error::<Test>::TooManyHospitalOpenings);
        assert_ok!(record(agent(HOME), emergency(1)));
        assert_ok!(record(agent(HOME), emergency(2)));
        let over = Error::<Test>::TooManyHospitalEmergencies;
        assert_noop!(record(agent(HOME), emergency(3)), over);
    });
}

#[test]
fn broken_glass_uses_up_the_places_of_openings() {
    run(|| {
        MaxEmergencies::set(2);
        emergencies(1, 2);
        assert_noop!(open(0), Error::<Test>::TooManyHospitalEmergencies);
    });
}

/// The doctor chooses for which hospital to ask, but not who judges.
#[test]
fn no_hospital_of_the_requester_judges_an_opening() {
    run(|| {
        register(AWAY, DOCTOR, 0);
        assert_ok!(open(0));
        for own in [HOME, AWAY] {
            assert_noop!(judge(governance(own), 0, true), Error::<Test>::OwnReview);
        }
        // One of the two others is not more than half of them.
        assert_ok!(judge(governance(NORTH), 0, false));
        assert_eq!(review(0).status, ReviewStatus::Open);
        // A registration that began later does not count.
        pass(1);
        register(SOUTH, DOCTOR, START + 1);
        assert_ok!(judge(governance(SOUTH), 0, false));
        assert!(Releases::is_unjustified(ReviewId(0)));
        // A receipt is at the hospital of the record, which the doctor does not choose.
        assert_ok!(record(agent(HOME), emergency(1)));
        assert_ok!(judge(governance(AWAY), 1, true));
    });
}

#[test]
fn the_other_hospitals_judge_an_opening_of_a_requester_of_all_of_them() {
    run(|| {
        for hospital in [AWAY, NORTH, SOUTH] {
            register(hospital, DOCTOR, 0);
        }
        assert_ok!(open(0));
        assert_noop!(judge(governance(HOME), 0, true), Error::<Test>::OwnReview);
        assert_ok!(judge(governance(AWAY), 0, true));
        assert_ok!(judge(governance(NORTH), 0, true));
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: true, at: START });
    });
}

#[test]
fn nobody_opens_for_30_days_for_whose_last_reviewed_emergency_was_unjustified() {
    run(|| {
        register(AWAY, DOCTOR, 0);
        let closed = |id: u32, justified| {
            assert_ok!(judge(governance(NORTH), id, justified));
            assert_ok!(judge(governance(SOUTH), id, justified));
        };
        assert_ok!(open(0));
        assert_ok!(open(1));
        closed(0, false);
        for hospital in [HOME, AWAY] {
            assert_noop!(open_for(hospital, 2), Error::<Test>::UnjustifiedLately);
        }
        // The hospital's policies decide about the glass there.
        assert_ok!(record(agent(HOME), emergency(1)));
        pass(UNJUSTIFIED_MILLIS - 1);
        assert_noop!(open(2), Error::<Test>::UnjustifiedLately);
        pass(1);
        assert_ok!(open(2));
        // It counts from the verdict on, and a later verdict that an emergency was justified ends it.
        closed(3, false);
        assert_noop!(open(3), Error::<Test>::UnjustifiedLately);
        closed(1, true);
        assert_ok!(open(3));
    });
}

#[test]
fn only_an_unjustified_verdict_of_the_hospitals_makes_an_opening_unjustified() {
    run(|| {
        // Before the first verdict, which would refuse the second opening.
        for id in 0..2 {
            assert_eq!(open(id), Ok(ReviewId(id)));
        }
        for (id, justified) in [(0, true), (1, false)] {
            assert_ok!(judge(governance(AWAY), id, justified));
            assert!(!Releases::is_unjustified(ReviewId(id)), "one of three hospitals");
            assert_ok!(judge(governance(NORTH), id, justified));
            assert_eq!(Releases::is_unjustified(ReviewId(id)), !justified);
        }
        assert!(!Releases::is_unjustified(ReviewId(9)));
    });
}
