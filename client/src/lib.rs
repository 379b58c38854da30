//! What a program needs to talk to Epione's chain and to a hospital's worker.
//!
//! | module | outside system |
//! | --- | --- |
//! | [`chain`] | a node: finalised blocks, runtime API reads, bodies by hash, submission of calls |
//! | [`endpoint`] | where a hospital's worker is, and the TLS key by which it is known |
//! | [`pin`] | the server that holds that key |
//! | [`worker`] | a hospital's worker over HTTP: visits, grants, segments, users, relationships |
//! | [`dicom`] | the frames of a DICOM file, found when it is described |
//! | [`visit`] | files and texts on their way into a signed visit |
//! | [`reader`] | a patient's records on their way out: granted or one's own, fetched, verified, decrypted |
//! | [`verify`] | nobody: recomputes what a committed lite block claims |
//! | [`api`], [`request`] | the worker's API: its JSON shapes and request signatures, shared with the worker |
//! | [`signer`] | the account that signs |
//! | [`waiting`] | the caller: what is waited for, and since when |

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod chain;
pub mod dicom;
pub mod endpoint;
pub mod file_name;
pub mod pin;
pub mod private;
pub mod reader;
pub mod request;
pub mod signer;
pub mod verify;
pub mod visit;
pub mod waiting;
pub mod worker;

pub use endpoint::{Endpoint, EndpointError};
pub use signer::Account;
/// The earlier name of [`visit`].
#[doc(hidden)]
pub use visit as submit;

/// How far a transfer has come, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// Milliseconds since 1970 by this machine's clock.
fn now() -> epione_primitives::Moment {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
        .unwrap_or_default()
}
