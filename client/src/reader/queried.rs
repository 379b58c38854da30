//! Reading by a patient's acceptance of a query: the patient sealed the content keys to the requester, and a hospital's
//! worker keeps the sealed grant.
//!
//! The worker is only a mailbox. What is believed is the chain's acceptance, which has the grant's hash, and the
//! signature of who accepted: the patient, or a user who represented the patient then. A grant is used only after the
//! chain has the hospital's transfer of it, so that the patient sees every grant that was handed out.

use std::time::Duration;

use epione_envelope::query::{ExpectedQuery, QueryGrant};
use epione_primitives::{
    AccountId, BlockNumber, HospitalId, Moment, UserId,
    mandate::Mandate,
    query::{Acceptance, Answer, Query, QueryId, Transfer},
};
use futures::StreamExt;

use super::{
    OpenRecord, ReadError, Reader, Source, VerifiedRecord,
    permission::{Permission, RECEIPT_LIMIT, opened, released},
};
use crate::{
    chain::{Chain, ChainError, Snapshot},
    now,
    waiting::Awaited,
};

/// Why the sealed grant of a query is not collected, or not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    #[error("there is no query {0}: check its number")]
    Unknown(QueryId),
    #[error("query {query} is not of user {user}: only its requester collects the answer")]
    NotRequester { query: QueryId, user: UserId },
    #[error("the patient has not answered query {0} yet")]
    NotAnswered(QueryId),
    #[error("query {0} was refused, by its patient or in the name of the patient")]
    Refused(QueryId),
    #[error("query {0} was withdrawn before the patient accepted")]
    Canceled(QueryId),
    #[error(
        "the patient, or somebody in the name of the patient, withdrew the acceptance of query {0}: what was not \
         collected before stays sealed"
    )]
    Withdrawn(QueryId),
    #[error("the acceptance of query {query} ended at {until} (Unix time in milliseconds)")]
    Over { query: QueryId, until: Moment },
    #[error(
        "you have changed your account or sealing key since the patient accepted query {0}: the acceptance is for your \
         earlier keys only"
    )]
    OtherKeys(QueryId),
    #[error("the answer to query {query} is at hospital {mailbox}, not at hospital {asked}")]
    OtherMailbox { query: QueryId, mailbox: HospitalId, asked: HospitalId },
    /// The worker sent something else than the patient accepted.
    #[error(
        "the worker sent another {what} for query {query} than the patient accepted: nothing was opened; tell the \
         hospital"
    )]
    Grant { query: QueryId, what: &'static str },
    #[error(
        "query {query} was accepted by user {by}, who did not represent its patient then: nothing was opened"
    )]
    NotRepresented { query: QueryId, by: UserId },
    #[error(
        "user {by} accepted query {query} as a representative, and the mandate of that time has ended: nothing is \
         handed out any more"
    )]
    MandateEnded { query: QueryId, by: UserId },
    #[error(
        "the chain has no transfer of the grant of query {query}, {} s after the worker sent it: nothing was opened; \
         check that the node keeps up with the chain, try again, and tell the hospital if this happens again",
        .after.as_secs()
    )]
    NoTransfer { query: QueryId, after: Duration },
    /// The worker wrote something else to the chain than it sent to the requester.
    #[error(
        "the chain's transfer of query {query} names another {what}: nothing was opened; tell the hospital"
    )]
    Transfer { query: QueryId, what: &'static str },
}

impl Reader {
    /// Opens the accepted sections of records by the patient's acceptance of the reader's query, in this order. The
    /// worker must be that of the mailbox. A record that does not open has an error of its own, and so has one of which
    /// nothing was accepted.
    pub async fn open_query(
        &self,
        query: QueryId,
        records: Vec<VerifiedRecord>,
    ) -> Result<Vec<Result<OpenRecord, ReadError>>, ReadError> {
        let permission = self.collect(query).await?;
        Ok(self.open_by(&permission, records.into_iter()))
    }

    /// Collects the sealed grant of a query from the mailbox, and opens it. Requests nothing if the chain shows that
    /// the grant would not open, or must not be handed out.
    pub(super) async fn collect(&self, id: QueryId) -> Result<Permission, ReadError> {
        let state = self.chain.finalized().await?;
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let user = self.requester(&state).await?;
        let account = self.worker.account().id();
        let acceptance = collectable(id, &query, (user, &account), now())?;
        if acceptance.sealing_key != self.sealing.public().hash() {
            return Err(QueryFault::OtherKeys(id).into());
        }
        let (mailbox, asked) = (acceptance.mailbox, self.worker.hospital());
        if mailbox != asked {
            return Err(QueryFault::OtherMailbox { query: id, mailbox, asked }.into());
        }
        if !state.stands(acceptance, query.patient).await? {
            return Err(QueryFault::MandateEnded { query: id, by: acceptance.by }.into());
        }
        let acceptor = self.acceptor(id, query.patient, acceptance).await?;
        let collected = self.worker.collect(id).await?;
        if let Some(what) = disagreement(acceptance, &collected.grant) {
            return Err(QueryFault::Grant { query: id, what }.into());
        }
        let expected = ExpectedQuery {
            genesis: self.chain.genesis_hash(),
            query: id,
            patient: query.patient,
            acceptor: &acceptor,
            audience: &account,
            purpose: query.purpose,
            until: acceptance.until,
            now: now(),
        };
        let keys = collected.grant.open(&expected, &self.sealing)?;
        self.check_transfer(id, acceptance).await?;
        Ok(Permission::new(keys, collected.reply.links, Source::Query(id)))
    }

