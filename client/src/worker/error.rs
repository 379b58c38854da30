//! Errors between this process and a hospital's worker.

use std::{io, path::PathBuf, time::Duration};

use epione_primitives::{HospitalId, access::Denial};

use crate::{api::Problem, chain::ChainError, endpoint::EndpointError};

/// Why a request was not sent, or failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("TLS cannot be set up on this machine: {0}")]
    Tls(String),
    #[error(
        "the server at {url} does not prove the TLS key that the chain names for the hospital: if the \
         hospital has just changed its key, try again in a minute; otherwise it is not the hospital's worker"
    )]
    WrongKey { url: String },
    #[error("the chain has no hospital {0}: check its number")]
    UnknownHospital(HospitalId),
    #[error(
        "no worker answers at {url} ({reason}): check that the worker runs and that the address is right"
    )]
    Unreachable { url: String, reason: String },
    #[error("the worker at {url} made no progress within {} s: try again", .after.as_secs())]
    Stalled { url: String, after: Duration },
    /// The worker rejected the request, or could not serve it.
    #[error("the worker answered: {}", describe(.0))]
    Problem(Box<Problem>),
    #[error(
        "{url} answered with status {status} without a reason: check that it is the address of a worker"
    )]
    Status { url: String, status: u16 },
    #[error(
        "the answer of {url} cannot be read ({reason}): use worker and client in the same version"
    )]
    Malformed { url: String, reason: String },
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLong { url: String, limit: u64 },
    /// The bytes are never passed on.
    #[error("{url} sent wrong bytes for segment {}: fetch it from another hospital", hex::encode(.segment))]
    WrongBytes { url: String, segment: [u8; 32] },
    #[error("the link to segment {} is not a link of the worker at {url}", hex::encode(.segment))]
    ForeignLink { url: String, segment: [u8; 32] },
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} changed while it was being sent: submit the visit again", .path.display())]
    FileChanged { path: PathBuf },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl WorkerError {
    /// The worker's own description of the problem, if it sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Which condition of which policy is not met, if access was refused.
    pub fn denial(&self) -> Option<&Denial> {
        self.problem()?.denial.as_ref()
    }

    /// Whether the same request may succeed later although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 502..=504),
            Self::Status { status, .. } => matches!(status, 429 | 502..=504),
            Self::Chain(error) => error.is_transient(),
            _ => false,
        }
    }
}

fn describe(problem: &Problem) -> String {
    match &problem.detail {
        Some(detail) => format!("{}: {detail}", problem.title),
        None => problem.title.clone(),
    }
}
