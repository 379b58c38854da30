use epione_primitives::approval::{BallotOutcome, RejectReason};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use sp_runtime::DispatchError::BadOrigin;

use crate::{Error, Event, WeightInfo, mock::*};

const WHY: RejectReason = RejectReason::SegmentMissing;

#[test]
fn a_rejection_is_stored_with_its_reason() {
    among(4, || {
        open(1);
        assert_ok!(vote_against(2, 1, RejectReason::InvalidAuthor));

        System::assert_last_event(
            Event::Rejected { id: 1, hospital: hospital(2), reason: RejectReason::InvalidAuthor }
                .into(),
        );
        assert_eq!(ballot(1).rejections.as_slice(), &[(hospital(2), RejectReason::InvalidAuthor)]);
        assert_eq!(ballot(1).outcome, None);
    });
}

#[test]
fn a_ballot_is_rejected_once_enough_approvals_cannot_be_reached() {
    for (hospitals, rejections) in [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        among(hospitals, || {
            open(1);
            for number in 1..=rejections {
                assert_eq!(ballot(1).outcome, None, "{hospitals} hospitals, {number} rejections");
                assert_ok!(vote_against(number, 1, WHY));
            }
            System::assert_last_event(
                Event::Closed { id: 1, outcome: BallotOutcome::Rejected }.into(),
            );
            assert_eq!(ballot(1).outcome, Some(BallotOutcome::Rejected));
            System::run_to_block::<AllPalletsWithSystem>(300);
            assert_eq!(Told::get(), vec![(1, BallotOutcome::Rejected)]);
        });
    }
}

#[test]
fn enough_approvals_decide_despite_a_rejection() {
    among(4, || {
        open(1);
        assert_ok!(vote_against(1, 1, WHY));
        assert_ok!(vote_for(2, 1));
        assert_ok!(vote_for(3, 1));
        assert_eq!(ballot(1).outcome, Some(BallotOutcome::Approved));
    });
}

#[test]
fn only_the_decisive_rejection_pays_for_the_owners_work() {
    among(4, || {
        open(1);
        let declared =
            RuntimeCall::Approvals(crate::Call::reject { id: 1, subject: subject(1), reason: WHY })
                .get_dispatch_info()
                .call_weight;
        let (vote, close) = (<() as WeightInfo>::reject(), <() as WeightInfo>::close());
        assert_eq!(declared, vote + close + OnDiscardedWeight::get());

        let spent = |number| vote_against(number, 1, WHY).unwrap().actual_weight;
        assert_eq!(spent(1), Some(vote));
        assert_eq!(spent(2), Some(vote + close + OWNER_SPENT));
    });
}

#[test]
fn only_an_active_hospitals_agent_rejects() {
    among(4, || {
        open(1);
        assert_noop!(reject(RuntimeOrigin::root(), 1, WHY), BadOrigin);
        assert_noop!(reject(RuntimeOrigin::none(), 1, WHY), BadOrigin);
        for signer in [governance(1), agent(9)] {
            assert_noop!(reject(RuntimeOrigin::signed(signer), 1, WHY), Error::<Test>::NotAgent);
        }
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(1)));
        assert_noop!(reject(by(1), 1, WHY), Error::<Test>::NotAgent);
    });
}

#[test]
fn a_rejection_needs_a_ballot() {
    among(4, || {
        assert_noop!(reject(by(1), 1, WHY), Error::<Test>::NoSuchBallot);
    });
}

#[test]
fn a_rejection_after_the_end_is_refused() {
    among(3, || {
        open(1);
        assert_ok!(vote_against(1, 1, WHY));
        assert_noop!(reject(by(2), 1, WHY), Error::<Test>::BallotClosed);
    });
}

#[test]
fn a_hospital_does_not_reject_its_own_ballot() {
    among(4, || {
        open(1);
        assert_noop!(reject(by(0), 1, WHY), Error::<Test>::OwnBallot);
    });
}

#[test]
fn a_hospital_that_was_not_active_at_the_opening_does_not_reject() {
    among(4, || {
        assert_ok!(Hospitals::suspend(RuntimeOrigin::root(), hospital(3)));
        open(1);
        assert_ok!(Hospitals::reinstate(RuntimeOrigin::root(), hospital(3)));
        assert_noop!(reject(by(3), 1, WHY), Error::<Test>::NotElector);
    });
}

#[test]
fn a_hospital_votes_once() {
    among(5, || {
        open(1);
        assert_ok!(vote_against(1, 1, WHY));
        assert_noop!(reject(by(1), 1, WHY), Error::<Test>::AlreadyVoted);
        assert_ok!(vote_for(2, 1));
        assert_noop!(reject(by(2), 1, WHY), Error::<Test>::AlreadyVoted);
    });
}

#[test]
fn a_rejection_of_another_subject_is_refused() {
    among(4, || {
        open(1);
        let vote = Approvals::reject(by(1), 1, subject(2), WHY).unwrap_err();
        assert_eq!(vote.error, Error::<Test>::AnotherSubject.into());
        assert!(ballot(1).rejections.is_empty());
        assert_ok!(vote_against(1, 1, WHY));
    });
}
