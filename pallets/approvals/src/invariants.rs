//! The invariants of this pallet's state, which the crate documentation lists.

use alloc::collections::BTreeSet;
use epione_primitives::approval::{Ballot, BallotOutcome};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{Ballots, Config, Deadlines, Pallet, ballot::decision};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let mut open = 0_usize;
        for (id, ballot) in Ballots::<T>::iter() {
            Self::check_votes(&ballot)?;
            Self::check_outcome(&ballot)?;
            let listed =
                Deadlines::<T>::get(ballot.deadline).iter().filter(|listed| **listed == id).count();
            ensure!(
                listed == usize::from(ballot.outcome.is_none()),
                "a ballot is listed under its deadline although it is closed, or not listed although it is open"
            );
            open = open.saturating_add(listed);
        }

        let now = Self::block();
        let mut listed = 0_usize;
        for (deadline, ids) in Deadlines::<T>::iter() {
            ensure!(deadline >= now, "the ballots of a past deadline are still listed");
            ensure!(!ids.is_empty(), "a deadline is stored without ballots");
            listed = listed.saturating_add(ids.len());
        }
        ensure!(
            listed == open,
            "a deadline lists a ballot that is not open or has another deadline"
        );
        Ok(())
    }

    fn check_votes(ballot: &Ballot) -> Result<(), TryRuntimeError> {
        let electorate = &ballot.electorate;
        ensure!(
            electorate.is_sorted_by(|a, b| a < b) && electorate.contains(&ballot.opener),
            "an electorate is not ascending or does not contain the opener"
        );
        let votes: alloc::vec::Vec<_> = ballot
            .approvals
            .iter()
            .map(|approval| &approval.hospital)
            .chain(ballot.rejections.iter().map(|(hospital, _)| hospital))
            .collect();
        ensure!(
            votes.iter().all(|vote| **vote != ballot.opener && electorate.contains(vote))
                && votes.iter().collect::<BTreeSet<_>>().len() == votes.len(),
            "a vote is by the opener, by a hospital outside the electorate, or a second vote"
        );
        let last = ballot.deadline.min(Self::block());
        ensure!(
            ballot.approvals.is_sorted_by_key(|approval| approval.block)
                && ballot.approvals.iter().all(|approval| approval.block <= last),
            "an approval is not in the order of the blocks, in the future or after the deadline"
        );
        Ok(())
    }

    fn check_outcome(ballot: &Ballot) -> Result<(), TryRuntimeError> {
        let follows = match ballot.outcome {
            Some(outcome @ (BallotOutcome::Approved | BallotOutcome::Rejected)) => {
                decision(ballot) == Some(outcome)
            }
            Some(BallotOutcome::Expired | BallotOutcome::Withdrawn) | None => {
                decision(ballot).is_none()
            }
        };
        ensure!(follows, "an outcome does not follow from the votes");
        Ok(())
    }
}
