//! What the worker does on its own initiative, one file for each occasion.
//!
//! Reactions follow finalized state, not events. At each finalized block the worker compares the height of the lite
//! blocks, the open ballots and its own announcements with what it knew, and records what is new as jobs ([`replay`]).
//! So it misses nothing after an absence of any length, and catching up costs as much as there are lite blocks, not
//! chain blocks. Jobs are idempotent, and retried until they succeed ([`jobs`]).

pub mod announce;
pub mod announced;
pub mod committed;
pub mod consortium;
mod context;
pub mod disk_budget;
pub mod inheriting;
pub mod jobs;
pub mod keeping;
pub mod offers;
pub mod own_blocks;
pub mod pack;
pub mod placement;
pub mod readiness;
pub mod recoveries;
pub mod replay;
pub mod reviews;
pub mod rewrap;
pub mod scrub;
pub mod sections;
pub mod signatures;
pub mod task_journal;
pub mod turns;
mod verification;
pub mod wrapping;

pub use context::{Context, JobContext, Processed, TaskError};
