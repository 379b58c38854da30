//! Weights counted by hand: the database reads and writes of each act at its largest, and an
//! allowance for the rest. Measured weights replace them in a later issue (benchmarks exist already).
//! Proof sizes are not counted: this is no parachain.

use core::marker::PhantomData;
use epione_primitives::limits::MAX_HOSPITALS;
use frame_support::{
    traits::Get,
    weights::{RuntimeDbWeight, Weight, constants::ParityDbWeight},
};

pub trait WeightInfo {
    /// Announcing, without the commit that may follow at once. `e`: entries; `b`: bytes of the body.
    fn announce(e: u32, b: u32) -> Weight;
    fn withdraw() -> Weight;
    /// Closing a ballot with approval. `e`: entries.
    fn commit(e: u32) -> Weight;
    /// Closing a ballot without approval.
    fn discard() -> Weight;
}

/// By the runtime's own database weights.
pub struct SubstrateWeight<T>(PhantomData<T>);

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
    fn announce(e: u32, b: u32) -> Weight {
        announce(T::DbWeight::get(), e, b)
    }

    fn withdraw() -> Weight {
        withdraw(T::DbWeight::get())
    }

    fn commit(e: u32) -> Weight {
        commit(T::DbWeight::get(), e)
    }

    fn discard() -> Weight {
        discard(T::DbWeight::get())
    }
}

/// For mocks.
impl WeightInfo for () {
    fn announce(e: u32, b: u32) -> Weight {
        announce(ParityDbWeight::get(), e, b)
    }

    fn withdraw() -> Weight {
        withdraw(ParityDbWeight::get())
    }

    fn commit(e: u32) -> Weight {
        commit(ParityDbWeight::get(), e)
    }

    fn discard() -> Weight {
        discard(ParityDbWeight::get())
    }
}

/// Reads: account to hospital and its status, pending, clock, block number, body to announcement,
/// next id; a registration for each entry; the electorate and the queue of deadlines for the ballot.
/// Writes: next id, announcement, entries, pending, body to announcement; ballot and queue.
/// A nanosecond for hashing, and one for copying, each byte of the body.
fn announce(db: RuntimeDbWeight, e: u32, b: u32) -> Weight {
    Weight::from_parts(50_000_000, 0)
        .saturating_add(Weight::from_parts(2_000_000, 0).saturating_mul(e.into()))
        .saturating_add(Weight::from_parts(2_000, 0).saturating_mul(b.into()))
        .saturating_add(db.reads(9_u64.saturating_add(MAX_HOSPITALS.into())))
        .saturating_add(db.reads(e.into()))
        .saturating_add(db.writes(7))
}

/// Reads: account to hospital and its status, announcement, pending; ballot and queue of deadlines.
/// Writes: announcement, entries, pending, body to announcement; ballot and queue.
fn withdraw(db: RuntimeDbWeight) -> Weight {
    Weight::from_parts(40_000_000, 0).saturating_add(db.reads_writes(6, 6))
}

/// Reads: announcement, entries, height, hashes before, clock, pending; a link for each entry.
/// Writes: announcement, entries twice (pending, committed), height, header, hashes, pending; a link
/// for each entry.
fn commit(db: RuntimeDbWeight, e: u32) -> Weight {
    Weight::from_parts(60_000_000, 0)
        .saturating_add(Weight::from_parts(3_000_000, 0).saturating_mul(e.into()))
        .saturating_add(db.reads_writes(6, 7))
        .saturating_add(db.reads_writes(e.into(), e.into()))
}

/// Reads: announcement, pending. Writes: announcement, entries, pending, body to announcement.
fn discard(db: RuntimeDbWeight) -> Weight {
    Weight::from_parts(30_000_000, 0).saturating_add(db.reads_writes(2, 4))
}
