//! The words that every part of Epione shares: identifiers, what the chain stores, its limits, and
//! the runtime APIs through which nodes, workers and clients read it.
//!
//! Nothing here does I/O or holds state. A pallet that needs another pallet asks through one of the
//! traits in [`ports`], never through its storage.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod access;
pub mod api;
pub mod approval;
pub mod block;
pub mod hospital;
pub mod ids;
pub mod limits;
pub mod ports;
pub mod profile;
pub mod refusal;
pub mod release;
#[cfg(feature = "std")]
pub mod rpc;
pub mod text;
pub mod words;

pub use ids::{AnnouncementId, HospitalId, RecordId, RecordPointer, UserId};
pub use words::Word;

/// A signature by an account: sr25519 or ed25519.
pub type Signature = sp_runtime::MultiSignature;
/// The account behind a [`Signature`]. Accounts can be rotated; ids cannot.
pub type AccountId = sp_runtime::AccountId32;
/// Number of a chain block (not of a lite block).
pub type BlockNumber = u32;
/// Number of transactions that an account has sent.
pub type Nonce = u32;
/// Blake2-256 everywhere on chain.
pub type Hash = sp_core::H256;
/// Unix time in milliseconds, as the chain's blocks carry it.
pub type Moment = u64;
