//! Component C: ballots among hospitals.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{BlockNumber, Hash, HospitalId, limits::MAX_HOSPITALS};

/// Why a hospital rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum RejectReason {
    /// The body cannot be decoded, or disagrees with the entries.
    MalformedBody,
    /// The segments root or the sizes disagree with the body.
    SegmentsMismatch,
    /// No hospital provided a segment in time.
    SegmentMissing,
    /// A record's author did not sign it, or is not allowed to submit it.
    InvalidAuthor,
}

/// How a ballot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum BallotOutcome {
    Approved,
    /// The needed number of approvals could no longer be reached.
    Rejected,
    /// Still undecided at the deadline.
    Expired,
    /// Withdrawn by its opener.
    Withdrawn,
}

pub type Electorate = BoundedVec<HospitalId, ConstU32<MAX_HOSPITALS>>;

/// A hospital's approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Approval {
    pub hospital: HospitalId,
    /// The chain block with the vote. The vote contains the ballot's subject, and the hospital's agent signed it.
    pub block: BlockNumber,
}

/// A ballot over one subject. A subject has at most one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Ballot {
    /// The hash of what the hospitals verify. Every vote contains it.
    pub subject: Hash,
    /// Counts as approving, and does not vote.
    pub opener: HospitalId,
    /// The hospitals that were active when the ballot opened, including the opener, ascending.
    pub electorate: Electorate,
    /// In the order of the votes. The opener is not among them.
    pub approvals: BoundedVec<Approval, ConstU32<MAX_HOSPITALS>>,
    pub rejections: BoundedVec<(HospitalId, RejectReason), ConstU32<MAX_HOSPITALS>>,
    /// The last chain block in which a vote counts.
    pub deadline: BlockNumber,
    pub outcome: Option<BallotOutcome>,
}

/// Approvals needed in addition to the opener's own, among λ hospitals: λ/2 rounded up, but at most the
/// number of the other hospitals.
pub fn approvals_needed(electorate: u32) -> u32 {
    electorate.div_ceil(2).min(electorate.saturating_sub(1))
}
