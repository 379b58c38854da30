//! What has a weight here. The runtime brings the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn relate() -> Weight;
    fn unrelate() -> Weight;
    /// `p`: policies in the set.
    fn set_policies(p: u32) -> Weight;
}

/// For mocks: nothing was measured, but no two weigh the same.
impl WeightInfo for () {
    fn relate() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn unrelate() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn set_policies(_: u32) -> Weight {
        Weight::from_parts(3_000_000, 0)
    }
}
