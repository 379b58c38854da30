//! The client library for Epione's chain and for a hospital's worker.
//!
//! | module | outside system |
//! | --- | --- |
//! | [`chain`] | a node: finalized blocks, reads of the runtime API, bodies by hash, submission of calls |
//! | [`endpoint`] | the address of a hospital's worker, and the TLS key that it must prove |
//! | [`pin`] | a TLS server that proves a given key |
//! | [`worker`] | a hospital's worker over HTTP: visits, grants, segments, users, relationships |
//! | [`dicom`] | DICOM files: finds their frames when they are submitted |
//! | [`visit`] | files: makes a signed visit of texts and files |
//! | [`reader`] | node and worker: opens a patient's records by a grant or with the patient's own key, and verifies them |
//! | [`disclosure`] | node and files: sections of a record for somebody outside, who verifies without a node |
//! | [`evidence`] | node and files: who signed which part of a formal transaction, for an auditor without a node |
//! | [`offline`] | none: the chain and the age of what somebody verifies without a node |
//! | [`lite`] | node and a file: the lite blockchain of a peer, to check, list and search without a node |
//! | [`verify`] | none: recomputes the hashes and links of a committed lite block |
//! | [`query`] | node and worker: a requester asks a patient for sections, and the patient answers |
//! | [`opening`] | node: sections that hospitals open together while the patient is away, and why they do not |
//! | [`consent`] | node and worker: a patient's consents in words and as FHIR, what they cover, and the log of them |
//! | [`application`] | files: what a hospital hands to the others to found or join a chain, and a new chain from it |
//! | [`council`] | none: what the council can decide, as calls and as JSON, and how a motion stands |
//! | [`naming`] | none: signs that a call may name an account |
//! | [`api`], [`request`] | the worker's API: JSON shapes and request signatures, shared with the worker |
//! | [`signer`] | none: the account that signs |
//! | [`waiting`] | the calling program: what the library waits for, and since when |

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod application;
pub mod chain;
pub mod consent;
pub mod council;
pub mod dicom;
pub mod disclosure;
pub mod endpoint;
pub mod evidence;
pub mod file_name;
pub mod lite;
pub mod naming;
pub mod offline;
pub mod opening;
pub mod pin;
pub mod private;
pub mod query;
pub mod reader;
pub mod request;
pub mod signer;
pub mod verify;
pub mod visit;
pub mod waiting;
pub mod worker;

pub use endpoint::{Endpoint, EndpointError};
pub use signer::Account;

/// The progress of a transfer, in bytes.
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
