use epione_primitives::{approval::BallotOutcome, limits::BALLOT_BLOCKS, ports::Ballots as _};
use frame_support::{assert_noop, assert_ok, traits::Hooks};

use crate::{Deadlines, Error, Event, WeightInfo, mock::*};

const DEADLINE: u64 = 1 + BALLOT_BLOCKS as u64;

#[test]
fn a_vote_in_the_block_of_the_deadline_counts() {
    among(2, || {
        open(1);
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE);
        assert_ok!(vote_for(1, 1));
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Approved)]);
    });
}

#[test]
fn an_undecided_ballot_expires_after_its_deadline() {
    among(4, || {
        open(1);
        assert_ok!(vote_for(1, 1));
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE);
        assert_eq!(ballot(1).outcome, None);
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE + 1);

        System::assert_last_event(Event::Closed { id: 1, outcome: BallotOutcome::Expired }.into());
        assert_eq!(ballot(1).outcome, Some(BallotOutcome::Expired));
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Expired)]);
        assert_eq!(Deadlines::<Test>::iter().count(), 0);
        assert_noop!(approve(by(2), 1), Error::<Test>::BallotClosed);
    });
}

#[test]
fn each_ballot_expires_at_its_own_deadline() {
    among(4, || {
        open(1);
        open(2);
        System::run_to_block::<AllPalletsWithSystem>(2);
        open(3);
        open(4);
        assert_ok!(Approvals::withdraw(4));
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE + 1);
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Expired), (2, BallotOutcome::Expired)]);
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE + 2);
        assert_eq!(Told::get().len(), 3);
    });
}

#[test]
fn a_block_pays_for_the_ballots_that_it_closes() {
    among(4, || {
        assert_eq!(Approvals::on_initialize(1), <() as WeightInfo>::expire(0));
        open(1);
        open(2);
        System::run_to_block::<AllPalletsWithSystem>(DEADLINE);
        System::set_block_number(DEADLINE + 1);
        let closing = <() as WeightInfo>::expire(2);
        assert_eq!(Approvals::on_initialize(DEADLINE + 1), closing + OWNER_SPENT + OWNER_SPENT);
        assert_eq!(Told::get().len(), 2);
    });
}
