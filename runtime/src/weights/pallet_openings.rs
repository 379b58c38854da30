//! What `pallet_openings` costs, estimated until `make weights` measures it and writes this file.

#![allow(clippy::pedantic, unused_variables)]

use core::marker::PhantomData;
use frame_support::{traits::Get, weights::Weight};

/// Computation as measured; storage by the prices of the runtime's `DbWeight`.
pub struct Measured<T>(PhantomData<T>);

/// What a decision reads: the consents of 16 slots, two values for each of their 256 leaves, the requester's
/// registrations in force and the active hospitals (once for the consents and once for the opening), and 16 values
/// more: the opening, accounts, keys and counts.
const DECISION: u64 = 16 + 2 * 256 + 2 * 2 + 16;

impl<T: frame_system::Config> pallet_openings::WeightInfo for Measured<T> {
    /// `s`: 1 to 64.
    /// An estimate until it is measured. A check of a wrap took 354 microseconds in WebAssembly.
    fn wrap(s: u32) -> Weight {
        Weight::from_parts(150_000_000, 0)
            .saturating_add(Weight::from_parts(400_000_000, 0).saturating_mul(s.into()))
            .saturating_add(T::DbWeight::get().reads_writes(10, 2))
    }

    /// `r`: 1 to 16.
    /// An estimate until it is measured. The records' wraps in 16 slots each are most of what it reads for them.
    fn ask(r: u32) -> Weight {
        Weight::from_parts(400_000_000, 0)
            .saturating_add(Weight::from_parts(25_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(DECISION, 6))
            .saturating_add(T::DbWeight::get().reads(19_u64.saturating_mul(r.into())))
    }

    /// `r`: 1 to 16.
    /// An estimate until it is measured. More than `ask`: the daily tally, the hospital's usage, when an
    /// emergency of the requester was last found unjustified, and the review.
    fn ask_emergency(r: u32) -> Weight {
        <Self as pallet_openings::WeightInfo>::ask(r)
            .saturating_add(Weight::from_parts(60_000_000, 0))
            .saturating_add(T::DbWeight::get().reads_writes(9, 7))
    }

    /// `r`: 1 to 16.
    /// An estimate until it is measured.
    fn hand_out(r: u32) -> Weight {
        Weight::from_parts(400_000_000, 0)
            .saturating_add(Weight::from_parts(12_000_000, 0).saturating_mul(r.into()))
            .saturating_add(T::DbWeight::get().reads_writes(DECISION + 1, 1))
            .saturating_add(T::DbWeight::get().reads(17_u64.saturating_mul(r.into())))
    }
}
