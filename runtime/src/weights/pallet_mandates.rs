//! What `pallet_mandates` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_mandates::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn appoint() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(8, 4))
    }

    /// An estimate until it is measured.
    fn dismiss() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 2))
    }

    /// An estimate until it is measured.
    fn authorize() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(7, 3))
    }

    /// An estimate until it is measured.
    fn revoke() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }

    /// An estimate until it is measured.
    fn entrust() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 1))
    }

    /// An estimate until it is measured.
    fn end_custody() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 1))
    }
}
