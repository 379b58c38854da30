//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn set_limits() -> Weight;
}

/// For mocks: not measured.
impl WeightInfo for () {
    fn set_limits() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }
}
