//! Reviews: opened with an emergency, judged by the other hospitals, then closed or expired.

use alloc::vec::Vec;
use epione_primitives::{
    BlockNumber, HospitalId,
    ports::Hospitals,
    release::{Review, ReviewId, ReviewStatus},
};
use frame_support::{ensure, traits::Time};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{ArithmeticError, DispatchResult, SaturatedConversion};

use crate::{
    Config, Emergencies, EmergencyCount, Error, Event, ExpiryCursor, NextReview, Pallet, Reviews,
    recording::after,
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
    pub(crate) fn begin_review(review: Review) -> Result<ReviewId, ArithmeticError> {
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

    /// The hospitals that judge an emergency at this hospital: the other active hospitals, or itself if there
    /// are none.
    pub(crate) fn judges(hospital: HospitalId) -> Vec<HospitalId> {
        let mut active = T::Hospitals::active();
        if active != [hospital] {
            active.retain(|other| *other != hospital);
        }
        active
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
            review.status = ReviewStatus::Closed { justified, at: T::Time::now() };
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
