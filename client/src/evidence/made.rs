//! Collects evidence from a node.

use std::collections::{BTreeMap, BTreeSet};

use epione_envelope::record::{Authorship, Record};
use epione_primitives::{
    AccountId, BlockNumber, HospitalId, RecordPointer, UserId,
    approval::{Approval, Ballot},
    block::{Announcement, Entry, Header},
    hospital::Hospital,
    opening::{HandedOut, Opening, OpeningId},
    profile::Profile,
    query::{Acceptance, Query, QueryId, Transfer},
    release::Receipt,
};
use epione_proofs::StorageKey;

use super::{
    Bundle, Flaw, MAX_FILE_BYTES, MAX_SENT, MAX_SUBJECTS, Scope, SentCalls, Subject, Verified,
    calls::{Calls, Sought},
    check::around,
    query::accepted,
    verify,
};
use crate::chain::{
    Chain, ChainError, ChainProof, Doubt, Proving, Sent, Steps, Wanted, is_in_time, keys,
};

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
    #[error("there are neither records, queries, looks nor openings")]
    Nothing,
    #[error(
        "these are {subjects} records, queries, looks and openings or more, and one file has at most {max}",
        max = MAX_SUBJECTS
    )]
    TooMany { subjects: usize },
    #[error("the evidence has more signed calls than one file may have")]
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

/// What one file has at most.
pub(super) struct Limits {
    pub(super) sent: usize,
    pub(super) bytes: u64,
}

/// Collects the evidence about records, queries, looks and openings, as the chain is after the newest final block. The
/// result has passed [`verify`]. `progress` is told the number of the requested block on the way back to the earliest
/// block, and how many there are.
pub async fn make(
    chain: &Chain,
    scope: Scope,
    progress: &Steps<'_>,
) -> Result<Made, EvidenceError> {
    let limits = Limits { sent: MAX_SENT as usize, bytes: MAX_FILE_BYTES };
    make_within(chain, scope, progress, limits).await
}

pub(super) async fn make_within(
    chain: &Chain,
    scope: Scope,
    progress: &Steps<'_>,
    limits: Limits,
) -> Result<Made, EvidenceError> {
    let proving = Proving::begin(chain).await?;
    let mut plan = Plan::default();
    let subjects = scope.claimed(&proving, &mut plan.wanted).await?;
    for subject in subjects {
        match subject {
            Subject::Record(pointer) => plan.add_record(chain, &proving, pointer).await?,
            Subject::Query(id) => plan.add_query(&proving, id).await?,
            Subject::Look { patient, number } => plan.add_look(&proving, patient, number).await?,
            Subject::Opening(id) => plan.add_opening(&proving, id).await?,
        }
    }
    let Plan { wanted, sought } = plan;
    let proof = proving.finish(wanted, progress).await?;
    let mut whole = BTreeSet::new();
    loop {
        let bundle = Bundle {
            genesis: chain.genesis_hash(),
            scope: scope.clone(),
            proof: proof.clone(),
            sent: collect(chain, &proof, &sought, &whole, &limits).await?,
        };
        let file = bundle.to_file();
        let bytes = file.len() as u64;
        if bytes > limits.bytes {
            return Err(EvidenceError::TooLarge { bytes });
        }
        drop(bundle);
        let verified = verify(&file, chain.genesis_hash())?;
        // A wrong call accuses its signer only together with everything else that they signed in the block.
        let doubtful = doubtful(&verified);
        if doubtful.is_subset(&whole) {
            return Ok(Made { file, verified });
        }
        whole.extend(doubtful);
    }
}

/// The blocks in which a party signed a call of the sought kind, and not the right one.
fn doubtful(verified: &Verified) -> BTreeSet<BlockNumber> {
    let proofs = verified.transactions.iter().flat_map(|transaction| &transaction.proofs);
    let unproven = proofs.filter(|proof| !proof.is_proven() && proof.extrinsic.is_some());
    unproven.filter_map(|proof| proof.block).collect()
}

/// A call of a block, and the accounts of its signer before and after the block.
struct Signed {
    sought: Sought,
    accounts: Vec<AccountId>,
}

/// The sought calls, ascending by block and position. Of the blocks in `whole`, all calls of their signers.
async fn collect(
    chain: &Chain,
    proof: &ChainProof,
    sought: &BTreeMap<BlockNumber, Vec<Signed>>,
    whole: &BTreeSet<BlockNumber>,
    limits: &Limits,
) -> Result<SentCalls, EvidenceError> {
    let (mut sent, mut bytes) = (Vec::new(), 0_u64);
    // One block at a time, since each may have megabytes.
    for (block, sought) in sought {
        let is_wanted = |signer: &AccountId, call: &[u8]| {
            let mut own = sought.iter().filter(|it| it.accounts.contains(signer)).peekable();
            if own.peek().is_none() || whole.contains(block) {
                return own.peek().is_some();
            }
            let calls = Calls::read(call);
            own.any(|it| calls.have(&it.sought))
        };
        let max = limits.sent.saturating_sub(sent.len());
        let found = chain.sent(proof, *block, is_wanted, max).await?;
        let found = found.ok_or(EvidenceError::TooManyCalls)?;
        bytes = bytes.saturating_add(found.iter().map(Sent::bytes).sum());
        if bytes > limits.bytes {
            return Err(EvidenceError::TooLarge { bytes });
        }
        sent.extend(found);
    }
    sent.try_into().map_err(|_| EvidenceError::TooManyCalls)
}

