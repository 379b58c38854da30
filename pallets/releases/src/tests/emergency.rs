use epione_primitives::{
    access::Purpose,
    limits::{DAY_MILLIS, MAX_EMERGENCIES_PER_DAY},
    release::{Review, ReviewId, ReviewStatus, Tally},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::BoundedVec;

use crate::{Error, Event, mock::*};

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
                receipt: 1,
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
