//! Storing releases and refusals, within the daily limits.

use alloc::collections::BTreeSet;
use epione_primitives::{
    BlockNumber, HospitalId,
    limits::{MAX_EMERGENCIES_PER_DAY, MAX_REFUSALS_PER_DAY},
    ports::{Custodians, Records, Users},
    release::{
        Receipt, RefusedAccess, Release, ReleasedRecord, Request, ReviewSubject, Tally, Usage,
        Visitors,
    },
};
use frame_support::{ensure, traits::Get};
use sp_runtime::{ArithmeticError, BoundedVec, DispatchResult, SaturatedConversion};

use crate::{
    ByGrant, ByRequest, Config, Error, Event, OfDeparted, OpeningTallies, Pallet, ReceiptCount,
    Receipts, RefusalCount, Refusals, Tallies, Usages, VisitorsFrom,
    requests::Answer,
    rights::{Grounds, Question},
};

impl<T: Config> Pallet<T> {
    /// Checks that each of these records belongs to the patient of the request, and that the hospital of the request
    /// answers for it. Returns the removed hospitals for which it does so as their custodian.
    pub(crate) fn ensure_records_of(
        request: &Request,
        records: &[ReleasedRecord],
    ) -> Result<BTreeSet<HospitalId>, Error<T>> {
        let mut departed = BTreeSet::new();
        for record in records {
            let (patient, announcer) =
                T::Records::owner(record.pointer).ok_or(Error::<T>::UnknownRecord)?;
            ensure!(patient == request.patient, Error::<T>::RecordOfAnotherPatient);
            let answers = T::Custodians::answers_for(request.hospital, announcer);
            ensure!(answers, Error::<T>::RecordOfAnotherHospital);
            if announcer != request.hospital {
                departed.insert(announcer);
            }
        }
        Ok(departed)
    }

    pub(crate) fn tally_emergency(question: &Question) -> Result<(), Error<T>> {
        Self::tally_one(question, |today| {
            ensure!(today.emergencies < MAX_EMERGENCIES_PER_DAY, Error::<T>::TooManyEmergencies);
            today.emergencies = today.emergencies.saturating_add(1);
            Ok(())
        })
    }

    /// Counts an opening in an emergency for its requester, whichever hospital the requester asks for.
    pub(crate) fn tally_opening(question: &Question) -> Result<(), Error<T>> {
        OpeningTallies::<T>::try_mutate(question.requester, |tally| {
            let mut today = tally.on(question.at);
            ensure!(today.emergencies < MAX_EMERGENCIES_PER_DAY, Error::<T>::TooManyOpenings);
            today.emergencies = today.emergencies.saturating_add(1);
            *tally = today;
            Ok(())
        })
    }

    /// Counts an opening in an emergency for its hospital, within its limits for all requesters together. Openings use
    /// up at most half of the places of emergencies, so that doctors at the hospital can break the glass.
    pub(crate) fn count_opening(question: &Question) -> Result<(), Error<T>> {
        Usages::<T>::try_mutate(question.hospital, |usage| {
            *usage = usage.on(Self::block());
            let most = T::MaxEmergencies::get() / 2;
            ensure!(usage.openings < most, Error::<T>::TooManyHospitalOpenings);
            Self::count_emergency(usage, question)?;
            usage.openings = usage.openings.saturating_add(1);
            usage.receipts = usage.receipts.saturating_add(1);
            Ok(())
        })
    }

    /// Counts a receipt of a hospital, within its limits for all requesters together. Other receipts do not use up the
    /// places of emergencies.
    pub(crate) fn count_receipt(question: &Question, emergency: bool) -> Result<(), Error<T>> {
        Usages::<T>::try_mutate(question.hospital, |usage| {
            *usage = usage.on(Self::block());
            if emergency {
                Self::count_emergency(usage, question)?;
            } else {
                ensure!(
                    usage.ordinary() < T::MaxReceipts::get(),
                    Error::<T>::TooManyHospitalReceipts
                );
            }
            usage.receipts = usage.receipts.saturating_add(1);
            Ok(())
        })
    }

    /// Counts a refusal of a hospital, within its limit for all requesters together.
    pub(crate) fn count_refusal(hospital: HospitalId) -> Result<(), Error<T>> {
        Usages::<T>::try_mutate(hospital, |usage| {
            *usage = usage.on(Self::block());
            ensure!(usage.refusals < T::MaxRefusals::get(), Error::<T>::TooManyHospitalRefusals);
            usage.refusals = usage.refusals.saturating_add(1);
            Ok(())
        })
    }

