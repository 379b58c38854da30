//! What can go wrong between this process and a hospital's worker.

use std::{io, path::PathBuf, time::Duration};

use epione_primitives::{HospitalId, access::Denial};

use crate::{api::Problem, chain::ChainError, endpoint::EndpointError};

/// Why a worker was not asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("TLS cannot be set up on this machine: {0}")]
    Tls(String),
    #[error(
        "the server at {url} does not prove the TLS key that the chain names for the hospital: if the \
         hospital has just changed its key, try again in a minute; otherwise somebody else answers there"
    )]
    WrongKey { url: String },
    #[error("hospital {0} is not on the chain: check its number")]
    UnknownHospital(HospitalId),
    #[error(
        "no worker answers at {url} ({reason}): check that it runs and that the address is right"
    )]
    Unreachable { url: String, reason: String },
    #[error("the worker at {url} did not go on within {} s: try again", .after.as_secs())]
    Stalled { url: String, after: Duration },
    /// The worker said no, or could not.
    #[error("the worker answered: {}", describe(.0))]
    Problem(Box<Problem>),
    #[error("{url} answered with status {status} and no reason: is it a worker?")]
    Status { url: String, status: u16 },
    #[error(
        "the answer of {url} cannot be read ({reason}): worker and client are of different versions"
    )]
    Malformed { url: String, reason: String },
    #[error("the answer of {url} is longer than the {limit} bytes that it may have")]
    TooLong { url: String, limit: u64 },
    /// Never handed on.
    #[error("{url} sent other bytes than those of segment {}: ask another hospital", hex::encode(.segment))]
    WrongBytes { url: String, segment: [u8; 32] },
    #[error("the link to segment {} is not for {url}'s worker", hex::encode(.segment))]
    ForeignLink { url: String, segment: [u8; 32] },
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} changed while it was being sent: start again", .path.display())]
    FileChanged { path: PathBuf },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl WorkerError {
    /// What the worker itself said, if it did.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Which condition of which policy failed, if access was refused.
    pub fn denial(&self) -> Option<&Denial> {
        self.problem()?.denial.as_ref()
    }

    /// Whether the same request may succeed later without anybody changing anything.
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
