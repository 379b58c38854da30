//! Copies the chain of lite blocks from a final state. Pages are requested several at once, checked in order, and
//! written one by one, so that an interrupted copy continues after its last page.

use std::ops::RangeInclusive;

use epione_primitives::block::BlockHashes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{LiteError, Source, Store, Tip};
use crate::chain::{Chain, LiteBlock, LiteChain, PAGE_BLOCKS};

/// Pages that are requested at once.
const PAGES_AT_ONCE: usize = 4;

/// What a copy has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    pub added: u32,
    /// Height of the newest block.
    pub height: u32,
    pub source: Source,
}

/// Adds to the file all blocks that it lacks. Calls `progress` with the height in the file and on the chain, after each
/// page. A chain that contradicts the file is an error, and changes nothing.
pub async fn sync(
    chain: &Chain,
    store: &mut Store,
    mut progress: impl FnMut(u32, u32),
) -> Result<Synced, LiteError> {
    let (kept, asked) = (store.genesis(), chain.genesis_hash());
    if kept != asked {
        return Err(LiteError::OtherChain { path: store.path().into(), kept, asked });
    }
    let lite = chain.lite_chain().await?;
    let source = source(chain, &lite);
    let mut tip = store.tip()?;
    agrees(&lite, tip.height(), tip.hashes()).await?;
    let begun = tip.height();
    let pages = pages(begun, lite.height()).map(|heights| {
        let lite = lite.clone();
        async move { lite.page(heights).await }
    });
    let mut pages = stream::iter(pages).buffered(PAGES_AT_ONCE);
    while let Some(page) = pages.try_next().await? {
        add(store, &mut tip, &page, &source)?;
        progress(tip.height(), lite.height());
    }
    if tip.height() == begun {
        store.touch(&source)?;
    }
    Ok(Synced { added: tip.height() - begun, height: tip.height(), source })
}

pub(super) fn source(chain: &Chain, lite: &LiteChain) -> Source {
    Source {
        number: lite.head().number,
        hash: lite.head().hash,
        time: lite.time(),
        height: lite.height(),
        proven: chain.is_verified(),
    }
}

/// Checks that the chain contains this block, which is the newest one of the file, and so all blocks before it.
pub(super) async fn agrees(
    lite: &LiteChain,
    height: u32,
    hashes: BlockHashes,
) -> Result<(), LiteError> {
    if height == 0 {
        return Ok(());
    }
    if lite.height() < height {
        return Err(LiteError::RolledBack { chain: lite.height(), kept: height });
    }
    let found = lite.hashes(height).await?.unwrap_or_default();
    if found != hashes {
        return Err(LiteError::Fork { height, chain: found.lite, kept: hashes.lite });
    }
    Ok(())
}

/// The heights after `last` up to `newest`, in pages.
fn pages(last: u32, newest: u32) -> impl Iterator<Item = RangeInclusive<u32>> {
    let first = last.saturating_add(1);
    let size = PAGE_BLOCKS - 1;
    (first..=newest)
        .step_by(PAGE_BLOCKS as usize)
        .map(move |from| from..=from.saturating_add(size).min(newest))
}

/// Checks a page, and writes it. Nothing of a page with a wrong block is written.
fn add(
    store: &mut Store,
    tip: &mut Tip,
    page: &[LiteBlock],
    source: &Source,
) -> Result<(), LiteError> {
    for block in page {
        for entry in &block.entries {
            if !tip.knows(&entry.patient) {
                tip.learn(entry.patient, store.newest(entry.patient)?);
            }
        }
        tip.advance(block)?;
    }
    store.append(page, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_missing_height_once() {
        let all = |last, newest| pages(last, newest).collect::<Vec<_>>();
        assert_eq!(all(0, 0), []);
        assert_eq!(all(7, 7), []);
        assert_eq!(all(9, 7), []);
        assert_eq!(all(0, 1), [1..=1]);
        assert_eq!(all(0, 130), [1..=64, 65..=128, 129..=130]);
        assert_eq!(all(64, 128), [65..=128]);
        assert_eq!(all(u32::MAX - 1, u32::MAX), [u32::MAX..=u32::MAX]);
    }
}
