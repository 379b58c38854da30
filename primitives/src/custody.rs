//! Custody: a patient entrusts the patient keys at a hospital to the consortium key, for the time after the council has
//! removed that hospital.
//!
//! The hospital's worker wraps the newest patient key under the consortium key ([`Kept`]). When the hospital is removed,
//! the council can appoint a custodian ([`Appointment`]). The custodian claims the keys of patients who are registered
//! there ([`Claim`]). As many members of the consortium key as the threshold says open them for the custodian, each
//! after it has recorded on the chain that it hands out its part.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, UserId,
    consortium::{EpochId, KeyId},
    limits::MAX_CLAIMED_PATIENTS,
    opening::WRAP_BYTES,
};

/// The patients of one claim, ascending, none twice.
pub type ClaimedPatients = BoundedVec<UserId, ConstU32<MAX_CLAIMED_PATIENTS>>;

/// The number of a claim, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct ClaimId(pub u32);

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the wrap of a patient key is bound to. The chain computes it from its own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct CustodyLabel {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub key: KeyId,
    /// The epoch whose mixing secret is in the wrap.
    pub epoch: EpochId,
    /// The hospital whose patient key it is. It made the wrap.
    pub hospital: HospitalId,
    pub patient: UserId,
    /// The hash of the profile body whose newest patient key is in the wrap. It stands for the key's version.
    pub profile: Hash,
}

impl CustodyLabel {
    /// The SCALE encoding of `"epione/custody-label"` and the fields in their order.
    pub fn bytes(&self) -> Vec<u8> {
        (b"epione/custody-label", self).encode()
    }
}

/// A patient key under the consortium key. The chain checked that the wrap is bound to its label. It cannot check that
/// the right key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Kept {
    /// The hash of the profile body whose newest patient key is in the wrap.
    pub profile: Hash,
    pub key: KeyId,
    pub epoch: EpochId,
    pub wrap: [u8; WRAP_BYTES],
    /// The chain block in which the hospital published it.
    pub block: BlockNumber,
}

impl Kept {
    /// What the wrap is bound to.
    pub fn label(&self, genesis: Hash, hospital: HospitalId, patient: UserId) -> CustodyLabel {
        let Self { profile, key, epoch, .. } = *self;
        CustodyLabel { genesis, key, epoch, hospital, patient, profile }
    }
}

/// Who claims the keys of a removed hospital's patients, as the council decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Appointment {
    pub custodian: HospitalId,
    /// The chain block of the appointment. The custodian claims after a delay.
    pub since: BlockNumber,
}

/// The chain's decision that a custodian may open patient keys. It is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Claim {
    /// The removed hospital.
    pub departed: HospitalId,
    pub custodian: HospitalId,
    pub patients: ClaimedPatients,
    /// The account of the custodian's agent in that block.
    pub audience: AccountId,
    /// The hash of the custodian's sealing key in that block. Parts are sealed to this key.
    pub sealing_key: Hash,
    /// The chain block of the decision. Parts are handed out for
    /// [`CLAIM_BLOCKS`](crate::limits::CLAIM_BLOCKS) after it.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
}
