//! Bodies of lite blocks, which are outside the chain's state: the proven header names their hash.

use epione_primitives::{Hash, block};
use sp_core::{Blake2Hasher, Hasher as _};

/// Why bytes are not the body that a header names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the node's body has {found} bytes, and the block's header says {expected}")]
    OtherLength { expected: u32, found: usize },
    #[error("the node's body has the hash {found:?}, and the block's header says {expected:?}")]
    OtherHash { expected: Hash, found: Hash },
}

/// Checks that `body` is the body of the lite block with this header: its length, and its BLAKE2-256 hash.
///
/// The header must be proven: read it from a [`ProvenState`](crate::ProvenState).
pub fn verify_body(header: &block::Header, body: &[u8]) -> Result<(), BodyError> {
    if usize::try_from(header.body_bytes) != Ok(body.len()) {
        return Err(BodyError::OtherLength { expected: header.body_bytes, found: body.len() });
    }
    let found = Blake2Hasher::hash(body);
    if found != header.body_hash {
        return Err(BodyError::OtherHash { expected: header.body_hash, found });
    }
    Ok(())
}
