//! The weights of this pallet. The runtime provides the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    /// A vote that does not decide.
    fn approve() -> Weight;
    /// A vote that does not decide.
    fn reject() -> Weight;
    /// Closing a ballot, without its owner's work.
    fn close() -> Weight;
    /// Closing this many ballots at their deadline, without their owner's work.
    fn expire(ballots: u32) -> Weight;
}

/// For mocks: not measured, but all different.
impl WeightInfo for () {
    fn approve() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn reject() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn close() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn expire(_: u32) -> Weight {
        Weight::from_parts(3_000_000, 0)
    }
}
