//! Collects evidence from a node.

use std::collections::{BTreeMap, BTreeSet};

use epione_envelope::record::{Authorship, Record};
use epione_primitives::{
    BlockNumber, RecordPointer, UserId,
    approval::{Approval, Ballot},
    block::{Announcement, Entry, Header},
    query::{Acceptance, Query, QueryId, Transfer},
    release::Receipt,
};
use epione_proofs::StorageKey;

use super::{
    Bundle, Flaw, MAX_FILE_BYTES, MAX_SENT, MAX_SUBJECTS, Subject, Subjects, Verified,
    calls::Sought, check::around, query::accepted, verify,
};
use crate::chain::{Chain, ChainError, Doubt, Proving, Sent, Steps, Wanted, keys};

/// Why evidence was not made.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Chain(ChainError),
    /// No verifier would accept the proof. The node is not at fault.
    #[error(transparent)]
    LongProof(Box<Doubt>),
    #[error("the chain has no {0}")]
    Unknown(Subject),
    #[error("the node does not have the body with record {0}: it did not sync every block")]
    NoBody(RecordPointer),
    #[error("evidence is about at least one record, query or look")]
    Nothing,
    #[error(
        "these are {subjects} records, queries and looks, and one file has at most {max}",
        max = MAX_SUBJECTS
    )]
    TooMany { subjects: usize },
    #[error("the evidence has more than {max} signed calls", max = MAX_SENT)]
    TooManyCalls,
    #[error("the evidence has {bytes} bytes, and the limit is {max}", max = MAX_FILE_BYTES)]
    TooLarge { bytes: u64 },
    /// What was collected does not verify.
    #[error("the evidence would not verify: {0}")]
    Flaw(#[from] Flaw),
}

impl From<ChainError> for EvidenceError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unproven { doubt, .. } if matches!(*doubt, Doubt::LongProof { .. }) => {
                Self::LongProof(doubt)
            }
            other => Self::Chain(other),
        }
    }
}

/// Evidence that was collected.
#[derive(Clone, Debug)]
pub struct Made {
    pub file: Vec<u8>,
    /// What the file shows to everybody who verifies it.
    pub verified: Verified,
}

/// Collects the evidence about records, queries and looks, as the chain is after the newest final block. The result has passed
/// [`verify`]. `progress` is told the number of the requested block on the way back to the earliest block, and how many
/// there are.
pub async fn make(
    chain: &Chain,
    subjects: &BTreeSet<Subject>,
    progress: &Steps<'_>,
) -> Result<Made, EvidenceError> {
    if subjects.is_empty() {
        return Err(EvidenceError::Nothing);
    }
    let listed: Vec<Subject> = subjects.iter().copied().collect();
    let listed: Subjects =
        listed.try_into().map_err(|_| EvidenceError::TooMany { subjects: subjects.len() })?;
    let proving = Proving::begin(chain).await?;
    let mut plan = Plan::default();
    for subject in subjects {
        match subject {
            Subject::Record(pointer) => plan.add_record(chain, &proving, *pointer).await?,
            Subject::Query(id) => plan.add_query(&proving, *id).await?,
            Subject::Look { patient, number } => {
                plan.add_look(&proving, *patient, *number).await?;
            }
        }
    }
    let Plan { wanted, sought } = plan;
    let proof = proving.finish(wanted, progress).await?;
    let (mut sent, mut bytes) = (Vec::new(), 0_u64);
    // One block at a time, since each may have megabytes.
    for (block, sought) in sought {
        let is_wanted = |call: &[u8]| sought.iter().any(|it| it.is(call));
        let found = chain.sent(&proof, block, is_wanted).await?;
        bytes = bytes.saturating_add(found.iter().map(Sent::bytes).sum());
        if bytes > MAX_FILE_BYTES {
            return Err(EvidenceError::TooLarge { bytes });
        }
        sent.extend(found);
    }
    let genesis = chain.genesis_hash();
    let bundle = Bundle {
        genesis,
        subjects: listed,
        proof,
        sent: sent.try_into().map_err(|_| EvidenceError::TooManyCalls)?,
    };
    let file = bundle.to_file();
    let bytes = file.len() as u64;
    if bytes > MAX_FILE_BYTES {
        return Err(EvidenceError::TooLarge { bytes });
    }
    let verified = verify(&file, genesis)?;
    Ok(Made { file, verified })
}

/// What has to be proven.
#[derive(Default)]
struct Plan {
    wanted: Wanted,
    /// The signed calls, by their blocks.
    sought: BTreeMap<BlockNumber, Vec<Sought>>,
}

