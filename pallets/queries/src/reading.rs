//! Reading queries through the runtime API.

use alloc::vec::Vec;
use epione_primitives::{
    QueryId, UserId,
    limits::page,
    query::{Query, SealedTermsBytes, Transfer},
};

use crate::{
    Config, Pallet, PatientQueries, PatientQueryCount, Queries, RequesterQueries,
    RequesterQueryCount, Terms, Transfers,
};

impl<T: Config> Pallet<T> {
    pub fn query(id: QueryId) -> Option<Query> {
        Queries::<T>::get(id)
    }

    /// The sealed terms of a query, while it waits for an answer.
    pub fn terms(id: QueryId) -> Option<SealedTermsBytes> {
        Terms::<T>::get(id)
    }

    /// What the mailbox recorded when it handed out the grant of a query.
    pub fn transferred(id: QueryId) -> Option<Transfer> {
        Transfers::<T>::get(id)
    }

    /// The queries to a patient with their numbers, newest first. The list begins before `before`, or with the newest
    /// if absent, and has at most `limit` and [`MAX_PAGE`](epione_primitives::limits::MAX_PAGE) entries.
    pub fn patient_queries(
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, QueryId, Query)> {
        page(PatientQueryCount::<T>::get(patient), before, limit)
            .filter_map(|number| Self::numbered(number, PatientQueries::<T>::get(patient, number)))
            .collect()
    }

    /// The queries of a requester, paged like [`patient_queries`](Self::patient_queries).
    pub fn requester_queries(
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, QueryId, Query)> {
        page(RequesterQueryCount::<T>::get(requester), before, limit)
            .filter_map(|number| {
                Self::numbered(number, RequesterQueries::<T>::get(requester, number))
            })
            .collect()
    }

    fn numbered(number: u32, id: Option<QueryId>) -> Option<(u32, QueryId, Query)> {
        let id = id?;
        Some((number, id, Queries::<T>::get(id)?))
    }
}
