//! How much of the chain signers and hospitals may use, until the council decides otherwise.

use epione_primitives::{
    limits::BLOCK_BYTES,
    quota::{Budget, Limits, Share},
};
use frame_support::parameter_types;

use crate::{Runtime, weights};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// A millisecond of computation.
const MILLIS: u64 = 1_000_000_000;

const LEAST: Limits = Limits {
    // Each of the largest calls of a user.
    users: Share {
        account: Budget { ref_time: 10 * MILLIS, bytes: 16 * KIB },
        hospital: Budget { ref_time: 10 * MILLIS, bytes: MIB },
    },
    // An opening of the most records in an emergency needs about 10 ms.
    emergencies: Share {
        account: Budget { ref_time: 12 * MILLIS, bytes: 16 * KIB },
        hospital: Budget { ref_time: 12 * MILLIS, bytes: MIB },
    },
    rotations: Share {
        account: Budget { ref_time: 2 * MILLIS, bytes: 4 * KIB },
        hospital: Budget { ref_time: 5 * MILLIS, bytes: MIB },
    },
    // One of the largest removals of placed sections.
    endings: Share {
        account: Budget { ref_time: 8 * MILLIS, bytes: 16 * KIB },
        hospital: Budget { ref_time: 16 * MILLIS, bytes: MIB },
    },
    // Two of the largest announcements.
    records: Share::alone(Budget { ref_time: 200 * MILLIS, bytes: 16 * MIB }),
    // More than one vote in a block.
    votes: Share::alone(Budget { ref_time: 500 * MILLIS, bytes: 4 * MIB }),
    // The largest motion can be proposed, voted for and closed, and the largest upgrade applied.
    governance: Share::alone(Budget { ref_time: 600 * MILLIS, bytes: 2 * BLOCK_BYTES as u64 }),
};

parameter_types! {
    pub const DefaultLimits: Limits = Limits::USUAL;
    pub const LeastLimits: Limits = LEAST;
}

impl pallet_quotas::Config for Runtime {
    type DefaultLimits = DefaultLimits;
    type LeastLimits = LeastLimits;
    type WeightInfo = weights::pallet_quotas::Measured<Runtime>;
}
