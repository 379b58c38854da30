//! Whether a lite block is one that hospitals approve. Every hospital checks it before it votes about another's block.
//! The announcing hospital checks the same before it announces, because one visit with a fault makes the others reject
//! the whole block.

use epione_envelope::{
    body::{self, BodyError, CheckedBody},
    record::Record,
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId,
    approval::RejectReason,
    block::{AnnouncedEntry, AnnouncedHeader, Segment},
};

use super::{
    TaskError,
    signatures::{self, Signers},
};
use crate::{
    chain::PastStates,
    transfer::{FetchError, Fetcher},
};

/// What was checked, or why hospitals reject the block. The error means that it could not be checked now.
pub type Checked<T> = Result<Result<T, RejectReason>, TaskError>;

/// Checks the body of a block that is announced in the chain block `announced_at`, and that each of its records was
/// signed by those who had to, and not too long before. Returns the lite block's segments, in its order.
pub async fn content(
    genesis: Hash,
    past: &dyn PastStates,
    header: &AnnouncedHeader,
    entries: &[AnnouncedEntry],
    body: &[u8],
    announced_at: BlockNumber,
) -> Checked<Vec<Segment>> {
    let announcer = header.announcer;
    let CheckedBody { records, segments } = match body::check(header, entries, body) {
        Ok(checked) => checked,
        Err(error) => {
            tracing::warn!(announcer = announcer.0, %error, "the body of a lite block is not valid");
            return Ok(Err(reason(&error)));
        }
    };
    let mut signers = Signers::new(genesis, announcer, past);
    for record in &records {
        if !is_signed(&mut signers, record, announced_at).await? {
            return Ok(Err(RejectReason::InvalidAuthor));
        }
    }
    Ok(Ok(segments))
}

/// Whether a record was signed in time, and by those who had to.
async fn is_signed(
    signers: &mut Signers<'_>,
    record: &Record,
    announced_at: BlockNumber,
) -> Result<bool, TaskError> {
    let signed_at = record.signed_at().number;
    if !signatures::is_in_time(signed_at, announced_at) {
        tracing::warn!(
            record = %record.id(), signed_at, announced_at,
            "a record was not signed in the day before its lite block is announced"
        );
        return Ok(false);
    }
    match signers.check(record).await? {
        Ok(_) => Ok(true),
        Err(fault) => {
            tracing::warn!(record = %record.id(), signed_at, %fault, "the signatures of a record do not count");
            Ok(false)
        }
    }
}

/// The segments that this worker has not read back from its storage, each once.
pub async fn missing(
    fetcher: &Fetcher,
    segments: &[Segment],
    announcer: HospitalId,
) -> Checked<Vec<Segment>> {
    match fetcher.missing(segments, Some(announcer)).await {
        Ok(missing) => Ok(Ok(missing)),
        Err(error) => fault(error).map(Err),
    }
}

/// A block whose statement about a segment is disproved by the segment's bytes is rejected. Other errors are retried.
pub fn fault(error: FetchError) -> Result<RejectReason, TaskError> {
    match error {
        FetchError::Contradicted { .. } => {
            tracing::warn!(%error, "a lite block states a wrong length of a segment");
            Ok(RejectReason::SegmentsMismatch)
        }
        error => Err(error.into()),
    }
}

fn reason(error: &BodyError) -> RejectReason {
    match error {
        BodyError::Segments | BodyError::Media { .. } | BodyError::Lengths { .. } => {
            RejectReason::SegmentsMismatch
        }
        _ => RejectReason::MalformedBody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disproved_statement_is_a_reason_to_reject() {
        let disproved = fault(FetchError::Contradicted { claimed: 1, found: 2 });
        assert!(matches!(disproved, Ok(RejectReason::SegmentsMismatch)));
        assert!(fault(FetchError::Unavailable { missing: 1, wanted: 2 }).is_err());
    }

    #[test]
    fn each_mistake_of_a_body_has_a_reason() {
        assert_eq!(reason(&BodyError::Segments), RejectReason::SegmentsMismatch);
        assert_eq!(reason(&BodyError::Media { index: 1 }), RejectReason::SegmentsMismatch);
        let lengths = BodyError::Lengths { hash: [1; 32] };
        assert_eq!(reason(&lengths), RejectReason::SegmentsMismatch);
        assert_eq!(reason(&BodyError::Range { index: 1 }), RejectReason::MalformedBody);
        assert_eq!(reason(&BodyError::Hash { index: 1 }), RejectReason::MalformedBody);
        assert_eq!(reason(&BodyError::Repeated { index: 1 }), RejectReason::MalformedBody);
    }
}
