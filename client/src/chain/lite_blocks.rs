//! The node's `liteBlocks_*` methods, which send headers and the records' slices of the bodies in one round trip. A
//! handle that verifies computes headers and entries from proofs, and compares the records' bytes with the entries.

use epione_primitives::{
    RecordPointer, UserId,
    rpc::{HeaderReply, RecordReply, UNKNOWN_HEIGHT, UNKNOWN_RECORD},
};
use subxt::rpcs::client::rpc_params;

use super::{Chain, ChainError};

impl Chain {
    /// Header and hashes of a committed lite block.
    pub async fn lite_header(&self, height: u32) -> Result<Option<HeaderReply>, ChainError> {
        if let Some(verifier) = &self.verifier {
            return verifier.lite_header(self, height).await;
        }
        unless(UNKNOWN_HEIGHT, self.request("liteBlocks_header", rpc_params![height]).await)
    }

    /// A committed record, with its slice of the body.
    pub async fn lite_record(
        &self,
        pointer: RecordPointer,
    ) -> Result<Option<RecordReply>, ChainError> {
        if let Some(verifier) = &self.verifier {
            return verifier.lite_record(self, pointer).await;
        }
        self.served_record(pointer).await
    }

    /// A patient's records before `before`, or all, newest first. The node cuts long answers: repeat the request with
    /// the last pointer as `before` until an answer is empty.
    pub async fn lite_history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<RecordReply>, ChainError> {
        if let Some(verifier) = &self.verifier {
            return verifier.newest(self).await?.lite_history(patient, before, limit).await;
        }
        self.served_history(patient, before, limit).await
    }

    /// A record as the node sends it, not verified.
    pub(super) async fn served_record(
        &self,
        pointer: RecordPointer,
    ) -> Result<Option<RecordReply>, ChainError> {
        unless(UNKNOWN_RECORD, self.request("liteBlocks_record", rpc_params![pointer]).await)
    }

    /// A patient's records as the node sends them, not verified.
    pub(super) async fn served_history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<RecordReply>, ChainError> {
        self.request("liteBlocks_history", rpc_params![patient, before, limit]).await
    }
}

/// Turns the error of this code into an absent result.
fn unless<T>(unknown: i32, reply: Result<T, ChainError>) -> Result<Option<T>, ChainError> {
    match reply {
        Ok(found) => Ok(Some(found)),
        Err(ChainError::Refused { code, .. }) if code == unknown => Ok(None),
        Err(error) => Err(error),
    }
}
