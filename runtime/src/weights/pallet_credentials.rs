//! What `pallet_credentials` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_credentials::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn name_attribute() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 3))
    }

    /// An estimate until it is measured.
    fn issue() -> Weight {
        Weight::from_parts(80_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(7, 3))
    }

    /// An estimate until it is measured.
    fn revoke() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
}
