//! Errors between this process and its node.

use std::{path::PathBuf, time::Duration};

use codec::Decode;
use epione_primitives::{BlockNumber, Hash, refusal::Refusal};
use sp_runtime::{DispatchError, ModuleError};
use subxt::Metadata;

use super::Doubt;

/// Why the chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    #[error(
        "{url} is not a node's address: {reason}; write it as wss://host:port, or as ws://127.0.0.1:port"
    )]
    Url { url: String, reason: String },
    /// Who controls the network could answer for the node, and name another worker to which plaintext would go.
    #[error(
        "{url} leads to another machine without TLS: everyone on the way could answer for the node, and name another \
         worker as the hospital's"
    )]
    Plain { url: String },
    #[error(
        "no node answers at {url} ({reason}): check that the node runs and that the address is right"
    )]
    Unreachable { url: String, reason: String },
    #[error(
        "the node at {url} belongs to another chain (its first block is {found:?}, not {expected:?}): use a node of \
         this chain"
    )]
    OtherChain { url: String, expected: Hash, found: Hash },
    #[error("the node refused {method}: {message}")]
    Refused { method: String, code: i32, message: String },
    #[error(
        "the node's answer to {what} cannot be read ({reason}): use node and client in the same version"
    )]
    Malformed { what: String, reason: String },
    #[error("the node does not have block {0}: use an archive node that has synchronized")]
    UnknownBlock(String),
    #[error(
        "the node sent a body with hash {found:?} instead of {expected:?}: its database is damaged, use another node"
    )]
    WrongBody { expected: Hash, found: Hash },
    /// A list that is read page by page has more entries than a client reads.
    #[error(
        "the node lists more than {limit} {what}, and the client reads no more: the list may have no end, use another \
         node"
    )]
    TooMany { what: &'static str, limit: usize },
    #[error("the node is still syncing with the chain: try again later")]
    Syncing,
    /// The answer does not follow from the genesis block that the client knows.
    #[error("the answer of the node at {url} is not proven: {doubt}")]
    Unproven { url: String, doubt: Box<Doubt> },
    #[error(
        "the file {} with the last verified block cannot be used ({reason}): correct that, or remove the file, and \
         verification begins again at the genesis block", .path.display()
    )]
    Memory { path: PathBuf, reason: String },
}

impl ChainError {
    pub(super) fn malformed(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Malformed { what: what.into(), reason: reason.to_string() }
    }

    /// Whether the same request may succeed later although nobody changes anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Syncing => true,
            Self::Unproven { doubt, .. } => doubt.is_transient(),
            _ => false,
        }
    }
}

/// Why a call failed that a block includes, in the words of the chain's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchFailure {
    /// Name of the pallet; `Runtime` for an error of the runtime itself.
    pub pallet: String,
    /// Name of the error, such as `BadOrigin`.
    pub error: String,
    /// What the chain's metadata says about it.
    pub docs: String,
}

impl DispatchFailure {
    /// Whether it is this error of this pallet.
    pub fn is(&self, pallet: &str, error: &str) -> bool {
        self.pallet == pallet && self.error == error
    }

    /// Reads an encoded error, which may be followed by other bytes, and finds its name and documentation in the
    /// metadata.
    pub(super) fn read(mut error: &[u8], metadata: &Metadata) -> Result<Self, ChainError> {
        let error = DispatchError::decode(&mut error)
            .map_err(|error| ChainError::malformed("a dispatch error", error))?;
        let DispatchError::Module(ModuleError { index, error: [variant, ..], .. }) = error else {
            let docs: &'static str = error.into();
            let (pallet, error) = ("Runtime".into(), error_name(&error));
            return Ok(Self { pallet, error, docs: docs.into() });
        };
        let pallet = metadata.pallet_by_error_index(index);
        let found = pallet.as_ref().and_then(|pallet| pallet.error_variant_by_index(variant));
        Ok(Self {
            pallet: pallet
                .as_ref()
                .map_or_else(|| format!("pallet {index}"), |it| it.name().into()),
            error: found.map_or_else(|| format!("error {variant}"), |it| it.name.clone()),
            docs: found.map(|it| it.docs.join(" ").trim().to_owned()).unwrap_or_default(),
        })
    }
}

/// Only the variant's name.
fn error_name(error: &DispatchError) -> String {
    let debug = format!("{error:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
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

/// Why a call had no effect, or why its effect is unknown.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A finalized block includes the call, but it failed.
    #[error("the call failed on the chain: {0}")]
    Dispatch(DispatchFailure),
    /// No block includes the call: the chain does not accept it from this account.
    #[error("the chain rejected the call: {0}")]
    Refused(Refusal),
    /// No block includes the call, for another reason.
    #[error("the node rejected the transaction: {0}")]
    Invalid(String),
    #[error("the call was not finalized within {} s and may still take effect", .after.as_secs())]
    TimedOut { after: Duration },
    /// The runtime has no such call, or a call with other arguments.
    #[error(
        "the chain has no such call {call} ({reason}): use node and client in the same version"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_runtime_itself_have_a_name() {
        assert_eq!(error_name(&DispatchError::BadOrigin), "BadOrigin");
        assert_eq!(error_name(&DispatchError::Other("body")), "Other");
    }
}
