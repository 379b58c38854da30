//! Verifies a committed lite block: recomputes its hashes and its links to the blocks and records before it, and checks
//! that its body and segments are those that were announced and approved by the hospitals' agents, and that its records
//! are signed as a reader requires it.
//!
//! [`gather`] reads the chain, and [`check`] decides without input or output. A user who does not trust a node can
//! gather from several.

mod statements;

pub use statements::{Statement, Statements};

use std::{collections::BTreeMap, fmt::Display};

use bytes::Bytes;
use epione_envelope::{
    body::{self, BodyError, CheckedBody},
    record::Record,
    segment,
};
use epione_primitives::{
    BlockNumber, Hash, HospitalId, RecordPointer,
    approval::{Ballot, BallotOutcome, approvals_needed},
    block::{
        AnnouncedEntry, AnnouncedHeader, Announcement, BlockHashes, Entry, Header, Segment, Stage,
        cloud_hash,
    },
};
use serde::Serialize;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::chain::{Chain, ChainError, Cosignature, PastUsers, Signers, judge};

/// Why a block could not be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("there is no committed block of height {height}: the newest has height {newest}")]
    UnknownHeight { height: u32, newest: u32 },
    #[error(
        "the node does not have the block's body: it did not sync every block; use another node"
    )]
    NoBody,
    #[error("the block's body differs from the announced body: {0}")]
    Body(#[from] BodyError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Everything that the chain has of a committed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub height: u32,
    pub header: Header,
    pub hashes: BlockHashes,
    pub entries: Vec<Entry>,
    /// Hashes of the previous block; none for the first.
    pub previous: Option<BlockHashes>,
    /// The entries of earlier blocks to which this block's entries point.
    pub earlier: BTreeMap<RecordPointer, Entry>,
    pub body: Option<Vec<u8>>,
    pub announcement: Option<Announcement>,
    pub ballot: Option<Ballot>,
    /// Those who must have signed each record of the body, in order; empty if the body is not the announced one. None
    /// for a record that names no final block of the chain.
    pub signers: Vec<Option<Signers>>,
    /// What the hospitals' agents signed about the block.
    pub statements: Statements,
}

impl Evidence {
    /// The block as its hospital announced it.
    fn announced(&self) -> (AnnouncedHeader, Vec<AnnouncedEntry>) {
        let Header { announcer, segments, .. } = self.header;
        let entries = self.entries.iter().cloned().map(AnnouncedEntry::from).collect();
        (AnnouncedHeader { announcer, segments }, entries)
    }
}

/// The checks and their results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub height: u32,
    pub checks: Vec<Check>,
}

/// One check of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: String,
    pub passed: bool,
    /// What the evidence requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the chain has instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl Verification {
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// The check with this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, expected: &T, found: &T) {
        self.record(name, expected == found, format!("{expected:?}"), format!("{found:?}"));
    }

    fn holds(&mut self, name: &str, claim: &str, outcome: Result<(), String>) {
        let passed = outcome.is_ok();
        self.record(name, passed, claim.into(), outcome.err().unwrap_or_default());
    }

    fn record(&mut self, name: &str, passed: bool, expected: String, found: String) {
        let (expected, found) = if passed { (None, None) } else { (Some(expected), Some(found)) };
        self.checks.push(Check { name: name.into(), passed, expected, found });
    }
}

/// Reads a committed block, and what it refers to, from finalized state.
pub async fn gather(chain: &Chain, height: u32) -> Result<Evidence, VerifyError> {
    let state = chain.finalized().await?;
    let Some((header, hashes)) = state.header(height).await? else {
        return Err(VerifyError::UnknownHeight { height, newest: state.height().await? });
    };
    let entries = state.entries(height).await?;
    let previous = match height.checked_sub(1) {
        Some(before) if before > 0 => state.header(before).await?.map(|(_, hashes)| hashes),
        _ => None,
    };
    let mut earlier = BTreeMap::new();
    for pointer in entries.iter().filter_map(|entry| entry.previous) {
        if pointer.height < height
            && !earlier.contains_key(&pointer)
            && let Some((entry, _)) = state.record(pointer).await?
        {
            earlier.insert(pointer, entry);
        }
    }
    let body = chain.body(header.body_hash).await?;
    let announcement = state.announcement(header.announcement).await?.map(|(it, _)| it);
    let ballot = state.ballot(header.announcement).await?;
    let mut evidence = Evidence {
        genesis: chain.genesis_hash(),
        height,
        header,
        hashes,
        entries,
        previous,
        earlier,
        body,
        announcement,
        ballot,
        signers: Vec::new(),
        statements: Statements::default(),
    };
    evidence.signers = signers(chain, &evidence).await?;
    evidence.statements = statements::gather(chain, &evidence).await?;
    Ok(evidence)
}

