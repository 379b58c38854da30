use epione_primitives::{approval::BallotOutcome, ports::Ballots as _};
use frame_support::{assert_noop, assert_ok};

use crate::{Deadlines, Error, Event, mock::*};

#[test]
fn a_withdrawn_ballot_is_closed_without_notifying_its_owner() {
    among(4, || {
        open(1);
        assert_ok!(vote_for(1, 1));
        assert_ok!(Approvals::withdraw(1));

        System::assert_last_event(
            Event::Closed { id: 1, outcome: BallotOutcome::Withdrawn }.into(),
        );
        assert_eq!(ballot(1).outcome, Some(BallotOutcome::Withdrawn));
        assert_eq!(Deadlines::<Test>::iter().count(), 0);
        assert_noop!(approve(by(2), 1), Error::<Test>::BallotClosed);
        System::run_to_block::<AllPalletsWithSystem>(300);
        assert_eq!(Told::get(), vec![]);
    });
}

#[test]
fn only_an_open_ballot_is_withdrawn() {
    among(2, || {
        assert_noop!(Approvals::withdraw(1), Error::<Test>::NoSuchBallot);
        open(1);
        assert_ok!(vote_for(1, 1));
        assert_noop!(Approvals::withdraw(1), Error::<Test>::BallotClosed);
    });
}

#[test]
fn only_a_closed_ballot_is_removed() {
    among(4, || {
        open(1);
        open(2);
        assert_ok!(Approvals::withdraw(1));
        for id in [1, 2, 3] {
            Approvals::remove(id);
        }
        assert_eq!(Approvals::ballot(1), None);
        assert_eq!(ballot(2).outcome, None);
        assert_eq!(Approvals::ballot(3), None);
    });
}
