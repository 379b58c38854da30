//! The invariants of this pallet's state, which the crate documentation lists.

use alloc::collections::BTreeSet;
use epione_primitives::{
    HospitalId, UserId,
    limits::{MAX_EMERGENCIES_PER_DAY, MAX_REFUSALS_PER_DAY},
    ports::Hospitals,
    release::{Receipt, Review, ReviewId, ReviewStatus, ReviewSubject},
};
use frame_support::{
    ensure,
    traits::{Get, Time},
};
use sp_runtime::TryRuntimeError;

use crate::{
    ByGrant, ByRequest, Config, Emergencies, EmergencyCount, ExpiryCursor, NextReview, OfDeparted,
    OpeningTallies, OwnReadCount, OwnReads, Pallet, ReceiptCount, Receipts, RefusalCount, Refusals,
    Reviews, Tallies, Unjustified, Usages, VisitorsFrom, requests::Answer, shape,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_receipts()?;
        Self::check_departed()?;
        Self::check_refusals()?;
        Self::check_notes()?;
        Self::check_answers()?;
        Self::check_reviews()?;
        Self::check_emergencies()?;
        Self::check_tallies()?;
        Self::check_unjustified()?;
        Self::check_usages()?;
        Self::check_visitors()
    }

    fn check_receipts() -> Result<(), TryRuntimeError> {
        let mut counted = 0;
        for (patient, count) in ReceiptCount::<T>::iter() {
            for number in 0..count {
                let receipt = Receipts::<T>::get(patient, number).ok_or("a receipt is missing")?;
                Self::check_receipt(patient, number, &receipt)?;
                counted += 1;
            }
        }
        ensure!(Receipts::<T>::iter_keys().count() == counted, "a receipt is not counted");
        ensure!(ByGrant::<T>::iter_keys().count() == counted, "a grant leads to no receipt");
        Ok(())
    }

    fn check_receipt(
        patient: UserId,
        number: u32,
        receipt: &Receipt,
    ) -> Result<(), TryRuntimeError> {
        let release = &receipt.release;
        let request = &release.request;
        ensure!(request.patient == patient, "a receipt is stored under another patient");
        ensure!(
            request.hospital == receipt.hospital,
            "a receipt answers a request to another hospital"
        );
        ensure!(shape::check(release).is_ok(), "a receipt has a release that no grant can make");
        ensure!(shape::is_requested(release), "a receipt releases what was not requested");
        ensure!(
            receipt.policies.len() == release.rights.len(),
            "a receipt does not name a policy for each right"
        );
        ensure!(
            ByGrant::<T>::get(release.grant) == Some((patient, number)),
            "a receipt is not found by its grant"
        );
        ensure!(
            ByRequest::<T>::get(request.hash()) == Some(Answer::Granted(release.grant)),
            "a receipt is not the answer to its request"
        );
        let own = ReviewSubject::Receipt(number);
        let reviewed = match receipt.review {
            None => request.emergency.is_none(),
            Some(id) => Reviews::<T>::get(id)
                .is_some_and(|review| review.patient == patient && review.subject == own),
        };
        ensure!(reviewed, "an emergency has no review");
        Ok(())
    }

    fn check_departed() -> Result<(), TryRuntimeError> {
        for (grant, departed) in OfDeparted::<T>::iter() {
            ensure!(
                !departed.is_empty() && departed.is_sorted_by(|one, next| one < next),
                "the removed hospitals of a grant do not ascend, or there is none"
            );
            let by_another =
                Self::receipt(grant).is_some_and(|receipt| !departed.contains(&receipt.hospital));
            ensure!(by_another, "the grant of a custodian has no receipt of another hospital");
        }
        Ok(())
    }

    fn check_refusals() -> Result<(), TryRuntimeError> {
        let mut counted = 0;
        for (patient, count) in RefusalCount::<T>::iter() {
            for number in 0..count {
                let refused = Refusals::<T>::get(patient, number).ok_or("a refusal is missing")?;
                ensure!(refused.patient == patient, "a refusal is stored under another patient");
                ensure!(
                    ByRequest::<T>::get(refused.request) == Some(Answer::Refused),
                    "a refusal is not the answer to its request"
                );
                counted += 1;
            }
        }
        ensure!(Refusals::<T>::iter_keys().count() == counted, "a refusal is not counted");
        Ok(())
    }

    fn check_notes() -> Result<(), TryRuntimeError> {
        let mut counted = 0;
        for (patient, count) in OwnReadCount::<T>::iter() {
            for number in 0..count {
                let read = OwnReads::<T>::get(patient, number).ok_or("a note is missing")?;
                ensure!(shape::check_records(&read.records).is_ok(), "a note cannot be made so");
                ensure!(
                    Self::ensure_own(patient, &read.records).is_ok(),
                    "a note names a record that is not the patient's"
                );
                counted += 1;
            }
        }
        ensure!(OwnReads::<T>::iter_keys().count() == counted, "a note is not counted");
        Ok(())
    }

    fn check_answers() -> Result<(), TryRuntimeError> {
        let recorded = Receipts::<T>::iter_keys().count() + Refusals::<T>::iter_keys().count();
        ensure!(
            ByRequest::<T>::iter_keys().count() == recorded,
            "a request is refused twice, or its answer is neither a receipt nor a refusal"
        );
        Ok(())
    }

    fn check_reviews() -> Result<(), TryRuntimeError> {
        let next = NextReview::<T>::get();
        let cursor = ExpiryCursor::<T>::get();
        ensure!(cursor <= next, "the cursor is beyond the last review");
        let mut deadline = 0;
        for id in (0..next.0).map(ReviewId) {
            let review = Reviews::<T>::get(id).ok_or("a review is missing")?;
            ensure!(deadline <= review.deadline, "deadlines do not ascend");
            deadline = review.deadline;
            let fits = match review.status {
                ReviewStatus::Open => cursor <= id,
                ReviewStatus::Closed { .. } => true,
                ReviewStatus::Expired => id < cursor,
            };
            ensure!(fits, "the cursor is after an open review, or not after an expired review");
            check_verdicts(&review)?;
            Self::check_reviewed(id, &review)?;
        }
        let stored = Reviews::<T>::iter_keys().count();
        ensure!(stored == next.0 as usize, "a review has an id that was not assigned yet");
        Ok(())
    }

    /// Checks that a review agrees with its receipt. The runtime compares the others with their openings.
    fn check_reviewed(id: ReviewId, review: &Review) -> Result<(), TryRuntimeError> {
        let ReviewSubject::Receipt(number) = review.subject else { return Ok(()) };
        let receipt =
            Receipts::<T>::get(review.patient, number).ok_or("a review has no receipt")?;
        let agrees = receipt.review == Some(id)
            && receipt.hospital == review.hospital
            && receipt.at == review.opened
            && receipt.release.request.requester == review.requester
            && receipt.release.request.emergency == Some(review.reason);
        ensure!(agrees, "a review disagrees with its receipt");
        Ok(())
    }

    fn check_emergencies() -> Result<(), TryRuntimeError> {
        let mut counted = 0;
        for (patient, count) in EmergencyCount::<T>::iter() {
            let mut last = None;
            for number in 0..count {
                let id = Emergencies::<T>::get(patient, number).ok_or("an emergency is missing")?;
                ensure!(last < Some(id), "a patient's emergencies do not ascend");
                last = Some(id);
                let own = Reviews::<T>::get(id).is_some_and(|review| review.patient == patient);
                ensure!(own, "an emergency leads to no review of the patient");
                counted += 1;
            }
        }
        ensure!(Emergencies::<T>::iter_keys().count() == counted, "an emergency is not counted");
        let reviews = NextReview::<T>::get().0 as usize;
        ensure!(reviews == counted, "a review is not among its patient's emergencies");
        Ok(())
    }

    fn check_tallies() -> Result<(), TryRuntimeError> {
        let now = T::Time::now();
        for (hospital, _, tally) in Tallies::<T>::iter() {
            ensure!(T::Hospitals::exists(hospital), "a tally belongs to no hospital");
            ensure!(
                tally.refusals <= MAX_REFUSALS_PER_DAY
                    && tally.emergencies <= MAX_EMERGENCIES_PER_DAY
                    && tally.day <= tally.on(now).day,
                "a tally exceeds the daily limits, or has a future day"
            );
        }
        for (_, tally) in OpeningTallies::<T>::iter() {
            ensure!(
                tally.emergencies <= MAX_EMERGENCIES_PER_DAY
                    && tally.refusals == 0
                    && tally.day <= tally.on(now).day,
                "a tally of openings exceeds the daily limit, or has a future day"
            );
        }
        Ok(())
    }

    fn check_unjustified() -> Result<(), TryRuntimeError> {
        for (requester, at) in Unjustified::<T>::iter() {
            let status = ReviewStatus::Closed { justified: false, at };
            let is_reviewed = Reviews::<T>::iter_values()
                .any(|review| review.requester == requester && review.status == status);
            ensure!(
                is_reviewed,
                "no emergency of a requester was found unjustified at that moment"
            );
        }
        Ok(())
    }

    fn check_usages() -> Result<(), TryRuntimeError> {
        let now = Self::block();
        for (hospital, usage) in Usages::<T>::iter() {
            ensure!(T::Hospitals::exists(hospital), "a usage belongs to no hospital");
            ensure!(
                usage.ordinary() <= T::MaxReceipts::get()
                    && usage.emergencies <= usage.receipts.min(T::MaxEmergencies::get())
                    && usage.visitors <= usage.emergencies.min(T::MaxEmergencies::get() / 2)
                    && usage.openings <= usage.emergencies.min(T::MaxEmergencies::get() / 2)
                    && usage.refusals <= T::MaxRefusals::get()
                    && usage.since <= now,
                "a usage exceeds the hospital's limits, or begins in the future"
            );
        }
        Ok(())
    }

    fn check_visitors() -> Result<(), TryRuntimeError> {
        for (hospital, home, visitors) in VisitorsFrom::<T>::iter() {
            let known = T::Hospitals::exists(hospital) && T::Hospitals::exists(home);
            ensure!(known, "visitors are of no hospital");
            let usage = Usages::<T>::get(hospital);
            let counted = visitors.since != usage.since || visitors.emergencies <= usage.visitors;
            ensure!(
                counted && visitors.emergencies <= Self::most_visitors_of_one(),
                "visitors exceed their hospital's share, or are not counted"
            );
        }
        Ok(())
    }
}

fn check_verdicts(review: &Review) -> Result<(), TryRuntimeError> {
    let judges: BTreeSet<HospitalId> = review.verdicts.iter().map(|(judge, _)| *judge).collect();
    ensure!(judges.len() == review.verdicts.len(), "a hospital has given two verdicts");
    ensure!(
        review.status != ReviewStatus::Open || !judges.contains(&review.hospital),
        "a hospital has judged its own emergency although there are other hospitals"
    );
    Ok(())
}
