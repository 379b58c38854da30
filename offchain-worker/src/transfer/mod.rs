//! Transfers of segments between hospitals.
//!
//! A hospital that needs a block fetches its share of the segments from the announcer, and the others from any hospital
//! that has them by then ([`plan`]). Other hospitals fetch from it what it has verified, while it still fetches the
//! rest. Bytes go directly into the store, which keeps them only if they are those of the segment that the chain names.
//! A download that breaks off or is slow is continued from another hospital ([`relay`]). A hospital that fails (wrong
//! bytes, a stall, an early end, a segment that it claimed and does not have) is dropped as a source for the rest of
//! that block. A large block is offered to the other hospitals before it is announced ([`seeding`]).

mod arrivals;
mod asking;
mod contact;
mod download;
mod fetch;
mod flights;
mod holdings;
mod peers;
mod plan;
mod relay;
mod repair;
mod seeding;
mod shelf;
pub mod wire;

pub use arrivals::Arrivals;
pub use asking::{HeldList, Offered};
pub use contact::{Contact, contact, is_there};
pub use download::{Courier, PeerFault, Timings};
pub use fetch::{FetchBounds, FetchError, Fetcher};
pub use holdings::Holdings;
pub use peers::{ChainRoster, Peer, PeerError, Roll, Roster, RosterError};
pub use plan::Rules;
pub use repair::PeerRepair;
pub use seeding::{Seeded, Seeder, SeedingTerms};

#[cfg(test)]
mod tests;
