//! Records with their texts. The proven entry of a record names the hash of its bytes, so the client requests only
//! these bytes.

use std::collections::BTreeMap;

use epione_primitives::{
    RecordPointer, UserId,
    block::{Entry, record_hash},
    rpc::{HeaderReply, MAX_REPLY_BYTES, RecordReply},
};
use sp_core::Bytes;

use super::{Doubt, VerifiedState, Verifier};
use crate::chain::{Chain, ChainError};

/// Committed blocks never change, so what the last known state has is not requested from a newer one.
impl Verifier {
    /// As the node's `liteBlocks_header`.
    pub(in crate::chain) async fn lite_header(
        &self,
        chain: &Chain,
        height: u32,
    ) -> Result<Option<HeaderReply>, ChainError> {
        if let Some(state) = self.recent(chain)
            && let Some(found) = state.lite_header(height).await?
        {
            return Ok(Some(found));
        }
        self.newest(chain).await?.lite_header(height).await
    }

    /// As the node's `liteBlocks_record`.
    pub(in crate::chain) async fn lite_record(
        &self,
        chain: &Chain,
        pointer: RecordPointer,
    ) -> Result<Option<RecordReply>, ChainError> {
        if let Some(state) = self.recent(chain)
            && let Some(found) = state.lite_record(pointer).await?
        {
            return Ok(Some(found));
        }
        self.newest(chain).await?.lite_record(pointer).await
    }
}

impl VerifiedState {
    async fn lite_header(&self, height: u32) -> Result<Option<HeaderReply>, ChainError> {
        let found = self.header(height).await?;
        Ok(found.map(|(header, hashes)| HeaderReply { header, hashes }))
    }

    async fn lite_record(&self, pointer: RecordPointer) -> Result<Option<RecordReply>, ChainError> {
        let Some((entry, _)) = self.record(pointer).await? else { return Ok(None) };
        let text = self.served_text(pointer).await?;
        self.reply(pointer, entry, text).map(Some)
    }

    /// As the node's `liteBlocks_history`: at least one record if there are any, and no more when the texts have
    /// reached the node's limit. The node may end the list earlier, too.
    pub(in crate::chain) async fn lite_history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<RecordReply>, ChainError> {
        let served = self.chain().served_history(patient, before, limit);
        let (records, served) =
            futures::future::try_join(self.history(patient, before, limit), served).await?;
        let mut texts: BTreeMap<RecordPointer, Bytes> =
            served.into_iter().map(|reply| (reply.pointer, reply.text)).collect();
        let mut bytes = 0_usize;
        let mut replies = Vec::new();
        for (pointer, entry, _) in records {
            let text = match texts.remove(&pointer) {
                Some(text) => text,
                // The node's list may begin with newer records than this state has.
                None if replies.is_empty() => self.served_text(pointer).await?,
                None => break,
            };
            bytes = bytes.saturating_add(text.len());
            if !replies.is_empty() && bytes > MAX_REPLY_BYTES {
                break;
            }
            replies.push(self.reply(pointer, entry, text)?);
        }
        Ok(replies)
    }

    /// The bytes of a record that exists, as the node sends them.
    async fn served_text(&self, pointer: RecordPointer) -> Result<Bytes, ChainError> {
        let served = self.chain().served_record(pointer).await?;
        let served = served.ok_or_else(|| self.chain().doubt(Doubt::NoRecord { pointer }))?;
        Ok(served.text)
    }

    /// The record, if the bytes are those that its proven entry names.
    fn reply(
        &self,
        pointer: RecordPointer,
        entry: Entry,
        text: Bytes,
    ) -> Result<RecordReply, ChainError> {
        if record_hash(&text) != entry.hash {
            return Err(self.chain().doubt(Doubt::OtherRecord { pointer }));
        }
        Ok(RecordReply { pointer, entry, text })
    }
}
