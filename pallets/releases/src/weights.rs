//! The weights of this pallet. The runtime provides the measured ones.

use epione_primitives::release::Release;
use frame_support::weights::Weight;
use sp_runtime::SaturatedConversion;

use crate::Config;

pub trait WeightInfo {
    /// Recording a release that is not an emergency. `r`: released records; `p`: rights. The number of requested
    /// records is the maximum.
    fn record(r: u32, p: u32) -> Weight;
    /// Recording an emergency, and opening its review. `r`: released records; `p`: rights. The number of requested
    /// records is the maximum.
    fn record_emergency(r: u32, p: u32) -> Weight;
    fn refuse() -> Weight;
    fn judge() -> Weight;
    /// A patient's note of `r` records.
    fn note(r: u32) -> Weight;
    /// Processing `n` reviews whose deadlines have passed.
    fn expire(n: u32) -> Weight;
}

/// The weight of recording this release.
pub(crate) fn of_record<T: Config>(release: &Release) -> Weight {
    let records = release.records.len().saturated_into();
    let rights = release.rights.len().saturated_into();
    match release.request.emergency {
        None => T::WeightInfo::record(records, rights),
        Some(_) => T::WeightInfo::record_emergency(records, rights),
    }
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn record(_: u32, _: u32) -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn record_emergency(_: u32, _: u32) -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn refuse() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn judge() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn note(_: u32) -> Weight {
        Weight::from_parts(6_000_000, 0)
    }

    fn expire(_: u32) -> Weight {
        Weight::from_parts(5_000_000, 0)
    }
}
