//! R_MER on chain: announcements and the chain of committed lite blocks.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{
    AnnouncementId, BlockNumber, Hash, HospitalId, Moment, RecordId, RecordPointer, UserId,
    limits::{MAX_ENTRIES, SEGMENT_BYTES},
};

/// `length` items or bytes, beginning at `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Range {
    #[codec(compact)]
    pub offset: u32,
    #[codec(compact)]
    pub length: u32,
}

impl Range {
    /// The first position after the range, or none if it exceeds `u32`.
    pub fn end(&self) -> Option<u32> {
        self.offset.checked_add(self.length)
    }
}

/// The chain block whose state the author of a record knew when they signed it. The author's account and rights are
/// judged by the state after this block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct SignedAt {
    pub number: BlockNumber,
    pub hash: Hash,
}

/// One record of an announced lite block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AnnouncedEntry {
    pub record: RecordId,
    /// [`record_hash`] of the record's bytes. The chain does not compare it with the body; the other hospitals do,
    /// before they approve.
    pub hash: Hash,
    pub patient: UserId,
    /// The record's bytes within the body.
    pub text: Range,
    /// The record's segments, within the block's ordered list of segments.
    pub media: Range,
}

/// One record of a committed lite block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Entry {
    pub record: RecordId,
    /// [`record_hash`] of the record's bytes, so that a reader checks a record without the rest of the body. The
    /// hospitals that approved the block compared it with the body; the chain did not.
    pub hash: Hash,
    pub patient: UserId,
    pub text: Range,
    pub media: Range,
    /// The same patient's previous record.
    pub previous: Option<RecordPointer>,
}

/// The entry as its hospital announced it.
impl From<Entry> for AnnouncedEntry {
    fn from(Entry { record, hash, patient, text, media, previous: _ }: Entry) -> Self {
        Self { record, hash, patient, text, media }
    }
}

pub type AnnouncedEntries = BoundedVec<AnnouncedEntry, ConstU32<MAX_ENTRIES>>;
pub type Entries = BoundedVec<Entry, ConstU32<MAX_ENTRIES>>;

/// The hash of a record's bytes, as they are in a body: Blake2-256.
pub fn record_hash(bytes: &[u8]) -> Hash {
    BlakeTwo256::hash(bytes)
}

/// The segments of a lite block, in the order of its records and sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Segments {
    /// [`segments_root`] of the ordered list.
    pub root: Hash,
    pub count: u32,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// A piece of a sealed object, named by the BLAKE3 hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Segment {
    pub hash: [u8; 32],
    /// Bytes: at least one, at most [`SEGMENT_BYTES`].
    pub length: u32,
}

impl Segment {
    pub fn has_valid_length(&self) -> bool {
        (1..=SEGMENT_BYTES).contains(&self.length)
    }
}

/// Commits to an ordered list of segments: Blake2-256 over its SCALE encoding.
pub fn segments_root(segments: &[Segment]) -> Hash {
    BlakeTwo256::hash_of(&segments)
}

/// The header of an announcement. The body is a separate argument of the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct AnnouncedHeader {
    /// The announcing hospital. It must be the signer's hospital.
    pub announcer: HospitalId,
    pub segments: Segments,
}

impl AnnouncedHeader {
    /// What the other hospitals verify and vote on: Blake2-256 over the SCALE encoding of header, entries and the
    /// body's hash.
    pub fn subject(&self, entries: &[AnnouncedEntry], body_hash: Hash) -> Hash {
        BlakeTwo256::hash_of(&(self, entries, body_hash))
    }
}

/// The stage of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its ballot is open.
    Announced,
    Committed {
        height: u32,
    },
    Rejected,
    Expired,
    /// Withdrawn by its announcer.
    Withdrawn,
}

/// An announced lite block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Announcement {
    pub announcer: HospitalId,
    /// Blake2-256 of the body. Nodes store the body under this hash.
    pub body_hash: Hash,
    pub body_bytes: u32,
    pub records: u16,
    pub segments: Segments,
    pub announced_at: BlockNumber,
    pub stage: Stage,
}

/// Header of a committed lite block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// From 1, without gaps.
    pub height: u32,
    /// Zero for the first block.
    pub previous_lite: Hash,
    /// Zero for the first block.
    pub previous_cloud: Hash,
    pub announcer: HospitalId,
    /// The announcement of this block. Its ballot shows the approvals.
    pub announcement: AnnouncementId,
    /// The time of the chain block that committed it.
    pub time: Moment,
    pub records: u16,
    pub body_hash: Hash,
    pub body_bytes: u32,
    pub segments: Segments,
}

impl Header {
    /// Hash of the lite block: Blake2-256 over the SCALE encoding of header and entries.
    pub fn lite_hash(&self, entries: &[Entry]) -> Hash {
        BlakeTwo256::hash_of(&(self, entries))
    }
}

/// Hash of the cloud block: Blake2-256 over lite hash and segments root.
pub fn cloud_hash(lite_hash: Hash, segments_root: Hash) -> Hash {
    BlakeTwo256::hash_of(&(lite_hash, segments_root))
}

/// The two hashes of a block. The next block's header refers to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct BlockHashes {
    pub lite: Hash,
    pub cloud: Hash,
}
