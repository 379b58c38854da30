//! What `pallet_queries` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_queries::WeightInfo for Measured<T> {
    /// `r`: 1 to 16.
    /// An estimate until it is measured.
    fn ask(r: u32) -> Weight {
        Weight::from_parts(80_000_000, 0)
            .saturating_add(Weight::from_parts(14_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(10, 13))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(r.into())))
    }

    /// An estimate until it is measured.
    fn accept() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 8))
    }

    /// An estimate until it is measured.
    fn refuse() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 8))
    }

    /// An estimate until it is measured.
    fn withdraw() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 8))
    }

    /// An estimate until it is measured.
    fn transfer() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 1))
    }
}
