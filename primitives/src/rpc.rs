//! JSON shapes of the node's own methods, `liteBlocks_*` and `finality_*`, shared by the node and its clients.

use serde::{Deserialize, Serialize};
use sp_core::Bytes;

use crate::{
    ChainHeader, RecordPointer,
    block::{BlockHashes, Entry, Header},
};

/// Error code: the chain has no committed lite block of this height.
pub const UNKNOWN_HEIGHT: i32 = 9001;
/// Error code: the chain has no committed record at this pointer.
pub const UNKNOWN_RECORD: i32 = 9002;
/// Error code: this node's database does not contain the body of this hash.
pub const BODY_NOT_HELD: i32 = 9003;
/// Error code: the body is shorter than the record's range in it.
pub const BODY_MISMATCH: i32 = 9004;
/// Maximum bytes of text, all records together, in one reply of `liteBlocks_history`. A reply has at
/// least one record if there are any. To read all, repeat with the last pointer until a reply is empty.
pub const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;
/// Maximum bytes of bodies that the node reads for one reply of `liteBlocks_history`. A patient may have one short
/// record in each of many large bodies. A reply that would need more ends earlier.
pub const MAX_READ_BYTES: usize = 8 * 1024 * 1024;

/// Reply of `liteBlocks_header(height)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderReply {
    pub header: Header,
    pub hashes: BlockHashes,
}

/// Reply of `liteBlocks_record(pointer)`, and an item in the reply of
/// `liteBlocks_history(user, before, limit)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordReply {
    pub pointer: RecordPointer,
    pub entry: Entry,
    /// The record's bytes within the block's body.
    pub text: Bytes,
}

/// Reply of `finality_newest()`, or null if the node has seen no votes yet: the newest block that the node knows to be
/// final, with the votes for it. Who verifies the votes need not believe the node, nor wait for the next votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalityReply {
    /// The header of the block.
    pub header: ChainHeader,
    /// The SCALE encoding of the GRANDPA justification of this block.
    pub justification: Bytes,
}
