//! What `pallet_collective` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_collective::WeightInfo for Measured<T> {
    /// `m`: 0 to 100.
    /// `n`: 0 to 100.
    /// `p`: 0 to 64.
    /// At least 9_033 ns.
    fn set_members(m: u32, _n: u32, p: u32) -> Weight {
        Weight::from_parts(9_093_000, 0)
            .saturating_add(Weight::from_parts(1_195_032, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(5_076_087, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 2))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(p.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(p.into())))
    }

    /// `b`: 2 to 1024.
    /// `m`: 1 to 100.
    /// At least 8_963 ns.
    fn execute(b: u32, m: u32) -> Weight {
        Weight::from_parts(8_569_757, 0)
            .saturating_add(Weight::from_parts(1_593, 0).saturating_mul(b.into()))
            .saturating_add(Weight::from_parts(6_831, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads_writes(1, 0))
    }

    /// `b`: 2 to 1024.
    /// `m`: 1 to 100.
    /// At least 11_087 ns.
    fn propose_execute(b: u32, m: u32) -> Weight {
        Weight::from_parts(10_466_422, 0)
            .saturating_add(Weight::from_parts(1_659, 0).saturating_mul(b.into()))
            .saturating_add(Weight::from_parts(10_194, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 0))
    }

    /// `b`: 2 to 1024.
    /// `m`: 2 to 100.
    /// `p`: 1 to 64.
    /// At least 15_774 ns.
    fn propose_proposed(b: u32, m: u32, p: u32) -> Weight {
        Weight::from_parts(15_869_705, 0)
            .saturating_add(Weight::from_parts(2_006, 0).saturating_mul(b.into()))
            .saturating_add(Weight::from_parts(12_004, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(206_758, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 4))
    }

    /// `m`: 5 to 100.
    /// At least 14_992 ns.
    fn vote(m: u32) -> Weight {
        Weight::from_parts(16_001_341, 0)
            .saturating_add(Weight::from_parts(19_833, 0).saturating_mul(m.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// `m`: 4 to 100.
    /// `p`: 1 to 64.
    /// At least 17_696 ns.
    fn close_early_disapproved(m: u32, p: u32) -> Weight {
        Weight::from_parts(16_184_203, 0)
            .saturating_add(Weight::from_parts(30_989, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(193_236, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(3, 3))
    }

    /// `b`: 2 to 1024.
    /// `m`: 4 to 100.
    /// `p`: 1 to 64.
    /// At least 24_727 ns.
    fn close_early_approved(b: u32, m: u32, p: u32) -> Weight {
        Weight::from_parts(24_143_450, 0)
            .saturating_add(Weight::from_parts(381, 0).saturating_mul(b.into()))
            .saturating_add(Weight::from_parts(29_156, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(227_073, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 3))
    }

    /// `m`: 4 to 100.
    /// `p`: 1 to 64.
    /// At least 19_249 ns.
    fn close_disapproved(m: u32, p: u32) -> Weight {
        Weight::from_parts(18_753_547, 0)
            .saturating_add(Weight::from_parts(25_350, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(189_510, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 3))
    }

    /// `b`: 2 to 1024.
    /// `m`: 4 to 100.
    /// `p`: 1 to 64.
    /// At least 25_598 ns.
    fn close_approved(b: u32, m: u32, p: u32) -> Weight {
        Weight::from_parts(25_811_957, 0)
            .saturating_add(Weight::from_parts(32_332, 0).saturating_mul(m.into()))
            .saturating_add(Weight::from_parts(231_978, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(5, 3))
    }

    /// `p`: 1 to 64.
    /// At least 8_923 ns.
    fn disapprove_proposal(p: u32) -> Weight {
        Weight::from_parts(9_067_888, 0)
            .saturating_add(Weight::from_parts(151_615, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(1, 3))
    }

    /// `d`: 0 to 1.
    /// `p`: 1 to 64.
    /// At least 14_151 ns.
    fn kill(d: u32, p: u32) -> Weight {
        Weight::from_parts(14_716_862, 0)
            .saturating_add(Weight::from_parts(375_401, 0).saturating_mul(d.into()))
            .saturating_add(Weight::from_parts(183_652, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(3, 3))
    }

    /// At least 8_663 ns.
    fn release_proposal_cost() -> Weight {
        Weight::from_parts(9_304_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 0))
    }
}
