//! The weights of this pallet. The runtime provides the measured ones.

use epione_primitives::{query::QueriedRecords, release::EmergencyReason};
use frame_support::weights::Weight;
use sp_runtime::SaturatedConversion;

use crate::Config;

pub trait WeightInfo {
    /// Publishing the wraps of `s` sections.
    fn wrap(s: u32) -> Weight;
    /// Asking for sections of `r` records.
    fn ask(r: u32) -> Weight;
    /// Asking in an emergency for sections of `r` records, and opening the review.
    fn ask_emergency(r: u32) -> Weight;
    /// Handing out a part of an opening of sections of `r` records.
    fn hand_out(r: u32) -> Weight;
}

/// The weight of asking for these records.
pub(crate) fn of_ask<T: Config>(
    records: &QueriedRecords,
    emergency: Option<EmergencyReason>,
) -> Weight {
    let records = records.len().saturated_into();
    match emergency {
        None => T::WeightInfo::ask(records),
        Some(_) => T::WeightInfo::ask_emergency(records),
    }
}

fn each(count: u32) -> Weight {
    Weight::from_parts(10_000, 0).saturating_mul(count.into())
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn wrap(s: u32) -> Weight {
        Weight::from_parts(1_000_000, 0).saturating_add(each(s))
    }

    fn ask(r: u32) -> Weight {
        Weight::from_parts(2_000_000, 0).saturating_add(each(r))
    }

    fn ask_emergency(r: u32) -> Weight {
        Weight::from_parts(4_000_000, 0).saturating_add(each(r))
    }

    fn hand_out(r: u32) -> Weight {
        Weight::from_parts(3_000_000, 0).saturating_add(each(r))
    }
}