/// What has to be proven.
#[derive(Default)]
struct Plan {
    wanted: Wanted,
    /// The signed calls, by their blocks.
    sought: BTreeMap<BlockNumber, Vec<Signed>>,
}

impl Plan {
    /// Adds a call of a block by a user. The states before and after the block show the user's account.
    async fn add_call_of_user(
        &mut self,
        proving: &Proving<'_>,
        (block, user): (BlockNumber, UserId),
        sought: Sought,
    ) -> Result<(), EvidenceError> {
        let (key, mut accounts) = (keys::profile(user), Vec::new());
        for number in around(block) {
            let profile: Option<Profile> = proving.claimed(number, &key).await?;
            accounts.extend(profile.map(|profile| profile.account));
        }
        self.add_call(block, &key, Signed { sought, accounts });
        Ok(())
    }

    /// Adds a call of a block by a hospital. The states before and after the block show the hospital's agent.
    async fn add_call_of_hospital(
        &mut self,
        proving: &Proving<'_>,
        (block, hospital): (BlockNumber, HospitalId),
        sought: Sought,
    ) -> Result<(), EvidenceError> {
        let (key, mut accounts) = (keys::hospital(hospital), Vec::new());
        for number in around(block) {
            let hospital: Option<Hospital> = proving.claimed(number, &key).await?;
            accounts.extend(hospital.map(|hospital| hospital.agent));
        }
        self.add_call(block, &key, Signed { sought, accounts });
        Ok(())
    }

    fn add_call(&mut self, block: BlockNumber, signer: &StorageKey, call: Signed) {
        for number in around(block) {
            self.wanted.add(number, [signer.clone(), keys::now()]);
            // How many transactions they have sent.
            self.wanted.add(number, call.accounts.iter().map(keys::account));
        }
        self.sought.entry(block).or_default().push(call);
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
            self.add_call_of_hospital(proving, (announced_at, announcer), sought).await?;
            // If the node does not have the body, the authorization is missing.
            let body = chain.body(body).await?;
            let record = body.and_then(|body| record_in(&body, &entry));
            let signed = record.as_ref().map(Record::authorship);
            if let Some(it) = signed.filter(|it| is_in_time(it.signed_at.number, announced_at)) {
                self.add_signers(it);
                let authorization = keys::authorization(entry.patient, announcer);
                self.wanted.add(it.signed_at.number, [authorization]);
            }
        }
        let ballot: Option<Ballot> = proving.value(keys::ballot(id)).await?;
        for Approval { hospital, block } in ballot.iter().flat_map(|ballot| &ballot.approvals) {
            let sought = Sought::Approve(id);
            self.add_call_of_hospital(proving, (*block, *hospital), sought).await?;
        }
        Ok(())
    }

    /// Adds those who must have signed a record.
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
            self.add_call_of_user(proving, (block, by), Sought::Accept(id)).await?;
            if by != query.patient {
                self.wanted.add(block, [keys::representative(query.patient, by)]);
            }
        }
        if let Some(Transfer { hospital, block, .. }) = transfer {
            self.add_call_of_hospital(proving, (block, hospital), Sought::Transfer(id)).await?;
        }
        let (block, requester) = (query.block, query.requester);
        self.add_call_of_user(proving, (block, requester), Sought::Ask(Box::new(query))).await
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
        self.add_call_of_hospital(proving, (block, hospital), sought).await
    }

    async fn add_opening(
        &mut self,
        proving: &Proving<'_>,
        id: OpeningId,
    ) -> Result<(), EvidenceError> {
        let opening: Option<Opening> = proving.value(keys::opening(id)).await?;
        let opening = opening.ok_or(EvidenceError::Unknown(Subject::Opening(id)))?;
        let admitted: Option<u16> = proving.value(keys::admitted()).await?;
        self.wanted.add(proving.head(), [keys::opening(id), keys::admitted()]);
        for hospital in (0..admitted.unwrap_or_default()).map(HospitalId) {
            let key = keys::handed_out_by(id, hospital);
            self.wanted.add(proving.head(), [key.clone()]);
            let handed_out: Option<HandedOut> = proving.value(key).await?;
            if let Some(HandedOut { block, .. }) = handed_out {
                let sought = Sought::HandOut(id);
                self.add_call_of_hospital(proving, (block, hospital), sought).await?;
            }
        }
        let (block, requester) = (opening.block, opening.requester);
        self.add_call_of_user(proving, (block, requester), Sought::Open(Box::new(opening))).await
    }
}

/// The record of an entry. None if the body has no such record: the verification says why.
fn record_in(body: &[u8], entry: &Entry) -> Option<Record> {
    let start = usize::try_from(entry.text.offset).ok()?;
    let end = usize::try_from(entry.text.end()?).ok()?;
    Record::decode_exactly(body.get(start..end)?).ok()
}
