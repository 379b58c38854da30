//! Evidence: the proofs of which a formal transaction consists, for an auditor who has neither a node nor a key.
//!
//! | transaction | proofs |
//! | --- | --- |
//! | a record | authorization by the patient, store (`announce`), receive (`approve`, by each hospital), commit |
//! | a query | query (`ask`), accept (`accept`), transfer (`transfer`) |
//! | a look | request (signed by the requester), release (`record`) |
//! | an opening | open (`ask`), hand out (`hand_out`, by each hospital) |
//!
//! A proof is what somebody signed, in the block that has it, and what the state after a final block says that it
//! changed. [`make`] collects the evidence from a node; [`read`] and [`verify`] need no node. Whoever verifies knows
//! the hash of the genesis block, and nothing else. `docs/formats.md` describes the file. Nobody signs it: everything
//! in it is proven or signed by the actors themselves.
//!
//! [`verify`] judges each proof. It names who is responsible for a wrong one only if the file shows it: whoever made
//! the file may have left out, or changed, what would show that nobody is.

#[cfg(test)]
mod attacks;
mod calls;
mod check;
mod look;
mod made;
mod opening;
mod query;
mod record;
mod scope;
#[cfg(test)]
mod tests;
mod transaction;

pub use check::{Flaw, Verified, claimed_genesis, read, verify};
pub use made::{EvidenceError, Made, make};
pub use scope::Scope;
pub use transaction::{Party, Proof, Step, Subject, Transaction, Verdict};

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_primitives::Hash;
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::chain::{ChainProof, Sent};

/// Maximum bytes of the file.
pub const MAX_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// Maximum number of records, queries, looks and openings in one file.
pub const MAX_SUBJECTS: u32 = 1_024;
/// Maximum number of signed calls in one file.
const MAX_SENT: u32 = 65_536;

/// The first bytes of the file. No text begins with them, and a transfer that changes the ends of lines damages them.
const MAGIC: [u8; 8] = *b"\x8aEVIDNC\n";
/// The format of the file: the next byte.
const FORMAT: u8 = 1;
/// Memory that decoding the file may take: its bytes, and 24 bytes for each trie node.
const MAX_MEMORY: usize = 2 * MAX_FILE_BYTES as usize;
/// Maximum number of trie nodes in one file.
const MAX_NODES: usize = 1024 * 1024;
/// Maximum bytes of a trie node: a body of 2 MiB is in one.
const MAX_NODE_BYTES: usize = 4 * 1024 * 1024;

/// Signed calls, ascending by block and position, each once.
type SentCalls = BoundedVec<Sent, ConstU32<MAX_SENT>>;

/// The file, after the first bytes and the byte of the format.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
struct Bundle {
    genesis: Hash,
    scope: Scope,
    proof: ChainProof,
    sent: SentCalls,
}

impl Bundle {
    fn to_file(&self) -> Vec<u8> {
        (MAGIC, FORMAT, self).encode()
    }
}
