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
        assert_ok!(open_of(2, 7));

        let deadline = 1 + BALLOT_BLOCKS;
        System::assert_last_event(
            Event::Opened { id: 7, opener: hospital(2), needed: 2, deadline }.into(),
        );
        let ballot = ballot(7);
        assert_eq!(ballot.subject, subject(7));
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
                Event::Opened { id: 1, opener: hospital(0), needed: 0, deadline },
                Event::Closed { id: 1, outcome: BallotOutcome::Approved },
            ]
        );
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Approved)]);
        assert_eq!(Deadlines::<Test>::iter().count(), 0);
        assert_noop!(approve(by(0), 1), Error::<Test>::BallotClosed);
    });
}

#[test]
fn an_id_has_at_most_one_ballot() {
    among(3, || {
        open(1);
        assert_noop!(open_of(1, 1), Error::<Test>::BallotExists);
        assert_ok!(Approvals::withdraw(1));
        assert_noop!(open_of(1, 1), Error::<Test>::BallotExists);
    });
}

#[test]
fn a_hospital_that_is_not_active_opens_no_ballot() {
    among(3, || {
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(1)));
        assert_noop!(open_of(1, 1), Error::<Test>::NotElector);
        assert_noop!(open_of(9, 1), Error::<Test>::NotElector);
    });
}

#[test]
fn the_number_of_ballots_with_the_same_deadline_is_bounded() {
    among(3, || {
        for id in 0..MAX_BALLOTS_PER_BLOCK {
            open(id);
        }
        let refused = MAX_BALLOTS_PER_BLOCK;
        assert_noop!(open_of(0, refused), Error::<Test>::TooManyBallots);

        // A ballot that ends early makes room.
        assert_ok!(Approvals::withdraw(5));
        open(refused);
    });
}
