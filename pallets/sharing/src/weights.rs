//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn share() -> Weight;
    fn unshare() -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn share() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn unshare() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }
}
