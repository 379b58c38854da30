//! Verifies what a node says about the chain, without trusting the node.
//!
//! A client knows the hash of the genesis block, and asks any node for the rest. The genesis state names the first
//! [`Authorities`], whose votes hand over to the next ones. The votes of the current authorities make a
//! [`FinalizedHead`]. Its state root proves values, absences, and whole maps ([`ProvenState`]). One of the values is
//! the time, of which the client checks the age ([`Tolerance`]).
//!
//! A change of the authorities by force has no votes. After it, the client begins at a [`Checkpoint`] that it has from
//! the hospitals.
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
//! use epione_proofs::{Authorities, FinalizedHead, ProvenState, StorageKey, Tolerance};
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
//! /// The lite block at a height, if there is one.
//! fn lite_block(
//!     genesis: Hash,
//!     height: u32,
//!     node: Answers,
//!     now: Moment,
//! ) -> Result<Option<block::Header>, Box<dyn std::error::Error>> {
//!     let mut authorities = Authorities::genesis(genesis, &node.genesis, node.genesis_proof)?;
//!     for (header, justification) in &node.hand_overs {
//!         authorities = authorities.follow(header, justification)?;
//!     }
//!     let head = FinalizedHead::verify(&authorities, node.header, &node.justification)?;
//!     let state = ProvenState::new(head.state_root(), node.proof)?;
//!     let time = state.value(&FinalizedHead::time_key())?.unwrap_or(0);
//!     Tolerance { behind: 60_000, ahead: 60_000 }.check(time, now)?;
//!     Ok(state.value(&StorageKey::value("LiteBlocks", "Headers").twox_64_concat(&height))?)
//! }
//! ```

#![no_std]

extern crate alloc;

mod authorities;
mod checkpoint;
mod extrinsics;
mod head;
mod justification;
mod key;
mod state;

pub use authorities::{Authorities, AuthoritiesError, GenesisError, HandOverError};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use extrinsics::{extrinsic, prove_extrinsics};
pub use head::{FinalizedHead, HeadError, TimeError, Tolerance};
pub use justification::{JustificationError, MAX_ANCESTRY, MAX_JUSTIFICATION_BYTES};
pub use key::StorageKey;
pub use state::{MAX_KEYS, MAX_PROOF_BYTES, MAX_PROOF_NODES, ProvenState, StateError};
