//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn give() -> Weight;
    fn withdraw() -> Weight;
    /// `r`: records.
    fn place(r: u32) -> Weight;
    /// `r`: records.
    fn remove(r: u32) -> Weight;
    /// `r`: records.
    fn place_by_kind(r: u32) -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn give() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn withdraw() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn place(r: u32) -> Weight {
        Weight::from_parts(3_000_000, 0).saturating_mul(r.into())
    }

    fn remove(r: u32) -> Weight {
        Weight::from_parts(4_000_000, 0).saturating_mul(r.into())
    }

    fn place_by_kind(r: u32) -> Weight {
        Weight::from_parts(5_000_000, 0).saturating_mul(r.into())
    }
}
