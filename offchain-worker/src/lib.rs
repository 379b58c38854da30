//! The off-chain worker of a hospital: it keeps the hospital's private cloud, accepts visits, and announces, verifies
//! and approves lite blocks.
//!
//! One module, one outside system: [`store`] is object storage, [`journal`] the embedded database, [`chain`] the node,
//! and [`api`] serves clients and other workers over HTTP. The chain is the source of truth. Everything here can be
//! rebuilt from it and from the other hospitals, except the keys and the visits that are not committed yet.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod backoff;
pub mod chain;
pub mod command;
pub mod config;
pub mod consortium;
pub mod control;
pub mod custody_state;
pub mod descriptors;
pub mod doctor;
pub mod heard;
pub mod hospital_keys;
pub mod journal;
pub mod keys;
pub mod maintenance;
pub mod metrics;
pub mod node;
pub mod repair;
pub mod resealing;
pub mod shares;
pub mod storage_origin;
pub mod store;
pub mod tasks;
pub mod tls;
pub mod transfer;
pub mod upkeep;
pub mod worker;

use epione_primitives::Moment;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// This machine's time.
pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A duration in milliseconds, the unit of [`Moment`].
pub fn millis(duration: Duration) -> Moment {
    Moment::try_from(duration.as_millis()).unwrap_or(Moment::MAX)
}
