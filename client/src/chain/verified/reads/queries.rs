//! What pallet-queries answers. The chain counts the queries of each patient and of each requester, and the count is
//! proven, so a node can leave out none.

use epione_primitives::{
    UserId,
    query::{Query, QueryId, SealedTermsBytes, Transfer},
};
use epione_proofs::StorageKey;

use super::{ChainError, Gap, Known, VerifiedState, keys};

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

/// The queries of a list, each of which exists.
fn each(known: &mut Known, listed: &[(u32, QueryId)]) -> Result<Vec<(u32, QueryId, Query)>, Gap> {
    let mut queries = Vec::with_capacity(listed.len());
    for (number, id) in listed {
        let key = keys::query(*id);
        let query = known.value(key.clone())?.ok_or(Gap::Absent(key))?;
        queries.push((*number, *id, query));
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{Hash, HospitalId, access::Purpose};

    use super::*;

    #[test]
    fn a_listed_query_that_is_proven_to_be_absent_is_an_error() {
        let query = Query {
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
        };
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
}
