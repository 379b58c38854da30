//! What `pallet_hospitals` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

/// By hand: a change of the council takes the account that leaves out of the votes about every open motion. The
/// benchmarks have none, and there are up to 200 (`MaxProposals`). A test fails if this is lost when the file is
/// written again.
fn open_motions<T: frame_system::Config>() -> Weight {
    const MOTIONS: u64 = 200;
    Weight::from_parts(5_000_000, 0)
        .saturating_add(T::DbWeight::get().reads_writes(1, 1))
        .saturating_mul(MOTIONS)
}

impl<T: frame_system::Config> pallet_hospitals::WeightInfo for Measured<T> {
    /// At least 413_177 ns.
    fn admit() -> Weight {
        Weight::from_parts(433_537_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(104, 9))
            // By hand: the unready hospitals.
            .saturating_add(T::DbWeight::get().reads_writes(1, 1))
            .saturating_add(open_motions::<T>())
    }

    /// At least 398_945 ns.
    fn suspend() -> Weight {
        Weight::from_parts(414_899_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(102, 4))
            // By hand: the bench, the session keys of up to 100 hospitals, the unready, watched and leaving ones, and the
            // validators and those that are disabled.
            .saturating_add(T::DbWeight::get().reads_writes(106, 5))
            .saturating_add(open_motions::<T>())
    }

    /// At least 392_616 ns.
    fn reinstate() -> Weight {
        Weight::from_parts(407_789_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(102, 4))
            // By hand: the bench, the session of the reinstatement, the unready and the leaving hospitals, and the
            // validators and those that are disabled.
            .saturating_add(T::DbWeight::get().reads_writes(6, 4))
            .saturating_add(open_motions::<T>())
    }

    /// At least 393_046 ns.
    fn remove() -> Weight {
        Weight::from_parts(415_520_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(102, 4))
            // By hand: the bench, and the session keys of up to 100 hospitals, twice; the unready, watched and leaving
            // ones, the validators and those that are disabled, the number of hospitals, a replacement, and the
            // session keys that are deleted with their two owners.
            .saturating_add(T::DbWeight::get().reads_writes(209, 10))
            .saturating_add(open_motions::<T>())
    }

    /// At least 433_226 ns.
    fn rotate_accounts() -> Weight {
        Weight::from_parts(476_280_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(105, 9))
            .saturating_add(open_motions::<T>())
    }

    /// At least 24_346 ns.
    fn set_endpoint() -> Weight {
        Weight::from_parts(29_183_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// At least 23_415 ns.
    fn set_sealing_key() -> Weight {
        Weight::from_parts(28_322_000, 0).saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }
    /// An estimate until it is measured.
    fn ready() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// An estimate until it is measured: as a suspension.
    fn leave() -> Weight {
        <Self as pallet_hospitals::WeightInfo>::suspend()
            .saturating_add(T::DbWeight::get().reads(1))
    }

    /// An estimate until it is measured. A rotation checks two signatures; this checks one.
    fn replace_governance() -> Weight {
        Weight::from_parts(150_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 2))
    }

    /// An estimate until it is measured: a rotation reads and changes as much.
    fn complete_replacement() -> Weight {
        <Self as pallet_hospitals::WeightInfo>::rotate_accounts()
            .saturating_add(T::DbWeight::get().reads_writes(3, 1))
    }

    /// An estimate until it is measured.
    fn object_to_replacement() -> Weight {
        Weight::from_parts(40_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(3, 2))
    }
}
