//! What has a weight here. The runtime brings the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// Announcing, without the commit that may follow at once. `e`: entries; `b`: bytes of the body.
    fn announce(e: u32, b: u32) -> Weight;
    fn withdraw() -> Weight;
    /// Closing a ballot with approval. `e`: entries.
    fn commit(e: u32) -> Weight;
    /// Closing a ballot without approval.
    fn discard() -> Weight;
}

/// For mocks: nothing was measured, but no two weigh the same.
impl WeightInfo for () {
    fn announce(_: u32, _: u32) -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn withdraw() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn commit(_: u32) -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn discard() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }
}
