//! Why a record was not read.

use std::{io, ops::Range, path::PathBuf, time::Duration};

use epione_envelope::{FormatError, OpenError, frames::NoFrame, grant::GrantError};
use epione_primitives::{Hash, HospitalId, RecordPointer, UserId};

use super::{OpeningFault, QueryFault};
use crate::{
    chain::{ChainError, SigningFault},
    worker::WorkerError,
};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("the chain has no hospital {0}: check its number")]
    UnknownHospital(HospitalId),
    #[error("there is no record {0}: check its number")]
    UnknownRecord(RecordPointer),
    #[error(
        "record {pointer} is not a record of patient {patient}: read each patient's records with a \
         separate command"
    )]
    OtherPatient { pointer: RecordPointer, patient: UserId },
    #[error("access cannot be requested: {0}")]
    NotRequestable(&'static str),
    /// Only a registered user can sign a request.
    #[error(
        "the chain has no user with this account, so it cannot request access: give the key file of a user"
    )]
    UnknownReader,
    #[error("the access grant is not valid: {0}; request access again")]
    Grant(#[from] GrantError),
    #[error(
        "the worker granted section {section} of record {pointer}, which was not requested: nothing was opened; \
         tell the hospital"
    )]
    NotAskedFor { pointer: RecordPointer, section: u16 },
    /// The hospital would seal the grant to another key than the reader's.
    #[error(
        "the chain names another sealing key for user {user} than this key file contains, so the \
         key file cannot open a grant: access was not requested"
    )]
    StaleSealingKey { user: UserId },
    #[error(
        "the chain has no receipt of grant {grant:?}, {} s after the worker sent it: nothing was opened; check that \
         the node keeps up with the chain, try again, and tell the hospital if this happens again",
        .after.as_secs()
    )]
    NoReceipt { grant: Hash, after: Duration },
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error(transparent)]
    Opening(#[from] OpeningFault),
    /// The worker wrote something else to the chain than it sent to the reader.
    #[error(
        "the chain's receipt of grant {grant:?} names another {what}: nothing was opened; tell the hospital"
    )]
    Receipt { grant: Hash, what: &'static str },
    #[error(
        "patient {patient} was never registered at hospital {hospital}: there is no key to open its records"
    )]
    NotRegistered { patient: UserId, hospital: HospitalId },
    #[error(
        "the node does not have the profile of patient {patient} at hospital {hospital}: it did not sync \
         every block; use another node"
    )]
    NoProfile { patient: UserId, hospital: HospitalId },
    #[error("the profile at hospital {hospital} cannot be read: {source}")]
    Profile { hospital: HospitalId, source: FormatError },
    #[error(
        "the patient keys at hospital {hospital} are sealed to another sealing key than the given \
         ones: give the key file from before the keys were changed, or ask the hospital to seal \
         the patient keys to the new key"
    )]
    OtherSealingKey { hospital: HospitalId },
    #[error("the patient keys at hospital {hospital} cannot be decrypted: {source}")]
    PatientKeys { hospital: HospitalId, source: OpenError },
    /// Accounts, roles and registrations are judged by the state after the block that the author signed.
    #[error(
        "the signatures of record {pointer} do not count: {fault}; do not trust the record, and tell the hospital"
    )]
    Signers { pointer: RecordPointer, fault: SigningFault },
    /// The node's answer contradicts the chain's state.
    #[error(
        "the node's answer about record {pointer} contradicts the chain ({what}): use another node"
    )]
    Inconsistent { pointer: RecordPointer, what: &'static str },
    #[error("record {pointer} cannot be read: {source}")]
    Format { pointer: RecordPointer, source: FormatError },
    #[error("section {section} of record {pointer} cannot be decrypted: {source}")]
    Open { pointer: RecordPointer, section: usize, source: OpenError },
    #[error("section {section} of record {pointer} is not UTF-8 text")]
    NotText { pointer: RecordPointer, section: usize },
    #[error("record {pointer} has no media section {section}")]
    NotMedia { pointer: RecordPointer, section: usize },
    #[error(
        "no section of record {pointer} was granted: the hospital's policies do not allow you to \
         read any of them"
    )]
    NothingGranted { pointer: RecordPointer },
    #[error("section {section} of record {pointer} was not granted")]
    NotGranted { pointer: RecordPointer, section: usize },
    #[error(
        "bytes {}-{} are not all in section {section} of record {pointer}, whose length in bytes \
         is {bytes}",
        .range.start, .range.end.saturating_sub(1)
    )]
    BeyondEnd { pointer: RecordPointer, section: usize, range: Range<u64>, bytes: u64 },
    #[error("frame {frame} of section {section} of record {pointer} cannot be read: {reason}")]
    NoFrame { pointer: RecordPointer, section: usize, frame: u32, reason: NoFrame },
    #[error(
        "frame {frame} of section {section} of record {pointer} is not stored in fragments as its \
         author's frame index says: fetch the whole file"
    )]
    NotFragments { pointer: RecordPointer, section: usize, frame: u32 },
    /// Only the reader decides whether to break the glass again.
    #[error("the links to record {pointer} have expired: request emergency access again")]
    LinksEnded { pointer: RecordPointer },
    #[error("the worker sent no link to segment {}: request access again", hex::encode(.segment))]
    NoLink { segment: [u8; 32] },
    #[error("segment {} cannot be fetched: {source}", hex::encode(.segment))]
    Segment { segment: [u8; 32], source: WorkerError },
    #[error("{} already exists: choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("another process is writing {}: wait until it has finished", .0.display())]
    Busy(PathBuf),
    #[error("{} cannot be written: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the content cannot be written to its destination: {0}")]
    Sink(io::Error),
}

impl ReadError {
    /// Which condition of which policy is not met, if access was refused.
    pub fn denial(&self) -> Option<&epione_primitives::access::Denial> {
        match self {
            Self::Worker(error) => error.denial(),
            _ => None,
        }
    }

    /// Whether to keep what was read before the error, for another attempt. Not if the sealed content is not what the
    /// author signed.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Open { .. } | Self::NotMedia { .. } | Self::NotGranted { .. })
    }
}
