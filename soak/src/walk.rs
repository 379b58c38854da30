//! Walks the chain of lite blocks, block by block, up to the finalized head.

use std::collections::BTreeMap;

use anyhow::Context;
use epione_client::chain::Chain;
use epione_envelope::body;
use epione_primitives::{
    RecordId, RecordPointer,
    block::{AnnouncedEntry, AnnouncedHeader, Segment},
};

/// What the blocks contain, as far as they were read.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Height of the last block that was read.
    pub height: u32,
    /// Every record id with all its pointers.
    pub records: BTreeMap<RecordId, Vec<RecordPointer>>,
    /// Every segment, in the order of the blocks.
    pub segments: Vec<Segment>,
}

impl Walk {
    /// Reads on up to the newest finalized block.
    pub async fn go_on(&mut self, chain: &Chain) -> anyhow::Result<()> {
        let state = chain.finalized().await?;
        let newest = state.height().await?;
        while self.height < newest {
            let height = self.height + 1;
            let (header, _) = state.header(height).await?.context("a height without its block")?;
            let bytes = chain
                .body(header.body_hash)
                .await?
                .context("a committed block without its body")?;
            let entries = state.entries(height).await?;
            for (index, entry) in (0..).zip(&entries) {
                let record = body::record_at(entry.text, &bytes)
                    .with_context(|| format!("record {index} of block {height}"))?;
                let pointer = RecordPointer { height, index };
                self.records.entry(record.id()).or_default().push(pointer);
            }
            let entries: Vec<AnnouncedEntry> =
                entries.into_iter().map(AnnouncedEntry::from).collect();
            let announced =
                AnnouncedHeader { announcer: header.announcer, segments: header.segments };
            let checked = body::check(&announced, &entries, &bytes)
                .with_context(|| format!("block {height} contradicts itself"))?;
            self.segments.extend(checked.segments);
            self.height = height;
        }
        Ok(())
    }

    /// Records that were committed more than once.
    pub fn repeated(&self) -> Vec<(RecordId, Vec<RecordPointer>)> {
        let repeated = self.records.iter().filter(|(_, places)| places.len() > 1);
        repeated.map(|(record, places)| (*record, places.clone())).collect()
    }
}
