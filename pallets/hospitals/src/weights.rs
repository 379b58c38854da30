//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn admit() -> Weight;
    fn suspend() -> Weight;
    fn reinstate() -> Weight;
    fn remove() -> Weight;
    fn rotate_accounts() -> Weight;
    fn set_endpoint() -> Weight;
    fn set_sealing_key() -> Weight;
    fn ready() -> Weight;
    fn leave() -> Weight;
    fn replace_governance() -> Weight;
    fn complete_replacement() -> Weight;
    fn object_to_replacement() -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn admit() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn suspend() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn reinstate() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn remove() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn rotate_accounts() -> Weight {
        Weight::from_parts(5_000_000, 0)
    }

    fn set_endpoint() -> Weight {
        Weight::from_parts(6_000_000, 0)
    }

    fn set_sealing_key() -> Weight {
        Weight::from_parts(7_000_000, 0)
    }

    fn ready() -> Weight {
        Weight::from_parts(8_000_000, 0)
    }

    fn leave() -> Weight {
        Weight::from_parts(9_000_000, 0)
    }

    fn replace_governance() -> Weight {
        Weight::from_parts(10_000_000, 0)
    }

    fn complete_replacement() -> Weight {
        Weight::from_parts(11_000_000, 0)
    }

    fn object_to_replacement() -> Weight {
        Weight::from_parts(12_000_000, 0)
    }
}
