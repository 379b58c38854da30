//! A hospital's record is committed once.

use epione_primitives::{AnnouncementId, UserId, approval::BallotOutcome, block::Stage};
use frame_support::{assert_noop, assert_ok, traits::Hooks as _, weights::Weight};

use super::stage;
use crate::{AnnouncementWith, Error, mock::*};

/// Another block, whose last record is the first one of the block with seed 1.
fn with_first_record(seed: u8, patients: &[UserId]) -> Visits {
    let mut visits = visits(seed, patients);
    visits.entries[patients.len() - 1].record = record(1, 0);
    visits
}

/// The block of another hospital.
fn away(mut visits: Visits) -> Visits {
    visits.header.announcer = AWAY;
    visits
}

#[track_caller]
fn repeated(visits: Visits) {
    assert_noop!(
        announce(agent(HOME), visits).map_err(|failed| failed.error),
        Error::<Test>::RepeatedRecord
    );
}

#[test]
fn a_block_with_a_record_twice_is_refused() {
    run(|| {
        let mut twice = visits(1, &[PATIENT, OTHER, PATIENT]);
        twice.entries[2].record = record(1, 0);
        repeated(twice);
    });
}

#[test]
fn a_record_in_an_open_announcement_is_not_announced_again() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        repeated(with_first_record(2, &[PATIENT]));
        repeated(with_first_record(2, &[OTHER, OTHER]));
        assert_ok!(announce(agent(HOME), visits(2, &[PATIENT])));
    });
}

#[test]
fn a_committed_record_is_never_announced_again() {
    run(|| {
        committed(1, &[PATIENT]);
        repeated(with_first_record(2, &[PATIENT]));
        LiteBlocks::on_idle(u32::MAX, Weight::MAX);
        repeated(with_first_record(2, &[OTHER, PATIENT]));
        assert_eq!(AnnouncementWith::<Test>::get(HOME, record(1, 0)), Some(AnnouncementId(0)));
    });
}

#[test]
fn a_record_that_was_not_committed_can_be_announced_again_in_any_block() {
    let outcomes = [BallotOutcome::Rejected, BallotOutcome::Expired, BallotOutcome::Withdrawn];
    for outcome in outcomes {
        run(|| {
            assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
            close(AnnouncementId(0), outcome);
            assert_ok!(announce(agent(HOME), with_first_record(2, &[OTHER, PATIENT])));
            repeated(visits(1, &[PATIENT]));
            close(AnnouncementId(1), BallotOutcome::Approved);
            assert_eq!(stage(1), Stage::Committed { height: 1 });
            repeated(visits(1, &[PATIENT]));
        });
    }
}

#[test]
fn a_hospital_that_announces_anothers_record_first_does_not_stop_it() {
    run(|| {
        assert_ok!(announce(agent(AWAY), away(visits(1, &[PATIENT]))));
        assert_ok!(announce(agent(HOME), with_first_record(2, &[PATIENT])));
        close(AnnouncementId(0), BallotOutcome::Approved);
        close(AnnouncementId(1), BallotOutcome::Approved);
        let found = |hospital| LiteBlocks::announcement_with(hospital, record(1, 0));
        assert_eq!([found(AWAY), found(HOME)], [0, 1].map(|id| Some(AnnouncementId(id))));
    });
}

#[test]
fn the_rejection_of_a_copied_record_does_not_let_its_hospital_announce_it_again() {
    run(|| {
        assert_ok!(announce(agent(HOME), visits(1, &[PATIENT])));
        assert_ok!(announce(agent(AWAY), away(visits(1, &[PATIENT]))));
        close(AnnouncementId(1), BallotOutcome::Rejected);
        repeated(with_first_record(2, &[PATIENT]));
        assert_eq!(LiteBlocks::announcement_with(AWAY, record(1, 0)), None);
    });
}

#[test]
fn announcing_and_withdrawing_records_in_a_loop_leaves_none_behind() {
    run(|| {
        for id in 0..10 {
            assert_ok!(announce(agent(HOME), visits(id, &[PATIENT, OTHER])));
            assert_ok!(withdraw(agent(HOME), id.into()));
        }
        assert_eq!(AnnouncementWith::<Test>::iter_keys().count(), 0);
    });
}
