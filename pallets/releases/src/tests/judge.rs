use epione_primitives::{
    HospitalId,
    release::{ReviewId, ReviewStatus},
};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, WeightInfo, mock::*, review::agreed};

const ID: ReviewId = ReviewId(0);

/// Gives a hospital's verdict on the only review.
fn says(hospital: HospitalId, justified: bool) {
    assert_ok!(judge(governance(hospital), 0, justified));
}

#[test]
fn a_verdict_is_stored_before_it_decides() {
    run(|| {
        emergencies(1, 1);
        events();
        says(AWAY, true);

        assert_eq!(events(), vec![Event::Judged { review: ID, hospital: AWAY, justified: true }]);
        assert_eq!(review(0).verdicts.as_slice(), &[(AWAY, true)]);
        assert_eq!(review(0).status, ReviewStatus::Open);
    });
}

#[test]
fn the_verdict_of_more_than_half_closes_the_review() {
    for justified in [true, false] {
        run(|| {
            emergencies(1, 1);
            says(AWAY, !justified);
            says(NORTH, justified);
            assert_eq!(review(0).status, ReviewStatus::Open);
            events();
            pass(3_000);
            says(SOUTH, justified);

            assert_eq!(
                events(),
                vec![
                    Event::Judged { review: ID, hospital: SOUTH, justified },
                    Event::ReviewClosed { review: ID, justified },
                ]
            );
            let at = START + 3_000;
            assert_eq!(review(0).status, ReviewStatus::Closed { justified, at });
        });
    }
}

#[test]
fn half_of_the_hospitals_is_not_more_than_half() {
    run(|| {
        set_active(SOUTH, false);
        emergencies(1, 1);
        says(AWAY, true);
        assert_eq!(review(0).status, ReviewStatus::Open);
        says(NORTH, false);
        assert_eq!(review(0).status, ReviewStatus::Open);
    });
}

#[test]
fn verdicts_of_hospitals_suspended_since_do_not_count() {
    run(|| {
        emergencies(1, 1);
        set_active(SUSPENDED, true);
        says(AWAY, true);
        says(NORTH, false);
        set_active(AWAY, false);
        // Two of the three remaining judges agree.
        says(SOUTH, false);
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: false, at: START });
    });
}

#[test]
fn a_dissenting_verdict_closes_the_review_if_the_others_have_become_more_than_half() {
    run(|| {
        set_active(SUSPENDED, true);
        emergencies(1, 1);
        says(AWAY, false);
        says(NORTH, false);
        assert_eq!(review(0).status, ReviewStatus::Open);
        set_active(SUSPENDED, false);
        says(SOUTH, true);
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: false, at: START });
    });
}

#[test]
fn only_verdicts_of_judges_count() {
    let judges = [AWAY, NORTH];
    assert_eq!(agreed(&[], &judges), None);
    assert_eq!(agreed(&[(AWAY, true)], &judges), None);
    assert_eq!(agreed(&[(AWAY, true), (SOUTH, true)], &judges), None);
    assert_eq!(agreed(&[(AWAY, true), (NORTH, false)], &judges), None);
    assert_eq!(agreed(&[(AWAY, true), (NORTH, true)], &judges), Some(true));
    assert_eq!(agreed(&[(AWAY, false), (NORTH, false)], &judges), Some(false));
    assert_eq!(agreed(&[(HOME, false)], &[HOME]), Some(false));
    assert_eq!(agreed(&[], &[]), None);
}

#[test]
fn only_an_active_hospitals_governance_judges() {
    run(|| {
        emergencies(1, 1);
        for origin in unsigned() {
            assert_noop!(judge(origin, 0, true), BadOrigin);
        }
        for origin in [user(DOCTOR), user(PATIENT), agent(AWAY), governance(SUSPENDED)] {
            assert_noop!(judge(origin, 0, true), Error::<Test>::NotGovernance);
        }
    });
}

#[test]
fn a_hospital_does_not_judge_its_own_emergency() {
    run(|| {
        emergencies(1, 1);
        assert_noop!(judge(governance(HOME), 0, true), Error::<Test>::OwnReview);
        for other in [NORTH, SOUTH] {
            set_active(other, false);
        }
        assert_noop!(judge(governance(HOME), 0, true), Error::<Test>::OwnReview);
        says(AWAY, true);
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: true, at: START });
    });
}

#[test]
fn the_only_hospital_judges_its_own_emergency() {
    run(|| {
        emergencies(1, 1);
        for other in [AWAY, NORTH, SOUTH] {
            set_active(other, false);
        }
        says(HOME, true);
        assert_eq!(review(0).status, ReviewStatus::Closed { justified: true, at: START });
    });
}

#[test]
fn a_verdict_needs_a_review() {
    run(|| {
        assert_noop!(judge(governance(AWAY), 0, true), Error::<Test>::UnknownReview);
    });
}

#[test]
fn a_verdict_is_final() {
    run(|| {
        emergencies(1, 1);
        says(AWAY, true);
        for justified in [true, false] {
            assert_noop!(judge(governance(AWAY), 0, justified), Error::<Test>::AlreadyJudged);
        }
    });
}

#[test]
fn a_closed_review_accepts_no_verdict() {
    run(|| {
        emergencies(1, 1);
        says(AWAY, true);
        says(NORTH, true);
        assert_noop!(judge(governance(SOUTH), 0, false), Error::<Test>::ReviewIsClosed);
    });
}

#[test]
fn a_verdict_counts_until_the_block_of_the_deadline() {
    run(|| {
        emergencies(1, 1);
        System::set_block_number(review(0).deadline);
        says(AWAY, true);
        // The review is not expired yet, as in a block that has too many reviews to process.
        System::set_block_number(review(0).deadline + 1);
        assert_noop!(judge(governance(NORTH), 0, true), Error::<Test>::DeadlinePassed);
    });
}

#[test]
fn a_verdict_pays_the_weight_of_the_judge_call() {
    let call = RuntimeCall::from(crate::Call::judge { review: ID, justified: true });
    assert_eq!(call.get_dispatch_info().call_weight, <() as WeightInfo>::judge());
}
