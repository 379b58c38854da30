//! What `pallet_approvals` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_approvals::WeightInfo for Measured<T> {
    /// At least 1_220_361 ns.
    fn approve() -> Weight {
        Weight::from_parts(1_263_896_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(522, 521))
    }

    /// At least 46_179 ns.
    fn reject() -> Weight {
        Weight::from_parts(49_674_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 6))
    }

    /// `b`: 0 to 32.
    /// At least 4_106 ns.
    fn expire(b: u32) -> Weight {
        Weight::from_parts(11_960_373, 0)
            .saturating_add(Weight::from_parts(18_465_649, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(1, 1))
            .saturating_add(T::DbWeight::get().reads(3_u64.saturating_mul(b.into())))
            .saturating_add(T::DbWeight::get().writes(5_u64.saturating_mul(b.into())))
    }
}
