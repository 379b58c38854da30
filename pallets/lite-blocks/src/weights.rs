//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// Announcing, without a commit in the same call. `e`: entries; `b`: bytes of the body.
    fn announce(e: u32, b: u32) -> Weight;
    /// `e`: entries.
    fn withdraw(e: u32) -> Weight;
    /// Closing a ballot with approval. `e`: entries.
    fn commit(e: u32) -> Weight;
    /// Closing a ballot without approval. `e`: entries.
    fn discard(e: u32) -> Weight;
    /// Looking at `n` old announcements, and removing them.
    fn prune(n: u32) -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn announce(_: u32, _: u32) -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn withdraw(e: u32) -> Weight {
        Weight::from_parts(2_000_000, 0).saturating_mul(e.into())
    }

    fn commit(_: u32) -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn discard(e: u32) -> Weight {
        Weight::from_parts(4_000_000, 0).saturating_mul(e.into())
    }

    fn prune(n: u32) -> Weight {
        Weight::from_parts(5_000_000, 0).saturating_mul(u64::from(n).saturating_add(1))
    }
}
