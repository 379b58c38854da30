//! `report.json`: what the demo did, for programs. Its fields are part of the project's promises.

use std::time::Duration;

use epione_primitives::{Hash, HospitalId};
use serde::Serialize;

/// The whole report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub hospitals: Vec<Hospital>,
    pub committed_blocks: Vec<CommittedBlock>,
    pub retrieved_files: Vec<RetrievedFile>,
    pub refused_requests: Vec<RefusedRequest>,
    /// What the chain keeps of the looks at the patient's records: emergencies first, then newest
    /// first.
    pub receipts: Vec<Receipt>,
    /// What the chain keeps of refused looks, newest first.
    pub refusals: Vec<Refusal>,
    pub emergencies: Vec<Emergency>,
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
    /// The hospitals that approved before the ballot closed; the announcer is not among them.
    pub approvals: Vec<HospitalId>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RetrievedFile {
    /// Who read it, and what: `doctor: CT_small.dcm`.
    pub name: String,
    /// Of the bytes that were submitted, and of those that came back.
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
    /// Among the patient's.
    pub number: u32,
    pub who: String,
    /// Whose records were read.
    pub hospital: HospitalId,
    pub purpose: String,
    pub policies: Vec<String>,
    /// Of the hospital's policies; 0 is the default set.
    pub version: u32,
    /// Of the chain.
    pub block: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// Among the patient's.
    pub number: u32,
    pub who: String,
    pub hospital: HospitalId,
    /// Of the chain.
    pub block: u32,
    /// Decided again afterwards, for the time of that block.
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Emergency {
    pub review: u32,
    /// Number of the receipt among the patient's.
    pub receipt: u32,
    pub who: String,
    pub reason: String,
    pub judged_by: Vec<HospitalId>,
    pub justified: bool,
}

/// From the patient's command that ended the doctor's relationship, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Revocation {
    /// Until that was final, as the patient was told.
    pub unrelated_final: u64,
    /// Until a link of an earlier grant was refused.
    pub link_refused: u64,
    /// Until the doctor's next request for access was refused, and the chain had recorded that.
    pub request_refused: u64,
}

/// Of the first visit, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timings {
    /// From the doctor's command until the announcement was in the best block.
    pub submit_to_announced: u64,
    /// From there until the commit was in the best block.
    pub announced_to_committed: u64,
    /// From there until that block was final.
    pub committed_to_finalised: u64,
    /// From the request until the access grant had come.
    pub grant: u64,
    /// From the request until all files were verified and written, grant included.
    pub retrieval: u64,
}

impl Report {
    pub fn refuse(&mut self, who: &str, reason: String) {
        self.refused_requests.push(RefusedRequest { who: who.into(), reason });
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON; qed");
        json.push(b'\n');
        json
    }
}

/// Whole milliseconds.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
