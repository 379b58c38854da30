//! What `pallet_role_policies` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_role_policies::WeightInfo for Measured<T> {
    /// At least 293_808 ns.
    /// Estimated from the measurement of 2026-11-20; not measured yet.
    fn relate() -> Weight {
        Weight::from_parts(316_467_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(45, 3))
            // By hand: 16 credentials, the activity of their issuers, and the mandates.
            .saturating_add(T::DbWeight::get().reads(34))
    }

    /// At least 290_934 ns.
    /// Reads changed by hand since, not measured yet.
    fn unrelate() -> Weight {
        Weight::from_parts(300_509_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(43, 1))
            // By hand: 16 credentials, the activity of their issuers, and the mandates.
            .saturating_add(T::DbWeight::get().reads(34))
    }

    /// `p`: 1 to 32.
    /// At least 105_978 ns.
    /// Reads changed by hand since, not measured yet.
    fn set_policies(p: u32) -> Weight {
        Weight::from_parts(103_377_521, 0)
            .saturating_add(Weight::from_parts(7_335_222, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(36, 2))
            // By hand: the hospitals that issue the required credentials.
            .saturating_add(T::DbWeight::get().reads(16))
    }
}
