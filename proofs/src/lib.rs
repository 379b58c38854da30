//! Verifies what a node says about the chain, without trusting the node.
//!
//! A client knows the hash of the genesis block, and asks any node for the rest. The genesis state names the first
//! [`Authorities`], whose votes hand over to the next ones. The votes of the current authorities make a
//! [`FinalizedHead`]. Its state root proves values and absences ([`ProvenState`]), the time, and lists that are
//! complete ([`Listing`]). A proven header of a lite block names the hash of its body ([`verify_body`]).
//!
//! So a node can be silent, or say what was true earlier, as far as the tolerance for the time allows. It cannot make
//! the client accept a block that at most two thirds of the authorities signed.
//!
//! Nothing here does I/O, reads a clock or needs the standard library, so that browsers can use it. Every input has a
//! bound.
//!
//! # Example
//!
//! ```
//! use epione_primitives::{ChainHeader, Hash, Moment, block};
//! use epione_proofs::{Authorities, FinalizedHead, Listing, StorageKey, Tolerance};
//!
//! /// What a node answered.
//! struct Answers {
//!     genesis: ChainHeader,
//!     genesis_proof: Vec<Vec<u8>>,
//!     hand_overs: Vec<(ChainHeader, Vec<u8>)>,
//!     header: ChainHeader,
//!     justification: Vec<u8>,
//!     proof: Vec<Vec<u8>>,
//! }
//!
//! fn lite_blocks(
//!     genesis: Hash,
//!     node: Answers,
//!     now: Moment,
//! ) -> Result<Vec<block::Header>, Box<dyn std::error::Error>> {
//!     let mut authorities = Authorities::genesis(genesis, &node.genesis, node.genesis_proof)?;
//!     for (header, justification) in &node.hand_overs {
//!         authorities = authorities.follow(header, justification)?;
//!     }
//!     let head = FinalizedHead::verify(&authorities, node.header, &node.justification)?;
//!     let state = head.state(node.proof)?;
//!     head.check_time(&state, now, Tolerance { behind: 60_000, ahead: 60_000 })?;
//!
//!     let mut headers = Listing::begin(&state, &StorageKey::value("LiteBlocks", "Height"), 1)?;
//!     headers.read(&state, |height| {
//!         StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&height)
//!     })?;
//!     Ok(headers.complete()?)
//! }
//! ```

#![no_std]

extern crate alloc;

mod authorities;
mod body;
mod head;
mod justification;
mod key;
mod listing;
mod state;

pub use authorities::{Authorities, AuthoritiesError, GenesisError, HandOverError};
pub use body::{BodyError, verify_body};
pub use head::{FinalizedHead, HeadError, TimeError, Tolerance};
pub use justification::{JustificationError, MAX_ANCESTRY, MAX_JUSTIFICATION_BYTES};
pub use key::StorageKey;
pub use listing::{Listing, ListingError, MAX_ENTRIES};
pub use state::{MAX_KEYS, MAX_PROOF_BYTES, MAX_PROOF_NODES, ProvenState, StateError};
