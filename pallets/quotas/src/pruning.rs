//! Removes entries whose windows have passed, so that accounts that are not used any more leave nothing in the state.

use alloc::vec::Vec;

use frame_support::weights::Weight;

use crate::{Config, Pallet, PruneCursor, Used, WeightInfo};

/// Maximum number of entries that one block looks at.
pub const MAX_PRUNED: u32 = 8;

impl<T: Config> Pallet<T> {
    /// Looks at up to [`MAX_PRUNED`] entries of [`Used`], and removes those that count nothing any more. Continues
    /// where the previous block stopped, begins again after the last entry, and does not exceed `remaining`. Returns
    /// the weight.
    ///
    /// A removed entry reads as an entry that counts nothing, so no budget changes.
    pub(crate) fn prune(remaining: Weight) -> Weight {
        let affordable = |count: &u32| T::WeightInfo::prune(*count).all_lte(remaining);
        let Some(most) = (1..=MAX_PRUNED).take_while(affordable).last() else {
            return Weight::zero();
        };
        let cursor = PruneCursor::<T>::get();
        let entries = match &cursor {
            Some((holder, lane)) => Used::<T>::iter_from(Used::<T>::hashed_key_for(holder, lane)),
            None => Used::<T>::iter(),
        };
        // Collected first: the entries must not change while they are read.
        let seen: Vec<_> = entries.take(most as usize).collect();
        let count = seen.len() as u32;
        let now = Self::now();
        for (holder, lane, usage) in &seen {
            if !usage.counts_at(now) {
                Used::<T>::remove(holder, lane);
            }
        }
        let last = seen.into_iter().next_back().map(|(holder, lane, _)| (holder, lane));
        let next = if count < most { None } else { last };
        if next != cursor {
            PruneCursor::<T>::set(next);
        }
        T::WeightInfo::prune(count)
    }
}
