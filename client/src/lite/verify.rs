//! Checks a whole file again, without a node, and compares its end with the chain.

use epione_primitives::{BlockNumber, RecordPointer, block::BlockHashes};

use super::{
    LiteError, Source, Store, Tip, WrongBlock,
    check::{Fault, check_bytes},
    sync::{agrees, source},
};
use crate::chain::{Chain, LiteBlock};

/// Blocks between two reports of progress.
const STEP: u32 = 256;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Height of the newest block that is right, as are all before it.
    pub height: u32,
    /// The hashes of that block.
    pub hashes: BlockHashes,
    /// The newest chain block in whose state there were no other lite blocks, as the file says. None if the file never
    /// had all of a state, or if a block is wrong.
    pub complete_at: Option<BlockNumber>,
    pub records: u64,
    /// Sealed records that were compared with their entries.
    pub sealed_records: u64,
    /// The first block that is wrong.
    pub wrong: Option<WrongBlock>,
}

/// Checks every block of the file, in order, up to the first wrong one. Calls `progress` with the height that is
/// checked and the height of the file. What another process adds meanwhile is not checked.
pub fn check(store: &Store, mut progress: impl FnMut(u32, u32)) -> Result<Checked, LiteError> {
    let _snapshot = store.snapshot()?;
    store.check_pages()?;
    let newest = store.height()?;
    let kept = store.kept_records()?;
    let mut kept = kept.into_iter().peekable();
    let mut tip = Tip::default();
    let mut checked = Checked {
        height: 0,
        hashes: BlockHashes::default(),
        complete_at: None,
        records: 0,
        sealed_records: 0,
        wrong: None,
    };
    for height in 1..=newest {
        let block = match next(store, &mut tip, height) {
            Ok(block) => block,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Wrong(wrong)) => return Ok(Checked { wrong: Some(wrong), ..checked }),
        };
        while let Some(pointer) = kept.next_if(|pointer| pointer.height <= height) {
            if let Err(fault) = check_record(store, &block, pointer)? {
                return Ok(Checked { wrong: Some(WrongBlock { height, fault }), ..checked });
            }
            checked.sealed_records += 1;
        }
        checked.height = height;
        checked.hashes = block.hashes;
        checked.records += block.entries.len() as u64;
        if height % STEP == 0 || height == newest {
            progress(height, newest);
        }
    }
    let counts = store.counts()?;
    if counts != (u64::from(newest), checked.records) || kept.next().is_some() {
        let height = newest.saturating_add(1);
        checked.wrong = Some(WrongBlock { height, fault: Fault::Listed });
        return Ok(checked);
    }
    checked.complete_at = store.complete_at(newest)?;
    Ok(checked)
}

/// Compares the newest block that was checked with the chain's block of this height. The hashes of a block cover all
/// blocks before it, but no approvals: nothing compares these again. Returns the state by which it was compared. It
/// counts as proven only if all blocks were also copied from proven states.
pub async fn compare(chain: &Chain, store: &Store, checked: &Checked) -> Result<Source, LiteError> {
    let (kept, asked) = (store.genesis(), chain.genesis_hash());
    if kept != asked {
        return Err(LiteError::OtherChain { path: store.path().into(), kept, asked });
    }
    let lite = chain.lite_chain().await?;
    agrees(&lite, checked.height, checked.hashes).await?;
    let source = source(chain, &lite);
    let proven = source.proven && store.status()?.source.proven;
    Ok(Source { proven, ..source })
}

/// Why a check ends early.
enum Stop {
    Failed(LiteError),
    Wrong(WrongBlock),
}

/// Reads the next block, and checks it.
fn next(store: &Store, tip: &mut Tip, height: u32) -> Result<LiteBlock, Stop> {
    let wrong = |fault| Stop::Wrong(WrongBlock { height, fault });
    let (stored, patients) = store.listed(height).map_err(Stop::Failed)?;
    let block = stored.ok_or_else(|| wrong(Fault::Gap))?.decode().map_err(wrong)?;
    tip.advance(&block).map_err(Stop::Wrong)?;
    if !block.entries.iter().map(|entry| entry.patient).eq(patients) {
        return Err(wrong(Fault::Listed));
    }
    Ok(block)
}

/// Compares a sealed record of the file with its entry.
fn check_record(
    store: &Store,
    block: &LiteBlock,
    pointer: RecordPointer,
) -> Result<Result<(), Fault>, LiteError> {
    let index = pointer.index;
    let entry = block.entries.get(usize::from(index));
    let Some(entry) = entry.filter(|_| pointer.height == block.header.height) else {
        return Ok(Err(Fault::Record { index, what: "the chain has no such record" }));
    };
    let bytes = store.record(pointer)?.unwrap_or_default();
    Ok(check_bytes(entry, &bytes).map_err(|what| Fault::Record { index, what }))
}