    /// Counts an emergency. Another hospital registers requesters at will, so those who are not registered at this
    /// hospital use up at most half of the places, and those of one hospital at most a part of this half.
    fn count_emergency(usage: &mut Usage, question: &Question) -> Result<(), Error<T>> {
        let &Question { requester, hospital, at, .. } = question;
        let most = T::MaxEmergencies::get();
        ensure!(usage.emergencies < most, Error::<T>::TooManyHospitalEmergencies);
        usage.emergencies = usage.emergencies.saturating_add(1);
        if !T::Users::registered(hospital, requester, at) {
            ensure!(usage.visitors < most / 2, Error::<T>::TooManyHospitalEmergencies);
            usage.visitors = usage.visitors.saturating_add(1);
            Self::count_visitor(usage.since, question)?;
        }
        Ok(())
    }

    /// Counts a requester who is not registered at the hospital, for the first of the requester's own hospitals that
    /// has not used up its share.
    fn count_visitor(since: BlockNumber, question: &Question) -> Result<(), Error<T>> {
        let &Question { requester, hospital, at, .. } = question;
        let mut homes = T::Users::hospitals(requester, at);
        if homes.is_empty() {
            homes.push(hospital);
        }
        let most = Self::most_visitors_of_one();
        let (home, visitors) = homes
            .into_iter()
            .map(|home| (home, VisitorsFrom::<T>::get(hospital, home).within(since)))
            .find(|(_, visitors)| visitors.emergencies < most)
            .ok_or(Error::<T>::TooManyHospitalEmergencies)?;
        let emergencies = visitors.emergencies.saturating_add(1);
        VisitorsFrom::<T>::insert(hospital, home, Visitors { emergencies, ..visitors });
        Ok(())
    }

    /// The maximum number of emergencies that requesters of one hospital cause at another one in a window.
    pub(crate) fn most_visitors_of_one() -> u32 {
        (T::MaxEmergencies::get() / 2 / 4).max(1)
    }

    pub(crate) fn tally_refusal(question: &Question) -> Result<(), Error<T>> {
        Self::tally_one(question, |today| {
            ensure!(today.refusals < MAX_REFUSALS_PER_DAY, Error::<T>::TooManyRefusals);
            today.refusals = today.refusals.saturating_add(1);
            Ok(())
        })
    }

    fn tally_one(
        question: &Question,
        count: impl FnOnce(&mut Tally) -> Result<(), Error<T>>,
    ) -> Result<(), Error<T>> {
        Tallies::<T>::try_mutate(question.hospital, question.requester, |tally| {
            *tally = tally.on(question.at);
            count(tally)
        })
    }

    pub(crate) fn store_receipt(
        release: Release,
        Grounds { version, policies }: Grounds,
        departed: BTreeSet<HospitalId>,
        question: &Question,
    ) -> DispatchResult {
        let &Question { requester, patient, hospital, at, .. } = question;
        let Release { grant, request: Request { emergency, .. }, .. } = release;
        let receipt = ReceiptCount::<T>::get(patient);
        ReceiptCount::<T>::insert(patient, after(receipt)?);
        ByGrant::<T>::insert(grant, (patient, receipt));
        if !departed.is_empty() {
            // There are at most as many of them as released records.
            let departed = BoundedVec::truncate_from(departed.into_iter().collect());
            OfDeparted::<T>::insert(grant, departed);
        }
        ByRequest::<T>::insert(release.request.hash(), Answer::Granted(grant));
        Self::deposit_event(Event::Released {
            hospital,
            requester,
            patient,
            receipt,
            grant,
            emergency: emergency.is_some(),
        });

        let block = Self::block();
        let subject = ReviewSubject::Receipt(receipt);
        let open = |reason| Self::begin_review(question, subject, reason);
        let review = emergency.map(open).transpose()?;
        let kept = Receipt { release, hospital, version, policies, block, at, review };
        Receipts::<T>::insert(patient, receipt, kept);
        Ok(())
    }

    pub(crate) fn store_refusal(
        request: &Request,
        &Question { requester, patient, hospital, purpose, at }: &Question,
    ) -> DispatchResult {
        let refusal = RefusalCount::<T>::get(patient);
        RefusalCount::<T>::insert(patient, after(refusal)?);
        let kept = RefusedAccess {
            requester,
            patient,
            hospital,
            purpose,
            emergency: request.emergency.is_some(),
            request: request.hash(),
            block: Self::block(),
            at,
        };
        ByRequest::<T>::insert(kept.request, Answer::Refused);
        Refusals::<T>::insert(patient, refusal, kept);
        Self::deposit_event(Event::Refused { hospital, requester, patient, refusal });
        Ok(())
    }

    /// The number of the current chain block.
    pub(crate) fn block() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }
}

/// The next number.
pub(crate) fn after(number: u32) -> Result<u32, ArithmeticError> {
    number.checked_add(1).ok_or(ArithmeticError::Overflow)
}
