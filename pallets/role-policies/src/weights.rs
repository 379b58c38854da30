//! Weights counted by hand: the database reads and writes of each call at its largest, and an
//! allowance for the rest. Measured weights replace them in a later issue (benchmarks exist already).
//! Proof sizes are not counted: this is no parachain.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{Weight, constants::ParityDbWeight},
};

pub trait WeightInfo {
    fn relate() -> Weight;
    fn unrelate() -> Weight;
    /// `p`: policies in the set.
    fn set_policies(p: u32) -> Weight;
}

/// By the runtime's own database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    /// Reads: account to hospital and its status, account to user, two roles, two registrations,
    /// clock, relationships.
    fn relate() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 1))
    }

    /// Reads: account to hospital and its status, account to user, clock, relationships.
    fn unrelate() -> Weight {
        Weight::from_parts(30_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 1))
    }

    /// Reads: account to hospital and its status, clock, latest version.
    fn set_policies(p: u32) -> Weight {
        Weight::from_parts(20_000_000, 0)
            .saturating_add(Weight::from_parts(5_000_000, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 2))
    }
}

/// For mocks.
impl WeightInfo for () {
    fn relate() -> Weight {
        ParityDbWeight::get().reads_writes(9, 1)
    }

    fn unrelate() -> Weight {
        ParityDbWeight::get().reads_writes(5, 1)
    }

    fn set_policies(_: u32) -> Weight {
        ParityDbWeight::get().reads_writes(4, 2)
    }
}
