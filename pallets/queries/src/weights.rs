//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// Asking for `r` records.
    fn ask(r: u32) -> Weight;
    fn accept() -> Weight;
    fn refuse() -> Weight;
    fn withdraw() -> Weight;
    fn transfer() -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn ask(r: u32) -> Weight {
        Weight::from_parts(1_000_000, 0)
            .saturating_add(Weight::from_parts(10_000, 0).saturating_mul(r.into()))
    }

    fn accept() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn refuse() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn withdraw() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn transfer() -> Weight {
        Weight::from_parts(5_000_000, 0)
    }
}
