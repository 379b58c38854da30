//! What `pallet_quotas` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_quotas::WeightInfo for Measured<T> {
    /// An estimate until it is measured.
    fn set_limits() -> Weight {
        Weight::from_parts(15_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(0, 1))
    }

    /// `n`: 0 to 8.
    /// An estimate until it is measured.
    fn prune(n: u32) -> Weight {
        Weight::from_parts(6_000_000, 0)
            .saturating_add(Weight::from_parts(8_000_000, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(n.into())))
    }
}
