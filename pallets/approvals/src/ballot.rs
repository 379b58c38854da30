//! The life of a ballot: opened, voted on, decided, or expired.

use alloc::vec::Vec;
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    approval::{Ballot, BallotOutcome, approvals_needed},
    limits::BALLOT_BLOCKS,
    ports::{self, Hospitals as _, OnBallotClosed as _},
};
use frame_support::{ensure, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{DispatchResult, SaturatedConversion, traits::One, traits::Saturating};

use crate::{Ballots, Config, Deadlines, Error, Event, Pallet, WeightInfo};

/// The outcome, if the votes already decide it.
pub(crate) fn decision(ballot: &Ballot) -> Option<BallotOutcome> {
    let electorate = ballot.electorate.len() as u32;
    let needed = approvals_needed(electorate);
    let rejections = ballot.rejections.len() as u32;
    let reachable = electorate.saturating_sub(1).saturating_sub(rejections);
    if ballot.approvals.len() as u32 >= needed {
        Some(BallotOutcome::Approved)
    } else if reachable < needed {
        Some(BallotOutcome::Rejected)
    } else {
        None
    }
}

impl<T: Config> Pallet<T> {
    /// The ballot with this id, open or closed.
    pub fn ballot(id: T::Id) -> Option<Ballot> {
        Ballots::<T>::get(id)
    }

    /// The hospital for which `signer` votes about `subject`, and the open ballot.
    pub(crate) fn voter(
        signer: AccountId,
        id: &T::Id,
        subject: Hash,
    ) -> Result<(HospitalId, Ballot), Error<T>> {
        let hospital = T::Hospitals::active_by_agent(&signer).ok_or(Error::<T>::NotAgent)?;
        let ballot = Self::open_ballot(id)?;
        ensure!(hospital != ballot.opener, Error::<T>::OwnBallot);
        ensure!(ballot.electorate.binary_search(&hospital).is_ok(), Error::<T>::NotElector);
        let voted = ballot.approvals.iter().any(|approval| approval.hospital == hospital)
            || ballot.rejections.iter().any(|(rejecting, _)| *rejecting == hospital);
        ensure!(!voted, Error::<T>::AlreadyVoted);
        ensure!(subject == ballot.subject, Error::<T>::AnotherSubject);
        Ok((hospital, ballot))
    }

    /// Stores a ballot after a vote, and closes it if that vote was decisive. Returns the weight of closing.
    pub(crate) fn settle(id: T::Id, ballot: Ballot) -> Weight {
        match decision(&ballot) {
            Some(outcome) => {
                Self::unlist(&id, ballot.deadline);
                T::WeightInfo::close().saturating_add(Self::close(id, ballot, outcome))
            }
            None => {
                Ballots::<T>::insert(id, ballot);
                Weight::zero()
            }
        }
    }

    pub(crate) fn block() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    /// Closes the ballots whose deadline was the block before `now`, and notifies their owner. Returns the weight of
    /// both.
    pub(crate) fn expire(now: BlockNumberFor<T>) -> Weight {
        let expired = Self::close_expired(now);
        let closing = T::WeightInfo::expire(expired.len().saturated_into());
        expired.into_iter().fold(closing, |weight, id| {
            weight.saturating_add(T::OnClosed::on_ballot_closed(id, BallotOutcome::Expired))
        })
    }

    /// Closes the ballots whose deadline was the block before `now`. Returns their ids, for their owner.
    pub(crate) fn close_expired(now: BlockNumberFor<T>) -> Vec<T::Id> {
        let deadline: BlockNumber = now.saturating_sub(One::one()).saturated_into();
        let mut expired = Deadlines::<T>::take(deadline).into_inner();
        expired.retain(|id| {
            let Ok(ballot) = Self::open_ballot(id) else { return false };
            Self::store_closed(id, ballot, BallotOutcome::Expired);
            true
        });
        expired
    }

    fn open_ballot(id: &T::Id) -> Result<Ballot, Error<T>> {
        let ballot = Ballots::<T>::get(id).ok_or(Error::<T>::NoSuchBallot)?;
        ensure!(ballot.outcome.is_none(), Error::<T>::BallotClosed);
        Ok(ballot)
    }

    /// Closes a ballot, and notifies the owner unless it withdrew the ballot. Returns the weight of the owner's work.
    fn close(id: T::Id, ballot: Ballot, outcome: BallotOutcome) -> Weight {
        Self::store_closed(&id, ballot, outcome);
        match outcome {
            BallotOutcome::Withdrawn => Weight::zero(),
            _ => T::OnClosed::on_ballot_closed(id, outcome),
        }
    }

    fn store_closed(id: &T::Id, mut ballot: Ballot, outcome: BallotOutcome) {
        ballot.outcome = Some(outcome);
        Ballots::<T>::insert(id, ballot);
        Self::deposit_event(Event::Closed { id: id.clone(), outcome });
    }

    fn unlist(id: &T::Id, deadline: BlockNumber) {
        Deadlines::<T>::mutate_exists(deadline, |listed| {
            if let Some(ids) = listed {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    *listed = None;
                }
            }
        });
    }
}

impl<T: Config> ports::Ballots<T::Id> for Pallet<T> {
    /// Fails with [`Error::BallotExists`], [`Error::NotElector`] if the opener is not active, or
    /// [`Error::TooManyBallots`].
    fn open(id: T::Id, verified: Hash, opener: HospitalId) -> DispatchResult {
        ensure!(!Ballots::<T>::contains_key(&id), Error::<T>::BallotExists);
        let electorate = T::Hospitals::active();
        ensure!(electorate.binary_search(&opener).is_ok(), Error::<T>::NotElector);
        let deadline = Self::block().saturating_add(BALLOT_BLOCKS);
        let ballot = Ballot {
            subject: verified,
            opener,
            // `Hospitals` returns at most MAX_HOSPITALS.
            electorate: electorate.try_into().map_err(|_| Error::<T>::NotElector)?,
            approvals: Default::default(),
            rejections: Default::default(),
            deadline,
            outcome: None,
        };
        let needed = approvals_needed(ballot.electorate.len() as u32);
        if needed > 0 {
            Deadlines::<T>::try_append(deadline, id.clone())
                .map_err(|()| Error::<T>::TooManyBallots)?;
        }
        Self::deposit_event(Event::Opened { id: id.clone(), opener, needed, deadline });
        if needed > 0 {
            Ballots::<T>::insert(id, ballot);
        } else {
            Self::close(id, ballot, BallotOutcome::Approved);
        }
        Ok(())
    }

    /// Fails with [`Error::NoSuchBallot`] or [`Error::BallotClosed`].
    fn withdraw(id: T::Id) -> DispatchResult {
        let ballot = Self::open_ballot(&id)?;
        Self::unlist(&id, ballot.deadline);
        Self::close(id, ballot, BallotOutcome::Withdrawn);
        Ok(())
    }

    fn remove(id: T::Id) {
        Ballots::<T>::mutate_exists(id, |ballot| {
            *ballot = ballot.take().filter(|ballot| ballot.outcome.is_none());
        });
    }
}
