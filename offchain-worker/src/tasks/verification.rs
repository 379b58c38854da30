//! Whether a lite block is one that hospitals approve. Every hospital checks it before it votes about another's block.
//! The announcing hospital checks the same before it announces, because one visit with a fault makes the others reject
//! the whole block.

use epione_client::chain::Chain;
use epione_envelope::body::{self, BodyError, CheckedBody};
use epione_primitives::{
    BlockNumber, HospitalId,
    approval::RejectReason,
    block::{AnnouncedEntry, AnnouncedHeader, Segment},
};

use super::{TaskError, signatures::Signers};
use crate::transfer::{FetchError, Fetcher};

/// What was checked, or why hospitals reject the block. The error means that it could not be checked now.
pub type Checked<T> = Result<Result<T, RejectReason>, TaskError>;

/// Checks the body, and that each record was signed by those who had to, and was permitted at this finalized chain
/// block. Returns the lite block's segments, in its order.
pub async fn content(
    chain: &Chain,
    header: &AnnouncedHeader,
    entries: &[AnnouncedEntry],
    body: &[u8],
    block: BlockNumber,
) -> Checked<Vec<Segment>> {
    let announcer = header.announcer;
    let CheckedBody { records, segments } = match body::check(header, entries, body) {
        Ok(checked) => checked,
        Err(error) => {
            tracing::warn!(announcer = announcer.0, %error, "the body of a lite block is not valid");
            return Ok(Err(reason(&error)));
        }
    };
    let signers = Signers::of(chain, announcer, block, &records).await?;
    if records.iter().all(|record| signers.signed(record)) {
        Ok(Ok(segments))
    } else {
        Ok(Err(RejectReason::InvalidAuthor))
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
        assert_eq!(reason(&BodyError::Repeated { index: 1 }), RejectReason::MalformedBody);
    }
}
