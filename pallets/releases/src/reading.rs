//! Reading receipts, refusals, emergencies and reviews through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    Hash, HospitalId, UserId,
    limits::page,
    ports::Custodians,
    release::{OwnRead, Receipt, RefusedAccess, Review, ReviewId, Right, Tally},
};
use frame_support::traits::Time;

use crate::{
    ByGrant, ByRequest, Config, Emergencies, EmergencyCount, NextReview, OfDeparted, OwnReadCount,
    OwnReads, Pallet, ReceiptCount, Receipts, RefusalCount, Refusals, Reviews, Tallies,
    classes::Classes, requests::Answer, rights::Question,
};

impl<T: Config> Pallet<T> {
    /// The receipt of a grant, by the grant's hash.
    pub fn receipt(grant: Hash) -> Option<Receipt> {
        let (patient, number) = ByGrant::<T>::get(grant)?;
        Receipts::<T>::get(patient, number)
    }

    /// The grant that answered a request, by the request's hash. None if there is no answer, or it was refused.
    pub fn answer(request: Hash) -> Option<Hash> {
        match ByRequest::<T>::get(request)? {
            Answer::Granted(grant) => Some(grant),
            Answer::Refused => None,
        }
    }

    /// Whether a grant is recorded, the policies still allow its requester the same, and its rights open its sections
    /// ([`Right::open`]) with the classes that they have for the requester now. A grant of an emergency that the other
    /// hospitals found unjustified is no longer in force, whatever the policies allow. Neither is a grant of a hospital
    /// that is not the custodian any more of a removed hospital whose records it releases.
    pub fn is_in_force(grant: Hash) -> bool {
        let Some(Receipt { release, review, .. }) = Self::receipt(grant) else {
            return false;
        };
        let unjustified = review.is_some_and(Self::was_unjustified);
        let question = Question::of(&release.request, T::Time::now());
        let is_custodian =
            |departed| T::Custodians::custodian_of(departed) == Some(question.hospital);
        let sections = Classes::of_sections::<T>(&question, &release.records);
        !unjustified
            && OfDeparted::<T>::get(grant).into_iter().all(is_custodian)
            && Right::open(&release.rights, sections.private)
            && question.grounds::<T>(&release.rights).is_some()
    }

    /// A patient's receipts with their numbers, newest first. The list begins before `before`, or with
    /// the newest if absent, and has at most `limit` and [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) entries.
    pub fn receipts(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, Receipt)> {
        page(ReceiptCount::<T>::get(patient), before, limit)
            .filter_map(|number| Some((number, Receipts::<T>::get(patient, number)?)))
            .collect()
    }

    /// A patient's emergencies with their numbers and reviews, paged like
    /// [`receipts`](Self::receipts).
    pub fn emergencies(
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, ReviewId, Review)> {
        page(EmergencyCount::<T>::get(patient), before, limit)
            .filter_map(|number| {
                let id = Emergencies::<T>::get(patient, number)?;
                Some((number, id, Reviews::<T>::get(id)?))
            })
            .collect()
    }

    /// Refusals of access to a patient's records with their numbers, paged like
    /// [`receipts`](Self::receipts).
    pub fn refusals(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, RefusedAccess)> {
        page(RefusalCount::<T>::get(patient), before, limit)
            .filter_map(|number| Some((number, Refusals::<T>::get(patient, number)?)))
            .collect()
    }

    /// What a patient noted of own readings, with the notes' numbers, paged like
    /// [`receipts`](Self::receipts).
    pub fn own_reads(patient: UserId, before: Option<u32>, limit: u32) -> Vec<(u32, OwnRead)> {
        page(OwnReadCount::<T>::get(patient), before, limit)
            .filter_map(|number| Some((number, OwnReads::<T>::get(patient, number)?)))
            .collect()
    }

    /// The reviews of all hospitals' emergencies, paged like
    /// [`receipts`](Self::receipts).
    pub fn reviews(before: Option<ReviewId>, limit: u32) -> Vec<(ReviewId, Review)> {
        page(NextReview::<T>::get().0, before.map(|id| id.0), limit)
            .filter_map(|number| Some((ReviewId(number), Reviews::<T>::get(ReviewId(number))?)))
            .collect()
    }

    /// A requester's refusals and emergencies at a hospital today.
    pub fn tally(hospital: HospitalId, requester: UserId) -> Tally {
        Tallies::<T>::get(hospital, requester).on(T::Time::now())
    }
}
