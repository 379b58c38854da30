//! What the calls cost.
//!
//! Counted by hand: the storage reads and writes of each call, priced by the runtime's `DbWeight`,
//! and a generous time to compute. What the subject's owner does when a ballot closes comes on top
//! ([`Config`](crate::Config)). Weights generated from the benchmarks replace these in a later
//! issue. Proof sizes are zero: this chain is not a parachain.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{RuntimeDbWeight, Weight, constants::RocksDbWeight},
};

pub trait WeightInfo {
    fn approve() -> Weight;
    fn reject() -> Weight;
    /// To close so many ballots at their deadline.
    fn expire(ballots: u32) -> Weight;
}

/// Picoseconds to compute what a vote does beside storage.
const COMPUTE: u64 = 30_000_000;

/// Weights from counted accesses and a database's price.
pub struct CountedWeight<Db>(PhantomData<Db>);

/// Weights for a runtime, by its own `DbWeight`.
pub type SubstrateWeight<T> = CountedWeight<<T as frame_system::Config>::DbWeight>;

impl<Db: Get<RuntimeDbWeight>> WeightInfo for CountedWeight<Db> {
    /// Reads the agent's hospital, the active set, the ballot and its deadline's list; writes both
    /// of these.
    fn approve() -> Weight {
        Weight::from_parts(COMPUTE, 0).saturating_add(Db::get().reads_writes(4, 2))
    }

    fn reject() -> Weight {
        Self::approve()
    }

    /// Reads and removes the deadline's list, reads and writes each ballot in it.
    fn expire(ballots: u32) -> Weight {
        let each = Weight::from_parts(COMPUTE, 0).saturating_add(Db::get().reads_writes(1, 1));
        each.saturating_mul(ballots.into())
            .saturating_add(Db::get().reads_writes(1, u64::from(ballots > 0)))
    }
}

/// For tests: the prices of RocksDB.
impl WeightInfo for () {
    fn approve() -> Weight {
        CountedWeight::<RocksDbWeight>::approve()
    }

    fn reject() -> Weight {
        CountedWeight::<RocksDbWeight>::reject()
    }

    fn expire(ballots: u32) -> Weight {
        CountedWeight::<RocksDbWeight>::expire(ballots)
    }
}
