//! JSON shapes of the node's `liteBlocks_*` methods, shared by the node and its clients.

use serde::{Deserialize, Serialize};
use sp_core::Bytes;

use crate::{
    RecordPointer,
    block::{BlockHashes, Entry, Header},
};

/// Error code: the chain has no committed lite block of this height.
pub const UNKNOWN_HEIGHT: i32 = 9001;
/// Error code: the chain has no committed record at this pointer.
pub const UNKNOWN_RECORD: i32 = 9002;
/// Error code: this node's database lacks the body that the chain names.
pub const BODY_NOT_HELD: i32 = 9003;
/// Error code: the body is shorter than the record's range in it.
pub const BODY_MISMATCH: i32 = 9004;
/// Bytes of text, all records together, after which an answer of `liteBlocks_history` is cut. It
/// holds one record at least; go on from its last pointer until an answer is empty.
pub const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// Answer of `liteBlocks_header(height)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderReply {
    pub header: Header,
    pub hashes: BlockHashes,
}

/// Answer of `liteBlocks_record(pointer)`, and an item of the answer of
/// `liteBlocks_history(user, before, limit)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordReply {
    pub pointer: RecordPointer,
    pub entry: Entry,
    /// The record's own slice of the block's body.
    pub text: Bytes,
}
