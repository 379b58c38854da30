//! R_ACP: relationships, policies, and the question that they answer.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    HospitalId, Moment, UserId,
    limits::{MAX_CONDITIONS, MAX_NAME_BYTES, MAX_POLICIES, MAX_POLICY_LIST},
    profile::Role,
};

/// What relates a professional to a patient.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum RelationshipKind {
    FamilyDoctor,
    Treating,
    Referral,
    CareTeam,
}

/// A relationship as it stands at one hospital. Never deleted: closed.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Relationship {
    pub kind: RelationshipKind,
    /// Whose records of the patient it is about.
    pub hospital: HospitalId,
    pub since: Moment,
    /// When it ends by itself, if it does.
    pub expires: Option<Moment>,
    /// When it was ended before that.
    pub closed: Option<Moment>,
}

impl Relationship {
    /// Whether the relationship held at a moment.
    pub fn in_force(&self, at: Moment) -> bool {
        self.since <= at
            && self.expires.is_none_or(|expires| at < expires)
            && self.closed.is_none_or(|closed| at < closed)
    }
}

/// What somebody wants to do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    ReadText,
    ReadMedia,
    Submit,
    Relate,
    Refer,
    BreakGlass,
}

/// How far a section of a record may travel.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SectionClass {
    /// For the patient and those who treat them.
    Private,
    /// May also be shared for other purposes, where a policy allows it.
    Shared,
}

/// Why somebody wants to read.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Treatment,
    PatientRequest,
    Research,
    Audit,
    Emergency,
}

/// Something that must hold for a policy to allow.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The requester is the patient whose records are asked for.
    RequesterIsPatient,
    /// The requester is registered, and not suspended, at the hospital.
    RequesterRegistered,
    /// The patient is registered, and not suspended, at the hospital.
    PatientRegistered,
    /// A relationship of one of these kinds holds between requester and patient at the hospital.
    Related(BoundedVec<RelationshipKind, ConstU32<MAX_POLICY_LIST>>),
    /// It is not yet this moment.
    Before(Moment),
    /// Only sections of class shared are touched.
    SectionShared,
    /// The stated purpose is one of these.
    Purpose(BoundedVec<Purpose, ConstU32<MAX_POLICY_LIST>>),
}

/// A permission: roles, actions, and the conditions that must all hold.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct Policy {
    /// UTF-8; what `explain` prints.
    #[serde(with = "crate::text")]
    pub name: BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>,
    pub roles: BoundedVec<Role, ConstU32<MAX_POLICY_LIST>>,
    pub actions: BoundedVec<Action, ConstU32<MAX_POLICY_LIST>>,
    pub conditions: BoundedVec<Condition, ConstU32<MAX_CONDITIONS>>,
    /// When the policy ends by itself, if it does.
    pub expires: Option<Moment>,
}

/// All policies of a hospital.
pub type Policies = BoundedVec<Policy, ConstU32<MAX_POLICIES>>;

/// A version of a hospital's policies.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct PolicySet {
    pub since: Moment,
    pub policies: Policies,
}

/// May this user do this, to this patient's records at this hospital?
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct AccessRequest {
    pub requester: UserId,
    pub action: Action,
    pub patient: UserId,
    /// Whose records they are.
    pub hospital: HospitalId,
    pub class: SectionClass,
    pub purpose: Purpose,
}

/// The answer to an [`AccessRequest`].
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Allow {
        /// Version of the hospital's policy set; 0 is the default set.
        version: u32,
        /// Name of the policy that allowed.
        #[serde(with = "crate::text")]
        policy: Vec<u8>,
    },
    Deny(Denial),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// Why nothing allowed.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    UnknownHospital,
    UnknownRequester,
    UnknownPatient,
    /// No policy binds this role for this action.
    NoPolicy {
        role: Role,
        action: Action,
    },
    /// Each policy that might have allowed, with the conditions that failed.
    Failed(Vec<FailedPolicy>),
}

/// A policy that might have allowed, and what it lacked.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
    Serialize,
    Deserialize,
)]
pub struct FailedPolicy {
    #[serde(with = "crate::text")]
    pub policy: Vec<u8>,
    pub conditions: Vec<Condition>,
}
