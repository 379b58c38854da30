//! The RPC methods `liteBlocks_*`: committed lite blocks and records, with the records' bytes.
//!
//! A reader gets entry and text in one round trip, and never downloads a whole body for one record. All
//! replies of these methods are read at the last finalized block.
//!
//! The SDK's method `bitswap_v1_get` is different: it serves every body that this node has indexed, by its
//! hash, also of blocks that are not final or that another fork has displaced. Its callers must check in
//! finalized state that something names the hash.

use std::sync::Arc;

use epione_primitives::{
    Hash, OpaqueBlock as Block, RecordPointer, UserId,
    api::LiteBlocksApi as _,
    block::Entry,
    limits::{MAX_BODY_BYTES, MAX_HISTORY},
    rpc::{
        BODY_MISMATCH, BODY_NOT_HELD, HeaderReply, MAX_READ_BYTES, MAX_REPLY_BYTES, RecordReply,
        UNKNOWN_HEIGHT, UNKNOWN_RECORD,
    },
};
use jsonrpsee::{core::RpcResult, proc_macros::rpc, types::ErrorObjectOwned};
use sc_client_api::BlockBackend;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;

use crate::rpc::internal;

#[rpc(server)]
pub trait LiteBlocksApi {
    /// The header and hashes of the committed lite block with this height. Heights begin at 1.
    #[method(name = "liteBlocks_header", blocking)]
    fn header(&self, height: u32) -> RpcResult<HeaderReply>;

    /// A committed record, with its bytes of the body.
    #[method(name = "liteBlocks_record", blocking)]
    fn record(&self, pointer: RecordPointer) -> RpcResult<RecordReply>;

    /// A patient's records, newest first. The list begins before `before`, or with the latest record if
    /// absent. It may have fewer entries than `limit`, because the bytes of the reply and of the bodies that
    /// the node reads for it are bounded: to read all, repeat with the last pointer until the reply is empty.
    #[method(name = "liteBlocks_history", blocking)]
    fn history(
        &self,
        user: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> RpcResult<Vec<RecordReply>>;
}

/// Implements the methods with a client's finalized state and stored bodies.
pub struct LiteBlocks<Client> {
    client: Arc<Client>,
}

impl<Client> LiteBlocks<Client> {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

impl<Client> LiteBlocksApiServer for LiteBlocks<Client>
where
    Client: ProvideRuntimeApi<Block>
        + HeaderBackend<Block>
        + BlockBackend<Block>
        + Send
        + Sync
        + 'static,
    Client::Api: epione_primitives::api::LiteBlocksApi<Block>,
{
    fn header(&self, height: u32) -> RpcResult<HeaderReply> {
        let (header, hashes) = self
            .client
            .runtime_api()
            .header(self.finalized(), height)
            .map_err(internal)?
            .ok_or_else(|| unknown_height(height))?;
        Ok(HeaderReply { header, hashes })
    }

    fn record(&self, pointer: RecordPointer) -> RpcResult<RecordReply> {
        let (entry, body_hash) = self
            .client
            .runtime_api()
            .record(self.finalized(), pointer)
            .map_err(internal)?
            .ok_or_else(|| unknown_record(pointer))?;
        let body = self.body(body_hash)?;
        reply(pointer, entry, &body)
    }

    fn history(
        &self,
        user: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> RpcResult<Vec<RecordReply>> {
        let records = self
            .client
            .runtime_api()
            .history(self.finalized(), user, before, limit.min(MAX_HISTORY))
            .map_err(internal)?;
        let mut replies = Vec::with_capacity(records.len());
        let mut spent = Spent::default();
        // A patient's records of one lite block are adjacent, so caching one body is enough.
        let mut held: Option<(Hash, Vec<u8>)> = None;
        for (pointer, entry, body_hash) in records {
            let reads = held.as_ref().is_none_or(|(hash, _)| *hash != body_hash);
            let text = entry.text.length as usize;
            if !replies.is_empty() && !spent.has_room(text, reads) {
                break;
            }
            let body = match held.take() {
                Some((_, body)) if !reads => body,
                _ => self.body(body_hash)?,
            };
            spent.add(text, if reads { body.len() } else { 0 });
            replies.push(reply(pointer, entry, &body)?);
            held = Some((body_hash, body));
        }
        Ok(replies)
    }
}

impl<Client: HeaderBackend<Block> + BlockBackend<Block>> LiteBlocks<Client> {
    fn finalized(&self) -> Hash {
        self.client.info().finalized_hash
    }

    fn body(&self, hash: Hash) -> RpcResult<Vec<u8>> {
        self.client.indexed_transaction(hash).map_err(internal)?.ok_or_else(|| {
            refuse(
                BODY_NOT_HELD,
                format!(
                    "this node does not have the body {hash:?}, because it did not execute the block with the body: \
                     query another node, or sync this node with --sync full"
                ),
            )
        })
    }
}

/// What a reply of `liteBlocks_history` has used of its limits, in bytes.
#[derive(Default)]
struct Spent {
    text: usize,
    bodies: usize,
}

impl Spent {
    /// Whether the reply has room for another record, which may need another body of unknown length.
    fn has_room(&self, text: usize, reads_body: bool) -> bool {
        let body = if reads_body { MAX_BODY_BYTES as usize } else { 0 };
        self.text.saturating_add(text) <= MAX_REPLY_BYTES
            && self.bodies.saturating_add(body) <= MAX_READ_BYTES
    }

    fn add(&mut self, text: usize, body: usize) {
        self.text = self.text.saturating_add(text);
        self.bodies = self.bodies.saturating_add(body);
    }
}

fn reply(pointer: RecordPointer, entry: Entry, body: &[u8]) -> RpcResult<RecordReply> {
    let text = entry
        .text
        .end()
        .and_then(|end| body.get(entry.text.offset as usize..end as usize))
        .ok_or_else(|| {
            refuse(
                BODY_MISMATCH,
                format!("the body is too short for the range of record {pointer}"),
            )
        })?
        .to_vec()
        .into();
    Ok(RecordReply { pointer, entry, text })
}

fn unknown_height(height: u32) -> ErrorObjectOwned {
    refuse(UNKNOWN_HEIGHT, format!("no lite block of height {height} is committed and finalized"))
}

fn unknown_record(pointer: RecordPointer) -> ErrorObjectOwned {
    refuse(UNKNOWN_RECORD, format!("no record {pointer} is committed and finalized"))
}

fn refuse(code: i32, message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}
