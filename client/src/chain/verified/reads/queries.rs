//! What pallet-queries answers. The chain counts the queries of each patient and of each requester, and the count is
//! proven, so a node can leave out none.

use codec::Decode;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, UserId,
    limits::MAX_PENDING_QUERIES_OF_PATIENT,
    query::{Query, QueryId, SealedTermsBytes, Transfer},
};
use epione_proofs::StorageKey;
use sp_core::{Bytes, ConstU32, bounded::BoundedVec};
use subxt::rpcs::client::rpc_params;

use super::{ChainError, Gap, Known, VerifiedState, keys};
use crate::chain::{Chain, decode};

/// An entry of the list of queries that wait for a patient's answer, as pallet-queries stores it.
#[derive(Decode)]
#[cfg_attr(test, derive(codec::Encode))]
struct Pending {
    query: QueryId,
    _expires: BlockNumber,
    _requester: UserId,
    _hospital: HospitalId,
}

type PendingList = BoundedVec<Pending, ConstU32<MAX_PENDING_QUERIES_OF_PATIENT>>;

impl VerifiedState {
    pub(in crate::chain) async fn query(&self, id: QueryId) -> Result<Option<Query>, ChainError> {
        self.value(keys::query(id)).await
    }

    pub(in crate::chain) async fn query_terms(
        &self,
        id: QueryId,
    ) -> Result<Option<SealedTermsBytes>, ChainError> {
        self.value(keys::query_terms(id)).await
    }

    pub(in crate::chain) async fn transfer(
        &self,
        id: QueryId,
    ) -> Result<Option<Transfer>, ChainError> {
        self.value(keys::transfer(id)).await
    }

    pub(in crate::chain) async fn patient_queries(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, QueryId, Query)>, ChainError> {
        let key = |number| keys::patient_query(patient, number);
        self.queries(keys::patient_queries(patient), key, before, limit).await
    }

    pub(in crate::chain) async fn requester_queries(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, QueryId, Query)>, ChainError> {
        let key = |number| keys::requester_query(requester, number);
        self.queries(keys::requester_queries(requester), key, before, limit).await
    }

    pub(in crate::chain) async fn pending_queries(
        &self,
        patient: UserId,
    ) -> Result<Vec<(QueryId, Query)>, ChainError> {
        let list = keys::pending_of_patient(patient);
        self.compute([list.clone()], |known| pending(known, &list)).await
    }

    /// One page of a list of queries.
    async fn queries(
        &self,
        count: StorageKey,
        key: impl Fn(u32) -> StorageKey,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, QueryId, Query)>, ChainError> {
        let listed: Vec<(u32, QueryId)> = self.page(count, key, before, limit).await?;
        let hints: Vec<_> = listed.iter().map(|(_, id)| keys::query(*id)).collect();
        self.compute(hints, |known| each(known, &listed)).await
    }
}

/// The numbers of the queries that wait for a patient's answer, as the node says. The runtime API does not list them.
pub(in crate::chain) async fn claimed_pending(
    chain: &Chain,
    block: Hash,
    patient: UserId,
) -> Result<Vec<QueryId>, ChainError> {
    let key = keys::pending_of_patient(patient).to_string();
    let stored: Option<Bytes> = chain.request("state_getStorage", rpc_params![key, block]).await?;
    let Some(Bytes(stored)) = stored else { return Ok(Vec::new()) };
    let listed: PendingList = decode("the list of pending queries", &stored)?;
    Ok(listed.iter().map(|pending| pending.query).collect())
}

/// The queries of a patient's list of pending ones, each of which exists.
fn pending(known: &mut Known, list: &StorageKey) -> Result<Vec<(QueryId, Query)>, Gap> {
    let listed: PendingList = known.value_or_default(list.clone())?;
    known.need(listed.iter().map(|pending| keys::query(pending.query)))?;
    let mut queries = Vec::with_capacity(listed.len());
    for Pending { query: id, .. } in listed.iter() {
        queries.push((*id, existing(known, *id)?));
    }
    Ok(queries)
}