    /// The account that signed the grant: of the patient, or of a representative in force after the acceptance's block.
    async fn acceptor(
        &self,
        query: QueryId,
        patient: UserId,
        acceptance: &Acceptance,
    ) -> Result<AccountId, ReadError> {
        let (by, state) = (acceptance.by, state_after(&self.chain, acceptance.block).await?);
        let mandate = match by == patient {
            true => None,
            false => state.representation(by, patient).await?,
        };
        check_acceptor(query, patient, acceptance, mandate)?;
        let unknown = || ChainError::UnknownBlock(acceptance.block.to_string());
        Ok(state.profile(by).await?.ok_or_else(unknown)?.account)
    }

    /// Waits until the chain has the transfer, and compares it with the acceptance.
    async fn check_transfer(
        &self,
        query: QueryId,
        acceptance: &Acceptance,
    ) -> Result<(), ReadError> {
        let _waiting = self.chain.waits().begin(Awaited::Receipt, None);
        let none = QueryFault::NoTransfer { query, after: RECEIPT_LIMIT };
        let transfer = tokio::time::timeout(RECEIPT_LIMIT, self.transfer(query))
            .await
            .unwrap_or(Err(none.into()))?;
        match other_transfer(acceptance, &transfer) {
            Some(what) => Err(QueryFault::Transfer { query, what }.into()),
            None => Ok(()),
        }
    }

    /// The transfer of a query. Waits for the final block that records it.
    async fn transfer(&self, query: QueryId) -> Result<Transfer, ReadError> {
        let head = self.chain.finalized_head().await?;
        let mut blocks = self.chain.finalized_stream(head.number);
        while let Some(block) = blocks.next().await {
            if let Some(transfer) = self.chain.at(block?.hash).transfer(query).await? {
                return Ok(transfer);
            }
        }
        Err(QueryFault::NoTransfer { query, after: RECEIPT_LIMIT }.into())
    }
}

/// A user's account after a block.
pub(crate) async fn account_at(
    chain: &Chain,
    user: UserId,
    block: BlockNumber,
) -> Result<AccountId, ChainError> {
    let unknown = || ChainError::UnknownBlock(block.to_string());
    let profile = state_after(chain, block).await?.profile(user).await?;
    Ok(profile.ok_or_else(unknown)?.account)
}

/// The state after a block.
async fn state_after(chain: &Chain, block: BlockNumber) -> Result<Snapshot, ChainError> {
    let unknown = || ChainError::UnknownBlock(block.to_string());
    Ok(chain.at(chain.block_hash(block).await?.ok_or_else(unknown)?))
}

/// The acceptance of a query, or why there is none.
pub(crate) fn accepted(id: QueryId, query: &Query) -> Result<&Acceptance, QueryFault> {
    match &query.answer {
        None => Err(QueryFault::NotAnswered(id)),
        Some(Answer::Refused { .. }) => Err(QueryFault::Refused(id)),
        Some(Answer::Withdrawn { acceptance: None, .. }) => Err(QueryFault::Canceled(id)),
        Some(Answer::Withdrawn { .. }) => Err(QueryFault::Withdrawn(id)),
        Some(Answer::Accepted(acceptance)) => Ok(acceptance),
    }
}

/// Checks that who accepted could do so: the patient, or a user who represented the patient by this mandate after the
/// block of the acceptance.
fn check_acceptor(
    query: QueryId,
    patient: UserId,
    acceptance: &Acceptance,
    mandate: Option<Mandate>,
) -> Result<(), QueryFault> {
    if acceptance.stands(patient, mandate) {
        return Ok(());
    }
    Err(QueryFault::NotRepresented { query, by: acceptance.by })
}

/// The acceptance by which this user may collect with this account now.
fn collectable<'q>(
    id: QueryId,
    query: &'q Query,
    (user, account): (UserId, &AccountId),
    now: Moment,
) -> Result<&'q Acceptance, QueryFault> {
    if query.requester != user {
        return Err(QueryFault::NotRequester { query: id, user });
    }
    let acceptance = accepted(id, query)?;
    if now >= acceptance.until {
        return Err(QueryFault::Over { query: id, until: acceptance.until });
    }
    if acceptance.audience != *account {
        return Err(QueryFault::OtherKeys(id));
    }
    Ok(acceptance)
}

/// The first part of a grant that differs from the acceptance on the chain.
fn disagreement(acceptance: &Acceptance, grant: &QueryGrant) -> Option<&'static str> {
    let accepted = Some(released(&acceptance.records));
    differing([
        ("grant", grant.hash() == acceptance.grant),
        ("list of sections", accepted == opened(grant.sections())),
    ])
}

fn other_transfer(acceptance: &Acceptance, transfer: &Transfer) -> Option<&'static str> {
    differing([
        ("grant", transfer.grant == acceptance.grant),
        ("hospital", transfer.hospital == acceptance.mailbox),
    ])
}

fn differing<const N: usize>(agreements: [(&'static str, bool); N]) -> Option<&'static str> {
    agreements.into_iter().find(|(_, agrees)| !agrees).map(|(what, _)| what)
}

#[cfg(test)]
mod tests;
