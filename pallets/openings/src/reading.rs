//! Reading openings and wraps through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    limits::page,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    sharing::{SlotId, SlotSet},
};

use crate::{
    Config, HandedOutBy, Openings, Pallet, PatientOpeningCount, PatientOpenings,
    RequesterOpeningCount, RequesterOpenings,
};

impl<T: Config> Pallet<T> {
    pub fn opening(id: OpeningId) -> Option<Opening> {
        Openings::<T>::get(id)
    }

    /// The openings of a patient's sections with their numbers, newest first. The list begins before `before`, or with
    /// the newest if absent, and has at most `limit` and [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) entries.
    pub fn openings_of_patient(
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, OpeningId, Opening)> {
        page(PatientOpeningCount::<T>::get(patient), before, limit)
            .filter_map(|number| Self::numbered(number, PatientOpenings::<T>::get(patient, number)))
            .collect()
    }

    /// The openings of a requester, paged like [`openings_of_patient`](Self::openings_of_patient).
    pub fn openings_of_requester(
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, OpeningId, Opening)> {
        page(RequesterOpeningCount::<T>::get(requester), before, limit)
            .filter_map(|number| {
                Self::numbered(number, RequesterOpenings::<T>::get(requester, number))
            })
            .collect()
    }

    /// What the hospitals recorded that handed out their parts of an opening, ascending by hospital.
    pub fn handed_out(id: OpeningId) -> Vec<(HospitalId, HandedOut)> {
        let mut all: Vec<_> = HandedOutBy::<T>::iter_prefix(id).collect();
        all.sort_by_key(|(hospital, _)| *hospital);
        all
    }

    /// The wraps of a record's sections, one entry for each slot, ascending. Some may be of sections that are not in
    /// the slot any more, or under an earlier key.
    pub fn wraps(pointer: RecordPointer) -> Vec<(SlotId, Wrapped)> {
        Self::wraps_in(pointer, SlotSet(u16::MAX))
    }

    fn numbered(number: u32, id: Option<OpeningId>) -> Option<(u32, OpeningId, Opening)> {
        let id = id?;
        Some((number, id, Openings::<T>::get(id)?))
    }
}
