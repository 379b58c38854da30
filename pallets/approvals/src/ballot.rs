//! The life of a ballot: opened, voted on, decided, or expired.

use epione_primitives::{
    AccountId, BlockNumber, HospitalId,
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
    /// The ballot over a subject, open or closed.
    pub fn ballot(subject: T::Subject) -> Option<Ballot> {
        Ballots::<T>::get(subject)
    }

    /// The hospital for which `signer` votes on the open ballot over `subject`.
    pub(crate) fn voter(
        signer: AccountId,
        subject: &T::Subject,
    ) -> Result<(HospitalId, Ballot), Error<T>> {
        let hospital = T::Hospitals::active_by_agent(&signer).ok_or(Error::<T>::NotAgent)?;
        let ballot = Self::open_ballot(subject)?;
        ensure!(hospital != ballot.opener, Error::<T>::OwnBallot);
        ensure!(ballot.electorate.binary_search(&hospital).is_ok(), Error::<T>::NotElector);
        let voted = ballot.approvals.contains(&hospital)
            || ballot.rejections.iter().any(|(rejecting, _)| *rejecting == hospital);
        ensure!(!voted, Error::<T>::AlreadyVoted);
        Ok((hospital, ballot))
    }

    /// Stores a ballot after a vote, and closes it if that vote was decisive. Returns the weight of closing.
    pub(crate) fn settle(subject: T::Subject, ballot: Ballot) -> Weight {
        match decision(&ballot) {
            Some(outcome) => {
                Self::unlist(&subject, ballot.deadline);
                T::WeightInfo::close().saturating_add(Self::close(subject, ballot, outcome))
            }
            None => {
                Ballots::<T>::insert(subject, ballot);
                Weight::zero()
            }
        }
    }

    /// Closes the ballots whose deadline was the block before `now`. Returns their number.
    pub(crate) fn expire(now: BlockNumberFor<T>) -> u32 {
        let deadline: BlockNumber = now.saturating_sub(One::one()).saturated_into();
        let mut expired = 0;
        for subject in Deadlines::<T>::take(deadline) {
            if let Ok(ballot) = Self::open_ballot(&subject) {
                Self::close(subject, ballot, BallotOutcome::Expired);
            }
            expired += 1;
        }
        expired
    }

    fn open_ballot(subject: &T::Subject) -> Result<Ballot, Error<T>> {
        let ballot = Ballots::<T>::get(subject).ok_or(Error::<T>::NoSuchBallot)?;
        ensure!(ballot.outcome.is_none(), Error::<T>::BallotClosed);
        Ok(ballot)
    }

    /// Closes a ballot, and notifies the owner unless it withdrew the ballot. Returns the weight of the owner's work.
    fn close(subject: T::Subject, mut ballot: Ballot, outcome: BallotOutcome) -> Weight {
        ballot.outcome = Some(outcome);
        Ballots::<T>::insert(&subject, ballot);
        Self::deposit_event(Event::Closed { subject: subject.clone(), outcome });
        match outcome {
            BallotOutcome::Withdrawn => Weight::zero(),
            _ => T::OnClosed::on_ballot_closed(subject, outcome),
        }
    }

    fn unlist(subject: &T::Subject, deadline: BlockNumber) {
        Deadlines::<T>::mutate_exists(deadline, |listed| {
            if let Some(subjects) = listed {
                subjects.retain(|other| other != subject);
                if subjects.is_empty() {
                    *listed = None;
                }
            }
        });
    }
}

impl<T: Config> ports::Ballots<T::Subject> for Pallet<T> {
    /// Fails with [`Error::BallotExists`], [`Error::NotElector`] if the opener is not active, or
    /// [`Error::TooManyBallots`].
    fn open(subject: T::Subject, opener: HospitalId) -> DispatchResult {
        ensure!(!Ballots::<T>::contains_key(&subject), Error::<T>::BallotExists);
        let electorate = T::Hospitals::active();
        ensure!(electorate.binary_search(&opener).is_ok(), Error::<T>::NotElector);
        let now: BlockNumber = frame_system::Pallet::<T>::block_number().saturated_into();
        let deadline = now.saturating_add(BALLOT_BLOCKS);
        let ballot = Ballot {
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
            Deadlines::<T>::try_append(deadline, subject.clone())
                .map_err(|()| Error::<T>::TooManyBallots)?;
        }
        Self::deposit_event(Event::Opened { subject: subject.clone(), opener, needed, deadline });
        if needed > 0 {
            Ballots::<T>::insert(subject, ballot);
        } else {
            Self::close(subject, ballot, BallotOutcome::Approved);
        }
        Ok(())
    }

    /// Fails with [`Error::NoSuchBallot`] or [`Error::BallotClosed`].
    fn withdraw(subject: T::Subject) -> DispatchResult {
        let ballot = Self::open_ballot(&subject)?;
        Self::unlist(&subject, ballot.deadline);
        Self::close(subject, ballot, BallotOutcome::Withdrawn);
        Ok(())
    }

    fn remove(subject: T::Subject) {
        Ballots::<T>::mutate_exists(subject, |ballot| {
            *ballot = ballot.take().filter(|ballot| ballot.outcome.is_none());
        });
    }
}
