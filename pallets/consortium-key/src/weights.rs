//! What has a weight here. The runtime brings the measured ones.

use frame_support::weights::Weight;

pub trait WeightInfo {
    fn begin() -> Weight;
    fn enrol() -> Weight;
    fn deal() -> Weight;
    fn judge() -> Weight;
    fn answer() -> Weight;
    /// A confirmation that does not decide.
    fn confirm() -> Weight;
    /// The confirmation that begins an epoch.
    fn activate() -> Weight;
    fn refresh() -> Weight;
    fn renew() -> Weight;
    fn seat() -> Weight;
    fn schedule() -> Weight;
}

/// For mocks: nothing was measured, but no two weigh the same.
impl WeightInfo for () {
    fn begin() -> Weight {
        Weight::from_parts(1_000_000, 0)
    }

    fn enrol() -> Weight {
        Weight::from_parts(2_000_000, 0)
    }

    fn deal() -> Weight {
        Weight::from_parts(3_000_000, 0)
    }

    fn judge() -> Weight {
        Weight::from_parts(4_000_000, 0)
    }

    fn answer() -> Weight {
        Weight::from_parts(5_000_000, 0)
    }

    fn confirm() -> Weight {
        Weight::from_parts(6_000_000, 0)
    }

    fn activate() -> Weight {
        Weight::from_parts(70_000_000, 0)
    }

    fn refresh() -> Weight {
        Weight::from_parts(8_000_000, 0)
    }

    fn renew() -> Weight {
        Weight::from_parts(9_000_000, 0)
    }

    fn seat() -> Weight {
        Weight::from_parts(10_000_000, 0)
    }

    fn schedule() -> Weight {
        Weight::from_parts(11_000_000, 0)
    }
}
