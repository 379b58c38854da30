//! Why a query was not asked or answered.

use epione_envelope::SealError;
use epione_primitives::{HospitalId, Moment, QueryId, RecordPointer, UserId, release::SectionSet};

use crate::{
    chain::{ChainError, SubmitError},
    reader::{QueryFault, ReadError},
    worker::WorkerError,
};

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("the content cannot be sealed: {0}")]
    Seal(#[from] SealError),
    #[error("the chain has no user {0}: check the id")]
    UnknownUser(UserId),
    #[error(
        "no hospital has sealed a profile to the present sealing key of user {0} yet, so nothing can be sealed to it: \
         try again when the hospital has confirmed the user's new keys"
    )]
    NoSealingKey(UserId),
    #[error("record {pointer} has no {}: it has {}", in_words(.missing), in_words(.existing))]
    NoSections { pointer: RecordPointer, missing: SectionSet, existing: SectionSet },
    #[error(
        "query {query} is not for user {user}: only its patient answers it, or a representative whose mandate is in \
         force and who did not ask it"
    )]
    NotPatient { query: QueryId, user: UserId },
    #[error("query {query} has an answer already: {how}")]
    Answered { query: QueryId, how: String },
    #[error("query {0} has expired: the requester must ask again")]
    Expired(QueryId),
    /// The patient rotated keys after the query, or gave other keys.
    #[error(
        "the terms of query {0} are sealed to an earlier sealing key of yours, which is not among these keys"
    )]
    EarlierKey(QueryId),
    /// The requester sealed them to another key than the query names, or sealed something else.
    #[error(
        "the terms of query {0} cannot be opened: the requester did not seal them to your key, or changed keys in the \
         same block"
    )]
    Terms(QueryId),
    #[error("record {pointer} does not open, so it cannot be accepted: {reason}")]
    NotOpened { pointer: RecordPointer, reason: String },
    #[error("query {query} does not ask for {} of record {pointer}", in_words(.sections))]
    NotAsked { query: QueryId, pointer: RecordPointer, sections: SectionSet },
    #[error("nothing is accepted: name at least one section, or refuse the query")]
    Nothing,
    /// Between what the patient was shown and the acceptance.
    #[error(
        "the requester of query {0} has changed the account or the sealing key since you looked at the query: nothing \
         is accepted"
    )]
    RequesterChanged(QueryId),
    #[error(
        "the registration of the requester of query {query} is not in force at hospital {hospital}, or this hospital \
         is not active: the chain refuses your acceptance now"
    )]
    NotInForce { query: QueryId, hospital: HospitalId },
    #[error("hospital {0} is not active, so it cannot keep the sealed keys")]
    InactiveMailbox(HospitalId),
    #[error("an acceptance must end in the future, and at most 366 days from now")]
    WrongEnd,
    #[error(
        "your mandate to act for the patient ends at {ends} (Unix time in milliseconds): an acceptance must end by then"
    )]
    BeyondMandate { ends: Moment },
    #[error("the sealed keys cannot be kept on this machine until the hospital has them: {0}")]
    Unkept(std::io::Error),
    /// The acceptance is final.
    #[error(
        "query {query} is accepted, but hospital {mailbox} does not have the sealed keys yet, which are kept on this \
         machine: {error}"
    )]
    NotBrought { query: QueryId, mailbox: HospitalId, error: Box<WorkerError> },
    #[error(
        "the chain included the query, but its events do not have its number: list your queries"
    )]
    NoNumber,
}

/// Sections by their numbers: `section 2`, `sections 0,2`.
fn in_words(sections: &SectionSet) -> String {
    let numbers: Vec<_> = sections.iter().map(|section| section.to_string()).collect();
    let noun = if numbers.len() == 1 { "section" } else { "sections" };
    format!("{noun} {}", numbers.join(","))
}

impl From<ChainError> for QueryError {
    fn from(error: ChainError) -> Self {
        ReadError::from(error).into()
    }
}

impl From<WorkerError> for QueryError {
    fn from(error: WorkerError) -> Self {
        ReadError::from(error).into()
    }
}

impl From<QueryFault> for QueryError {
    fn from(fault: QueryFault) -> Self {
        ReadError::from(fault).into()
    }
}
