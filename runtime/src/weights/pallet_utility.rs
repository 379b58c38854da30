//! What `pallet_utility` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_utility::WeightInfo for Measured<T> {
    /// `c`: 0 to 1000.
    /// At least 3_285 ns.
    fn batch(c: u32) -> Weight {
        Weight::from_parts(3_170_725, 0)
            .saturating_add(Weight::from_parts(2_411_651, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 3_224 ns.
    fn as_derivative() -> Weight {
        Weight::from_parts(3_435_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// `c`: 0 to 1000.
    /// At least 3_355 ns.
    fn batch_all(c: u32) -> Weight {
        Weight::from_parts(5_371_694, 0)
            .saturating_add(Weight::from_parts(2_627_615, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 4_697 ns.
    fn dispatch_as() -> Weight {
        Weight::from_parts(5_017_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// `c`: 0 to 1000.
    /// At least 3_485 ns.
    fn force_batch(c: u32) -> Weight {
        Weight::from_parts(10_286, 0)
            .saturating_add(Weight::from_parts(2_432_401, 0).saturating_mul(c.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 4_647 ns.
    fn dispatch_as_fallible() -> Weight {
        Weight::from_parts(4_927_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 5_689 ns.
    fn if_else() -> Weight {
        Weight::from_parts(6_069_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }
}
