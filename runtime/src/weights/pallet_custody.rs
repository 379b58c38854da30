//! What `pallet_custody` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_custody::WeightInfo for Measured<T> {
    /// An estimate until it is measured. A check of a wrap took 354 microseconds in WebAssembly.
    fn keep() -> Weight {
        Weight::from_parts(550_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 1))
    }

    /// An estimate until it is measured.
    fn appoint() -> Weight {
        Weight::from_parts(50_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// An estimate until it is measured.
    fn dismiss() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }

    /// `p`: 1 to 64.
    /// An estimate until it is measured.
    fn claim(p: u32) -> Weight {
        Weight::from_parts(120_000_000, 0)
            .saturating_add(Weight::from_parts(12_000_000, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(11, 2))
            .saturating_add(T::DbWeight::get().reads(3_u64.saturating_mul(p.into())))
    }

    /// `p`: 1 to 64.
    /// An estimate until it is measured.
    fn hand_out(p: u32) -> Weight {
        Weight::from_parts(120_000_000, 0)
            .saturating_add(Weight::from_parts(12_000_000, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(13, 1))
            .saturating_add(T::DbWeight::get().reads(3_u64.saturating_mul(p.into())))
    }
}
