//! What `pallet_session` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_session::WeightInfo for Measured<T> {
    /// At least 93_229 ns.
    fn set_keys() -> Weight {
        Weight::from_parts(97_616_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 5))
    }

    /// At least 21_893 ns.
    fn purge_keys() -> Weight {
        Weight::from_parts(23_535_000, 0).saturating_add(T::DbWeight::get().reads_writes(4, 4))
    }
}
