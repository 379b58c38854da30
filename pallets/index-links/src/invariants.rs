//! What always holds of this pallet's state.

use alloc::collections::BTreeSet;
use epione_primitives::limits::MAX_ENTRIES;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{Config, Latest, Pallet};

impl<T: Config> Pallet<T> {
    /// Invariants:
    /// - a pointer names a height from 1 on and an index that a lite block can have;
    /// - no two patients share a record.
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let mut seen = BTreeSet::new();
        for (_, pointer) in Latest::<T>::iter() {
            ensure!(pointer.height > 0, "a patient's latest record has no height");
            ensure!(
                u32::from(pointer.index) < MAX_ENTRIES,
                "a patient's latest record is beyond the entries of any lite block"
            );
            ensure!(seen.insert(pointer), "two patients share a latest record");
        }
        Ok(())
    }
}
