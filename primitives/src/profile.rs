//! R_UPR: who a user is, and where they are registered.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{AccountId, Hash, HospitalId, Moment, UserId, limits::MAX_REGISTRATION_PERIODS};

/// What a user does in the system. It does not change; a person with two roles has two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Doctor,
    Nurse,
    Patient,
    Researcher,
    Auditor,
}

/// A user's current identity. Earlier versions stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Profile {
    pub role: Role,
    /// Signs for the user.
    pub account: AccountId,
    /// Blake2-256 of the user's public sealing key. The key itself is in the profile body; a reader
    /// checks it against this, so that no hospital can swap it.
    pub sealing_key_hash: Hash,
    /// From 1; each rotation of a key adds one.
    pub version: u32,
}

/// A span of chain time, open at its end while `until` is absent. Holds at `since`, not at `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Period {
    pub since: Moment,
    pub until: Option<Moment>,
}

impl Period {
    /// Whether `at` lies within the period.
    pub fn contains(&self, at: Moment) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Whether a registration is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationStatus {
    Active,
    Suspended,
    /// Ended for good; a new registration begins a new period.
    Ended,
}

/// That a user belongs to a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Registration {
    pub status: RegistrationStatus,
    /// When it was in force, oldest first. Only the last may be open, and is while the status is active.
    pub periods: BoundedVec<Period, ConstU32<MAX_REGISTRATION_PERIODS>>,
    /// Of the body, from 1.
    pub version: u32,
    /// Blake2-256 of the newest profile body, under which nodes keep it.
    pub body_hash: Hash,
}

impl Registration {
    /// Whether the registration was in force at a moment.
    pub fn in_force(&self, at: Moment) -> bool {
        self.periods.iter().any(|period| period.contains(at))
    }
}

/// What a user signs to let a further hospital register them: nothing else carries this prefix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Consent {
    prefix: [u8; 14],
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub hospital: HospitalId,
    pub user: UserId,
    /// Version of the user's registration at this hospital that this one follows, 0 if there is
    /// none: a consent serves once.
    pub version: u32,
}

impl Consent {
    pub fn new(genesis: Hash, hospital: HospitalId, user: UserId, version: u32) -> Self {
        Self { prefix: *b"epione/consent", genesis, hospital, user, version }
    }
}

/// What a user's next account signs when keys are rotated, to prove that it is held.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Possession {
    prefix: [u8; 17],
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub user: UserId,
}

impl Possession {
    pub fn new(genesis: Hash, user: UserId) -> Self {
        Self { prefix: *b"epione/possession", genesis, user }
    }
}
