//! What can go wrong between this process and its node.

use std::time::Duration;

use epione_primitives::{BlockNumber, Hash, refusal::Refusal};

/// Why the chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error("{url} is not a node's address: {reason}; write it as ws://host:port")]
    Url { url: String, reason: String },
    #[error(
        "no node answers at {url} ({reason}): check that it runs and that the address is right"
    )]
    Unreachable { url: String, reason: String },
    #[error(
        "the node at {url} belongs to another chain: its first block is {found:?}, not {expected:?}"
    )]
    OtherChain { url: String, expected: Hash, found: Hash },
    #[error("the node refused {method}: {message}")]
    Refused { method: String, code: i32, message: String },
    #[error(
        "the node's answer to {what} cannot be read ({reason}): node and client are of different versions"
    )]
    Malformed { what: String, reason: String },
    #[error("the node does not know block {0}")]
    UnknownBlock(String),
    #[error(
        "the node answered with a body whose hash is {found:?} when asked for {expected:?}: its database is damaged"
    )]
    WrongBody { expected: Hash, found: Hash },
    #[error("the node is still catching up with the chain: try again later")]
    Syncing,
}

impl ChainError {
    pub(super) fn malformed(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Malformed { what: what.into(), reason: reason.to_string() }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Syncing)
    }
}

/// A call that a block includes, and that failed: the chain's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchFailure {
    /// Name of the pallet, or of the runtime's own error, such as `BadOrigin`.
    pub pallet: String,
    /// Name of the pallet's error; empty for the runtime's own.
    pub error: String,
    /// What the chain's metadata says about it.
    pub docs: String,
}

impl DispatchFailure {
    /// Whether this is that error of that pallet.
    pub fn is(&self, pallet: &str, error: &str) -> bool {
        self.pallet == pallet && self.error == error
    }
}

impl std::fmt::Display for DispatchFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.pallet)?;
        if !self.error.is_empty() {
            write!(f, "::{}", self.error)?;
        }
        if !self.docs.is_empty() {
            write!(f, ": {}", self.docs)?;
        }
        Ok(())
    }
}

/// Why a call had no effect, or none that is known of.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// In a final block, without effect.
    #[error("the chain did not do it: {0}")]
    Dispatch(DispatchFailure),
    /// Never in a block: the chain does not take this call from this account.
    #[error("the chain does not take this call: {0}")]
    Refused(Refusal),
    /// Never in a block, for another reason.
    #[error("the node does not take this transaction: {0}")]
    Invalid(String),
    #[error("not final after {} s: the chain may still include it; look before you repeat it", .after.as_secs())]
    TimedOut { after: Duration },
    /// The runtime has no such call, or its arguments differ.
    #[error(
        "{call} is not a call of this chain ({reason}): node and client are of different versions"
    )]
    UnknownCall { call: String, reason: String },
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl SubmitError {
    /// The dispatch error, if the call was included and failed.
    pub fn dispatch(&self) -> Option<&DispatchFailure> {
        match self {
            Self::Dispatch(failure) => Some(failure),
            _ => None,
        }
    }
}

pub(super) fn unknown_block(block: Hash) -> ChainError {
    ChainError::UnknownBlock(format!("{block:?}"))
}

pub(super) fn unknown_number(number: BlockNumber) -> ChainError {
    ChainError::UnknownBlock(number.to_string())
}
