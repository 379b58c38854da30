//! The types that every part of Epione shares: identifiers, the chain's stored types, its limits, and
//! the runtime APIs through which nodes, workers and clients read the chain.
//!
//! Nothing here does I/O or has state. A pallet calls another pallet only through a trait in [`ports`],
//! never through its storage.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod access;
pub mod api;
pub mod approval;
pub mod block;
pub mod consortium;
pub mod council;
pub mod credential;
pub mod custody;
pub mod hospital;
pub mod ids;
pub mod limits;
pub mod mandate;
pub mod naming;
pub mod opening;
pub mod ports;
pub mod profile;
pub mod query;
pub mod quota;
pub mod refusal;
pub mod release;
#[cfg(feature = "std")]
pub mod rpc;
pub mod sharing;
pub mod text;
pub mod words;

pub use ids::{AnnouncementId, HospitalId, RecordId, RecordPointer, UserId};
pub use query::QueryId;
pub use words::Word;

use sp_runtime::{OpaqueExtrinsic, generic, traits::BlakeTwo256};

/// A signature by an account: sr25519 or ed25519.
pub type Signature = sp_runtime::MultiSignature;
/// The account that creates a [`Signature`]. Accounts can be rotated; ids cannot.
pub type AccountId = sp_runtime::AccountId32;
/// The number of a chain block (not of a lite block).
pub type BlockNumber = u32;
/// The number of transactions that an account has sent.
pub type Nonce = u32;
/// A hash on chain: Blake2-256.
pub type Hash = sp_core::H256;
/// The header of a chain block (not of a lite block, see [`block::Header`]).
pub type ChainHeader = generic::Header<BlockNumber, BlakeTwo256>;
/// A chain block as nodes process it: without decoding its extrinsics, which they return in hexadecimal.
pub type OpaqueBlock = generic::Block<ChainHeader, OpaqueExtrinsic>;
/// Unix time in milliseconds, as in the chain's blocks.
pub type Moment = u64;
