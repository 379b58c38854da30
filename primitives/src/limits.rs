//! The bounds of everything that grows. Each is checked on chain; workers and clients check earlier
//! so that users hear of it before anything is sent.

use crate::BlockNumber;

/// Time between two blocks, in milliseconds.
pub const SLOT_MILLIS: u64 = 3_000;
/// Hospitals on one chain, whatever their status.
pub const MAX_HOSPITALS: u32 = 100;
/// Bytes of a hospital's name.
pub const MAX_NAME_BYTES: u32 = 64;
/// Bytes of a worker's URL.
pub const MAX_URL_BYTES: u32 = 256;
/// Bytes of a hospital's public sealing key (X-Wing needs 1216).
pub const MAX_SEALING_KEY_BYTES: u32 = 1_280;
/// Bytes of a lite block's body (component A) in one extrinsic.
pub const MAX_BODY_BYTES: u32 = 2 * 1024 * 1024;
/// Bytes of a profile body.
pub const MAX_PROFILE_BODY_BYTES: u32 = 16 * 1024;
/// Records in one lite block.
pub const MAX_ENTRIES: u32 = 512;
/// Segments that one lite block may name.
pub const MAX_SEGMENTS: u32 = 16_384;
/// Bytes of a segment; only the last one of a sealed object is shorter.
pub const SEGMENT_BYTES: u32 = 16 * 1024 * 1024;
/// Announcements of one hospital that await their ballot's end.
pub const MAX_PENDING_ANNOUNCEMENTS: u32 = 8;
/// Blocks that a ballot stays open.
pub const BALLOT_BLOCKS: BlockNumber = 200;
/// Ballots that may end at the same block: every hospital's pending announcements.
pub const MAX_BALLOTS_PER_BLOCK: u32 = MAX_HOSPITALS * MAX_PENDING_ANNOUNCEMENTS;
/// Periods of one registration: each suspension and reinstatement begins a new one.
pub const MAX_REGISTRATION_PERIODS: u32 = 32;
/// Relationships, past ones included, between one patient and one professional at one hospital.
pub const MAX_RELATIONSHIPS: u32 = 32;
/// Policies in one hospital's set.
pub const MAX_POLICIES: u32 = 32;
/// Conditions of one policy.
pub const MAX_CONDITIONS: u32 = 16;
/// Roles that one policy binds, and actions that it allows.
pub const MAX_POLICY_LIST: u32 = 8;
/// Records that one history call returns at most.
pub const MAX_HISTORY: u32 = 64;
