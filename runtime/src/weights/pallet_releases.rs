//! What `pallet_releases` costs, as frame-omni-bencher measured it on 2026-11-20: 25 steps, 10 repeats, on
//! AMD EPYC. `make weights` writes this file; do not edit it.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

impl<T: frame_system::Config> pallet_releases::WeightInfo for Measured<T> {
    /// `r`: 1 to 64.
    /// `p`: 1 to 4.
    /// At least 872_542 ns.
    /// Computation of 2026-11-20; reads and writes changed by hand since, not measured yet.
    fn record(r: u32, p: u32) -> Weight {
        Weight::from_parts(877_349_000, 0)
            .saturating_add(Weight::from_parts(13_702_210, 0).saturating_mul(r.into()))
            .saturating_add(Weight::from_parts(43_935_095, 0).saturating_mul(p.into()))
            // By hand: 16 credentials, the activity of their issuers, and the mandates.
            .saturating_add(T::DbWeight::get().reads(34))
            // By hand: the request's signature, and the answers to requests.
            .saturating_add(Weight::from_parts(80_000_000, 0))
            .saturating_add(T::DbWeight::get().reads_writes(47, 5))
            // By hand: the consents of 16 slots, and two values for each of their 256 leaves.
            .saturating_add(Weight::from_parts(300_000_000, 0))
            .saturating_add(T::DbWeight::get().reads(528))
            // By hand: the third of these reads, the sections that the patient shares; the fourth, the custodians of
            // the removed hospitals of the records.
            .saturating_add(T::DbWeight::get().reads(4_u64.saturating_mul(r.into())))
            // By hand: the custodians' delay, the active hospitals, and the removed hospitals of a grant.
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// `r`: 1 to 64.
    /// `p`: 1 to 2.
    /// At least 483_592 ns.
    /// Computation of 2026-11-20; reads and writes changed by hand since, not measured yet.
    fn record_emergency(r: u32, p: u32) -> Weight {
        Weight::from_parts(233_849_596, 0)
            .saturating_add(Weight::from_parts(17_643_004, 0).saturating_mul(r.into()))
            .saturating_add(Weight::from_parts(140_719_609, 0).saturating_mul(p.into()))
            .saturating_add(T::DbWeight::get().reads_writes(50, 9))
            // By hand: 16 credentials, the activity of their issuers, and the mandates.
            .saturating_add(T::DbWeight::get().reads(34))
            // By hand: a visitor's registrations at up to 100 hospitals, the shares of up to 16, and one new share.
            .saturating_add(T::DbWeight::get().reads_writes(116, 1))
            // By hand: the request's signature, and the answers to requests.
            .saturating_add(Weight::from_parts(80_000_000, 0))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
            // By hand: the third of these reads, the sections that the patient shares; the fourth, the custodians of
            // the removed hospitals of the records.
            .saturating_add(T::DbWeight::get().reads(4_u64.saturating_mul(r.into())))
            // By hand: the custodians' delay, the active hospitals, and the removed hospitals of a grant.
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
    }

    /// At least 1_058_189 ns.
    /// Computation of 2026-11-20; reads and writes changed by hand since, not measured yet.
    fn refuse() -> Weight {
        Weight::from_parts(1_099_911_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(79, 4))
            // By hand: 16 credentials, the activity of their issuers, and the mandates.
            .saturating_add(T::DbWeight::get().reads(34))
            // By hand: the request's signature, and the answers to requests.
            .saturating_add(Weight::from_parts(80_000_000, 0))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
            // By hand: the consents of 16 slots, and two values for each of their 256 leaves.
            .saturating_add(Weight::from_parts(300_000_000, 0))
            .saturating_add(T::DbWeight::get().reads(528))
            // By hand: of 64 requested records the entries, the headers, and what the patient shares.
            .saturating_add(Weight::from_parts(900_000_000, 0))
            .saturating_add(T::DbWeight::get().reads(192))
            // By hand: the custodians of the removed hospitals of 64 records, their delay, and the active hospitals.
            .saturating_add(T::DbWeight::get().reads(66))
    }

    /// At least 35_403 ns.
    /// Computation of 2026-11-20; reads and writes changed by hand since, not measured yet.
    fn judge() -> Weight {
        Weight::from_parts(42_614_000, 0)
            .saturating_add(T::DbWeight::get().reads_writes(4, 1))
            // By hand: the requester's registrations at up to 100 hospitals, each with a page of earlier periods, and
            // when an emergency of the requester was last found unjustified.
            .saturating_add(Weight::from_parts(100_000_000, 0))
            .saturating_add(T::DbWeight::get().reads_writes(201, 1))
    }

    /// `r`: 1 to 64.
    /// By hand, not measured yet: an estimate by the reads and writes. Each record: its entry, and its block's header.
    fn note(r: u32) -> Weight {
        Weight::from_parts(40_000_000, 0)
            .saturating_add(Weight::from_parts(15_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(5, 2))
            .saturating_add(T::DbWeight::get().reads(2_u64.saturating_mul(r.into())))
    }

    /// `n`: 0 to 8.
    /// At least 5_859 ns.
    fn expire(n: u32) -> Weight {
        Weight::from_parts(7_709_622, 0)
            .saturating_add(Weight::from_parts(5_248_384, 0).saturating_mul(n.into()))
            .saturating_add(T::DbWeight::get().reads_writes(2, 1))
            .saturating_add(T::DbWeight::get().reads(1_u64.saturating_mul(n.into())))
            .saturating_add(T::DbWeight::get().writes(1_u64.saturating_mul(n.into())))
    }
}
