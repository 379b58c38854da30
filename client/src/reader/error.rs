//! Why a record was not read.

use std::{io, path::PathBuf};

use epione_envelope::{FormatError, OpenError, grant::GrantError};
use epione_primitives::{HospitalId, RecordPointer, UserId};

use crate::{chain::ChainError, worker::WorkerError};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("hospital {0} is not on the chain: check its number")]
    UnknownHospital(HospitalId),
    #[error("there is no record {0}: check its number")]
    UnknownRecord(RecordPointer),
    #[error(
        "record {pointer} is not of patient {patient}: ask for each patient's records by themselves"
    )]
    OtherPatient { pointer: RecordPointer, patient: UserId },
    #[error("the access grant does not hold: {0}; ask again")]
    Grant(#[from] GrantError),
    /// The node and the chain's state do not say the same.
    #[error(
        "what the node says of record {pointer} does not agree with the chain ({what}): use another node"
    )]
    Inconsistent { pointer: RecordPointer, what: &'static str },
    #[error("record {pointer} cannot be read: {source}")]
    Format { pointer: RecordPointer, source: FormatError },
    #[error(
        "record {pointer} is not signed by its author, {author}: do not trust it, and tell the hospital"
    )]
    Author { pointer: RecordPointer, author: UserId },
    #[error("section {section} of record {pointer} does not open: {source}")]
    Open { pointer: RecordPointer, section: usize, source: OpenError },
    #[error("section {section} of record {pointer} is no text in UTF-8")]
    NotText { pointer: RecordPointer, section: usize },
    #[error("record {pointer} has no media section {section}")]
    NotMedia { pointer: RecordPointer, section: usize },
    #[error("section {section} of record {pointer} was not granted")]
    NotGranted { pointer: RecordPointer, section: usize },
    #[error("the worker gave no link to segment {}: ask again", hex::encode(.segment))]
    NoLink { segment: [u8; 32] },
    #[error("segment {} cannot be had: {source}", hex::encode(.segment))]
    Segment { segment: [u8; 32], source: WorkerError },
    #[error("{} exists already: choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the content cannot be handed on: {0}")]
    Sink(io::Error),
}

impl ReadError {
    /// Which condition of which policy failed, if access was refused.
    pub fn denial(&self) -> Option<&epione_primitives::access::Denial> {
        match self {
            Self::Worker(error) => error.denial(),
            _ => None,
        }
    }
}
