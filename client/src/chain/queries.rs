//! Queries: what requesters ask of patients, the answers, and who handed out the sealed grants.

use epione_primitives::{
    UserId,
    query::{Query, QueryId, SealedTermsBytes, Transfer},
};

use super::{ChainError, Snapshot, verified::claimed_pending};

impl Snapshot {
    /// A query, with its answer if it has one.
    pub async fn query(&self, id: QueryId) -> Result<Option<Query>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.query(id).await;
        }
        self.read("QueriesApi_query", id).await
    }

    /// The sealed terms of a query that waits for an answer.
    pub async fn query_terms(&self, id: QueryId) -> Result<Option<SealedTermsBytes>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.query_terms(id).await;
        }
        self.read("QueriesApi_terms", id).await
    }

    /// Who handed out the sealed grant of a query, if anybody did.
    pub async fn transfer(&self, id: QueryId) -> Result<Option<Transfer>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.transfer(id).await;
        }
        self.read("QueriesApi_transfer", id).await
    }

    /// The queries in the chain's list of those that wait for a patient's answer, oldest first. Some of them may have
    /// expired.
    pub async fn pending_queries(
        &self,
        patient: UserId,
    ) -> Result<Vec<(QueryId, Query)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.pending_queries(patient).await;
        }
        let mut queries = Vec::new();
        for id in claimed_pending(&self.chain, self.block(), patient).await? {
            let query = self.query(id).await?.ok_or_else(|| {
                ChainError::malformed("the list of pending queries", format!("no query {id}"))
            })?;
            queries.push((id, query));
        }
        Ok(queries)
    }

    /// The queries to a patient, newest first, with their numbers among the patient's.
    pub async fn patient_queries(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, QueryId, Query)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.patient_queries(patient, before, limit).await;
        }
        self.read("QueriesApi_patient_queries", (patient, before, limit)).await
    }

    /// The queries of a requester, newest first, with their numbers among the requester's.
    pub async fn requester_queries(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, QueryId, Query)>, ChainError> {
        if let Some(state) = self.proven().await? {
            return state.requester_queries(requester, before, limit).await;
        }
        self.read("QueriesApi_requester_queries", (requester, before, limit)).await
    }
}
