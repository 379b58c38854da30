//! What `pallet_consortium_key` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_consortium_key::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn begin() -> Weight {
        Weight::from_parts(400_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(19, 106))
    }

    /// An estimate until it is measured.
    fn enrol() -> Weight {
        Weight::from_parts(80_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 6))
    }

    /// An estimate until it is measured.
    fn deal() -> Weight {
        Weight::from_parts(8_000_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 6))
    }

    /// An estimate until it is measured.
    fn judge() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 5))
    }

    /// An estimate until it is measured.
    fn answer() -> Weight {
        Weight::from_parts(5_000_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(8, 6))
    }

    /// An estimate until it is measured.
    fn confirm() -> Weight {
        Weight::from_parts(80_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(7, 7))
    }

    /// An estimate until it is measured.
    fn activate() -> Weight {
        Weight::from_parts(130_000_000_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(38, 108))
    }

    /// An estimate until it is measured.
    fn refresh() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 5))
    }

    /// An estimate until it is measured.
    fn renew() -> Weight {
        Weight::from_parts(15_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// An estimate until it is measured.
    fn seat() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(132, 1))
    }

    /// An estimate until it is measured.
    fn schedule() -> Weight {
        Weight::from_parts(60_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 4))
    }
}
