//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::ports::Records;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{Config, Pallet, Shared};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        for (pointer, sections) in Shared::<T>::iter() {
            ensure!(!sections.is_empty(), "a record is listed without shared sections");
            ensure!(
                T::Records::owner(pointer).is_some(),
                "sections are shared of a record that is not committed"
            );
        }
        Ok(())
    }
}
