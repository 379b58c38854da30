//! What `pallet_profiles` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_profiles::WeightInfo for Measured<T> {
    /// `b`: 1 to 16384.
    /// At least 68_732 ns.
    fn register(b: u32) -> Weight {
        Weight::from_parts(70_398_939, 0)
            .saturating_add(Weight::from_parts(2_066, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(8, 4))
            // By hand: up to 16 hospitals of a full list, which may be removed, and a new user's sealing key.
            .saturating_add(T::DbWeight::get().reads_writes(16, 1))
    }

    /// `b`: 1 to 16384.
    /// At least 25_107 ns.
    fn update(b: u32) -> Weight {
        Weight::from_parts(26_834_301, 0)
            .saturating_add(Weight::from_parts(2_040, 0).saturating_mul(b.into()))
            .saturating_add(T::DbWeight::get().reads_writes(4, 2))
    }

    /// At least 20_040 ns.
    fn suspend() -> Weight {
        Weight::from_parts(21_202_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 4))
    }

    /// At least 20_270 ns.
    fn reinstate() -> Weight {
        // By hand: 16 of these reads, the hospitals of a full list, which may be removed.
        Weight::from_parts(21_341_000, 0).saturating_add(T::DbWeight::get().reads_writes(21, 2))
    }

    /// At least 19_979 ns.
    fn end_registration() -> Weight {
        Weight::from_parts(21_282_000, 0).saturating_add(T::DbWeight::get().reads_writes(6, 4))
    }

    /// At least 64_546 ns.
    fn rotate_keys() -> Weight {
        // By hand: 16 of these reads, the hospitals of a full list, which may be removed; one read and one write, the
        // new sealing key; and one read and two writes, an open recovery and the pause of its hospital.
        Weight::from_parts(67_791_000, 0).saturating_add(T::DbWeight::get().reads_writes(24, 9))
    }

    /// An estimate until it is measured: the same signature as a rotation. It reads hospital and account, registration,
    /// time, profile, earlier proposal, pause, genesis hash, new account, sealing key, delay, and the lists of two
    /// hospitals. It writes the proposal, the pause and the lists, and removes 64 lapsed proposals.
    fn propose_recovery() -> Weight {
        Weight::from_parts(90_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(13, 68))
    }

    /// An estimate until it is measured. It reads the account as a user's and as a hospital's, the hospital, the
    /// registration and the recovery. It writes the recovery and the pause.
    fn object() -> Weight {
        Weight::from_parts(21_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(5, 2))
    }

    /// An estimate until it is measured. It reads hospital and account, recovery, registration, delay, profile, time,
    /// new account and the hospital's list, and writes what a rotation writes, the pause and the list.
    fn complete_recovery() -> Weight {
        Weight::from_parts(30_000_000, 0).saturating_add(T::DbWeight::get().reads_writes(9, 10))
    }
}
