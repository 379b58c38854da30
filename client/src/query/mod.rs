//! Queries: a requester asks a patient for sections of records, and the patient answers with an own signature.
//!
//! All of it is read from the chain by proofs, if the chain's handle verifies: no worker can hide, invent or change a
//! query. A worker only keeps what the patient sealed to the requester.
//!
//! | step | by | |
//! | --- | --- | --- |
//! | [`Queries::ask`] | requester | seals the terms to the patient, and puts the query on the chain |
//! | [`Queries::consider`] | patient | opens the terms and the sections that are asked for; signs nothing |
//! | [`Queries::accept`] | patient | seals content keys to the requester, accepts, and leaves them at the mailbox |
//! | [`Queries::bring`] | patient | leaves the sealed keys at the mailbox, if that was interrupted |
//! | [`Queries::refuse`] | patient | |
//! | [`Queries::withdraw`] | both | the requester before the answer, the patient after it; both after the expiry |
//! | [`Reader::open_query`](crate::reader::Reader::open_query) | requester | collects, verifies and opens |
//!
//! A representative of the patient does what the patient does, but cannot open the terms, and opens the sections by a
//! hospital's grant.

mod accepting;
mod checking;
mod error;
mod status;
mod unsent;

pub use accepting::{Considered, Requester, Unopened};
pub use checking::check_end;
pub use error::QueryError;
pub use status::{Status, answer_in_words};
pub use unsent::UnsentGrants;

use codec::Encode;
use epione_envelope::{profile::ProfileBody, query::SealedTerms, sealing_keys::SealingPublicKey};
use epione_primitives::{
    BlockNumber, HospitalId, Moment, UserId,
    access::Purpose,
    profile::Profile,
    query::{Acceptance, Answer, QueriedRecords, Query, QueryId, Transfer},
    release::SectionSet,
};

use crate::{
    chain::{BlockRef, Chain, ChainError, ChainEvent, Snapshot, calls::queries},
    reader::{QueryFault, ReadError, VerifiedRecord, accepted},
    signer::Account,
};

/// The queries of a chain.
#[derive(Clone, Debug)]
pub struct Queries {
    chain: Chain,
}

/// What a requester asks a patient for.
#[derive(Clone, Debug)]
pub struct NewQuery<'a> {
    /// The hospital for which the requester asks. A registration of the requester must be in force there.
    pub hospital: HospitalId,
    pub patient: UserId,
    /// Records of the patient, ascending, each with at least one section; [`SectionSet::ALL`] for every section.
    pub records: QueriedRecords,
    pub purpose: Purpose,
    /// The patient can accept before this chain block.
    pub expires: BlockNumber,
    /// For the patient only: what the requester wants to do with the content.
    pub terms: &'a str,
}

/// A query on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: QueryId,
    pub query: Query,
    /// Who handed out the sealed grant, if anybody did.
    pub transfer: Option<Transfer>,
    pub status: Status,
}

/// Queries of one patient or requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Newest first.
    pub queries: Vec<Found>,
    /// The block of which this is the state.
    pub block: BlockRef,
}

/// Whose queries are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Those that the user is asked.
    Patient(UserId),
    /// Those that the user asked.
    Requester(UserId),
}

impl Found {
    /// What the patient accepted, or why there is nothing to collect.
    pub fn acceptance(&self) -> Result<&Acceptance, QueryFault> {
        accepted(self.id, &self.query)
    }
}

impl Queries {
    pub fn new(chain: Chain) -> Self {
        Self { chain }
    }

    /// Puts a query on the chain; returns its number and the final block that has it. Nothing is sent if the patient
    /// does not have the records and sections.
    pub async fn ask(
        &self,
        query: &NewQuery<'_>,
        requester: &Account,
    ) -> Result<(QueryId, BlockRef), QueryError> {
        let state = self.chain.finalized().await?;
        let user = state.user_of(&requester.id()).await?.ok_or(ReadError::UnknownReader)?;
        for record in &query.records {
            let found = VerifiedRecord::of(&self.chain, query.patient, record.pointer).await?;
            let existing = found.sections();
            if record.sections != SectionSet::ALL && !record.sections.is_subset_of(existing) {
                let missing = record.sections.without(existing);
                return Err(QueryError::NoSections { pointer: record.pointer, missing, existing });
            }
        }
        let (_, key) = self.sealing_key(&state, query.patient).await?;
        let genesis = self.chain.genesis_hash();
        let terms =
            SealedTerms::seal(genesis, user, query.patient, query.terms, &key, requester)?.encode();
        let NewQuery { hospital, patient, ref records, purpose, expires, .. } = *query;
        let call = queries::ask(hospital, patient, key.hash(), records, purpose, expires, &terms);
        let included = self.chain.submit(&call, requester).await?;
        let asked = included.events.iter().find_map(|event| match event {
            ChainEvent::QueryAsked { query, .. } => Some(*query),
            _ => None,
        });
        Ok((asked.ok_or(QueryError::NoNumber)?, included.block))
    }

