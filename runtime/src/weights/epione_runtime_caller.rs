//! What `epione_runtime::caller` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> epione_runtime::caller::WeightInfo for Measured<T> {
    /// An estimate until it is measured again: it now includes the quotas and their refund.
    fn check() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(7, 2))
    }
}
