//! Where each patient's newest record is. Every committed record points at the patient's record
//! before it, so that this one pointer is the entrance to the whole history, whichever hospitals
//! wrote it.
//!
//! The pallet has no calls: it moves a pointer when pallet-lite-blocks commits a block, through
//! [`IndexLinks`]. It has no events either: a commit would deposit up to 512 of them, and each
//! would only repeat what the entries of the committed block say. It measures no weights of its
//! own; who links pays one read and one write for each record.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use pallet::*;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use epione_primitives::{RecordPointer, UserId, limits::MAX_ENTRIES, ports::IndexLinks};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use frame_support::pallet_prelude::*;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config {}

    /// The newest committed record of each patient who has one.
    #[pallet::storage]
    pub type Latest<T: Config> = StorageMap<_, Blake2_128Concat, UserId, RecordPointer>;

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), TryRuntimeError> {
            Self::check_state()
        }
    }
}

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

impl<T: Config> IndexLinks for Pallet<T> {
    fn link(patient: UserId, pointer: RecordPointer) -> Option<RecordPointer> {
        Latest::<T>::mutate(patient, |latest| latest.replace(pointer))
    }

    fn latest(patient: UserId) -> Option<RecordPointer> {
        Latest::<T>::get(patient)
    }
}
