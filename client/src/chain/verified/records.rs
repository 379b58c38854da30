//! Records with their texts. The chain names a body's hash, and only a whole body can be hashed, so the client requests
//! the body of each record's block.

use epione_primitives::{
    Hash, RecordPointer, UserId,
    block::{Entry, Range},
    rpc::{HeaderReply, MAX_READ_BYTES, MAX_REPLY_BYTES, RecordReply},
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
        if let Some(state) = self.recent(chain).await
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
        if let Some(state) = self.recent(chain).await
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
        let Some((entry, body_hash)) = self.record(pointer).await? else { return Ok(None) };
        let body = self.body(body_hash).await?;
        self.reply(pointer, entry, &body).map(Some)
    }

    /// As the node's `liteBlocks_history`: at least one record if there are any, and no more when texts or bodies have
    /// reached the node's limits.
    pub(in crate::chain) async fn lite_history(
        &self,
        patient: UserId,
        before: Option<RecordPointer>,
        limit: u32,
    ) -> Result<Vec<RecordReply>, ChainError> {
        let (mut texts, mut bodies) = (0_usize, 0_usize);
        let mut last: Option<(Hash, Vec<u8>)> = None;
        let mut replies = Vec::new();
        for (pointer, entry, body_hash) in self.history(patient, before, limit).await? {
            if !replies.is_empty() && (texts >= MAX_REPLY_BYTES || bodies >= MAX_READ_BYTES) {
                break;
            }
            let body = match last.take().filter(|(hash, _)| *hash == body_hash) {
                Some((_, body)) => body,
                None => {
                    let body = self.body(body_hash).await?;
                    bodies = bodies.saturating_add(body.len());
                    body
                }
            };
            let reply = self.reply(pointer, entry, &body)?;
            texts = texts.saturating_add(reply.text.0.len());
            replies.push(reply);
            last = Some((body_hash, body));
        }
        Ok(replies)
    }

    /// The body with this hash.
    async fn body(&self, hash: Hash) -> Result<Vec<u8>, ChainError> {
        let body = self.chain().body(hash).await?;
        body.ok_or_else(|| self.chain().doubt(Doubt::NoBody { hash }))
    }

    fn reply(
        &self,
        pointer: RecordPointer,
        entry: Entry,
        body: &[u8],
    ) -> Result<RecordReply, ChainError> {
        let text = slice(body, entry.text).ok_or_else(|| self.chain().doubt(Doubt::OutsideBody))?;
        Ok(RecordReply { pointer, entry, text: Bytes(text.to_vec()) })
    }
}

fn slice(body: &[u8], range: Range) -> Option<&[u8]> {
    let (start, end) = (usize::try_from(range.offset).ok()?, usize::try_from(range.end()?).ok()?);
    body.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_outside_the_body_is_refused() {
        let range = |offset, length| Range { offset, length };
        assert_eq!(slice(b"text", range(1, 2)), Some(&b"ex"[..]));
        assert_eq!(slice(b"text", range(4, 0)), Some(&b""[..]));
        for outside in [range(3, 2), range(5, 0), range(u32::MAX, 1)] {
            assert_eq!(slice(b"text", outside), None, "{outside:?}");
        }
    }
}
