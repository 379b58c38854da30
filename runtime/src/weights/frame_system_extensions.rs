//! What `frame_system_extensions` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> frame_system::ExtensionsWeightInfo for Measured<T> {
    /// At least 1_442 ns.
    fn check_genesis() -> Weight {
        Weight::from_parts(1_592_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 3_054 ns.
    fn check_mortality_mortal_transaction() -> Weight {
        Weight::from_parts(3_315_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 3_035 ns.
    fn check_mortality_immortal_transaction() -> Weight {
        Weight::from_parts(3_304_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 430 ns.
    fn check_non_zero_sender() -> Weight {
        Weight::from_parts(501_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 6_219 ns.
    fn check_nonce() -> Weight {
        Weight::from_parts(6_620_000, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }

    /// At least 330 ns.
    fn check_spec_version() -> Weight {
        Weight::from_parts(391_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 320 ns.
    fn check_tx_version() -> Weight {
        Weight::from_parts(390_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 2_884 ns.
    fn check_weight() -> Weight {
        Weight::from_parts(3_134_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }

    /// At least 1_632 ns.
    fn weight_reclaim() -> Weight {
        Weight::from_parts(1_793_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 0))
    }
}
