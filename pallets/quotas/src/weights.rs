//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn set_limits() -> Weight;
    /// Looking at `n` entries, and removing them.
    fn prune(n: u32) -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn set_limits() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn prune(n: u32) -> Weight {
        Weight::from_parts(2_000_000, 0).saturating_mul(u64::from(n).saturating_add(1))
    }
}