impl Plan {
    /// Adds a call of a block, and the value that names its signer's account before and after the block.
    fn add_call(&mut self, block: BlockNumber, signer: &StorageKey, sought: Sought) {
        for number in around(block) {
            self.wanted.add(number, [signer.clone(), keys::now()]);
        }
        let of_block = self.sought.entry(block).or_default();
        if !of_block.contains(&sought) {
            of_block.push(sought);
        }
    }

    async fn add_record(
        &mut self,
        chain: &Chain,
        proving: &Proving<'_>,
        pointer: RecordPointer,
    ) -> Result<(), EvidenceError> {
        let (height, head) = (pointer.height, proving.head());
        let unknown = || EvidenceError::Unknown(Subject::Record(pointer));
        let header: Option<Header> = proving.value(keys::header(height)).await?;
        let header = header.ok_or_else(unknown)?;
        let entries: Option<Vec<Entry>> = proving.value(keys::entries(height)).await?;
        let entry = entries.unwrap_or_default().into_iter().nth(usize::from(pointer.index));
        let entry = entry.ok_or_else(unknown)?;
        let id = header.announcement;
        let committed = [keys::header(height), keys::entries(height), keys::hashes(height)];
        self.wanted.add(head, committed);
        self.wanted.add(head, [keys::announcement(id), keys::ballot(id)]);

        let announcement: Option<Announcement> = proving.value(keys::announcement(id)).await?;
        if let Some(Announcement { announced_at, .. }) = announcement {
            let (announcer, body) = (header.announcer, header.body_hash);
            let sought = Sought::Announce { announcer, body };
            self.add_call(announced_at, &keys::hospital(announcer), sought);
        }
        let ballot: Option<Ballot> = proving.value(keys::ballot(id)).await?;
        for Approval { hospital, block } in ballot.iter().flat_map(|ballot| &ballot.approvals) {
            self.add_call(*block, &keys::hospital(*hospital), Sought::Approve(id));
        }
        let body = chain.body(header.body_hash).await?.ok_or(EvidenceError::NoBody(pointer))?;
        if let Some(record) = record_in(&body, &entry) {
            self.add_signers(record.authorship());
        }
        Ok(())
    }

    /// Adds those who must have signed a record. If the record names a later block, there is nothing to show.
    fn add_signers(&mut self, authorship: &Authorship) {
        let Authorship { hospital, author, nurse, patient, signed_at, .. } = *authorship;
        for user in [Some(author), nurse, Some(patient)].into_iter().flatten() {
            let values = [keys::registration(hospital, user), keys::profile(user), keys::now()];
            self.wanted.add(signed_at.number, values);
        }
        self.wanted.add(signed_at.number, [keys::authorization(patient, hospital)]);
    }

    async fn add_query(&mut self, proving: &Proving<'_>, id: QueryId) -> Result<(), EvidenceError> {
        let query: Option<Query> = proving.value(keys::query(id)).await?;
        let query = query.ok_or(EvidenceError::Unknown(Subject::Query(id)))?;
        let transfer: Option<Transfer> = proving.value(keys::transfer(id)).await?;
        self.wanted.add(proving.head(), [keys::query(id), keys::transfer(id)]);
        if let Some(acceptance) = accepted(&query) {
            let Acceptance { by, block, .. } = *acceptance;
            self.add_call(block, &keys::profile(by), Sought::Accept(id));
            if by != query.patient {
                self.wanted.add(block, [keys::representative(query.patient, by)]);
            }
        }
        if let Some(Transfer { hospital, block, .. }) = transfer {
            self.add_call(block, &keys::hospital(hospital), Sought::Transfer(id));
        }
        let (block, requester) = (query.block, keys::profile(query.requester));
        self.add_call(block, &requester, Sought::Ask(Box::new(query)));
        Ok(())
    }

    async fn add_look(
        &mut self,
        proving: &Proving<'_>,
        patient: UserId,
        number: u32,
    ) -> Result<(), EvidenceError> {
        let key = keys::receipt(patient, number);
        let receipt: Option<Receipt> = proving.value(key.clone()).await?;
        let subject = Subject::Look { patient, number };
        let receipt = receipt.ok_or(EvidenceError::Unknown(subject))?;
        self.wanted.add(proving.head(), [key]);
        let Receipt { release, hospital, block, .. } = receipt;
        let requester = release.request.requester;
        for number in around(block) {
            self.wanted.add(number, [keys::profile(requester)]);
        }
        let sought = Sought::Release(Box::new(release));
        self.add_call(block, &keys::hospital(hospital), sought);
        Ok(())
    }
}

/// The record of an entry. None if the body has no such record: the verification says why.
fn record_in(body: &[u8], entry: &Entry) -> Option<Record> {
    let start = usize::try_from(entry.text.offset).ok()?;
    let end = usize::try_from(entry.text.end()?).ok()?;
    Record::decode_exactly(body.get(start..end)?).ok()
}
