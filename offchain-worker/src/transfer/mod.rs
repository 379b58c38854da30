//! Segments from other hospitals, and to them.
//!
//! A hospital that needs a block takes its share of it from the announcer and the rest from whoever holds
//! it by then ([`plan`]); what it has verified, others take from it while it still fetches. Bytes go
//! straight into the store, which keeps them only if they are the segment that the chain names; a download
//! that breaks off is continued from another hospital ([`relay`]). A hospital that is not up to it (wrong
//! bytes, silence, an early end, a segment that it claimed and does not have) is not asked again for the
//! rest of that block. A large block is offered to the others before it is announced ([`seeding`]).

mod asking;
mod download;
mod fetch;
mod holdings;
mod peers;
mod plan;
mod relay;
mod repair;
mod seeding;
pub mod wire;

pub use asking::Offered;
pub use download::{Courier, PeerFault, Timings};
pub use fetch::{FetchBounds, FetchError, Fetcher};
pub use holdings::Holdings;
pub use peers::{ChainRoster, Peer, Roll, Roster, RosterError};
pub use plan::Rules;
pub use repair::PeerRepair;
pub use seeding::{Seeded, Seeder, SeedingTerms};

#[cfg(test)]
mod tests;
