//! Reviews: opened with an emergency, judged by the other hospitals, then closed or expired. An emergency is a receipt,
//! or an opening of which pallet-openings tells.

use alloc::vec::Vec;
use epione_primitives::{
    BlockNumber, HospitalId, UserId,
    access::Purpose,
    limits::UNJUSTIFIED_MILLIS,
    ports::{self, EmergencyOpening, Hospitals, Users},
    release::{EmergencyReason, Review, ReviewId, ReviewStatus, ReviewSubject},
};
use frame_support::{
    ensure,
    traits::{Get, Time},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{ArithmeticError, BoundedVec, DispatchError, DispatchResult, SaturatedConversion};

use crate::{
    Config, Emergencies, EmergencyCount, Error, Event, ExpiryCursor, NextReview, Pallet, Reviews,
    Unjustified, recording::after, rights::Question,
};

/// Maximum number of reviews with a passed deadline that one block processes.
pub const MAX_EXPIRIES: u32 = 8;

/// A hospital, and whether it finds an emergency justified.
pub type Verdict = (HospitalId, bool);

/// The verdict of more than half of the judges, if they agree. Verdicts of other hospitals, such as
/// hospitals that were suspended since, do not count.
pub fn agreed(verdicts: &[Verdict], judges: &[HospitalId]) -> Option<bool> {
    let agree = |justified: &bool| {
        let agreeing = verdicts
            .iter()
            .filter(|(judge, verdict)| verdict == justified && judges.contains(judge))
            .count();
        agreeing.saturating_mul(2) > judges.len()
    };
    [true, false].into_iter().find(agree)
}

impl<T: Config> Pallet<T> {
    /// Opens a review of one of a patient's emergencies.
    pub(crate) fn begin_review(
        &Question { requester, patient, hospital, at, .. }: &Question,
        subject: ReviewSubject,
        reason: EmergencyReason,
    ) -> Result<ReviewId, ArithmeticError> {
        let review = Review {
            requester,
            patient,
            hospital,
            subject,
            reason,
            opened: at,
            deadline: Self::block().saturating_add(T::ReviewBlocks::get()),
            verdicts: BoundedVec::new(),
            status: ReviewStatus::Open,
        };
        let id = NextReview::<T>::get();
        NextReview::<T>::put(ReviewId(after(id.0)?));
        let emergency = EmergencyCount::<T>::get(review.patient);
        EmergencyCount::<T>::insert(review.patient, after(emergency)?);
        Emergencies::<T>::insert(review.patient, emergency, id);
        Self::deposit_event(Event::ReviewOpened { review: id, deadline: review.deadline });
        Reviews::<T>::insert(id, review);
        Ok(id)
    }

    /// A review on which verdicts still count.
    pub(crate) fn open_review(id: ReviewId) -> Result<Review, Error<T>> {
        let review = Reviews::<T>::get(id).ok_or(Error::<T>::UnknownReview)?;
        let closed = matches!(review.status, ReviewStatus::Closed { .. });
        ensure!(!closed, Error::<T>::ReviewIsClosed);
        ensure!(Self::block() <= review.deadline, Error::<T>::DeadlinePassed);
        Ok(review)
    }

    /// Whether the hospitals that judge an emergency found it unjustified.
    pub(crate) fn was_unjustified(id: ReviewId) -> bool {
        Reviews::<T>::get(id).is_some_and(|review| {
            matches!(review.status, ReviewStatus::Closed { justified: false, .. })
        })
    }

    /// The hospitals that judge an emergency: the active ones, but not the hospital at which or for which it was. A
    /// requester of several hospitals chooses the one for which an opening is, and so would choose who does not judge.
    /// Therefore no hospital judges an opening at which the requester's registration was in force then. If nobody is
    /// left, all other active hospitals judge, or the hospital itself if there are none.
    pub(crate) fn judges(review: &Review) -> Vec<HospitalId> {
        let active = T::Hospitals::active();
        let is_other = |judge: &HospitalId| *judge != review.hospital;
        let others: Vec<_> = active.iter().copied().filter(is_other).collect();
        let is_opening = matches!(review.subject, ReviewSubject::Opening(_));
        let is_own = |judge: &HospitalId| {
            is_opening && T::Users::registered(*judge, review.requester, review.opened)
        };
        let strangers = others.iter().copied().filter(|judge| !is_own(judge)).collect();
        let possible = [strangers, others];
        possible.into_iter().find(|judges: &Vec<_>| !judges.is_empty()).unwrap_or(active)
    }

    /// Whether the requester's last reviewed emergency was found unjustified less than 30 days ago.
    fn was_unjustified_lately(requester: UserId) -> bool {
        Unjustified::<T>::get(requester)
            .is_some_and(|at| T::Time::now() < at.saturating_add(UNJUSTIFIED_MILLIS))
    }

    /// Adds a verdict, and closes the review if the judges agree now.
    pub(crate) fn give_verdict(
        id: ReviewId,
        mut review: Review,
        (hospital, justified): Verdict,
        judges: &[HospitalId],
    ) -> DispatchResult {
        // The list has room for a verdict of every hospital that a chain can have.
        review.verdicts.try_push((hospital, justified)).map_err(|_| Error::<T>::AlreadyJudged)?;
        Self::deposit_event(Event::Judged { review: id, hospital, justified });
        if let Some(justified) = agreed(&review.verdicts, judges) {
            let at = T::Time::now();
            review.status = ReviewStatus::Closed { justified, at };
            if justified {
                Unjustified::<T>::remove(review.requester);
            } else {
                Unjustified::<T>::insert(review.requester, at);
            }
            Self::deposit_event(Event::ReviewClosed { review: id, justified });
        }
        Reviews::<T>::insert(id, review);
        Ok(())
    }

    /// Processes the next [`MAX_EXPIRIES`] reviews with a deadline before `now`, and expires those that are
    /// open. Later blocks process the others. Returns the number of processed reviews.
    pub(crate) fn expire(now: BlockNumberFor<T>) -> u32 {
        let now: BlockNumber = now.saturated_into();
        let first = ExpiryCursor::<T>::get().0;
        let mut next = first;
        while next.saturating_sub(first) < MAX_EXPIRIES {
            let id = ReviewId(next);
            let Some(mut review) = Reviews::<T>::get(id).filter(|review| review.deadline < now)
            else {
                break;
            };
            if review.status == ReviewStatus::Open {
                review.status = ReviewStatus::Expired;
                Reviews::<T>::insert(id, review);
                Self::deposit_event(Event::ReviewExpired { review: id });
            }
            // There is a review with this id, so the next id does not overflow.
            next = next.saturating_add(1);
        }
        if next > first {
            ExpiryCursor::<T>::put(ReviewId(next));
        }
        next.saturating_sub(first)
    }
}

impl<T: Config> ports::Emergencies for Pallet<T> {
    /// The requester is registered at the hospital, so no part of the places of visitors is used up.
    fn open(emergency: EmergencyOpening) -> Result<ReviewId, DispatchError> {
        let EmergencyOpening { opening, requester, patient, hospital, reason } = emergency;
        let (purpose, at) = (Purpose::Emergency, T::Time::now());
        let question = Question { requester, patient, hospital, purpose, at };
        ensure!(!Self::was_unjustified_lately(requester), Error::<T>::UnjustifiedLately);
        Self::tally_opening(&question)?;
        Self::count_opening(&question)?;
        Ok(Self::begin_review(&question, ReviewSubject::Opening(opening), reason)?)
    }

    fn is_unjustified(review: ReviewId) -> bool {
        Self::was_unjustified(review)
    }
}
