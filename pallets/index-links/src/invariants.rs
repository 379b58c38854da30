//! The invariants of this pallet's state.

use alloc::collections::BTreeSet;
use epione_primitives::limits::MAX_ENTRIES;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{Config, Latest, Pallet};

impl<T: Config> Pallet<T> {
    /// Invariants:
    /// - a pointer has a height of at least 1, and an index that a lite block can have;
    /// - no two patients share a latest record.
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let mut seen = BTreeSet::new();
        for (_, pointer) in Latest::<T>::iter() {
            ensure!(pointer.height > 0, "a patient's latest record has height 0");
            ensure!(
                u32::from(pointer.index) < MAX_ENTRIES,
                "a patient's latest record has an index that no lite block has"
            );
            ensure!(seen.insert(pointer), "two patients share a latest record");
        }
        Ok(())
    }
}
