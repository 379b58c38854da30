use epione_primitives::release::{ReviewId, ReviewStatus};
use frame_support::{assert_noop, assert_ok, traits::Hooks};

use crate::{Error, Event, ExpiryCursor, WeightInfo, mock::*, review::MAX_EXPIRIES};

fn expired(ids: core::ops::Range<u32>) -> Vec<Event<Test>> {
    ids.map(|id| Event::ReviewExpired { review: ReviewId(id) }).collect()
}

/// Begins a block, and checks the number of reviews that it processes by its weight.
#[track_caller]
fn block(number: u32, processed: u32) {
    System::set_block_number(number);
    assert_eq!(Releases::on_initialize(number), <() as WeightInfo>::expire(processed));
}

#[test]
fn a_review_expires_after_the_block_of_its_deadline() {
    run(|| {
        emergencies(1, 1);
        events();
        let deadline = review(0).deadline;
        block(deadline, 0);
        assert_eq!(review(0).status, ReviewStatus::Open);
        assert_eq!(events(), vec![]);

        block(deadline + 1, 1);
        assert_eq!(events(), expired(0..1));
        assert_eq!(review(0).status, ReviewStatus::Expired);
        assert_noop!(judge(governance(AWAY), 0, true), Error::<Test>::DeadlinePassed);

        block(deadline + 2, 0);
        assert_eq!(events(), vec![]);
    });
}

#[test]
fn each_review_expires_at_its_own_deadline() {
    run(|| {
        for seed in 0..3 {
            System::set_block_number(1 + u32::from(seed));
            emergencies(seed, 1);
        }
        events();
        for id in 0..3 {
            block(2 + ReviewBlocks::get() + id, 1);
            assert_eq!(events(), expired(id..id + 1));
        }
    });
}

#[test]
fn a_block_expires_a_bounded_number_of_reviews_and_the_next_block_the_others() {
    run(|| {
        let total = MAX_EXPIRIES + 3;
        emergencies(0, total as u8);
        events();
        let after = review(0).deadline + 1;
        block(after, MAX_EXPIRIES);
        assert_eq!(events(), expired(0..MAX_EXPIRIES));
        // The deadline has passed, although the review is not marked as expired yet.
        assert_noop!(judge(governance(AWAY), MAX_EXPIRIES, true), Error::<Test>::DeadlinePassed);
        Releases::check_state().unwrap();

        block(after + 1, 3);
        assert_eq!(events(), expired(MAX_EXPIRIES..total));
        assert_eq!(ExpiryCursor::<Test>::get(), ReviewId(total));
        block(after + 2, 0);
    });
}

#[test]
fn closed_reviews_do_not_expire_but_count_as_processed() {
    run(|| {
        emergencies(0, 3);
        for hospital in [AWAY, NORTH] {
            for id in [0, 1] {
                assert_ok!(judge(governance(hospital), id, false));
            }
        }
        events();
        block(review(0).deadline + 1, 3);
        assert_eq!(events(), expired(2..3));
        let closed = ReviewStatus::Closed { justified: false, at: START };
        assert_eq!([review(0).status, review(1).status], [closed; 2]);
    });
}

#[test]
fn verdicts_without_agreement_expire_with_the_review() {
    run(|| {
        emergencies(1, 1);
        assert_ok!(judge(governance(AWAY), 0, true));
        assert_ok!(judge(governance(NORTH), 0, false));
        block(review(0).deadline + 1, 1);
        assert_eq!(review(0).status, ReviewStatus::Expired);
        assert_eq!(review(0).verdicts.len(), 2);
    });
}

#[test]
fn a_chain_without_emergencies_has_nothing_to_expire() {
    run(|| block(1_000_000, 0));
}
