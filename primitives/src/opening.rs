//! Openings: sections that as many hospitals as the threshold says open together for a requester, while the patient and
//! the hospital of the record are away.
//!
//! The hospital of a record wraps the content keys of sections under the consortium key ([`Wrapped`]), if they are in a
//! slot with a standing consent. A requester whom the consent includes asks the chain for an [`Opening`]. Each member
//! of the consortium key then decides again, records on the chain that it hands out its part ([`HandedOut`]), and hands
//! it out, sealed to the requester. Parts of as many members as the threshold open the wraps.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{
    AccountId, BlockNumber, Hash, HospitalId, Moment, RecordPointer, UserId,
    access::Purpose,
    consortium::{EpochId, KeyId},
    limits::MAX_WRAPS_BYTES,
    query::QueriedRecords,
    release::{ReviewedEmergency, SectionSet},
    sharing::{SlotId, SlotSet},
};

/// Bytes of one wrap: two points, a proof of two scalars, and a content key under AES-KW.
pub const WRAP_BYTES: usize = 168;

/// The wraps of sections of one record, one after the other, in the order of the sections.
pub type WrapsBytes = BoundedVec<u8, ConstU32<MAX_WRAPS_BYTES>>;

/// The number of an opening, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct OpeningId(pub u32);

impl fmt::Display for OpeningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a wrap is bound to. The chain computes it from its own state, so a wrap of another section, patient or slot
/// does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode)]
pub struct WrapLabel {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub key: KeyId,
    /// The epoch whose mixing secret is in the wrap.
    pub epoch: EpochId,
    /// The hospital that announced the record, and made the wrap.
    pub hospital: HospitalId,
    pub patient: UserId,
    pub slot: SlotId,
    pub pointer: RecordPointer,
    pub section: u16,
}

impl WrapLabel {
    /// The SCALE encoding of `"epione/wrap-label"` and the fields in their order.
    pub fn bytes(&self) -> Vec<u8> {
        (b"epione/wrap-label", self).encode()
    }
}

/// The wraps of sections of a record in a slot. The chain checked that each is bound to its label. It cannot check that
/// the right key is in it: who opens a section does, and can prove a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Wrapped {
    pub sections: SectionSet,
    pub key: KeyId,
    pub epoch: EpochId,
    pub hospital: HospitalId,
    /// Blake2-256 of the [`WrapsBytes`], which nodes store as a body.
    pub body: Hash,
    /// The chain block in which the hospital published them.
    pub block: BlockNumber,
}

/// The chain's decision that a requester may open sections. It is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Opening {
    pub requester: UserId,
    /// The hospital at which the requester is registered, and for which the requester asks.
    pub hospital: HospitalId,
    pub patient: UserId,
    pub records: QueriedRecords,
    pub purpose: Purpose,
    /// Present if and only if the purpose is emergency. The other hospitals review it.
    pub emergency: Option<ReviewedEmergency>,
    /// The slots whose standing consents included the requester for the purpose.
    pub slots: SlotSet,
    /// The requester's account in that block.
    pub audience: AccountId,
    /// The hash of the requester's sealing key in that block. Parts are sealed to this key.
    pub sealing_key: Hash,
    /// The chain block of the decision. Parts are handed out for
    /// [`OPENING_BLOCKS`](crate::limits::OPENING_BLOCKS) after it.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
}

/// A hospital's record that it hands out its part of an opening. It is never changed or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct HandedOut {
    /// The epoch of the hospital's share.
    pub epoch: EpochId,
    /// The chain block that recorded it.
    pub block: BlockNumber,
    /// The time of that block.
    pub at: Moment,
}

/// The slot from which a section is opened: the lowest of these slots that has its wrap under this key. Chain, workers
/// and clients use this one rule.
pub fn slot_of(
    section: u16,
    slots: SlotSet,
    key: KeyId,
    wrapped: &[(SlotId, Wrapped)],
) -> Option<(SlotId, Wrapped)> {
    let usable = |(slot, it): &&(SlotId, Wrapped)| {
        slots.contains(*slot) && it.key == key && it.sections.contains(section)
    };
    wrapped.iter().filter(usable).min_by_key(|(slot, _)| *slot).copied()
}
