//! How much of the chain signers and hospitals may use, until the council decides otherwise.

use epione_primitives::limits::{BLOCK_BYTES, WEIGHT_WINDOW_BLOCKS};
use frame_support::parameter_types;
use pallet_quotas::{Budget, Limits, Share};

use crate::{Runtime, configs::BLOCK_WEIGHT, weights};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// The computation of ordinary transactions in a window, in picoseconds: three quarters of each block.
const WINDOW: u64 = BLOCK_WEIGHT.ref_time() / 4 * 3 * (WEIGHT_WINDOW_BLOCKS as u64);
/// A millisecond of computation.
const MILLIS: u64 = 1_000_000_000;

/// The same budget for a duty and its hospital, because the hospital has only one such account at a time.
const fn alone(budget: Budget) -> Share {
    Share { account: budget, hospital: budget }
}

/// The reasons are in `docs/adr/028-quotas-and-lanes.md`.
const DEFAULT: Limits = Limits {
    // A call of a user needs about 2 ms, and an opening of the most records nearly 9 ms.
    // A hundred hospitals, all of whose users attack, use a quarter of the chain.
    users: Share {
        account: Budget { ref_time: 10 * MILLIS, bytes: 256 * KIB },
        hospital: Budget { ref_time: WINDOW / 400, bytes: 16 * MIB },
    },
    // One opening of the most records in an emergency in a window, or two smaller ones, of each doctor. The chain
    // permits three of a doctor in a day; the bytes are enough for thirty questions, with those that it refuses.
    emergencies: Share {
        account: Budget { ref_time: 15 * MILLIS, bytes: 96 * KIB },
        hospital: Budget { ref_time: WINDOW / 400, bytes: 4 * MIB },
    },
    // Two rotations in a window, but few in a day: only thousands of users can use up what all users of their
    // hospital have for rotations.
    rotations: Share {
        account: Budget { ref_time: 3 * MILLIS, bytes: 8 * KIB },
        hospital: Budget { ref_time: WINDOW / 800, bytes: 16 * MIB },
    },
    // Two of the largest removals of placed sections in a window, or five withdrawals. What ends access has to exist,
    // so nobody fills blocks with it. 2,000 records can be removed in a day.
    endings: Share {
        account: Budget { ref_time: 15 * MILLIS, bytes: 64 * KIB },
        hospital: Budget { ref_time: WINDOW / 400, bytes: 16 * MIB },
    },
    // A day of a large hospital needs about 100 MiB: 1,000 visits of 7 KB, 10,000 registrations, 20,000 receipts.
    // This is enough for 255 of the largest bodies.
    records: alone(Budget { ref_time: WINDOW / 5, bytes: 512 * MIB }),
    // 70 votes in a window if each is debited as if it commits the largest block; undecisive votes need less.
    votes: alone(Budget { ref_time: WINDOW / 4, bytes: 64 * MIB }),
    // Includes the code of upgrades, and three motions with the largest weight.
    governance: alone(Budget { ref_time: WINDOW / 10, bytes: 64 * MIB }),
};

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
    records: alone(Budget { ref_time: 200 * MILLIS, bytes: 16 * MIB }),
    // More than one vote in a block.
    votes: alone(Budget { ref_time: 500 * MILLIS, bytes: 4 * MIB }),
    // The largest motion can be proposed, voted for and closed, and the largest upgrade applied.
    governance: alone(Budget { ref_time: 600 * MILLIS, bytes: 2 * BLOCK_BYTES as u64 }),
};

parameter_types! {
    pub const DefaultLimits: Limits = DEFAULT;
    pub const LeastLimits: Limits = LEAST;
}

impl pallet_quotas::Config for Runtime {
    type DefaultLimits = DefaultLimits;
    type LeastLimits = LeastLimits;
    type WeightInfo = weights::pallet_quotas::Measured<Runtime>;
}
