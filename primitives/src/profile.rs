//! R_UPR: users, and their registrations at hospitals.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{AccountId, BlockNumber, Hash, HospitalId, Moment, limits::MAX_REGISTRATION_PERIODS};

/// The role of a user. It never changes: a person with two roles has two users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Doctor,
    Nurse,
    Patient,
    Researcher,
    Auditor,
    Insurer,
    Pharmacist,
    /// Somebody who asks for a public authority, such as a health office or a court.
    PublicAuthority,
    /// A health professional who is neither a doctor nor a nurse, such as a physiotherapist.
    AlliedProfessional,
}

/// A user's current identity. Earlier versions stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Profile {
    pub role: Role,
    /// The account that signs for the user.
    pub account: AccountId,
    /// Blake2-256 of the user's public sealing key. The key itself is in the profile body. A reader checks
    /// it against this hash, so no hospital can replace it.
    pub sealing_key_hash: Hash,
    /// Begins at 1. Each rotation of keys adds one.
    pub version: u32,
    /// When the user got this account and sealing key: the time of the first registration, or of the last rotation of
    /// either. Hospitals wait from then on before they seal to the keys.
    pub since: Moment,
}

/// New keys that a hospital proposed for a user who has lost the present ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The hospital that proposed the keys, and completes the recovery.
    pub hospital: HospitalId,
    /// The account that will sign for the user.
    pub account: AccountId,
    /// Blake2-256 of the public sealing key that the user will have.
    pub sealing_key_hash: Hash,
    /// The version of the profile for which the keys were proposed.
    pub version: u32,
    /// The first chain block in which the hospital can complete the recovery.
    pub due: BlockNumber,
    /// The first chain block in which nobody can complete it any more.
    pub lapses: BlockNumber,
    /// The objection: the first, or the user's after a hospital's. Only the council can complete the recovery then.
    pub objection: Option<Objection>,
}

impl Recovery {
    /// Whether somebody can complete the recovery in this chain block or a later one.
    pub fn stands(&self, block: BlockNumber) -> bool {
        block < self.lapses
    }

    /// Whether the hospital can complete the recovery in this chain block or a later one, unless somebody objects.
    pub fn is_open(&self, block: BlockNumber) -> bool {
        self.stands(block) && self.objection.is_none()
    }

    /// Whether an objection changes something: the first one, and the user's after a hospital's.
    pub fn accepts(&self, objection: Objection) -> bool {
        match self.objection {
            None => true,
            Some(Objection::Hospital(_)) => objection == Objection::User,
            Some(Objection::User) => false,
        }
    }

    /// Blake2-256 of what the council decides about: the hospital, the new keys, and the version of the profile that
    /// they replace. An objection does not change it.
    pub fn decision(&self) -> Hash {
        BlakeTwo256::hash_of(&(self.hospital, &self.account, self.sealing_key_hash, self.version))
    }
}

/// Who objected to a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum Objection {
    /// The user's present account: it objected, or rotated the keys.
    User,
    /// A hospital at which the user is registered.
    Hospital(HospitalId),
}

/// A period of chain time. It includes `since` and excludes `until`. It is open while `until` is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Period {
    pub since: Moment,
    pub until: Option<Moment>,
}

impl Period {
    /// Whether the period contains `at`.
    pub fn contains(&self, at: Moment) -> bool {
        self.since <= at && self.until.is_none_or(|until| at < until)
    }
}

/// The status of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationStatus {
    Active,
    Suspended,
    /// Ended. Only a new registration, with the user's consent, makes it active again.
    Ended,
}

/// A user's registration at a hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Registration {
    pub status: RegistrationStatus,
    /// The newest periods in which it was in force, oldest first. The last period is open while the status is
    /// active. Of a registration with more periods than these, the chain stores the earlier ones separately.
    pub periods: BoundedVec<Period, ConstU32<MAX_REGISTRATION_PERIODS>>,
    /// The version of the body, from 1.
    pub version: u32,
    /// Blake2-256 of the newest profile body. Nodes store the body under this hash.
    pub body_hash: Hash,
}

impl Registration {
    /// Whether the registration was in force at a moment, as far as its newest periods say.
    pub fn in_force(&self, at: Moment) -> bool {
        self.periods.iter().any(|period| period.contains(at))
    }
}
