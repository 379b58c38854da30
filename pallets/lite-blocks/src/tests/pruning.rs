//! Removing announcements that were not committed.

use epione_primitives::{
    AnnouncementId, approval::BallotOutcome, block::Stage, limits::MAX_BALLOTS_PER_BLOCK,
};
use frame_support::{assert_ok, traits::Hooks as _, weights::Weight};

use super::stage;
use crate::{Announcements, PruneCursor, WeightInfo, mock::*, pruning::MAX_PRUNED};

/// The first block in which an announcement of block 1 is too old.
const END: u32 = 1 + RetentionBlocks::get() + 1;

fn ids() -> Vec<u64> {
    let mut ids: Vec<_> = Announcements::<Test>::iter_keys().map(|id| id.0).collect();
    ids.sort_unstable();
    ids
}

fn idle(now: u32) -> Weight {
    LiteBlocks::on_idle(now, Weight::MAX)
}

#[test]
fn announcing_and_withdrawing_in_a_loop_leaves_nothing_behind() {
    run(|| {
        let rounds = u64::from(MAX_PRUNED) + 1;
        for id in 0..rounds {
            assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
            assert_ok!(withdraw(agent(HOME), id));
        }
        idle(END - 1);
        assert_eq!(ids().len() as u64, rounds);

        idle(END);
        assert_eq!(ids(), [rounds - 1], "a block looks at a bounded number");
        idle(END);
        assert!(ids().is_empty());
        assert_eq!(RemovedBallots::get(), (0..rounds).map(AnnouncementId).collect::<Vec<_>>());
        LiteBlocks::check_state().unwrap();

        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_eq!(ids(), [rounds]);
    });
}

#[test]
fn announcements_cannot_be_made_faster_than_they_are_removed() {
    run(|| {
        for id in 0..u64::from(MAX_BALLOTS_PER_BLOCK) {
            assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
            assert_ok!(withdraw(agent(HOME), id));
        }
        idle(END);
        assert!(ids().is_empty());
    });
}

#[test]
fn what_is_committed_is_never_removed() {
    run(|| {
        committed(1, &[PATIENT]);
        let outcomes = [BallotOutcome::Rejected, BallotOutcome::Expired, BallotOutcome::Approved];
        for (outcome, id) in outcomes.into_iter().zip(1..) {
            assert_ok!(announce(agent(HOME), visits(id as u8 + 1, &[PATIENT])));
            close(AnnouncementId(id), outcome);
        }
        idle(END);
        idle(u32::MAX);
        assert_eq!(ids(), [0, 3]);
        assert_eq!([stage(0), stage(3)], [1, 2].map(|height| Stage::Committed { height }));
        assert_eq!(RemovedBallots::get(), [1, 2].map(AnnouncementId));
        assert_eq!(PruneCursor::<Test>::get(), AnnouncementId(4));
    });
}

#[test]
fn an_open_announcement_is_not_removed() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        idle(u32::MAX);
        assert_eq!(ids(), [0]);
    });
}

#[test]
fn a_full_block_removes_nothing_and_a_later_one_continues() {
    run(|| {
        for id in 0..2 {
            assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
            assert_ok!(withdraw(agent(HOME), id));
        }
        assert_eq!(LiteBlocks::on_idle(END, Weight::zero()), Weight::zero());
        assert_eq!(ids(), [0, 1]);
        let one = <() as WeightInfo>::prune(1);
        assert_eq!(LiteBlocks::on_idle(END, one), one);
        assert_eq!(ids(), [1]);
        assert_eq!(LiteBlocks::on_idle(END, one), one);
        assert!(ids().is_empty());
    });
}