/// Reads who must have signed each record of the body.
async fn signers(chain: &Chain, evidence: &Evidence) -> Result<Vec<Option<Signers>>, ChainError> {
    let body = evidence.body.as_ref().and_then(|body| checked(evidence, body).ok());
    let Some(CheckedBody { records, .. }) = body else { return Ok(Vec::new()) };
    let mut past = PastUsers::of(chain);
    let mut signers = Vec::new();
    for record in &records {
        signers.push(past.signers(record.authorship()).await?);
    }
    Ok(signers)
}

/// Checks the evidence.
pub fn check(evidence: &Evidence) -> Verification {
    let Evidence { height, header, hashes, entries, .. } = evidence;
    let mut report = Verification { height: *height, checks: Vec::new() };
    report.same("height", height, &header.height);
    report.same("record count", &entries.len(), &usize::from(header.records));
    let lite = header.lite_hash(entries);
    report.same("lite hash", &lite, &hashes.lite);
    report.same("cloud hash", &cloud_hash(lite, header.segments.root), &hashes.cloud);
    check_chain_links(evidence, &mut report);
    report.holds("previous records", "links in order", check_record_links(evidence));
    check_body(evidence, &mut report);
    check_announcement(evidence, &mut report);
    report.holds("approvals", "enough hospitals approved", check_ballot(evidence));
    statements::check(evidence, &mut report);
    report
}

fn check_chain_links(evidence: &Evidence, report: &mut Verification) {
    let Evidence { height, header, previous, .. } = evidence;
    let first = *height <= 1;
    match previous {
        None if !first => {
            let missing = Err("the previous block is not on the chain".into());
            report.holds("previous block", "the previous block", missing);
        }
        previous => {
            let previous = previous.unwrap_or_default();
            report.same("previous lite hash", &previous.lite, &header.previous_lite);
            report.same("previous cloud hash", &previous.cloud, &header.previous_cloud);
        }
    }
}

