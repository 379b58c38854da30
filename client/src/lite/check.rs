//! Whether each lite block follows from those before it. Pure: the blocks come from the chain, or from the file.
//!
//! Hashes cover header and entries of a block, and the hashes of the block before. So a state that proves the hashes of
//! one block proves headers and entries of all blocks before it. A ballot is not in the hashes. It counts because it
//! was read from a proven state.

use std::collections::HashMap;

use epione_primitives::{
    Hash, Moment, RecordPointer, UserId,
    block::{
        AnnouncedEntry, AnnouncedHeader, BlockHashes, Entry, Header, Range, cloud_hash, record_hash,
    },
    limits::MAX_ENTRIES,
};

use crate::{chain::LiteBlock, verify};

/// The first block that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lite block {height} is wrong: {fault}")]
pub struct WrongBlock {
    pub height: u32,
    pub fault: Fault,
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("its header has the height {found}")]
    Height { found: u32 },
    #[error("it is missing, although there are later blocks")]
    Gap,
    #[error("its {what} cannot be read")]
    Unreadable { what: &'static str },
    #[error("its header names {found:?} as the {which} hash before it, which is {expected:?}")]
    Previous { which: &'static str, expected: Hash, found: Hash },
    #[error("its {which} hash is {found:?}, but header and entries have {expected:?}")]
    Hash { which: &'static str, expected: Hash, found: Hash },
    #[error("it is older than the block before it")]
    Time,
    #[error("it has {found} entries, and its header counts {counted}")]
    Entries { counted: u16, found: usize },
    #[error("its entries do not cover its {what} in order")]
    Ranges { what: &'static str },
    #[error("record {index} links to {}, but the patient's record before it is {}", shown(.found), shown(.expected))]
    Link { index: u16, expected: Option<RecordPointer>, found: Option<RecordPointer> },
    #[error("its ballot is about something else")]
    Subject,
    #[error("its ballot does not count: {reason}")]
    Ballot { reason: String },
    #[error("the file's list of records differs from its entries")]
    Listed,
    #[error("record {index} in the file is not the one on the chain: {what}")]
    Record { index: u16, what: &'static str },
}

fn shown(pointer: &Option<RecordPointer>) -> String {
    pointer.map_or_else(|| "none".into(), |pointer| pointer.to_string())
}

/// A block chain up to one block, as far as the next block depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    height: u32,
    hashes: BlockHashes,
    time: Moment,
    /// The newest record of each known patient; none if the patient has no record.
    newest: HashMap<UserId, Option<RecordPointer>>,
}

impl Tip {
    /// The end of a chain of which the patients' records are not known yet: see [`knows`](Self::knows).
    pub fn after(header: &Header, hashes: BlockHashes) -> Self {
        let Header { height, time, .. } = *header;
        Self { height, hashes, time, newest: HashMap::new() }
    }

    /// Height of the newest block; 0 before the first.
    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn hashes(&self) -> BlockHashes {
        self.hashes
    }

    /// Whether the newest record of this patient is known. Before the first block, all are: there are none.
    pub fn knows(&self, patient: &UserId) -> bool {
        self.height == 0 || self.newest.contains_key(patient)
    }

    /// Sets the newest record of a patient.
    pub fn learn(&mut self, patient: UserId, newest: Option<RecordPointer>) {
        self.newest.insert(patient, newest);
    }

    /// Checks the next block, and moves to it. A wrong block changes nothing. The patients of its entries must be
    /// known.
    pub fn advance(&mut self, block: &LiteBlock) -> Result<(), WrongBlock> {
        let height = self.height.saturating_add(1);
        let newest = self.check(height, block).map_err(|fault| WrongBlock { height, fault })?;
        self.height = height;
        self.hashes = block.hashes;
        self.time = block.header.time;
        self.newest.extend(newest.into_iter().map(|(patient, pointer)| (patient, Some(pointer))));
        Ok(())
    }

    /// Returns the newest record of each patient of the block.
    fn check(
        &self,
        height: u32,
        block: &LiteBlock,
    ) -> Result<HashMap<UserId, RecordPointer>, Fault> {
        let header = &block.header;
        if header.height != height {
            return Err(Fault::Height { found: header.height });
        }
        previous("lite", self.hashes.lite, header.previous_lite)?;
        previous("cloud", self.hashes.cloud, header.previous_cloud)?;
        if header.time < self.time {
            return Err(Fault::Time);
        }
        check_count(block)?;
        check_ranges(block)?;
        check_hashes(block)?;
        check_ballot(block)?;
        self.check_links(block)
    }

    /// Every entry must point at the patient's newest record before it.
    fn check_links(&self, block: &LiteBlock) -> Result<HashMap<UserId, RecordPointer>, Fault> {
        let height = block.header.height;
        let mut newest = HashMap::new();
        for (index, entry) in (0..).zip(&block.entries) {
            let before = self.newest.get(&entry.patient).copied().flatten();
            let here = RecordPointer { height, index };
            let expected = newest.insert(entry.patient, here).or(before);
            let found = entry.previous;
            if found != expected {
                return Err(Fault::Link { index, expected, found });
            }
        }
        Ok(newest)
    }
}

fn previous(which: &'static str, expected: Hash, found: Hash) -> Result<(), Fault> {
    if found == expected { Ok(()) } else { Err(Fault::Previous { which, expected, found }) }
}

fn check_count(block: &LiteBlock) -> Result<(), Fault> {
    let (counted, found) = (block.header.records, block.entries.len());
    let right = found == usize::from(counted) && (1..=MAX_ENTRIES as usize).contains(&found);
    if right { Ok(()) } else { Err(Fault::Entries { counted, found }) }
}

/// The entries must cover body and segments in order, without gaps.
fn check_ranges(block: &LiteBlock) -> Result<(), Fault> {
    let LiteBlock { header, entries, .. } = block;
    if !covers(entries.iter().map(|entry| entry.text), header.body_bytes) {
        return Err(Fault::Ranges { what: "body" });
    }
    if !covers(entries.iter().map(|entry| entry.media), header.segments.count) {
        return Err(Fault::Ranges { what: "segments" });
    }
    Ok(())
}

fn covers(mut ranges: impl Iterator<Item = Range>, total: u32) -> bool {
    let end = ranges.try_fold(0, |end, range| (range.offset == end).then(|| range.end()).flatten());
    end == Some(total)
}

fn check_hashes(block: &LiteBlock) -> Result<(), Fault> {
    let lite = block.header.lite_hash(&block.entries);
    let cloud = cloud_hash(lite, block.header.segments.root);
    for (which, expected, found) in
        [("lite", lite, block.hashes.lite), ("cloud", cloud, block.hashes.cloud)]
    {
        if found != expected {
            return Err(Fault::Hash { which, expected, found });
        }
    }
    Ok(())
}

/// The ballot must be about this block, and enough hospitals must have approved.
fn check_ballot(block: &LiteBlock) -> Result<(), Fault> {
    let Header { announcer, segments, body_hash, .. } = block.header;
    if subject(AnnouncedHeader { announcer, segments }, &block.entries, body_hash)
        != block.ballot.subject
    {
        return Err(Fault::Subject);
    }
    verify::approved(&block.ballot, announcer).map_err(|reason| Fault::Ballot { reason })
}

/// Checks that these bytes are the record of an entry.
pub(super) fn check_bytes(entry: &Entry, bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.len() as u64 != u64::from(entry.text.length) {
        return Err("its length");
    }
    if record_hash(bytes) == entry.hash { Ok(()) } else { Err("its hash") }
}

/// What the hospitals vote on.
fn subject(header: AnnouncedHeader, entries: &[Entry], body_hash: Hash) -> Hash {
    let announced: Vec<_> = entries.iter().cloned().map(AnnouncedEntry::from).collect();
    header.subject(&announced, body_hash)
}

#[cfg(test)]
pub(crate) mod made;
#[cfg(test)]
mod tests;
