use epione_primitives::{
    approval::BallotOutcome,
    limits::{BALLOT_BLOCKS, MAX_BALLOTS_PER_BLOCK},
    ports::Ballots as _,
};
use frame_support::{
    assert_noop, assert_ok,
    traits::{GetStorageVersion, StorageVersion},
};

use crate::{Deadlines, Error, Event, mock::*};

#[test]
fn a_ballot_opens_among_the_active_hospitals() {
    among(4, || {
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(1)));
        assert_ok!(Approvals::open(7, hospital(2)));

        let deadline = 1 + BALLOT_BLOCKS;
        System::assert_last_event(
            Event::Opened { subject: 7, opener: hospital(2), needed: 2, deadline }.into(),
        );
        let ballot = ballot(7);
        assert_eq!(ballot.opener, hospital(2));
        assert_eq!(ballot.electorate.as_slice(), &[hospital(0), hospital(2), hospital(3)]);
        assert!(ballot.approvals.is_empty() && ballot.rejections.is_empty());
        assert_eq!(ballot.deadline, deadline);
        assert_eq!(ballot.outcome, None);
        assert_eq!(Approvals::ballot(8), None);
        assert_eq!(Approvals::in_code_storage_version(), StorageVersion::new(1));
    });
}

#[test]
fn a_single_hospitals_ballot_is_approved_at_once() {
    among(1, || {
        open(1);

        let deadline = 1 + BALLOT_BLOCKS;
        assert_eq!(
            own_events(),
            vec![
                Event::Opened { subject: 1, opener: hospital(0), needed: 0, deadline },
                Event::Closed { subject: 1, outcome: BallotOutcome::Approved },
            ]
        );
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Approved)]);
        assert_eq!(Deadlines::<Test>::iter().count(), 0);
        assert_noop!(approve(by(0), 1), Error::<Test>::BallotClosed);
    });
}

#[test]
fn a_subject_has_at_most_one_ballot() {
    among(3, || {
        open(1);
        assert_noop!(Approvals::open(1, hospital(1)), Error::<Test>::BallotExists);
        assert_ok!(Approvals::withdraw(1));
        assert_noop!(Approvals::open(1, hospital(1)), Error::<Test>::BallotExists);
    });
}

#[test]
fn a_hospital_that_is_not_active_opens_no_ballot() {
    among(3, || {
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(1)));
        assert_noop!(Approvals::open(1, hospital(1)), Error::<Test>::NotElector);
        assert_noop!(Approvals::open(1, hospital(9)), Error::<Test>::NotElector);
    });
}

#[test]
fn the_number_of_ballots_with_the_same_deadline_is_bounded() {
    among(3, || {
        for subject in 0..MAX_BALLOTS_PER_BLOCK {
            open(subject);
        }
        let refused = MAX_BALLOTS_PER_BLOCK;
        assert_noop!(Approvals::open(refused, hospital(0)), Error::<Test>::TooManyBallots);

        // A ballot that ends early makes room.
        assert_ok!(Approvals::withdraw(5));
        open(refused);
    });
}
