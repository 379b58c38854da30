//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn keep() -> Weight;
    fn appoint() -> Weight;
    fn dismiss() -> Weight;
    /// Claiming the keys of `p` patients.
    fn claim(p: u32) -> Weight;
    /// Handing out a part of a claim of the keys of `p` patients.
    fn hand_out(p: u32) -> Weight;
}

fn each(count: u32) -> Weight {
    Weight::from_parts(10_000, 0).saturating_mul(count.into())
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn keep() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn appoint() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn dismiss() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn claim(p: u32) -> Weight {
        Weight::from_parts(4_000_000, 0).saturating_add(each(p))
    }

    fn hand_out(p: u32) -> Weight {
        Weight::from_parts(5_000_000, 0).saturating_add(each(p))
    }
}
