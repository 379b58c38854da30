//! What has a weight here. The runtime brings the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn appoint() -> Weight;
    fn dismiss() -> Weight;
    fn authorize() -> Weight;
    fn revoke() -> Weight;
    fn entrust() -> Weight;
    fn end_custody() -> Weight;
}

/// For mocks: nothing was measured, but no two weigh the same.
impl WeightInfo for () {
    fn appoint() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn dismiss() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn authorize() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn revoke() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn entrust() -> Weight {
        Weight::from_parts(5_000_000, 0)
    }

    fn end_custody() -> Weight {
        Weight::from_parts(6_000_000, 0)
    }
}