/// A query that a list names, and so exists.
fn existing(known: &mut Known, id: QueryId) -> Result<Query, Gap> {
    let key = keys::query(id);
    known.value(key.clone())?.ok_or(Gap::Absent(key))
}

/// The queries of a list, each of which exists.
fn each(known: &mut Known, listed: &[(u32, QueryId)]) -> Result<Vec<(u32, QueryId, Query)>, Gap> {
    let mut queries = Vec::with_capacity(listed.len());
    for (number, id) in listed {
        queries.push((*number, *id, existing(known, *id)?));
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use codec::Encode;
    use epione_primitives::access::Purpose;

    use super::*;

    fn query() -> Query {
        Query {
            requester: UserId([1; 32]),
            hospital: HospitalId(5),
            patient: UserId([2; 32]),
            patient_key: Hash::repeat_byte(7),
            records: Default::default(),
            purpose: Purpose::Research,
            terms: Hash::repeat_byte(3),
            expires: 9,
            block: 4,
            at: 5,
            answer: None,
        }
    }

    #[test]
    fn a_listed_query_that_is_proven_to_be_absent_is_an_error() {
        let query = query();
        let listed = [(1, QueryId(7)), (0, QueryId(3))];
        let mut known = Known::default();
        known.learn(keys::query(QueryId(7)), Some(query.encode()));
        assert_eq!(each(&mut known, &listed), Err(Gap::Missing));
        assert_eq!(known.take_missing(), [keys::query(QueryId(3))]);
        known.learn(keys::query(QueryId(3)), None);
        assert_eq!(each(&mut known, &listed), Err(Gap::Absent(keys::query(QueryId(3)))));
        known.learn(keys::query(QueryId(3)), Some(query.encode()));
        let both = vec![(1, QueryId(7), query.clone()), (0, QueryId(3), query)];
        assert_eq!(each(&mut known, &listed), Ok(both));
    }

    #[test]
    fn every_query_that_waits_for_the_patients_answer_is_proven() {
        let list = keys::pending_of_patient(UserId([2; 32]));
        let entry = |id| Pending {
            query: QueryId(id),
            _expires: 9,
            _requester: UserId([1; 32]),
            _hospital: HospitalId(5),
        };
        let mut known = Known::default();
        known.learn(list.clone(), None);
        assert_eq!(pending(&mut known, &list), Ok(Vec::new()));
        known.learn(list.clone(), Some(vec![entry(3), entry(7)].encode()));
        assert_eq!(pending(&mut known, &list), Err(Gap::Missing));
        let missing: BTreeSet<_> = known.take_missing().into_iter().collect();
        let queries = [QueryId(3), QueryId(7)];
        assert_eq!(missing, BTreeSet::from(queries.map(keys::query)));
        known.learn(keys::query(QueryId(3)), Some(query().encode()));
        known.learn(keys::query(QueryId(7)), None);
        assert_eq!(pending(&mut known, &list), Err(Gap::Absent(keys::query(QueryId(7)))));
        known.learn(keys::query(QueryId(7)), Some(query().encode()));
        let both = queries.map(|id| (id, query())).to_vec();
        assert_eq!(pending(&mut known, &list), Ok(both));
        // As many as the chain has places for, in the chain's order.
        let all = (0..MAX_PENDING_QUERIES_OF_PATIENT).map(QueryId);
        let full: Vec<_> = all.clone().map(|id| entry(id.0)).collect();
        known.learn(list.clone(), Some(full.encode()));
        all.clone().for_each(|id| known.learn(keys::query(id), Some(query().encode())));
        let whole = all.map(|id| (id, query())).collect::<Vec<_>>();
        assert_eq!(pending(&mut known, &list), Ok(whole));
        // A list that is longer than the chain's cannot be the chain's.
        let long: Vec<_> = (0..=MAX_PENDING_QUERIES_OF_PATIENT).map(entry).collect();
        known.learn(list.clone(), Some(long.encode()));
        assert!(matches!(pending(&mut known, &list), Err(Gap::Wrong(_))));
    }
}
