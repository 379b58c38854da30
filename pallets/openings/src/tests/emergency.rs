//! An emergency summary: what a doctor opens with a reason, within the limits of breaking the glass, under review.

use epione_mocks::{end_registration, pass, register, set_active};
use epione_primitives::{
    Word,
    access::Purpose,
    limits::{DAY_BLOCKS, DAY_MILLIS, MAX_EMERGENCIES_PER_DAY, MAX_SHARING_MILLIS},
    opening::{OpeningId, WrapLabel},
    profile::Role,
    release::{Review, ReviewId, ReviewStatus, ReviewSubject, ReviewedEmergency},
    sharing::{Consent, Term},
};
use frame_support::{BoundedVec, assert_noop, assert_ok};
use sp_runtime::DispatchError;

use crate::{Error, OpeningCount, mock::*};

type Limits = pallet_releases::Error<Test>;

const ID: OpeningId = OpeningId(0);

fn with(purpose: Purpose, emergency: bool) -> crate::Call<Test> {
    let (hospital, patient, records) = (AWAY, PATIENT, records(&[(FIRST, 0b11)]));
    let emergency = emergency.then_some(REASON);
    crate::Call::ask { hospital, patient, records, purpose, emergency }
}

#[test]
fn a_doctor_opens_the_summary_while_the_home_hospital_is_away_and_the_others_review_it() {
    run(|| {
        summary();
        set_active(HOME, false);
        pass_blocks(4);
        assert_ok!(ask_in_emergency(DOCTOR));
        let opened = opening(ID);
        let emergency = ReviewedEmergency { reason: REASON, review: ReviewId(0) };
        assert_eq!((opened.purpose, opened.emergency), (Purpose::Emergency, Some(emergency)));
        let expected = Review {
            requester: DOCTOR,
            patient: PATIENT,
            hospital: AWAY,
            subject: ReviewSubject::Opening(ID),
            reason: REASON,
            opened: START,
            deadline: 5 + ReviewBlocks::get(),
            verdicts: Default::default(),
            status: ReviewStatus::Open,
        };
        assert_eq!(review(0), expected);
        assert_eq!(Releases::emergencies(PATIENT, None, 9), [(0, ReviewId(0), expected)]);
        for hospital in [AWAY, THIRD] {
            assert_ok!(hand_out(hospital, ID));
        }
    });
}

#[test]
fn an_emergency_has_a_reason_and_nothing_else_has_one() {
    run(|| {
        summary();
        for purpose in Purpose::ALL.iter().copied() {
            let is_emergency = purpose == Purpose::Emergency;
            let wrong = with(purpose, !is_emergency);
            assert_noop!(dispatch(wrong, user(DOCTOR)), Error::<Test>::ReasonMismatch);
        }
        assert_ok!(dispatch(with(Purpose::Emergency, true), user(DOCTOR)));
    });
}

#[test]
fn only_a_doctor_with_a_registration_in_force_opens_the_summary() {
    run(|| {
        summary();
        // The consent includes the nurse.
        assert_noop!(ask_in_emergency(NURSE), Error::<Test>::NotDoctor);
        assert_noop!(ask_in_emergency(RESEARCHER), Error::<Test>::NotDoctor);
        end_registration(AWAY, COLLEAGUE);
        assert_noop!(ask_in_emergency(COLLEAGUE), Error::<Test>::NotInForce);
        assert_ok!(ask_in_emergency(DOCTOR));
    });
}

#[test]
fn a_doctor_whom_no_consent_for_emergencies_includes_opens_nothing() {
    run(|| {
        share_and_wrap();
        assert_noop!(ask_in_emergency(DOCTOR), Error::<Test>::NotAdmitted);
        let purposes = BoundedVec::truncate_from(vec![Purpose::Emergency]);
        let for_one = Consent { purposes, ..standing(&[Term::User(COLLEAGUE)]) };
        give(PATIENT, SLOT, for_one);
        assert_noop!(ask_in_emergency(DOCTOR), Error::<Test>::NotAdmitted);
        assert_ok!(ask_in_emergency(COLLEAGUE));
    });
}

#[test]
fn the_summary_is_open_for_no_other_purpose() {
    run(|| {
        summary();
        for purpose in Purpose::ALL.iter().copied().filter(|it| *it != Purpose::Emergency) {
            let ordinary = with(purpose, false);
            assert_noop!(dispatch(ordinary, user(DOCTOR)), Error::<Test>::NotAdmitted);
        }
    });
}

#[test]
fn a_doctor_opens_only_three_summaries_in_a_day_whichever_hospital_the_doctor_asks_for() {
    run(|| {
        summary();
        for _ in 0..MAX_EMERGENCIES_PER_DAY {
            assert_ok!(ask_in_emergency(DOCTOR));
        }
        assert_noop!(ask_in_emergency(DOCTOR), Limits::TooManyOpenings);
        register(THIRD, DOCTOR, 0);
        let mut elsewhere = emergency();
        if let crate::Call::ask { hospital, .. } = &mut elsewhere {
            *hospital = THIRD;
        }
        assert_noop!(dispatch(elsewhere, user(DOCTOR)), Limits::TooManyOpenings);
        // Another doctor is not affected, nor is another purpose.
        assert_ok!(ask_in_emergency(COLLEAGUE));
        give(PATIENT, OTHER_SLOT, standing(&[Term::User(DOCTOR)]));
        place(PATIENT, OTHER_SLOT, FIRST, 0b1);
        let other = WrapLabel { slot: OTHER_SLOT, ..label(0) };
        assert_ok!(wrap(&other, 0b1));
        assert_ok!(ask_as(DOCTOR, &[(FIRST, 0b1)]));
    });
}

