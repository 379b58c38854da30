//! What `frame_system` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::WeightInfo for Measured<T> {
    /// `b`: 0 to 6291456.
    /// At least 1_492 ns.
    fn remark(b: u32) -> Weight {
        Weight::from_parts(1_522_000, 0)
            .saturating_add(Weight::from_parts(227, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// `b`: 0 to 6291456.
    /// At least 3_946 ns.
    fn remark_with_event(b: u32) -> Weight {
        Weight::from_parts(3_986_000, 0)
            .saturating_add(Weight::from_parts(1_858, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 2_824 ns.
    fn set_heap_pages() -> Weight {
        Weight::from_parts(3_065_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 1))
    }

    /// At least 108_373_241 ns.
    fn set_code() -> Weight {
        Weight::from_parts(113_158_982_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 1))
    }

    /// `i`: 0 to 1000.
    /// At least 1_492 ns.
    fn set_storage(i: u32) -> Weight {
        Weight::from_parts(1_553_000, 0)
            .saturating_add(Weight::from_parts(665_444, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(i.into())))
    }

    /// `i`: 0 to 1000.
    /// At least 1_522 ns.
    fn kill_storage(i: u32) -> Weight {
        Weight::from_parts(1_602_000, 0)
            .saturating_add(Weight::from_parts(462_205, 0).saturating_mul(i.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(i.into())))
    }

    /// `p`: 0 to 1000.
    /// At least 2_614 ns.
    fn kill_prefix(p: u32) -> Weight {
        Weight::from_parts(2_704_000, 0)
            .saturating_add(Weight::from_parts(937_714, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(0, 0))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(p.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(p.into())))
    }

    /// At least 7_672 ns.
    fn authorize_upgrade() -> Weight {
        Weight::from_parts(14_151_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 1))
    }

    /// At least 110_316_110 ns.
    fn apply_authorized_upgrade() -> Weight {
        Weight::from_parts(113_357_529_000, 0).saturating_add(T::DbWeight::get().reads_writes(1, 2))
    }
}
