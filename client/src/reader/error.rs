//! Why a record was not read.

use std::{io, ops::Range, path::PathBuf, time::Duration};

use epione_envelope::{FormatError, OpenError, frames::NoFrame, grant::GrantError};
use epione_primitives::{Hash, HospitalId, RecordPointer, UserId};

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
    #[error(
        "the worker granted section {section} of record {pointer}, for which nobody asked: nothing was opened; \
         tell the hospital"
    )]
    NotAskedFor { pointer: RecordPointer, section: u16 },
    /// The grant would be sealed to another key than the reader has.
    #[error(
        "the chain names another sealing key of user {user} than the one at hand, which would not open a grant: \
         nothing was asked for"
    )]
    StaleSealingKey { user: UserId },
    #[error(
        "the chain has no receipt of grant {grant:?}, {} s after it came: nothing was opened; look whether the \
         node keeps up with the chain, ask again, and tell the hospital if it goes on",
        .after.as_secs()
    )]
    NoReceipt { grant: Hash, after: Duration },
    /// The worker told the chain something else than the reader.
    #[error(
        "the chain's receipt of grant {grant:?} is of another {what}: nothing was opened; tell the hospital"
    )]
    Receipt { grant: Hash, what: &'static str },
    #[error(
        "patient {patient} was never registered at hospital {hospital}: there is no key to open with"
    )]
    NotRegistered { patient: UserId, hospital: HospitalId },
    #[error(
        "the node does not have the profile of patient {patient} at hospital {hospital}: it was not \
         synchronised in full; use another node"
    )]
    NoProfile { patient: UserId, hospital: HospitalId },
    #[error("the profile at hospital {hospital} cannot be read: {source}")]
    Profile { hospital: HospitalId, source: FormatError },
    #[error(
        "the patient key at hospital {hospital} is sealed to a sealing key that is not at hand: give the \
         keystore from before the keys were changed, or have the hospital seal it to the new key"
    )]
    OtherSealingKey { hospital: HospitalId },
    #[error("the patient key at hospital {hospital} does not open: {source}")]
    PatientKey { hospital: HospitalId, source: OpenError },
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
    #[error(
        "no section of record {pointer} was granted: the hospital's policies let you read none of them"
    )]
    NothingGranted { pointer: RecordPointer },
    #[error("section {section} of record {pointer} was not granted")]
    NotGranted { pointer: RecordPointer, section: usize },
    #[error(
        "bytes {}-{} are not all in section {section} of record {pointer}, which has {bytes} bytes",
        .range.start, .range.end.saturating_sub(1)
    )]
    BeyondEnd { pointer: RecordPointer, section: usize, range: Range<u64>, bytes: u64 },
    #[error("frame {frame} of section {section} of record {pointer} cannot be read: {reason}")]
    NoFrame { pointer: RecordPointer, section: usize, frame: u32, reason: NoFrame },
    #[error(
        "frame {frame} of section {section} of record {pointer} does not consist of fragments, as its \
         author's frame index says: fetch the whole file"
    )]
    NotFragments { pointer: RecordPointer, section: usize, frame: u32 },
    /// To break the glass again is for the reader to decide.
    #[error("the links to record {pointer} have ended: ask for emergency access again")]
    LinksEnded { pointer: RecordPointer },
    #[error("the worker gave no link to segment {}: ask again", hex::encode(.segment))]
    NoLink { segment: [u8; 32] },
    #[error("segment {} cannot be had: {source}", hex::encode(.segment))]
    Segment { segment: [u8; 32], source: WorkerError },
    #[error("{} exists already: choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("{} is being written by another process: wait until it has ended", .0.display())]
    Busy(PathBuf),
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

    /// Whether what was read before the error is worth keeping for another try. It is not if what was
    /// sealed is not what the author signed.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Open { .. } | Self::NotMedia { .. } | Self::NotGranted { .. })
    }
}
