//! Every broken invariant is detected.

use epione_primitives::approval::{Approval, Ballot, BallotOutcome, RejectReason};
use frame_support::assert_ok;

use crate::{Ballots, Deadlines, mock::*};

/// The error after `damage` to the chain's only ballot, which is open with one approval.
fn after(damage: impl FnOnce()) -> &'static str {
    externalities(5).execute_with(|| {
        System::set_block_number(1);
        open(1);
        assert_ok!(vote_for(1, 1));
        damage();
        Approvals::check_state().unwrap_err().into()
    })
}

fn edit(change: impl FnOnce(&mut Ballot)) {
    Ballots::<Test>::mutate(1, |ballot| change(ballot.as_mut().unwrap()));
}

#[test]
fn an_electorate_without_its_opener_is_found() {
    let damage = || edit(|ballot| ballot.opener = hospital(9));
    assert!(after(damage).contains("does not contain the opener"));
}

#[test]
fn an_unsorted_electorate_is_found() {
    let damage = || edit(|ballot| ballot.electorate.as_mut().reverse());
    assert!(after(damage).contains("not ascending"));
}

#[test]
fn an_invalid_vote_is_found() {
    for voter in [0, 1, 9] {
        let damage = || {
            edit(|ballot| {
                ballot.rejections.try_push((hospital(voter), RejectReason::MalformedBody)).unwrap();
            });
        };
        assert!(after(damage).contains("a vote is"));
    }
}

#[test]
fn an_approval_in_the_wrong_block_is_found() {
    for block in [0, 2] {
        let damage = || {
            edit(|ballot| {
                ballot.approvals.try_push(Approval { hospital: hospital(2), block }).unwrap();
            });
        };
        assert!(after(damage).contains("in the order of the blocks"));
    }
}

#[test]
fn an_unlisted_open_ballot_is_found() {
    let damage = || Deadlines::<Test>::remove(ballot(1).deadline);
    assert!(after(damage).contains("listed"));
}

#[test]
fn a_listed_closed_ballot_is_found() {
    let damage = || edit(|ballot| ballot.outcome = Some(BallotOutcome::Expired));
    assert!(after(damage).contains("although it is closed"));
}

#[test]
fn an_id_listed_without_a_ballot_is_found() {
    let damage = || {
        Deadlines::<Test>::try_append(ballot(1).deadline, 2).unwrap();
    };
    assert!(after(damage).contains("not open"));
}

#[test]
fn a_past_deadline_is_found() {
    assert!(after(|| System::set_block_number(500)).contains("a past deadline"));
}

#[test]
fn an_outcome_without_votes_is_found() {
    let damage = || {
        edit(|ballot| ballot.outcome = Some(BallotOutcome::Approved));
        Deadlines::<Test>::remove(ballot(1).deadline);
    };
    assert!(after(damage).contains("does not follow"));
}
