//! What `pallet_timestamp` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_timestamp::WeightInfo for Measured<T> {
    /// At least 4_617 ns.
    fn set() -> Weight {
        Weight::from_parts(4_957_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// At least 621 ns.
    fn on_finalize() -> Weight {
        Weight::from_parts(701_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }
}
