//! The invariants of this pallet's state, which the crate documentation lists.

use alloc::vec::Vec;
use epione_primitives::{
    BlockNumber, Moment, QueryId,
    access::Purpose,
    limits::{
        MAX_PENDING_QUERIES_OF_HOSPITAL, MAX_PENDING_QUERIES_TO_ONE_PATIENT,
        MAX_QUERY_ACCESS_MILLIS, MAX_QUERY_BLOCKS,
    },
    query::{Acceptance, Answer, Query, are_ordered, is_part_of, terms_hash},
};
use frame_support::{ensure, traits::Time as _};
use sp_runtime::TryRuntimeError;

use crate::{
    Config, Pallet, PatientQueries, PatientQueryCount, PendingOfPatient, PendingOfRequester,
    Queries, QueryCount, RequesterQueries, RequesterQueryCount, Terms, Transfers, pending::Pending,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let count = QueryCount::<T>::get();
        for id in (0..count).map(QueryId) {
            let query = Queries::<T>::get(id).ok_or("a query is missing")?;
            check_query(&query)?;
            Self::check_order(&query)?;
            Self::check_pending(id, &query)?;
        }
        let stored = Queries::<T>::iter_keys().count();
        ensure!(stored == count as usize, "a query has an id that was not assigned yet");
        Self::check_patients()?;
        Self::check_requesters()?;
        Self::check_lists()?;
        Self::check_transfers()
    }

    /// A patient answers after the question and before it expires, withdraws an acceptance later, and nothing is in the
    /// future.
    fn check_order(query: &Query) -> Result<(), TryRuntimeError> {
        let asked = (query.block, query.at);
        let accepted = accepted(query).map(|acceptance| (acceptance.block, acceptance.at));
        let ended = match query.answer {
            Some(Answer::Refused { block, at, .. } | Answer::Withdrawn { block, at, .. }) => {
                Some((block, at))
            }
            Some(Answer::Accepted(_)) | None => None,
        };
        let is_refused = matches!(query.answer, Some(Answer::Refused { .. }));
        let in_time = accepted.or(ended.filter(|_| is_refused));
        ensure!(
            in_time.is_none_or(|(block, _)| block < query.expires),
            "a query was accepted or refused after it expired"
        );
        let now = Some((Self::block(), T::Time::now()));
        let moments: Vec<(BlockNumber, Moment)> =
            [Some(asked), accepted, ended, now].into_iter().flatten().collect();
        ensure!(
            are_in_order(&moments),
            "a query was answered before it was asked, or in the future"
        );
        Ok(())
    }

    fn check_pending(id: QueryId, query: &Query) -> Result<(), TryRuntimeError> {
        let is = |pending: &Pending| pending.query == id;
        let of_requester = PendingOfRequester::<T>::get(query.requester).iter().any(is);
        let of_patient = PendingOfPatient::<T>::get(query.patient).iter().any(is);
        let terms = Terms::<T>::get(id);
        ensure!(
            !query.is_pending(Self::block()) || (of_requester && of_patient),
            "a query that can be answered is not in both lists"
        );
        ensure!(
            terms.is_some() == (of_requester && of_patient),
            "terms are stored of a query that is not in both lists, or are missing"
        );
        ensure!(
            terms.is_none_or(|terms| terms_hash(&terms) == query.terms),
            "the terms of a query have another hash"
        );
        Ok(())
    }

    fn check_patients() -> Result<(), TryRuntimeError> {
        let mut counted = 0_usize;
        for (patient, count) in PatientQueryCount::<T>::iter() {
            let ids = (0..count).map(|number| PatientQueries::<T>::get(patient, number));
            check_numbered::<T>(ids, |query| query.patient == patient)?;
            counted = counted.saturating_add(count as usize);
        }
        ensure!(
            PatientQueries::<T>::iter_keys().count() == counted
                && counted == QueryCount::<T>::get() as usize,
            "the queries of all patients are not all queries"
        );
        Ok(())
    }

    fn check_requesters() -> Result<(), TryRuntimeError> {
        let mut counted = 0_usize;
        for (requester, count) in RequesterQueryCount::<T>::iter() {
            let ids = (0..count).map(|number| RequesterQueries::<T>::get(requester, number));
            check_numbered::<T>(ids, |query| query.requester == requester)?;
            counted = counted.saturating_add(count as usize);
        }
        ensure!(
            RequesterQueries::<T>::iter_keys().count() == counted
                && counted == QueryCount::<T>::get() as usize,
            "the queries of all requesters are not all queries"
        );
        Ok(())
    }

    fn check_lists() -> Result<(), TryRuntimeError> {
        for (patient, list) in PendingOfPatient::<T>::iter() {
            check_list::<T>(&list, |query| query.patient == patient)?;
            check_places(&list, Self::block())?;
        }
        for (requester, list) in PendingOfRequester::<T>::iter() {
            check_list::<T>(&list, |query| query.requester == requester)?;
        }
        let beyond = QueryId(QueryCount::<T>::get());
        ensure!(Terms::<T>::iter_keys().all(|id| id < beyond), "terms belong to no query");
        Ok(())
    }

    fn check_transfers() -> Result<(), TryRuntimeError> {
        for (id, transfer) in Transfers::<T>::iter() {
            let query = Queries::<T>::get(id).ok_or("a transfer belongs to no query")?;
            let acceptance =
                accepted(&query).ok_or("a transfer is of a query without acceptance")?;
            let moments = [
                (acceptance.block, acceptance.at),
                (transfer.block, transfer.at),
                (Self::block(), T::Time::now()),
            ];
            let agrees = acceptance.mailbox == transfer.hospital
                && acceptance.grant == transfer.grant
                && transfer.at < acceptance.until
                && are_in_order(&moments);
            ensure!(agrees, "a transfer disagrees with the acceptance");
        }
        Ok(())
    }
}

