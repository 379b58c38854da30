//! A pointer to each patient's newest record. Every committed record points to the patient's previous
//! record, so this pointer leads to the patient's whole history, at all hospitals.
//!
//! The pallet has no calls: pallet-lite-blocks moves the pointers when it commits a block, through
//! [`IndexLinks`]. It has no events: a commit would deposit up to 512 of them, which would only repeat
//! the entries of the committed block. It has no weights: the calling pallet pays one read and one
//! write for each record.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

extern crate alloc;

pub use pallet::*;

mod invariants;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

use epione_primitives::{RecordPointer, UserId, ports::IndexLinks};

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

    /// The newest committed record of each patient who has records.
    #[pallet::storage]
    pub type Latest<T: Config> = StorageMap<_, Blake2_128Concat, UserId, RecordPointer>;

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_state()
        }
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
