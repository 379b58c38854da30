//! Hospitals on chain.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    AccountId, BlockNumber,
    limits::{MAX_NAME_BYTES, MAX_SEALING_KEY_BYTES, MAX_URL_BYTES, REPLACEMENT_COMPLETION_BLOCKS},
};

/// The status of a hospital.
///
/// An active hospital *takes part*: it validates, announces, approves, votes in the council and makes the consortium
/// key with the others. A hospital that is active or leaving *serves* ([`HospitalStatus::serves`]): its users transact,
/// its registrations and credentials count in decisions, and its worker answers readers. So the chain stores when a
/// hospital served, and decisions ask for that; only what needs the other hospitals asks whether it takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum HospitalStatus {
    /// Takes part and serves.
    #[codec(index = 0)]
    Active,
    /// Serves its patients and readers, but takes part in nothing, until the council removes it.
    #[codec(index = 3)]
    Leaving,
    /// Does not validate or transact until the council reinstates it.
    #[codec(index = 1)]
    Suspended,
    /// Removed permanently. Its id and records stay.
    #[codec(index = 2)]
    Removed,
}

impl HospitalStatus {
    /// Whether the hospital serves its patients and readers.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Active | Self::Leaving)
    }
}

/// Another governance account of a hospital, on which the council decided. It replaces the present one after a delay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Replacement {
    /// The account that governs the hospital afterwards. Its holder has consented.
    pub governance: AccountId,
    /// The first block that can complete the replacement.
    pub from: BlockNumber,
}

impl Replacement {
    /// Whether a block is too late to complete the replacement.
    pub fn has_lapsed(&self, block: BlockNumber) -> bool {
        block > self.from.saturating_add(REPLACEMENT_COMPLETION_BLOCKS)
    }
}

/// The duty of a hospital's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// Votes in the council, sets policies, and rotates the hospital's keys.
    Governance,
    /// The worker's account. Announces, approves and registers.
    Agent,
}

/// A member of the chain, with one validator and one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Hospital {
    /// UTF-8.
    #[serde(with = "crate::text")]
    pub name: BoundedVec<u8, ConstU32<MAX_NAME_BYTES>>,
    pub governance: AccountId,
    pub agent: AccountId,
    /// The URL of this hospital's worker, for clients and other workers.
    #[serde(with = "crate::text")]
    pub worker_url: BoundedVec<u8, ConstU32<MAX_URL_BYTES>>,
    /// The public key to which others seal for this hospital: a suite byte, then the key (crate `envelope`).
    pub sealing_key: BoundedVec<u8, ConstU32<MAX_SEALING_KEY_BYTES>>,
    /// Ed25519 public key of the worker's TLS endpoint.
    pub tls_key: [u8; 32],
    /// The origin of the storage to which the worker may redirect readers: scheme, host and perhaps port. Absent: the
    /// worker serves all segments itself.
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub storage_origin: Option<BoundedVec<u8, ConstU32<MAX_URL_BYTES>>>,
    pub status: HospitalStatus,
}

/// A founder in the genesis configuration. In JSON, names and URLs are text, and keys are
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
    #[serde(default, with = "crate::text::optional", skip_serializing_if = "Option::is_none")]
    pub storage_origin: Option<Vec<u8>>,
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
