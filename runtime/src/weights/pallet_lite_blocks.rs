//! What `pallet_lite_blocks` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_lite_blocks::WeightInfo for Measured<T> {
    /// `e`: 1 to 512.
    /// `b`: 512 to 2097152.
    /// At least 2_128_075 ns.
    /// Estimated from the measurement of 2026-11-20; not measured yet.
    fn announce(e: u32, b: u32) -> Weight {
        Weight::from_parts(172_941_969, 0)
            .saturating_add(Weight::from_parts(7_000_000, 0).saturating_mul(e.into()))
            .saturating_add(Weight::from_parts(2_818, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(9, 7))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(e.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(e.into())))
    }

    /// `e`: 1 to 512.
    /// At least 31_477 ns.
    /// Estimated from the measurement of 2026-11-20; not measured yet.
    fn withdraw(e: u32) -> Weight {
        Weight::from_parts(33_200_000, 0)
            .saturating_add(Weight::from_parts(1_500_000, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads_writes(7, 6))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(e.into())))
    }

    /// `e`: 1 to 512.
    /// At least 27_140 ns.
    fn commit(e: u32) -> Weight {
        Weight::from_parts(17_027_956, 0)
            .saturating_add(Weight::from_parts(2_157_901, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads_writes(6, 7))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(e.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(e.into())))
    }

    /// `e`: 1 to 512.
    /// At least 12_298 ns.
    /// Estimated from the measurement of 2026-11-20; not measured yet.
    fn discard(e: u32) -> Weight {
        Weight::from_parts(13_370_000, 0)
            .saturating_add(Weight::from_parts(1_500_000, 0).saturating_mul(e.into()))
            .saturating_add(T::DbWeight::get().reads_writes(3, 4))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(e.into())))
    }

    /// `n`: 0 to 1024.
    /// Estimated; not measured yet.
    fn prune(n: u32) -> Weight {
        Weight::from_parts(6_000_000, 0)
            .saturating_add(Weight::from_parts(15_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(2_u64.saturating_mul(n.into())))
    }
}