#[test]
fn a_hospitals_doctors_open_only_so_many_summaries_together() {
    run(|| {
        summary();
        for _ in 0..MAX_EMERGENCIES_PER_DAY {
            assert_ok!(ask_in_emergency(DOCTOR));
        }
        let most = MaxEmergencies::get() / 2;
        let left = most - u32::from(MAX_EMERGENCIES_PER_DAY);
        for _ in 0..left {
            assert_ok!(ask_in_emergency(COLLEAGUE));
        }
        assert_noop!(ask_in_emergency(COLLEAGUE), Limits::TooManyHospitalOpenings);
        assert_eq!(OpeningCount::<Test>::get(), most);
        pass_blocks(DAY_BLOCKS);
        assert_ok!(ask_in_emergency(COLLEAGUE));
    });
}

#[test]
fn the_limit_of_a_doctor_is_reset_at_midnight() {
    run(|| {
        summary();
        let purposes = BoundedVec::truncate_from(vec![Purpose::Emergency]);
        let until = START + MAX_SHARING_MILLIS;
        let longer = Consent { purposes, until, ..standing(&[Term::Role(Role::Doctor)]) };
        give(PATIENT, SLOT, longer);
        for _ in 0..MAX_EMERGENCIES_PER_DAY {
            assert_ok!(ask_in_emergency(DOCTOR));
        }
        pass(DAY_MILLIS - START - 1);
        assert_noop!(ask_in_emergency(DOCTOR), Limits::TooManyOpenings);
        pass(1);
        assert_ok!(ask_in_emergency(DOCTOR));
    });
}

/// A refused question leaves no review, and uses up no place.
#[test]
fn a_question_that_is_refused_counts_as_no_emergency() {
    run(|| {
        summary();
        remove(SLOT, FIRST, 0b10);
        assert_noop!(ask_in_emergency(DOCTOR), Error::<Test>::NotPlaced);
        assert_eq!(pallet_releases::OpeningTallies::<Test>::get(DOCTOR).emergencies, 0);
        assert_eq!(pallet_releases::NextReview::<Test>::get(), ReviewId(0));
    });
}

#[test]
fn the_other_hospitals_judge_and_not_the_one_for_which_the_doctor_asked() {
    run(|| {
        summary();
        assert_ok!(ask_in_emergency(DOCTOR));
        let own: DispatchError = Limits::OwnReview.into();
        assert_eq!(judge(AWAY, 0, true), Err(own));
        assert_ok!(judge(HOME, 0, true));
        assert_ok!(judge(THIRD, 0, true));
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: true, at: START });
        assert_ok!(hand_out(THIRD, ID));
    });
}

/// A doctor of two hospitals chooses for which one to ask, but not who judges.
#[test]
fn no_hospital_at_which_the_doctor_is_registered_judges() {
    run(|| {
        summary();
        register(THIRD, DOCTOR, 0);
        assert_ok!(ask_in_emergency(DOCTOR));
        let own: DispatchError = Limits::OwnReview.into();
        for hospital in [AWAY, THIRD] {
            assert_eq!(judge(hospital, 0, true), Err(own));
        }
        assert_ok!(judge(HOME, 0, false));
        assert_ok!(judge(OUTSIDE, 0, false));
        assert_noop!(hand_out(HOME, ID), Error::<Test>::Unjustified);
    });
}

#[test]
fn nobody_hands_out_a_part_after_the_emergency_was_found_unjustified() {
    run(|| {
        summary();
        assert_ok!(ask_in_emergency(DOCTOR));
        assert_ok!(judge(HOME, 0, false));
        assert_ok!(hand_out(THIRD, ID));
        // Two of the three others agree.
        assert_ok!(judge(THIRD, 0, false));
        for hospital in [HOME, AWAY, THIRD] {
            assert_noop!(hand_out(hospital, ID), Error::<Test>::Unjustified);
        }
        // Nor does the doctor open anything else for 30 days. Other doctors do.
        assert_noop!(ask_in_emergency(DOCTOR), Limits::UnjustifiedLately);
        assert_ok!(ask_in_emergency(COLLEAGUE));
        assert_ok!(hand_out(HOME, OpeningId(1)));
    });
}

#[test]
fn a_withdrawn_summary_is_not_handed_out() {
    run(|| {
        summary();
        assert_ok!(ask_in_emergency(DOCTOR));
        withdraw(SLOT);
        assert_noop!(hand_out(THIRD, ID), Error::<Test>::NotAdmitted);
        assert_noop!(ask_in_emergency(DOCTOR), Error::<Test>::NotAdmitted);
    });
}