/// Whether neither blocks nor times decrease.
fn are_in_order(moments: &[(BlockNumber, Moment)]) -> bool {
    moments.is_sorted_by(|former, latter| former.0 <= latter.0 && former.1 <= latter.1)
}

/// The acceptance of a query, also of one that the patient withdrew.
fn accepted(query: &Query) -> Option<&Acceptance> {
    match &query.answer {
        Some(Answer::Accepted(acceptance)) => Some(acceptance),
        Some(Answer::Withdrawn { acceptance, .. }) => acceptance.as_ref(),
        Some(Answer::Refused { .. }) | None => None,
    }
}

fn check_query(query: &Query) -> Result<(), TryRuntimeError> {
    let lasts = query.expires.saturating_sub(query.block);
    let is_asked = are_ordered(&query.records)
        && query.requester != query.patient
        && query.purpose != Purpose::Emergency
        && (1..=MAX_QUERY_BLOCKS).contains(&lasts);
    ensure!(is_asked, "a query is one that nobody can ask");
    let is_accepted = accepted(query).is_none_or(|acceptance| {
        let lasts = acceptance.until.saturating_sub(acceptance.at);
        acceptance.by != query.requester
            && are_ordered(&acceptance.records)
            && is_part_of(&acceptance.records, &query.records)
            && (1..=MAX_QUERY_ACCESS_MILLIS).contains(&lasts)
    });
    ensure!(is_accepted, "an acceptance is one that no patient can give");
    let is_by_party = match &query.answer {
        Some(Answer::Refused { by, .. } | Answer::Withdrawn { by, acceptance: Some(_), .. }) => {
            *by != query.requester
        }
        Some(Answer::Withdrawn { by, block, acceptance: None, .. }) => {
            *by == query.requester || *block >= query.expires
        }
        Some(Answer::Accepted(_)) | None => true,
    };
    ensure!(is_by_party, "a query was ended by somebody who cannot end it");
    Ok(())
}

/// The queries of one user, in the order of their numbers.
fn check_numbered<T: Config>(
    ids: impl Iterator<Item = Option<QueryId>>,
    is_own: impl Fn(&Query) -> bool,
) -> Result<(), TryRuntimeError> {
    let mut last = None;
    for id in ids {
        let id = id.ok_or("a number of a user's queries has no query")?;
        ensure!(last < Some(id), "a user's queries do not ascend");
        last = Some(id);
        let own = Queries::<T>::get(id).is_some_and(|query| is_own(&query));
        ensure!(own, "a query is listed under another user");
    }
    Ok(())
}

/// The pending queries of one user.
fn check_list<T: Config>(
    list: &[Pending],
    is_own: impl Fn(&Query) -> bool,
) -> Result<(), TryRuntimeError> {
    let ids: Vec<QueryId> = list.iter().map(|pending| pending.query).collect();
    ensure!(!ids.is_empty(), "a list without pending queries is stored");
    ensure!(ids.is_sorted_by(|former, latter| former < latter), "pending queries do not ascend");
    for Pending { query: id, expires, requester, hospital } in list {
        let agrees = Queries::<T>::get(*id).is_some_and(|query| {
            is_own(&query)
                && query.answer.is_none()
                && (query.expires, query.requester, query.hospital)
                    == (*expires, *requester, *hospital)
        });
        ensure!(agrees, "a pending query has an answer, or belongs to another user");
    }
    Ok(())
}

/// The places of one requester and one hospital among the pending queries to a patient.
fn check_places(list: &[Pending], block: BlockNumber) -> Result<(), TryRuntimeError> {
    let open: Vec<&Pending> = list.iter().filter(|pending| pending.expires > block).collect();
    for pending in &open {
        let of_requester = open.iter().filter(|other| other.requester == pending.requester);
        let of_hospital = open.iter().filter(|other| other.hospital == pending.hospital);
        ensure!(
            of_requester.count() <= MAX_PENDING_QUERIES_TO_ONE_PATIENT as usize
                && of_hospital.count() <= MAX_PENDING_QUERIES_OF_HOSPITAL as usize,
            "a requester or a hospital has too many places of a patient"
        );
    }
    Ok(())
}
