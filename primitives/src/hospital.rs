//! What the chain says of a hospital.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    AccountId,
    limits::{MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES, MAX_URL_BYTES},
};

/// Whether a hospital takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum HospitalStatus {
    /// Validates, announces and approves.
    Active,
    /// Neither validates nor transacts until the council reinstates it.
    Suspended,
    /// Left for good. Its id and records stay.
    Removed,
}

/// What an account of a hospital is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// Votes in the council, sets policies, rotates the hospital's keys.
    Governance,
    /// The worker's account: announces, approves, registers.
    Agent,
}

/// A member of the chain: one validator, one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Hospital {
    /// UTF-8.
    #[serde(with = "crate::text")]
    pub name: BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>,
    pub governance: AccountId,
    pub agent: AccountId,
    /// Where clients and other workers reach this hospital's worker.
    #[serde(with = "crate::text")]
    pub worker_url: BoundedVec<u8, ConstU32<MAX_URL_BYTES>>,
    /// Public key to which others seal for this hospital: a suite byte, then the key (`envelope`).
    pub sealing_key: BoundedVec<u8, ConstU32<MAX_SEALING_KEY_BYTES>>,
    /// Ed25519 public key of the worker's TLS endpoint.
    pub tls_key: [u8; 32],
    pub status: HospitalStatus,
}

/// A founder as the genesis configuration names it. In JSON, names and URLs are text and keys are
/// hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Founder {
    /// UTF-8, at most [`MAX_NAME_BYTES`].
    #[serde(with = "crate::text")]
    pub name: Vec<u8>,
    pub governance: AccountId,
    pub agent: AccountId,
    #[serde(with = "crate::text")]
    pub worker_url: Vec<u8>,
    #[serde(with = "sp_core::bytes")]
    pub sealing_key: Vec<u8>,
    #[serde(with = "key")]
    pub tls_key: [u8; 32],
}

/// 32 bytes as hexadecimal JSON text.
mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Hash;

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        Hash::from(*bytes).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        Hash::deserialize(deserializer).map(|hash| hash.0)
    }
}
