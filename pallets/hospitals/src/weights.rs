//! What the calls cost.
//!
//! Counted by hand: the storage reads and writes of each call on a chain of
//! [`MAX_HOSPITALS`], priced by the runtime's `DbWeight`, and a generous time to compute. Weights
//! generated from the benchmarks replace these in a later issue. Proof sizes are zero: this chain
//! is not a parachain.

use core::marker::PhantomData;
use epione_primitives::limits::MAX_HOSPITALS;
use frame_support::{
    traits::Get,
    weights::{RuntimeDbWeight, Weight, constants::RocksDbWeight},
};

pub trait WeightInfo {
    fn admit() -> Weight;
    fn suspend() -> Weight;
    fn reinstate() -> Weight;
    fn remove() -> Weight;
    fn rotate_accounts() -> Weight;
    fn set_endpoint() -> Weight;
    fn set_sealing_key() -> Weight;
}

/// Picoseconds to compute what a call does beside storage.
const COMPUTE: u64 = 30_000_000;
/// Reads to list the council: the active set, and each hospital in it.
const COUNCIL_READS: u64 = 1 + MAX_HOSPITALS as u64;
/// Motions under way whose votes the council looks through when a member leaves.
const MOTIONS: u64 = 32;
/// What the council does on a change: its members, its prime, its motions' list and votes.
const COUNCIL: (u64, u64) = (COUNCIL_READS + 1 + MOTIONS, 2 + MOTIONS);

/// Weights from counted accesses and a database's price.
pub struct CountedWeight<Db>(PhantomData<Db>);

/// Weights for a runtime, by its own `DbWeight`.
pub type SubstrateWeight<T> = CountedWeight<<T as frame_system::Config>::DbWeight>;

impl<Db: Get<RuntimeDbWeight>> CountedWeight<Db> {
    fn of(reads: u64, writes: u64) -> Weight {
        Weight::from_parts(COMPUTE, 0).saturating_add(Db::get().reads_writes(reads, writes))
    }
}

impl<Db: Get<RuntimeDbWeight>> WeightInfo for CountedWeight<Db> {
    /// Reads the count, the active set and both system accounts; writes these, both accounts'
    /// entries and the hospital.
    fn admit() -> Weight {
        Self::of(4 + COUNCIL.0, 7 + COUNCIL.1)
    }

    /// Reads and writes the hospital and the active set.
    fn suspend() -> Weight {
        Self::of(2 + COUNCIL.0, 2 + COUNCIL.1)
    }

    fn reinstate() -> Weight {
        Self::suspend()
    }

    fn remove() -> Weight {
        Self::suspend()
    }

    /// Reads the signer's entry, the hospital and both new system accounts; writes these two, two
    /// new and two old entries, and the hospital.
    fn rotate_accounts() -> Weight {
        Self::of(4 + COUNCIL.0, 7 + COUNCIL.1)
    }

    /// Reads the signer's entry and the hospital; writes the hospital.
    fn set_endpoint() -> Weight {
        Self::of(2, 1)
    }

    fn set_sealing_key() -> Weight {
        Self::of(2, 1)
    }
}

/// For tests: the prices of RocksDB.
impl WeightInfo for () {
    fn admit() -> Weight {
        CountedWeight::<RocksDbWeight>::admit()
    }

    fn suspend() -> Weight {
        CountedWeight::<RocksDbWeight>::suspend()
    }

    fn reinstate() -> Weight {
        CountedWeight::<RocksDbWeight>::reinstate()
    }

    fn remove() -> Weight {
        CountedWeight::<RocksDbWeight>::remove()
    }

    fn rotate_accounts() -> Weight {
        CountedWeight::<RocksDbWeight>::rotate_accounts()
    }

    fn set_endpoint() -> Weight {
        CountedWeight::<RocksDbWeight>::set_endpoint()
    }

    fn set_sealing_key() -> Weight {
        CountedWeight::<RocksDbWeight>::set_sealing_key()
    }
}