    /// The queries that a patient can answer now, newest first. The chain bounds their number, so queries that others
    /// asked and withdrew, however many, hide none of them.
    pub async fn pending(&self, patient: UserId) -> Result<Listed, QueryError> {
        let block = self.chain.finalized_head().await?;
        let state = self.chain.at(block.hash);
        let now = state.time().await?;
        let mut queries = Vec::new();
        for (id, query) in state.pending_queries(patient).await?.into_iter().rev() {
            let found = found(&state, id, query, (block.number, now)).await?;
            if found.status == Status::Pending {
                queries.push(found);
            }
        }
        Ok(Listed { queries, block })
    }

    /// The newest queries of a patient or requester, at most `limit`.
    pub async fn list(&self, party: Party, limit: u32) -> Result<Listed, QueryError> {
        self.newest(party, limit, None).await
    }

    /// The newest queries that a patient accepted, at most `limit`; also those whose acceptance the patient withdrew.
    pub async fn accepted(&self, patient: UserId, limit: u32) -> Result<Listed, QueryError> {
        self.newest(Party::Patient(patient), limit, Some(was_accepted)).await
    }

    /// The newest queries of a party, or those of them that are `wanted`, at most `limit`.
    async fn newest(
        &self,
        party: Party,
        limit: u32,
        wanted: Option<fn(&Query) -> bool>,
    ) -> Result<Listed, QueryError> {
        let block = self.chain.finalized_head().await?;
        let state = self.chain.at(block.hash);
        let now = state.time().await?;
        let mut queries: Vec<Found> = Vec::new();
        let mut before = None;
        while (queries.len() as u64) < u64::from(limit) {
            let left = limit.saturating_sub(u32::try_from(queries.len()).unwrap_or(limit));
            // Of a whole page, a few may be wanted.
            let left = if wanted.is_some() { u32::MAX } else { left };
            let page = match party {
                Party::Patient(user) => state.patient_queries(user, before, left).await?,
                Party::Requester(user) => state.requester_queries(user, before, left).await?,
            };
            if page.is_empty() {
                break;
            }
            for (number, id, query) in page {
                if before.is_some_and(|before| number >= before) {
                    // A node that repeats entries would keep the client in a loop.
                    let what = "a list of queries".to_owned();
                    let reason = "its numbers do not descend".to_owned();
                    return Err(ChainError::Malformed { what, reason }.into());
                }
                before = Some(number);
                if wanted.is_some_and(|wanted| !wanted(&query)) {
                    continue;
                }
                queries.push(found(&state, id, query, (block.number, now)).await?);
            }
        }
        queries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Listed { queries, block })
    }

    /// A query, as everybody can read it.
    pub async fn show(&self, id: QueryId) -> Result<Found, QueryError> {
        let block = self.chain.finalized_head().await?;
        let state = self.chain.at(block.hash);
        let query = state.query(id).await?.ok_or(QueryFault::Unknown(id))?;
        let now = state.time().await?;
        Ok(found(&state, id, query, (block.number, now)).await?)
    }

    /// Refuses a pending query, as its patient; returns the final block.
    pub async fn refuse(&self, id: QueryId, patient: &Account) -> Result<BlockRef, QueryError> {
        Ok(self.chain.submit(&queries::refuse(id), patient).await?.block)
    }

    /// Takes back a pending query, as its requester, or ends an acceptance, as its patient; returns the final block.
    /// Either withdraws a query that expired without an answer, so that the chain stores its terms no longer.
    /// What was collected before, the requester may keep.
    pub async fn withdraw(&self, id: QueryId, party: &Account) -> Result<BlockRef, QueryError> {
        Ok(self.chain.submit(&queries::withdraw(id), party).await?.block)
    }

    /// A user's profile and sealing key. The key is in the profile that a hospital has sealed; it counts if the chain
    /// has its hash.
    async fn sealing_key(
        &self,
        state: &Snapshot,
        user: UserId,
    ) -> Result<(Profile, SealingPublicKey), QueryError> {
        let profile = state.profile(user).await?.ok_or(QueryError::UnknownUser(user))?;
        for (_, registration) in state.registrations(user).await? {
            let Some(body) = self.chain.body(registration.body_hash).await? else { continue };
            let Ok(body) = ProfileBody::decode_exactly(&body) else { continue };
            if let Ok(key) = body.sealing_key(&profile.sealing_key_hash) {
                let key = key.clone();
                return Ok((profile, key));
            }
        }
        Err(QueryError::NoSealingKey(user))
    }
}

fn was_accepted(query: &Query) -> bool {
    matches!(
        query.answer,
        Some(Answer::Accepted(_) | Answer::Withdrawn { acceptance: Some(_), .. })
    )
}

async fn found(
    state: &Snapshot,
    id: QueryId,
    query: Query,
    (block, now): (BlockNumber, Moment),
) -> Result<Found, ChainError> {
    // Only an acceptance can have one.
    let transfer = match &query.answer {
        Some(_) => state.transfer(id).await?,
        None => None,
    };
    let stands = match query.acceptance() {
        Some(acceptance) => state.stands(acceptance, query.patient).await?,
        None => true,
    };
    let status = Status::of(&query, (stands, transfer.is_some()), block, now);
    Ok(Found { id, query, transfer, status })
}
