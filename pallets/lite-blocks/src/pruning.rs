//! Removes what was not committed, so that announcing and withdrawing in a loop leaves nothing in the state.

use epione_primitives::{AnnouncementId, BlockNumber, block::Stage, ports::Ballots};
use frame_support::{traits::Get, weights::Weight};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::SaturatedConversion;

use crate::{Announcements, Config, Pallet, PruneCursor, WeightInfo};

/// Maximum number of announcements that one block looks at. Removing an announcement needs less weight than making one,
/// and a block has more space for hooks than this needs, so announcements are removed as fast as they are made.
pub const MAX_PRUNED: u32 = 1_024;

impl<T: Config> Pallet<T> {
    /// Removes the announcements, with their ballots, that are older than
    /// [`RetentionBlocks`](Config::RetentionBlocks) and were not committed. Continues where the previous block stopped,
    /// and stops after [`MAX_PRUNED`] announcements or before the weight would exceed `remaining`. Returns the weight.
    ///
    /// Announcements have ascending ids and ages, so the first that is too young ends the search. An open announcement
    /// ends it too. Committed announcements and their ballots stay.
    pub(crate) fn prune(now: BlockNumberFor<T>, remaining: Weight) -> Weight {
        if T::WeightInfo::prune(0).any_gt(remaining) {
            return Weight::zero();
        }
        let now: BlockNumber = now.saturated_into();
        let first = PruneCursor::<T>::get();
        let (mut next, mut seen) = (first, 0_u32);
        while seen < MAX_PRUNED && T::WeightInfo::prune(seen.saturating_add(1)).all_lte(remaining) {
            let Some(stage) = Self::stage_if_old(next, now) else {
                break;
            };
            if !matches!(stage, Stage::Committed { .. }) {
                Announcements::<T>::remove(next);
                T::Ballots::remove(next);
            }
            next = AnnouncementId(next.0.saturating_add(1));
            seen = seen.saturating_add(1);
        }
        if next != first {
            PruneCursor::<T>::put(next);
        }
        T::WeightInfo::prune(seen)
    }

    /// The stage of an announcement that is closed and older than the retention.
    fn stage_if_old(id: AnnouncementId, now: BlockNumber) -> Option<Stage> {
        let announcement = Announcements::<T>::get(id)?;
        let end = announcement.announced_at.saturating_add(T::RetentionBlocks::get());
        (announcement.stage != Stage::Announced && end < now).then_some(announcement.stage)
    }
}
