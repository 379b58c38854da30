//! Queries: a requester asks a patient on chain, and the patient answers on chain, or a representative for the patient.
//! What is said of the patient's answer is also said of a representative's.
//!
//! The patient's client seals the content keys to the requester. A hospital's worker only keeps the sealed grant, like
//! a mailbox: it cannot open the grant, and returns it after the chain has recorded a [`Transfer`].

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId,
    access::Purpose,
    limits::{MAX_QUERIED_RECORDS, MAX_SEALED_TERMS_BYTES},
    mandate::Mandate,
    release::ReleasedRecord,
};

/// The number of a query, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct QueryId(pub u32);

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Records of one patient with their sections: at least one record, none twice, ascending by pointer, each with at
/// least one section. [`SectionSet::ALL`](crate::release::SectionSet::ALL) means every section of a record.
pub type QueriedRecords = BoundedVec<ReleasedRecord, ConstU32<MAX_QUERIED_RECORDS>>;

/// The terms of a query, sealed to the patient. The chain does not read them.
pub type SealedTermsBytes = BoundedVec<u8, ConstU32<MAX_SEALED_TERMS_BYTES>>;

/// The hash of sealed terms: Blake2-256.
pub fn terms_hash(sealed: &[u8]) -> Hash {
    BlakeTwo256::hash(sealed)
}

/// Whether records are in the order that [`QueriedRecords`] requires, and each has a section.
pub fn are_ordered(records: &[ReleasedRecord]) -> bool {
    !records.is_empty()
        && records.iter().all(|record| !record.sections.is_empty())
        && records.windows(2).all(|pair| match pair {
            [former, latter] => former.pointer < latter.pointer,
            _ => true,
        })
}

/// Whether every section of `part` is a section of the same record in `whole`.
pub fn is_part_of(part: &[ReleasedRecord], whole: &[ReleasedRecord]) -> bool {
    part.iter().all(|record| {
        whole.iter().any(|asked| {
            asked.pointer == record.pointer && record.sections.is_subset_of(asked.sections)
        })
    })
}

/// What a requester asks a patient for. Only the answer changes after it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Query {
    pub requester: UserId,
    /// The hospital at which the requester is registered, and for which the requester asks.
    pub hospital: HospitalId,
    pub patient: UserId,
    /// The hash of the patient's sealing key to which the terms are sealed.
    pub patient_key: Hash,
    /// Committed records of the patient, as [`QueriedRecords`] requires.
    pub records: QueriedRecords,
    /// Never an emergency: no answer can be awaited then.
    pub purpose: Purpose,
    /// [`terms_hash`] of the sealed terms.
    pub terms: Hash,
    /// The patient can accept before this chain block.
    pub expires: BlockNumber,
    /// The chain block in which the requester asked.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
    /// None while the query is pending, and after it expired without an answer.
    pub answer: Option<Answer>,
}

impl Query {
    /// Whether the patient can still accept or refuse in this chain block.
    pub fn is_pending(&self, block: BlockNumber) -> bool {
        self.answer.is_none() && block < self.expires
    }

    /// The hash of what a patient considers before accepting: the question without its answer, and the requester's
    /// account and sealing key to which the grant is sealed. Blake2-256 of the SCALE encoding of `"epione/query"`, the
    /// id, the query as it was asked, the account and the hash of the key. An acceptance that names another hash was
    /// not meant for this question and these keys.
    pub fn considered(&self, id: QueryId, audience: &AccountId, sealing_key: Hash) -> Hash {
        let asked = Self { answer: None, ..self.clone() };
        BlakeTwo256::hash_of(&(b"epione/query", id, asked, audience, sealing_key))
    }

    /// The acceptance, unless the patient withdrew it.
    pub fn acceptance(&self) -> Option<&Acceptance> {
        match &self.answer {
            Some(Answer::Accepted(acceptance)) => Some(acceptance),
            Some(Answer::Refused { .. } | Answer::Withdrawn { .. }) | None => None,
        }
    }
}

/// How a query was answered. Only an acceptance changes afterwards: the patient can withdraw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The patient accepted.
    Accepted(Acceptance),
    /// The patient refused, or a user who represented the patient then.
    Refused { by: UserId, block: BlockNumber, at: Moment },
    /// With an acceptance, the patient or a representative withdrew it. Without one, the requester withdrew the pending
    /// query, or one of the three withdrew a query that had expired without an answer.
    Withdrawn { by: UserId, block: BlockNumber, at: Moment, acceptance: Option<Acceptance> },
}

/// What a patient accepted, or a representative for the patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Acceptance {
    /// Who accepted: the patient, or a user who represented the patient then. A representative's acceptance is handed
    /// out only while the mandate of that time is in force.
    pub by: UserId,
    /// As [`QueriedRecords`] requires, and with sections only for which the requester asked.
    pub records: QueriedRecords,
    /// Blake2-256 of the sealed grant's bytes.
    pub grant: Hash,
    /// The grant is not handed out at or after this moment.
    pub until: Moment,
    /// The requester's account when the patient accepted.
    pub audience: AccountId,
    /// The hash of the requester's sealing key when the patient accepted.
    pub sealing_key: Hash,
    /// The hospital whose worker keeps the sealed grant.
    pub mailbox: HospitalId,
    /// The chain block of the acceptance.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
}

impl Acceptance {
    /// Whether the acceptance stands, as far as it depends on who gave it: the patient's always does, and that of a
    /// representative while the mandate is in force by which they gave it. `mandate` is the one by which they represent
    /// the patient now, if any. One that began after the acceptance does not revive it.
    pub fn stands(&self, patient: UserId, mandate: Option<Mandate>) -> bool {
        self.by == patient || mandate.is_some_and(|mandate| mandate.since <= self.at)
    }
}

/// The mailbox's record that it hands out the sealed grant of a query. It is never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Transfer {
    /// The hospital that hands out the grant.
    pub hospital: HospitalId,
    /// [`Acceptance::grant`].
    pub grant: Hash,
    /// The chain block that recorded it.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
}
