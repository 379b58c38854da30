//! What the calls cost.
//!
//! Counted by hand: the storage reads and writes of each call, priced by the runtime's `DbWeight`,
//! and a generous time to compute, to verify a signature and to hash a body. Weights generated from
//! the benchmarks replace these in a later issue. Proof sizes are zero: this chain is not a
//! parachain.

use core::marker::PhantomData;
use frame_support::{
    traits::Get,
    weights::{RuntimeDbWeight, Weight, constants::RocksDbWeight},
};

pub trait WeightInfo {
    /// With a body of so many bytes.
    fn register(body_bytes: u32) -> Weight;
    /// With a body of so many bytes.
    fn update(body_bytes: u32) -> Weight;
    fn suspend() -> Weight;
    fn reinstate() -> Weight;
    fn end_registration() -> Weight;
    fn rotate_keys() -> Weight;
}

/// Picoseconds to compute what a call does beside storage.
const COMPUTE: u64 = 30_000_000;
/// Picoseconds to verify a signature of any kind.
const SIGNATURE: u64 = 100_000_000;
/// Picoseconds to copy, compare and hash a byte of a body.
const BODY_BYTE: u64 = 5_000;
/// Reads to find an agent's active hospital: its account's entry and the active set.
const AGENT: u64 = 2;

/// Weights from counted accesses and a database's price.
pub struct CountedWeight<Db>(PhantomData<Db>);

/// Weights for a runtime, by its own `DbWeight`.
pub type SubstrateWeight<T> = CountedWeight<<T as frame_system::Config>::DbWeight>;

impl<Db: Get<RuntimeDbWeight>> CountedWeight<Db> {
    fn of(compute: u64, reads: u64, writes: u64) -> Weight {
        Weight::from_parts(compute, 0).saturating_add(Db::get().reads_writes(reads, writes))
    }
}

fn body(bytes: u32) -> u64 {
    BODY_BYTE.saturating_mul(bytes.into())
}

impl<Db: Get<RuntimeDbWeight>> WeightInfo for CountedWeight<Db> {
    /// Reads the profile, the registration, the system account, the genesis hash, the time and the
    /// extrinsic's place; writes the profile, both accounts, the registration and its body's hash.
    /// That is more than either a new or an existing user takes.
    fn register(body_bytes: u32) -> Weight {
        Self::of(COMPUTE + SIGNATURE + body(body_bytes), AGENT + 6, 5)
    }

    /// Reads the registration and the extrinsic's place; writes it and its body's hash.
    fn update(body_bytes: u32) -> Weight {
        Self::of(COMPUTE + body(body_bytes), AGENT + 2, 2)
    }

    /// Reads the registration and the time; writes the registration.
    fn suspend() -> Weight {
        Self::of(COMPUTE, AGENT + 2, 1)
    }

    fn reinstate() -> Weight {
        Self::suspend()
    }

    fn end_registration() -> Weight {
        Self::suspend()
    }

    /// Reads the signer's entry, the profile, the genesis hash and the system account; writes this,
    /// the new and the old entry, the profile and its earlier version.
    fn rotate_keys() -> Weight {
        Self::of(COMPUTE + SIGNATURE, 4, 5)
    }
}

/// For tests: the prices of RocksDB.
impl WeightInfo for () {
    fn register(body_bytes: u32) -> Weight {
        CountedWeight::<RocksDbWeight>::register(body_bytes)
    }

    fn update(body_bytes: u32) -> Weight {
        CountedWeight::<RocksDbWeight>::update(body_bytes)
    }

    fn suspend() -> Weight {
        CountedWeight::<RocksDbWeight>::suspend()
    }

    fn reinstate() -> Weight {
        CountedWeight::<RocksDbWeight>::reinstate()
    }

    fn end_registration() -> Weight {
        CountedWeight::<RocksDbWeight>::end_registration()
    }

    fn rotate_keys() -> Weight {
        CountedWeight::<RocksDbWeight>::rotate_keys()
    }
}
