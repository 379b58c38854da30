//! What `pallet_sharing` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sharing::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn share() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }

    /// An estimate until it is measured.
    fn unshare() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
}
