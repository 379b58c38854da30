//! Segments from other hospitals.
//!
//! A hospital that lacks a segment asks the announcer first, then every other active hospital. Bytes
//! go straight into the store, which keeps them only if they are the segment that the chain names; a
//! download that breaks off is continued from another hospital. A hospital that is not up to it (wrong
//! bytes, silence, an early end) is not asked again for the rest of that block.

mod download;
mod fetch;
mod peers;
mod repair;

pub use download::{Courier, PeerFault, Timings};
pub use fetch::{FetchError, Fetcher};
pub use peers::{ChainRoster, Peer, Roll, Roster, RosterError};
pub use repair::PeerRepair;

#[cfg(test)]
mod tests;
