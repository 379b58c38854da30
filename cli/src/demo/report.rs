//! `report.json`: the results of the demo, for programs, which rely on its field names.

use std::time::Duration;

use epione_primitives::{
    Hash, HospitalId, QueryId, RecordPointer,
    consortium::{EpochId, KeyId},
    release::SectionSet,
    sharing::SlotId,
};
use serde::Serialize;

/// The whole report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DemoReport {
    pub hospitals: Vec<Hospital>,
    pub committed_blocks: Vec<CommittedBlock>,
    pub retrieved_files: Vec<RetrievedFile>,
    pub refused_requests: Vec<RefusedRequest>,
    /// The chain's receipts of access to the patient's records: emergencies first, then newest first.
    pub receipts: Vec<Receipt>,
    /// The chain's record of refused requests, newest first.
    pub refusals: Vec<Refusal>,
    pub emergencies: Vec<Emergency>,
    /// What the patient shared for a while, and with whom.
    pub shared: Option<Shared>,
    pub evidence: Option<Evidence>,
    pub consortium_key: Option<ConsortiumKey>,
    pub hospital_left: Option<HospitalLeft>,
    pub timings_ms: Timings,
    pub revocation_ms: Revocation,
}

#[derive(Clone, Debug, Serialize)]
pub struct Hospital {
    pub id: HospitalId,
    pub name: String,
    pub node_url: String,
    pub worker_url: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct CommittedBlock {
    pub height: u32,
    pub lite_hash: Hash,
    pub cloud_hash: Hash,
    /// The hospitals that approved before the ballot closed, without the announcer.
    pub approvals: Vec<HospitalId>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RetrievedFile {
    /// The reader and the file: `doctor: CT_small.dcm`.
    pub name: String,
    /// SHA-256 of the submitted bytes, and of those that were read back.
    pub sha256_in: String,
    pub sha256_out: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct RefusedRequest {
    pub who: String,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// Its number among the patient's receipts.
    pub number: u32,
    pub who: String,
    /// The hospital whose records were read.
    pub hospital: HospitalId,
    pub purpose: String,
    pub policies: Vec<String>,
    /// Version of the hospital's policies; 0 is the default set.
    pub version: u32,
    /// The chain block that records it.
    pub block: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// Its number among the patient's refusals.
    pub number: u32,
    pub who: String,
    pub hospital: HospitalId,
    /// The chain block that records it.
    pub block: u32,
    /// The conditions that were not met, decided again for the time of that block.
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Shared {
    pub record: RecordPointer,
    pub sections: SectionSet,
    /// The slot whose consents shared them.
    pub slot: SlotId,
    /// Whom the consents are for, one after the other, as the patient signed it.
    pub consents: Vec<String>,
}

/// What an auditor verified without a network.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    pub query: QueryId,
    /// Size of the file.
    pub bytes: u64,
    /// The chain block as of which it is proven.
    pub proven_at: u32,
}

/// The key that the hospitals' workers made, in one of its epochs.
#[derive(Clone, Debug, Serialize)]
pub struct ConsortiumKey {
    pub key: KeyId,
    pub epoch: EpochId,
    /// So many members open what is sealed to the key.
    pub threshold: u8,
    /// In hexadecimal.
    pub public_key: String,
    /// The hospitals that have a share.
    pub members: Vec<HospitalId>,
}

/// A hospital that the council removed, and what its leaving did to the key.
#[derive(Clone, Debug, Serialize)]
pub struct HospitalLeft {
    pub hospital: HospitalId,
    /// The key after the other hospitals renewed their shares. Its public half is the same as before.
    pub key: ConsortiumKey,
    /// The epoch in which the section was wrapped that the others opened later.
    pub wrapped_in: EpochId,
}

#[derive(Clone, Debug, Serialize)]
pub struct Emergency {
    pub review: u32,
    /// Number of its receipt among the patient's receipts.
    pub receipt: u32,
    pub who: String,
    pub reason: String,
    pub judged_by: Vec<HospitalId>,
    pub justified: bool,
}

/// Times from the patient's command that ended the doctor's relationship, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Revocation {
    /// Until the command returned, because the end was final.
    pub unrelated_final: u64,
    /// Until the worker refused a link of an earlier grant.
    pub link_refused: u64,
    /// Until the doctor's next request for access was refused, and the refusal recorded on the chain.
    pub request_refused: u64,
}

/// Times of the first visit, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timings {
    /// From the doctor's command until the announcement was in the best block.
    pub submit_to_announced: u64,
    /// From then until the commit was in the best block.
    pub announced_to_committed: u64,
    /// From then until that block was final.
    pub committed_to_finalized: u64,
    /// From the request until the access grant arrived.
    pub grant: u64,
    /// From the request until all files were verified and written, including the grant.
    pub retrieval: u64,
}

impl DemoReport {
    pub fn refuse(&mut self, who: &str, reason: String) {
        self.refused_requests.push(RefusedRequest { who: who.into(), reason });
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON; qed");
        json.push(b'\n');
        json
    }
}

/// A duration in whole milliseconds.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
