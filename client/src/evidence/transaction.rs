//! Formal transactions, and what their proofs show.

use std::fmt;

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId, opening::OpeningId,
    query::QueryId,
};
use serde::Serialize;

/// What a formal transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[derive(Encode, Decode, DecodeWithMemTracking)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A hospital stores a record of a patient with the others.
    Record(RecordPointer),
    /// A requester asks a patient.
    Query(QueryId),
    /// A requester reads what policies allow.
    Look {
        patient: UserId,
        /// The number among the patient's receipts.
        number: u32,
    },
    /// Hospitals open sections together for a requester.
    Opening(OpeningId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(pointer) => write!(f, "record {pointer}"),
            Self::Query(query) => write!(f, "query {query}"),
            Self::Look { number, .. } => write!(f, "look {number}"),
            Self::Opening(opening) => write!(f, "opening {opening}"),
        }
    }
}

/// A part of a formal transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The patient signed the record.
    Authorization,
    /// The patient had authorized the hospital to submit without the patient's signature, when the author signed.
    StandingAuthorization,
    /// The hospital announced the record.
    Store,
    /// Another hospital verified the announcement, and approved it.
    Receive,
    /// Enough hospitals approved, and the chain committed it.
    Commit,
    /// The requester asked.
    Query,
    /// The patient accepted.
    Accept,
    /// A hospital recorded that it hands out the sealed grant.
    Transfer,
    /// The requester signed what they request of a hospital.
    Request,
    /// The hospital recorded what it releases.
    Release,
    /// The requester asked the hospitals to open sections, and the chain decided.
    Open,
    /// A hospital recorded that it hands out its part of an opening.
    HandOut,
}

/// Who acted, or is responsible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    User(UserId),
    Hospital(HospitalId),
    /// An account that is neither the user's nor the hospital's who should have acted.
    Account(AccountId),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Hospital(hospital) => write!(f, "hospital {hospital}"),
            Self::Account(account) => write!(f, "account {account}"),
        }
    }
}

/// What a part of a transaction turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    Proven,
    /// It did not happen, or the evidence does not show it.
    Missing {
        reason: String,
    },
    /// Somebody did something else.
    Wrong {
        reason: String,
        /// None if the evidence does not show who is responsible.
        #[serde(skip_serializing_if = "Option::is_none")]
        culprit: Option<Party>,
    },
}

impl Verdict {
    pub(super) fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { reason: reason.into() }
    }

    pub(super) fn wrong(reason: impl Into<String>, culprit: impl Into<Option<Party>>) -> Self {
        Self::Wrong { reason: reason.into(), culprit: culprit.into() }
    }
}

/// A part of a transaction, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    pub step: Step,
    /// Who acted, or should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// The hash to which the proof commits: of the record, of what is stored and approved, of the lite block, of the
    /// terms, of the sealed grant, or of the opening.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// The chain block that has it. For an authorization, the block that the signer named. A request has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockNumber>,
    /// The time of that block. For a commit, the time that the chain stores with it. For a request, the time that the
    /// requester signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Moment>,
    /// The account that signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<AccountId>,
    /// The Blake2-256 of the extrinsic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extrinsic: Option<Hash>,
    pub verdict: Verdict,
}

impl Proof {
    pub(super) fn new(step: Step, by: impl Into<Option<Party>>, verdict: Verdict) -> Self {
        let (by, hash, block, time) = (by.into(), None, None, None);
        Self { step, by, hash, block, time, signer: None, extrinsic: None, verdict }
    }

    pub fn is_proven(&self) -> bool {
        self.verdict == Verdict::Proven
    }
}

/// A formal transaction with its proofs, in the order of the steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    pub subject: Subject,
    pub patient: UserId,
    pub proofs: Vec<Proof>,
    /// What happened afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Transaction {
    /// Whether every part is there and proven.
    pub fn is_complete(&self) -> bool {
        !self.proofs.is_empty() && self.proofs.iter().all(Proof::is_proven)
    }

    /// Whether no part is wrong. Parts may be missing.
    pub fn is_sound(&self) -> bool {
        !self.proofs.iter().any(|proof| matches!(proof.verdict, Verdict::Wrong { .. }))
    }
}
