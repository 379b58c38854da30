//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// `body_bytes`: bytes of the body.
    fn register(body_bytes: u32) -> Weight;
    /// `body_bytes`: bytes of the body.
    fn update(body_bytes: u32) -> Weight;
    fn suspend() -> Weight;
    fn reinstate() -> Weight;
    fn end_registration() -> Weight;
    fn rotate_keys() -> Weight;
    fn propose_recovery() -> Weight;
    fn object() -> Weight;
    fn complete_recovery() -> Weight;
}

/// For mocks: not measured, but all different.
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

    fn propose_recovery() -> Weight {
        Weight::from_parts(7_000_000, 0)
    }

    fn object() -> Weight {
        Weight::from_parts(8_000_000, 0)
    }

    fn complete_recovery() -> Weight {
        Weight::from_parts(9_000_000, 0)
    }
}
