//! What has a weight here. The runtime brings the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// With a body of so many bytes.
    fn register(body_bytes: u32) -> Weight;
    /// With a body of so many bytes.
    fn update(body_bytes: u32) -> Weight;
    fn suspend() -> Weight;
    fn reinstate() -> Weight;
    fn end_registration() -> Weight;
    fn rotate_keys() -> Weight;
}

/// For mocks: nothing was measured, but no two weigh the same.
impl WeightInfo for () {
    fn register(_: u32) -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn update(_: u32) -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn suspend() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn reinstate() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn end_registration() -> Weight {
        Weight::from_parts(5_000_000, 0)
    }

    fn rotate_keys() -> Weight {
        Weight::from_parts(6_000_000, 0)
    }
}
