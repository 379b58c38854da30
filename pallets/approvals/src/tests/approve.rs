use epione_primitives::{
    Hash,
    approval::{Approval, BallotOutcome, RejectReason},
};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, WeightInfo, mock::*};

#[test]
fn an_approval_is_counted_before_it_decides() {
    among(4, || {
        open(1);
        assert_ok!(vote_for(1, 1));

        System::assert_last_event(Event::Approved { id: 1, hospital: hospital(1) }.into());
        let approval = Approval { hospital: hospital(1), block: 1 };
        assert_eq!(ballot(1).approvals.as_slice(), &[approval]);
        assert_eq!(ballot(1).outcome, None);
        assert_eq!(Told::get(), vec![]);
    });
}

#[test]
fn the_decisive_approval_closes_the_ballot_and_notifies_its_owner_once() {
    among(4, || {
        open(1);
        System::reset_events();
        assert_ok!(vote_for(3, 1));
        assert_ok!(vote_for(1, 1));

        assert_eq!(
            own_events(),
            vec![
                Event::Approved { id: 1, hospital: hospital(3) },
                Event::Approved { id: 1, hospital: hospital(1) },
                Event::Closed { id: 1, outcome: BallotOutcome::Approved },
            ]
        );
        assert_eq!(ballot(1).outcome, Some(BallotOutcome::Approved));
        System::run_to_block::<AllPalletsWithSystem>(300);
        assert_eq!(Told::get(), vec![(1, BallotOutcome::Approved)]);
    });
}

#[test]
fn a_ballot_is_approved_by_its_opener_and_half_of_the_hospitals() {
    for (hospitals, needed) in [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4)] {
        among(hospitals, || {
            open(1);
            for number in 1..=needed {
                assert_eq!(ballot(1).outcome, None, "{hospitals} hospitals, {number} approvals");
                assert_ok!(vote_for(number, 1));
            }
            assert_eq!(ballot(1).outcome, Some(BallotOutcome::Approved));
        });
    }
}

#[test]
fn only_the_decisive_approval_pays_for_the_owners_work() {
    among(4, || {
        open(1);
        let declared = RuntimeCall::Approvals(crate::Call::approve { id: 1, subject: subject(1) })
            .get_dispatch_info()
            .call_weight;
        let (vote, close) = (<() as WeightInfo>::approve(), <() as WeightInfo>::close());
        assert_eq!(declared, vote + close + OnClosedWeight::get());

        let spent = |number| vote_for(number, 1).unwrap().actual_weight;
        assert_eq!(spent(1), Some(vote));
        assert_eq!(spent(2), Some(vote + close + OWNER_SPENT));
    });
}

#[test]
fn repeated_and_late_votes_do_not_pay_for_a_commit() {
    among(4, || {
        open(1);
        let spent = |number| vote_for(number, 1).unwrap_err().post_info.actual_weight;
        assert_ok!(vote_for(1, 1));
        assert_eq!(spent(1), Some(<() as WeightInfo>::approve()));
        assert_ok!(vote_for(2, 1));
        assert_eq!(spent(3), Some(<() as WeightInfo>::approve()));
    });
}

#[test]
fn only_an_active_hospitals_agent_approves() {
    among(4, || {
        open(1);
        assert_noop!(approve(RuntimeOrigin::root(), 1), BadOrigin);
        assert_noop!(approve(RuntimeOrigin::none(), 1), BadOrigin);
        for signer in [governance(1), agent(9)] {
            assert_noop!(approve(RuntimeOrigin::signed(signer), 1), Error::<Test>::NotAgent);
        }
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(1)));
        assert_noop!(approve(by(1), 1), Error::<Test>::NotAgent);
    });
}

#[test]
fn an_approval_needs_a_ballot() {
    among(4, || {
        assert_noop!(approve(by(1), 1), Error::<Test>::NoSuchBallot);
    });
}

#[test]
fn an_approval_after_the_end_is_refused() {
    among(4, || {
        open(1);
        assert_ok!(vote_for(1, 1));
        assert_ok!(vote_for(2, 1));
        assert_noop!(approve(by(3), 1), Error::<Test>::BallotClosed);
    });
}

#[test]
fn a_hospital_does_not_approve_its_own_ballot() {
    among(4, || {
        open(1);
        assert_noop!(approve(by(0), 1), Error::<Test>::OwnBallot);
    });
}

#[test]
fn a_hospital_that_was_not_active_at_the_opening_does_not_approve() {
    among(4, || {
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(3)));
        open(1);
        assert_ok!(Hospitals::reinstate(RuntimeOrigin::root(), hospital(3)));
        assert_noop!(approve(by(3), 1), Error::<Test>::NotElector);
    });
}

#[test]
fn a_hospital_votes_once() {
    among(5, || {
        open(1);
        assert_ok!(vote_for(1, 1));
        assert_noop!(approve(by(1), 1), Error::<Test>::AlreadyVoted);
        assert_ok!(vote_against(2, 1, RejectReason::MalformedBody));
        assert_noop!(approve(by(2), 1), Error::<Test>::AlreadyVoted);
    });
}

/// On another fork, the same id may belong to another announcement.
#[test]
fn an_approval_of_another_subject_is_refused_and_the_hospital_can_still_vote() {
    among(4, || {
        open(1);
        for other in [subject(2), Hash::zero()] {
            let vote = Approvals::approve(by(1), 1, other).unwrap_err();
            assert_eq!(vote.error, Error::<Test>::AnotherSubject.into());
            assert_eq!(vote.post_info.actual_weight, Some(<() as WeightInfo>::approve()));
        }
        assert!(ballot(1).approvals.is_empty());
        assert_ok!(vote_for(1, 1));
    });
}

#[test]
fn a_ballot_lists_its_approvals_with_their_blocks_in_the_order_of_the_votes() {
    among(6, || {
        open(1);
        for (number, block) in [(5, 3), (2, 3), (4, 8)] {
            System::run_to_block::<AllPalletsWithSystem>(block);
            assert_ok!(vote_for(number, 1));
        }
        let listed: Vec<_> =
            ballot(1).approvals.iter().map(|vote| (vote.hospital, vote.block)).collect();
        assert_eq!(listed, [(hospital(5), 3), (hospital(2), 3), (hospital(4), 8)]);
        assert_eq!(ballot(1).outcome, Some(BallotOutcome::Approved));
    });
}
