//! Credentials: attributes of users, each confirmed by a hospital.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{HospitalId, Moment, access::PolicyList, limits::MAX_ATTRIBUTE_NAME_BYTES};

/// The number of an attribute, such as "cardiology", in the order in which the council named them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct AttributeId(pub u16);

impl fmt::Display for AttributeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an attribute: lower-case ASCII letters, digits and hyphens, beginning with a letter.
pub type AttributeName = BoundedVec<u8, ConstU32<MAX_ATTRIBUTE_NAME_BYTES>>;

/// Whether the bytes are the name of an attribute, apart from their number.
pub fn is_attribute_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_lowercase)
        && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A period in which a hospital confirms an attribute of a user. It includes `since` and excludes its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Credential {
    pub since: Moment,
    /// When it ends by itself.
    pub until: Moment,
    /// When the hospital revoked it before that.
    pub revoked: Option<Moment>,
}

impl Credential {
    /// Whether the credential was in force at a moment.
    pub fn in_force(&self, at: Moment) -> bool {
        self.since <= at && at < self.until && self.revoked.is_none_or(|revoked| at < revoked)
    }
}

/// What a policy requires: an attribute that several hospitals of a list confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Requirement {
    pub attribute: AttributeId,
    /// The hospitals whose credentials count: at least one. A list is named, never "any hospital": otherwise a hospital
    /// could confirm every attribute of a user of its own.
    pub issuers: PolicyList<HospitalId>,
    /// How many of these hospitals must confirm it: at least one, and at most all.
    pub at_least: u8,
}

impl Requirement {
    /// Whether credentials in force, each with its issuer, meet the requirement.
    pub fn is_met(&self, held: &[(AttributeId, HospitalId)]) -> bool {
        let confirmed =
            self.issuers.iter().filter(|issuer| held.contains(&(self.attribute, **issuer)));
        confirmed.count() >= usize::from(self.at_least.max(1))
    }

    /// The credentials that count, each with its issuer.
    pub fn counted(&self) -> impl Iterator<Item = (AttributeId, HospitalId)> + '_ {
        self.issuers.iter().map(|issuer| (self.attribute, *issuer))
    }
}
