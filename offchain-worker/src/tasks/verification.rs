//! Whether a lite block is one that hospitals approve. Every hospital checks it before it votes about another's block.
//! The announcing hospital checks the same before it announces, because one visit with a fault makes the others reject
//! the whole block.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

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
    let CheckedBody { records, segments } = match check_body(header, entries, body) {
        Ok(checked) => checked,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut signers = Signers::new(genesis, header.announcer, past);
    let signed = check_records(&mut signers, &records, announced_at).await?;
    Ok(signed.map(|()| segments))
}

/// The same for a block that another hospital has announced, as `subject`. Its signatures are checked once.
pub async fn announced(
    genesis: Hash,
    past: &dyn PastStates,
    (header, entries, body): (&AnnouncedHeader, &[AnnouncedEntry], &[u8]),
    subject: Hash,
    announced_at: BlockNumber,
    signed: &SignedBlocks,
) -> Checked<Vec<Segment>> {
    // Before the node has the block of the announcement, it may not have those of the signatures either. That would
    // look as if these blocks did not exist.
    if past.last_finalized().await? < announced_at {
        return Err(TaskError::NodeAway);
    }
    let CheckedBody { records, segments } = match check_body(header, entries, body) {
        Ok(checked) => checked,
        Err(reason) => return Ok(Err(reason)),
    };
    if !signed.contains(subject, announced_at) {
        let mut signers = Signers::new(genesis, header.announcer, past);
        if let Err(reason) = check_records(&mut signers, &records, announced_at).await? {
            return Ok(Err(reason));
        }
        signed.insert(subject, announced_at);
    }
    Ok(Ok(segments))
}

/// Blocks whose signatures count, by the subject of the vote and the chain block of the announcement. A vote may need
/// many attempts, until all segments are here. The newest replace all others.
#[derive(Default)]
pub struct SignedBlocks(Mutex<HashSet<(Hash, BlockNumber)>>);

impl SignedBlocks {
    const MOST: usize = 1_024;

    fn lock(&self) -> MutexGuard<'_, HashSet<(Hash, BlockNumber)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contains(&self, subject: Hash, announced_at: BlockNumber) -> bool {
        self.lock().contains(&(subject, announced_at))
    }

    fn insert(&self, subject: Hash, announced_at: BlockNumber) {
        let mut known = self.lock();
        if known.len() >= Self::MOST {
            known.clear();
        }
        known.insert((subject, announced_at));
    }
}

fn check_body(
    header: &AnnouncedHeader,
    entries: &[AnnouncedEntry],
    body: &[u8],
) -> Result<CheckedBody, RejectReason> {
    body::check(header, entries, body).map_err(|error| {
        let announcer = header.announcer.0;
        tracing::warn!(announcer, %error, "the body of a lite block is not valid");
        reason(&error)
    })
}

async fn check_records(
    signers: &mut Signers<'_>,
    records: &[Record],
    announced_at: BlockNumber,
) -> Checked<()> {
    for record in records {
        if !is_signed(signers, record, announced_at).await? {
            return Ok(Err(RejectReason::InvalidAuthor));
        }
    }
    Ok(Ok(()))
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

/// The segments that are not verified in this worker's storage, each once.
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
    use epione_primitives::block::Segments;

    use super::*;
    use crate::api::tests::fake::{FakeChain, HOSPITAL, genesis};

    #[tokio::test]
    async fn a_node_that_does_not_have_the_announcement_s_block_yet_does_not_reject() {
        let (chain, signed) = (FakeChain::default(), SignedBlocks::default());
        let header = AnnouncedHeader { announcer: HOSPITAL, segments: Segments::default() };
        let check = || {
            let block = (&header, &[][..], &b"nonsense"[..]);
            announced(genesis(), &chain, block, Hash::zero(), 50, &signed)
        };
        for head in [0, 49] {
            chain.facts().head = head;
            assert!(matches!(check().await, Err(TaskError::NodeAway)));
        }
        chain.facts().head = 50;
        assert_eq!(check().await.unwrap(), Err(RejectReason::MalformedBody));
    }

    #[test]
    fn the_blocks_that_are_remembered_are_few_and_are_told_apart() {
        let (known, subject) = (SignedBlocks::default(), Hash::repeat_byte(1));
        known.insert(subject, 7);
        assert!(known.contains(subject, 7));
        assert!(!known.contains(subject, 8) && !known.contains(Hash::zero(), 7));
        for number in 0..2_000 {
            known.insert(subject, number);
        }
        assert!(known.lock().len() <= SignedBlocks::MOST);
    }

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
