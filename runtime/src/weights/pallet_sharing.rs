//! What `pallet_sharing` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_sharing::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn give() -> Weight {
        Weight::from_parts(80_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 5))
    }

    /// An estimate until it is measured.
    fn withdraw() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 4))
    }

    /// `r`: 1 to 8.
    /// An estimate until it is measured.
    fn place(r: u32) -> Weight {
        Weight::from_parts(50_000_000, 0)
            .saturating_add(Weight::from_parts(40_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 2))
            .saturating_add(T::DbWeight::get().reads(4_u64.saturating_mul(r.into())))
            .saturating_add(T::DbWeight::get().writes(3_u64.saturating_mul(r.into())))
    }

    /// `r`: 1 to 8.
    /// An estimate until it is measured.
    fn remove(r: u32) -> Weight {
        Weight::from_parts(50_000_000, 0)
            .saturating_add(Weight::from_parts(25_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 2))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(r.into())))
            .saturating_add(T::DbWeight::get().writes(3_u64.saturating_mul(r.into())))
    }

    /// `r`: 1 to 8.
    /// An estimate until it is measured.
    fn place_by_kind(r: u32) -> Weight {
        Weight::from_parts(70_000_000, 0)
            .saturating_add(Weight::from_parts(45_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(6, 2))
            .saturating_add(T::DbWeight::get().reads(5_u64.saturating_mul(r.into())))
            .saturating_add(T::DbWeight::get().writes(4_u64.saturating_mul(r.into())))
    }
}
