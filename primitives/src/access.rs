//! R_ACP: relationships, policies, and the question that they answer.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    HospitalId, Moment, UserId,
    credential::Requirement,
    limits::{MAX_CONDITIONS, MAX_NAME_BYTES, MAX_POLICIES, MAX_POLICY_LIST, MAX_SUMMARY_BYTES},
    profile::Role,
};

/// What relates a health professional to a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum RelationshipKind {
    FamilyDoctor,
    Treating,
    Referral,
    CareTeam,
}

/// A patient, a professional, and the hospital at which they are related.
pub type Parties = (UserId, UserId, HospitalId);

/// A relationship as it stands at one hospital. Never deleted: closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
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

/// What a requester wants to do. Reading in an emergency is `BreakGlass`, for text and media alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    ReadText,
    ReadMedia,
    Submit,
    Relate,
    Refer,
    BreakGlass,
}

/// The class of a section, for one requester and one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum SectionClass {
    /// The patient does not share it with this requester for this purpose.
    Private,
    /// A consent of the patient shares it with this requester for this purpose.
    Shared,
}

/// Why a requester wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    Treatment,
    PatientRequest,
    Research,
    Audit,
    Emergency,
    /// A claim of an insurer, or an invoice.
    Payment,
    /// What a public authority does by law, such as the control of an outbreak. It is no emergency: nobody breaks the
    /// glass for it.
    PublicHealth,
}

/// A bounded list in a policy.
pub type PolicyList<T> = BoundedVec<T, ConstU32<MAX_POLICY_LIST>>;

/// Where the requester has to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// At the hospital whose records they are.
    Here,
    /// At one of these hospitals at least.
    OneOf(PolicyList<HospitalId>),
}

/// Something that must hold for a policy to apply. The crate `epione-policies` says what each means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The requester is the patient whose records are asked for.
    RequesterIsPatient,
    /// The requester is registered there, and not suspended.
    RequesterRegistered(Place),
    /// The patient is registered, and not suspended, at the hospital.
    PatientRegistered,
    /// A relationship of one of these kinds holds between requester and patient at the hospital, and
    /// the hospital's policies recognise it ([`Conclusion::Recognises`]).
    Related(PolicyList<RelationshipKind>),
    /// It is not yet this moment.
    Before(Moment),
    /// Only sections of class shared are touched.
    SectionShared,
    /// The stated purpose is one of these.
    Purpose(PolicyList<Purpose>),
    /// The patient signed what is submitted, too, or authorized the hospital to submit without this signature.
    PatientCosigned,
    /// The requester has all of these credentials.
    RequesterHas(PolicyList<Requirement>),
    /// The requester represents the patient.
    RequesterRepresentsPatient,
}

/// What a policy says when its conditions hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// An operation policy: the requester may do these.
    Allows(PolicyList<Action>),
    /// A relationship policy: relationships of these kinds to the requester count. A kind that no
    /// policy recognises counts for nothing.
    Recognises(PolicyList<RelationshipKind>),
}

/// A rule: whom it binds, what must hold, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Policy {
    /// UTF-8; what `explain` prints.
    #[serde(with = "crate::text")]
    pub name: PolicyName,
    /// UTF-8; for people.
    #[serde(with = "crate::text")]
    pub summary: BoundedVec<u8, ConstU32<MAX_SUMMARY_BYTES>>,
    /// To whose records it applies, of the hospitals that set it; empty for every such hospital.
    pub hospitals: PolicyList<HospitalId>,
    pub roles: PolicyList<Role>,
    /// All must hold. Each kind of condition is there at most once.
    pub conditions: BoundedVec<Condition, ConstU32<MAX_CONDITIONS>>,
    pub conclusion: Conclusion,
    /// When the policy ends by itself, if it does.
    pub expires: Option<Moment>,
}

pub type PolicyName = BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>;

/// All policies of a hospital.
pub type Policies = BoundedVec<Policy, ConstU32<MAX_POLICIES>>;

/// A version of a hospital's policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct PolicySet {
    pub since: Moment,
    pub policies: Policies,
}

/// May this user do this, to this patient's records at this hospital?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AccessRequest {
    pub requester: UserId,
    pub action: Action,
    pub patient: UserId,
    /// Whose records they are.
    pub hospital: HospitalId,
    pub class: SectionClass,
    pub purpose: Purpose,
    /// Whether the patient signed what is submitted; false when nothing is.
    pub cosigned: bool,
}

/// The answer to an [`AccessRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Allow {
        /// Version of the hospital's policy set; 0 is the default set.
        version: u32,
        /// The policy that allowed.
        #[serde(with = "crate::text")]
        policy: PolicyName,
    },
    Deny(Denial),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// Why nothing allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, TypeInfo)]
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
    /// Each policy that might have allowed, with the conditions that failed. Also each policy that
    /// did not recognise a relationship between the two.
    Failed(Vec<FailedPolicy>),
}

/// A policy that was asked, and what it lacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct FailedPolicy {
    #[serde(with = "crate::text")]
    pub policy: Vec<u8>,
    pub conditions: Vec<Condition>,
}
