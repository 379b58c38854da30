//! Deletes segments that have had no owner for a while, and moves damaged ones away.

use std::sync::atomic::{AtomicU64, Ordering};

use epione_primitives::Moment;

use super::{Journal, JournalError, Owner, references, verified};
use crate::store::{Store, StoreError};

/// Segments read at once.
const BATCH: u32 = 256;

/// Why a segment could not be deleted or moved away.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes segments that have had no owner for `grace` milliseconds; returns how many.
pub async fn sweep(
    journal: &Journal,
    store: &Store,
    grace: u64,
    now: Moment,
) -> Result<u64, SweepError> {
    let before = now.saturating_sub(grace);
    let mut deleted = 0;
    loop {
        let garbage = journal.read(move |tx| references::garbage(tx, before, BATCH)).await?;
        let last = garbage.len() < BATCH as usize;
        for hash in garbage {
            deleted += u64::from(discard(journal, store, hash).await?);
        }
        if last {
            return Ok(deleted);
        }
    }
}

/// Removes an owner, and immediately deletes its segments that have no other owner. For segments that cannot be about
/// to gain another owner, such as those of an upload.
pub async fn discard_owner(
    journal: &Journal,
    store: &Store,
    owner: Owner,
    now: Moment,
) -> Result<(), SweepError> {
    let segments = journal.references_of(owner).await?;
    journal.release(owner, now).await?;
    for segment in segments {
        discard(journal, store, segment.hash).await?;
    }
    Ok(())
}

/// Moves a damaged segment to the quarantine, if it is still damaged. Several readers find the same damage, and the
/// segment may have been repaired since this one read it. Returns whether it was moved.
pub async fn quarantine(
    journal: &Journal,
    store: &Store,
    hash: &[u8; 32],
) -> Result<bool, SweepError> {
    let hash = *hash;
    let _custody = journal.shared.custody.lock().await;
    // Before the read: a repair that replaces the object from now on is read back before it counts.
    let _deletion = Deletion::begin(&journal.shared.deletions);
    let Err(error) = store.read(&hash).await else { return Ok(false) };
    if !store.shows_damage(&hash, &error).await {
        return Ok(false);
    }
    journal.write(move |tx| verified::forget(tx, &hash)).await?;
    store.quarantine(&hash).await?;
    Ok(true)
}

/// A deletion, or a move to the quarantine, that is under way. It is counted when it begins and when it ends, however
/// it ends: a read that began meanwhile may have returned bytes that are gone.
struct Deletion<'a>(&'a AtomicU64);

impl<'a> Deletion<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Deletion<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn discard(journal: &Journal, store: &Store, hash: [u8; 32]) -> Result<bool, SweepError> {
    let _custody = journal.shared.custody.lock().await;
    let needed = !journal.claims(hash).await?.is_empty();
    if !needed {
        // Before the object: nothing may count a segment that is about to be deleted.
        let _deletion = Deletion::begin(&journal.shared.deletions);
        journal.write(move |tx| verified::forget(tx, &hash)).await?;
        store.delete(&hash).await?;
    }
    journal.write(move |tx| references::forget_garbage(tx, &hash)).await?;
    Ok(!needed)
}