/// Every entry must point at the previous record of the same patient: in this block if there is one, otherwise in an
/// earlier block.
fn check_record_links(evidence: &Evidence) -> Result<(), String> {
    let mut latest = BTreeMap::new();
    for (index, entry) in (0..).zip(&evidence.entries) {
        let here = RecordPointer { height: evidence.height, index };
        let within = latest.insert(entry.patient, here);
        match (within, entry.previous) {
            (Some(expected), found) if found != Some(expected) => {
                let found = found.map_or("no record".into(), |pointer| pointer.to_string());
                return Err(format!("record {here} links to {found}, not to {expected}"));
            }
            (None, Some(pointer)) => check_earlier(evidence, entry, here, pointer)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_earlier(
    evidence: &Evidence,
    entry: &Entry,
    here: RecordPointer,
    pointer: RecordPointer,
) -> Result<(), String> {
    if pointer.height >= evidence.height {
        return Err(format!("record {here} links to {pointer}, which is not earlier"));
    }
    match evidence.earlier.get(&pointer) {
        None => Err(format!("record {here} links to {pointer}, which does not exist")),
        Some(earlier) if earlier.patient != entry.patient => {
            Err(format!("record {here} links to {pointer}, which is another patient's record"))
        }
        Some(_) => Ok(()),
    }
}

fn check_body(evidence: &Evidence, report: &mut Verification) {
    let header = &evidence.header;
    let Some(body) = &evidence.body else {
        let missing = Err("the node does not have the body".into());
        return report.holds("body hash", "a body of this hash", missing);
    };
    report.same("body hash", &BlakeTwo256::hash(body), &header.body_hash);
    report.same("body length", &(body.len() as u64), &u64::from(header.body_bytes));
    match checked(evidence, body) {
        Ok(found) => {
            report.same("segments", &body::summary(&found.segments), &header.segments);
            report.holds("records", "one record for each entry", Ok(()));
            check_signatures(evidence, &found.records, report);
        }
        Err(BodyError::Segments) => {
            let wrong = Err(BodyError::Segments.to_string());
            report.holds("segments", "the segments of the records", wrong);
        }
        Err(error) => report.holds("records", "one record for each entry", Err(error.to_string())),
    }
}

fn checked(evidence: &Evidence, body: &[u8]) -> Result<CheckedBody, BodyError> {
    let (header, entries) = evidence.announced();
    body::check(&header, &entries, body)
}

/// Checks each record as a reader does, and the patient's signature if there is one.
fn check_signatures(evidence: &Evidence, records: &[Record], report: &mut Verification) {
    const CLAIM: &str = "valid signatures, by the accounts and rights of the signed block";
    let announced_at = evidence.announcement.as_ref().map(|it| it.announced_at);
    let mut signers = evidence.signers.iter();
    for (index, record) in (0..).zip(records) {
        let signers = signers.next().and_then(Option::as_ref);
        let signed = match announced_at {
            Some(block) => signed(record, evidence.genesis, block, signers),
            None => Err("the announcement is not on the chain".into()),
        };
        let here = RecordPointer { height: evidence.height, index };
        report.holds(&format!("signatures of record {here}"), CLAIM, signed);
    }
}

fn signed(
    record: &Record,
    genesis: Hash,
    announced_at: BlockNumber,
    signers: Option<&Signers>,
) -> Result<(), String> {
    match judge(record, genesis, announced_at, signers) {
        Ok(Cosignature::Absent | Cosignature::Valid) => Ok(()),
        Ok(Cosignature::Invalid) => {
            Err(format!("its patient, {}, did not make the patient's signature", record.patient()))
        }
        Err(fault) => Err(fault.to_string()),
    }
}

fn check_announcement(evidence: &Evidence, report: &mut Verification) {
    let header = &evidence.header;
    let Some(announcement) = &evidence.announcement else {
        let missing = Err("the announcement is not on the chain".into());
        return report.holds("announcement", "an announcement", missing);
    };
    let height = evidence.height;
    report.same("announcement's stage", &Stage::Committed { height }, &announcement.stage);
    let announced = (
        announcement.announcer,
        announcement.body_hash,
        announcement.body_bytes,
        announcement.segments,
    );
    let committed = (header.announcer, header.body_hash, header.body_bytes, header.segments);
    report.same("announcement", &announced, &committed);
}

fn check_ballot(evidence: &Evidence) -> Result<(), String> {
    let ballot = evidence.ballot.as_ref().ok_or("the ballot is not on the chain")?;
    approved(ballot, evidence.header.announcer)
}

/// Checks that a ballot was opened by this hospital, and that enough of those entitled approved.
pub(crate) fn approved(ballot: &Ballot, announcer: HospitalId) -> Result<(), String> {
    if ballot.outcome != Some(BallotOutcome::Approved) {
        return Err(format!("the ballot ended with {:?}", ballot.outcome));
    }
    if ballot.opener != announcer {
        return Err(format!("the ballot was opened by hospital {}", ballot.opener));
    }
    let mut voters: Vec<_> = ballot.approvals.iter().map(|approval| approval.hospital).collect();
    voters.sort();
    voters.dedup();
    let entitled = |voter| ballot.electorate.contains(voter) && *voter != ballot.opener;
    if voters.len() != ballot.approvals.len() || !voters.iter().all(entitled) {
        return Err("a hospital approved twice, or was not allowed to approve".into());
    }
    let electorate = u32::try_from(ballot.electorate.len()).unwrap_or(u32::MAX);
    let (needed, cast) = (approvals_needed(electorate), voters.len());
    if (cast as u64) < u64::from(needed) {
        return Err(format!("{cast} approvals; {needed} are needed"));
    }
    Ok(())
}

/// The ordered list of the block's segments, from its body.
pub fn segments(evidence: &Evidence) -> Result<Vec<Segment>, VerifyError> {
    let body = evidence.body.as_ref().ok_or(VerifyError::NoBody)?;
    Ok(checked(evidence, body)?.segments)
}

/// Fetches every segment, one after the other, and adds a check of its bytes.
pub async fn check_segments<F, Reply, Failure>(
    report: &mut Verification,
    segments: &[Segment],
    mut fetch: F,
) where
    F: FnMut(Segment) -> Reply,
    Reply: Future<Output = Result<Bytes, Failure>>,
    Failure: Display,
{
    for wanted in segments {
        let name = format!("segment {}", hex::encode(wanted.hash));
        let claim = format!("{} bytes with this BLAKE3", wanted.length);
        let outcome = match fetch(*wanted).await {
            Ok(bytes) => segment::verify(wanted, &bytes).map_err(|_| found(&bytes)),
            Err(error) => Err(error.to_string()),
        };
        report.holds(&name, &claim, outcome);
    }
}

fn found(bytes: &Bytes) -> String {
    format!("{} bytes with BLAKE3 {}", bytes.len(), blake3::hash(bytes))
}

#[cfg(test)]
mod tests;
