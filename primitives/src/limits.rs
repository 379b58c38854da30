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
pub const SEGMENT_BYTES: u32 = 4 * 1024 * 1024;
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
/// Conditions of one policy, which has each kind at most once.
pub const MAX_CONDITIONS: u32 = 16;
/// Roles that one policy binds, and actions that it allows.
pub const MAX_POLICY_LIST: u32 = 8;
/// Bytes of a policy's summary.
pub const MAX_SUMMARY_BYTES: u32 = 256;
/// Hospitals that one set of policies names, all policies together: a decision reads a registration at
/// each.
pub const MAX_NAMED_HOSPITALS: u32 = 32;
/// Decisions that one runtime call makes at most.
pub const MAX_DECISIONS: u32 = 8;
/// Sections of one record.
pub const MAX_SECTIONS: u16 = 64;
/// Records that one grant opens, and its receipt names.
pub const MAX_RELEASED_RECORDS: u32 = 64;
/// Rights that one grant exercises: two kinds of reading, two classes of sections.
pub const MAX_RIGHTS: u32 = 4;
/// Refusals that a hospital records of one requester in a day.
pub const MAX_REFUSALS_PER_DAY: u8 = 8;
/// Times that a requester may break the glass at one hospital in a day.
pub const MAX_EMERGENCIES_PER_DAY: u8 = 3;
/// A day of chain time, in milliseconds. Days begin at midnight UTC.
pub const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;
/// Chain blocks within which the other hospitals review an emergency: seven days.
pub const REVIEW_BLOCKS: BlockNumber = (7 * DAY_MILLIS / SLOT_MILLIS) as BlockNumber;
/// Time between two rotations of one user's keys, in milliseconds.
pub const ROTATION_PAUSE_MILLIS: u64 = 60_000;
/// Entries that one call for receipts, refusals, reviews or members returns at most.
pub const MAX_PAGE: u32 = 64;
/// Records that one history call returns at most.
pub const MAX_HISTORY: u32 = 64;
