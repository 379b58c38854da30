//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn name_attribute() -> Weight;
    fn issue() -> Weight;
    fn revoke() -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn name_attribute() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn issue() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn revoke() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }
}
