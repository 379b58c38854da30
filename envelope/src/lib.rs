//! The sealed formats of Epione: what leaves a client or a worker, is stored, or goes on chain, is
//! made and opened here and nowhere else.
//!
//! Top down: an author signs a [`record::Draft`], and the patient may sign it too; the hospital's worker
//! seals it with a [`sealer::RecordSealer`] into a [`record::Record`], whose media become [`segment`]s; a
//! [`body::BodyBuilder`] packs records into component A of a lite block. A reader gets content keys from a
//! patient key ([`keys`], [`profile`]) or from an access [`grant`], and opens sections with the record's methods.
//!
//! Structures are canonical SCALE and begin with a suite byte. Decoders take bounded input, allocate
//! no more than it justifies, and never panic. Whatever does not open fails with the one
//! [`error::OpenError`], so that nobody learns from the difference.
//!
//! Nothing here does I/O, but for [`keystore`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod body;
pub mod description;
pub mod development;
pub mod error;
pub mod frames;
pub mod grant;
mod hex_array;
pub mod keys;
pub mod keystore;
pub mod object;
pub mod profile;
mod random;
pub mod record;
pub mod sealer;
pub mod sealing;
pub mod segment;
pub mod signature;
mod suite;
mod text;

pub use error::{FormatError, OpenError, SealError, SignatureError};
pub use zeroize::Zeroizing;
