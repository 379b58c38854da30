//! Component C: ballots among hospitals.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{BlockNumber, HospitalId, limits::MAX_HOSPITALS};

/// Why a hospital does not approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum RejectReason {
    /// The body does not decode, or disagrees with the entries.
    MalformedBody,
    /// The segments root or the sizes do not follow from the body.
    SegmentsMismatch,
    /// A segment could not be had from any hospital in time.
    SegmentMissing,
    /// A record's author did not sign it, or may not.
    InvalidAuthor,
}

/// How a ballot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum BallotOutcome {
    Approved,
    /// Enough approvals could no longer be reached.
    Rejected,
    /// Undecided at the deadline.
    Expired,
    /// Closed by its opener.
    Withdrawn,
}

pub type Electorate = BoundedVec<HospitalId, ConstU32<MAX_HOSPITALS>>;

/// One subject, one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Ballot {
    /// Counts as approving; does not vote.
    pub opener: HospitalId,
    /// Hospitals active when it opened, the opener included, ascending.
    pub electorate: Electorate,
    pub approvals: Electorate,
    pub rejections: BoundedVec<(HospitalId, RejectReason), ConstU32<MAX_HOSPITALS>>,
    /// The last chain block in which a vote counts.
    pub deadline: BlockNumber,
    pub outcome: Option<BallotOutcome>,
}

/// Approvals needed beside the opener's own, among λ hospitals: λ/2 rounded up, but never more than
/// there are others.
pub fn approvals_needed(electorate: u32) -> u32 {
    electorate.div_ceil(2).min(electorate.saturating_sub(1))
}
