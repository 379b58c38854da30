//! `epione lite status`: up to which block the file is complete.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use epione_client::lite::{Status, Store};
use epione_primitives::{BlockNumber, Hash, Moment};
use serde::Serialize;

use super::FileArgs;
use crate::{
    context::{Context, Output},
    failure::Failure,
    wording::{counted, moment},
};

/// What the file contains.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub file: PathBuf,
    /// Hash of the chain's first block.
    pub genesis: Hash,
    /// Height of the newest lite block in the file.
    pub height: u32,
    /// Height of the newest lite block on the chain, when it was last asked.
    pub chain_height: u32,
    /// Whether the file had all blocks of the chain then.
    pub complete: bool,
    /// The final chain block by whose state the file was last compared, and its time.
    pub block: BlockNumber,
    pub block_hash: Hash,
    pub block_time: Moment,
    /// Whether it was proven of all blocks that they are in a final state.
    pub proven: bool,
    /// When the chain was last asked, by the clock of this machine; 0 if never.
    pub synced_at: Moment,
    pub records: u64,
    /// Records whose sealed bytes are in the file.
    pub sealed_records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Shown {
    fn new(file: PathBuf, status: Status) -> Self {
        let Status { genesis, height, source, synced_at, records, sealed_records, bytes } = status;
        Self {
            file,
            genesis,
            height,
            chain_height: source.height,
            complete: synced_at > 0 && height >= source.height,
            block: source.number,
            block_hash: source.hash,
            block_time: source.time,
            proven: source.proven,
            synced_at,
            records,
            sealed_records,
            bytes,
        }
    }

    /// How long ago the chain was last asked.
    fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_millis(self.synced_at));
        Duration::from_secs(age.as_secs())
    }
}

impl Output for Shown {}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file           {}, {} bytes", self.file.display(), self.bytes)?;
        writeln!(f, "chain          {:?}", self.genesis)?;
        let completeness = match self.complete {
            true => "complete".into(),
            false => format!("INCOMPLETE: the chain had {}", self.chain_height),
        };
        let blocks = counted(self.height, "lite block", "lite blocks");
        writeln!(f, "blocks         {blocks}, {completeness}")?;
        let (records, sealed) = (self.records, self.sealed_records);
        writeln!(f, "records        {records}; {sealed} of them with their sealed bytes")?;
        if self.synced_at == 0 {
            return write!(f, "synchronized   never");
        }
        let proof = if self.proven { "proven to be final" } else { "NOT PROVEN to be final" };
        writeln!(f, "chain block    {}, {}, {proof}", self.block, moment(self.block_time))?;
        let age = humantime::format_duration(self.age());
        write!(f, "synchronized   {}, {age} ago", moment(self.synced_at))
    }
}

/// Reads the file.
pub(super) fn shown(args: &FileArgs, context: &Context) -> Result<Shown, Failure> {
    let path = args.path(context)?;
    let status = Store::open(&path)?.status()?;
    Ok(Shown::new(path, status))
}
