//! The log of what all patients share. Each change names the hash of the previous one, and the chain's state names the
//! last. So a client that has followed the log notices a change that a node leaves out, alters or adds.

use codec::Encode;
use epione_primitives::{Hash, limits::MAX_PAGE, sharing::SharedChange};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::chain::{ChainError, Snapshot};

/// Maximum number of changes that are followed at a time.
pub const MAX_CHANGES: u64 = 1 << 20;

/// Why the log was not followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("the node's log of shared sections is not the chain's: change {height} {what}")]
    Broken { height: u64, what: &'static str },
    #[error("the log has {0} changes from there on, and the limit is {max}", max = MAX_CHANGES)]
    TooLong(u64),
    #[error("the log ends at change {head}: there is no change {from}")]
    NotYet { from: u64, head: u64 },
}

/// Where a follower is in the log: the height of the last change, and its hash; none before the first change that was
/// seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Follower {
    next: u64,
    /// The hash that the next change must name. None if the follower began in the middle of the log: then the hash of
    /// each change is checked by the change after it only.
    previous: Option<Hash>,
}

impl Follower {
    /// Begins before the change of this height.
    fn before(from: u64) -> Self {
        Self { next: from, previous: (from <= 1).then(Hash::zero) }
    }

    fn see(&mut self, change: &SharedChange) -> Result<(), LogError> {
        let broken = |what| LogError::Broken { height: self.next, what };
        if change.height != self.next {
            return Err(broken("is missing, or out of order"));
        }
        if self.previous.is_some_and(|previous| previous != change.previous) {
            return Err(broken("does not name the hash of the change before it"));
        }
        self.previous = Some(BlakeTwo256::hash(&change.encode()));
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    /// Checks that the last change is the one that the state names.
    fn end(&self, (height, hash): (u64, Hash)) -> Result<(), LogError> {
        let broken = |what| LogError::Broken { height, what };
        if self.next != height.saturating_add(1) {
            return Err(broken("is missing"));
        }
        match self.previous {
            Some(last) if last != hash => {
                Err(broken("is not the one that the chain's state names"))
            }
            _ => Ok(()),
        }
    }
}

/// Follows the log from the change of this height, 1 for all, to the end in this state, and calls `see` for each change
/// after it was checked that it follows from the change before. Returns height and hash of the last change. What `see`
/// was given is the chain's only if this succeeds.
///
/// From a later height on, the first change is checked by those after it, whose last the state names.
///
/// # Errors
/// If a change is missing or does not follow from the one before it, or if the last one is not the one that the state
/// names.
pub async fn follow(
    state: &Snapshot,
    from: u64,
    mut see: impl FnMut(SharedChange),
) -> Result<(u64, Hash), LogError> {
    let from = from.max(1);
    let head = state.shared_head().await?;
    let left = head.0.saturating_add(1).saturating_sub(from);
    if left > MAX_CHANGES {
        return Err(LogError::TooLong(left));
    }
    if left == 0 && from > 1 {
        return Err(LogError::NotYet { from, head: head.0 });
    }
    let mut follower = Follower::before(from);
    while follower.next <= head.0 {
        let page = state.shared_changes(follower.next, MAX_PAGE).await?;
        if page.is_empty() {
            break;
        }
        for change in page {
            // The state is that of one block, so there is nothing after its last change.
            follower.see(&change)?;
            see(change);
        }
    }
    follower.end(head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use epione_primitives::{
        RecordPointer, UserId,
        release::SectionSet,
        sharing::{Change, SlotId},
    };

    use super::*;

    fn log(length: u64) -> Vec<SharedChange> {
        let mut previous = Hash::zero();
        let changes = (1..=length).map(|height| {
            let pointer = RecordPointer { height: 1, index: 0 };
            let change = SharedChange {
                height,
                previous,
                patient: UserId([1; 32]),
                slot: SlotId(2),
                change: Change::Placed { pointer, sections: SectionSet(height) },
                block: 7,
            };
            previous = BlakeTwo256::hash(&change.encode());
            change
        });
        changes.collect()
    }

    fn head(log: &[SharedChange]) -> (u64, Hash) {
        log.last()
            .map_or((0, Hash::zero()), |last| (last.height, BlakeTwo256::hash(&last.encode())))
    }

    fn followed(from: u64, log: &[SharedChange], head: (u64, Hash)) -> Result<(), LogError> {
        let mut follower = Follower::before(from);
        log.iter().try_for_each(|change| follower.see(change))?;
        follower.end(head)
    }

    #[test]
    fn an_honest_log_is_followed_from_every_height() {
        let all = log(5);
        followed(1, &[], head(&[])).unwrap();
        for from in 1..=5 {
            let skipped = usize::try_from(from).unwrap() - 1;
            followed(from, &all[skipped..], head(&all)).unwrap();
        }
    }

    #[test]
    fn a_change_that_is_dropped_altered_moved_or_added_is_noticed() {
        let all = log(5);
        let end = head(&all);
        for from in [1, 2] {
            let honest = &all[usize::try_from(from).unwrap() - 1..];
            for (index, change) in honest.iter().enumerate() {
                let mut dropped = honest.to_vec();
                dropped.remove(index);
                followed(from, &dropped, end).unwrap_err();
                let mut altered = honest.to_vec();
                altered[index].patient = UserId([9; 32]);
                followed(from, &altered, end).unwrap_err();
                let mut doubled = honest.to_vec();
                doubled.insert(index, change.clone());
                followed(from, &doubled, end).unwrap_err();
            }
            let mut swapped = honest.to_vec();
            swapped.swap(1, 2);
            followed(from, &swapped, end).unwrap_err();
            followed(from, &log(6)[usize::try_from(from).unwrap() - 1..], end).unwrap_err();
        }
    }

    #[test]
    fn a_log_that_was_made_up_whole_does_not_end_as_the_state_says() {
        let all = log(5);
        let mut other = all.clone();
        other[0].slot = SlotId(3);
        let mut previous = Hash::zero();
        for change in &mut other {
            change.previous = previous;
            previous = BlakeTwo256::hash(&change.encode());
        }
        followed(1, &other, head(&other)).unwrap();
        let refused = followed(1, &other, head(&all)).unwrap_err();
        assert!(refused.to_string().contains("change 5 is not the one"), "{refused}");
    }
}
